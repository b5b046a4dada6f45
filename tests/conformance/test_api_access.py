"""Who is let in, and what they may: the emulation refuses as kube-apiserver does, in the words that rotator reads."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from rotator.cluster import answers, request
from rotator.errors import ClusterUnusable, Forbidden
from rotator.rbac import Right
from rotator.sandbox.apiserver import Rule
from tests.apiclient import Answer, Client, secret
from tests.conformance.both import NAMESPACES, Agreed, Both
from tests.conformance.writing import account, lease_path, path, told

ALL_SECRETS = "/api/v1/secrets"
AUTHORIZATION = "/apis/authorization.k8s.io/v1"
AUTHENTICATION = "/apis/authentication.k8s.io/v1"
BY_NAME = Rule(("get", "list", "watch", "create", "patch"), ("secrets",), resource_names=("worker-pull",))
PATHS = [
    "/version",
    "/healthz",
    "/api",
    "/nonsense",
    NAMESPACES,
    ALL_SECRETS,
    "/api/v1/nonsense",
    "/apis/none.example/v1/x",
]


@pytest.fixture
def namespace(both: Both) -> str:
    """An empty namespace."""
    return both.namespace()


@pytest.fixture
def limited(both: Both) -> str:
    """A user with the smallest rules there are."""
    return both.user(BY_NAME)


@pytest.fixture
def nobody(both: Both) -> str:
    """A user without any rules."""
    return both.user()


@pytest.mark.parametrize("place", PATHS)
def test_wrong_token(both: Both, place: str) -> None:
    """401 before anything else is looked at, also where everybody may read and where there is nothing."""
    answer = both.ask(lambda side: side.connect("wrong").get(place))
    assert (answer.status, answer.reason, answer.message) == (401, "Unauthorized", "Unauthorized")
    assert "details" not in answer.body
    assert isinstance(told(answer, request.version()), ClusterUnusable)


@pytest.mark.parametrize("place", ["/version", "/version/", "/healthz", "/livez", "/readyz"])
def test_no_token_where_everybody_may_read(both: Both, place: str) -> None:
    """Health and version are public."""
    both.ask(lambda side: side.connect(None).get(place), seen=type)


@pytest.mark.parametrize("place", ["/api", "/apis", "/nonsense", NAMESPACES, "/api/v1/nonsense"])
def test_no_token(both: Both, place: str) -> None:
    """403 for system:anonymous, not 401: rotator takes it for a missing credential, and asks for no rule."""
    answer = both.ask(lambda side: side.connect(None).get(place))
    assert (answer.status, answer.reason) == (403, "Forbidden")
    assert 'User "system:anonymous" cannot' in answer.message
    assert isinstance(told(answer, request.list_namespaces(None)), ClusterUnusable)


UNSERVED: dict[str, tuple[int, Callable[[Client], Answer]]] = {
    "an unknown resource": (404, lambda client: client.get("/api/v1/nonsense")),
    "one within a namespace": (404, lambda client: client.get("/api/v1/namespaces/default/nonsense/x")),
    "an unknown resource of a known group": (404, lambda client: client.get("/apis/coordination.k8s.io/v1/nonsense")),
    "an unknown version of a known group": (404, lambda client: client.get("/apis/coordination.k8s.io/v9/leases")),
    "a Secret without its namespace": (404, lambda client: client.get("/api/v1/secrets/x")),
    "an unknown subresource": (404, lambda client: client.get("/api/v1/namespaces/default/secrets/x/nonsense")),
    "PUT of a collection": (405, lambda client: client.put(path("secrets", "default"), secret())),
    "POST to an object": (405, lambda client: client.post(path("secrets", "default", "x"), secret())),
    "POST without a namespace": (405, lambda client: client.post(ALL_SECRETS, secret())),
    "GET of a token": (405, lambda client: client.get(path("serviceaccounts", "default", "default/token"))),
    "GET of a review": (405, lambda client: client.get(f"{AUTHORIZATION}/selfsubjectaccessreviews")),
}


@pytest.mark.parametrize("what", UNSERVED)
def test_what_is_not_served(both: Both, what: str) -> None:
    """404 or 405 as a Status without any name, for whoever may do everything."""
    status, ask = UNSERVED[what]
    answer = both.ask(lambda side: ask(side.client))
    assert (answer.status, answer.reason) == (status, "NotFound" if status == 404 else "MethodNotAllowed")
    assert answer.body["details"] == {}


@pytest.mark.parametrize("what", UNSERVED)
def test_permission_comes_first(both: Both, nobody: str, what: str) -> None:
    """Whoever may not gets 403 instead, and learns nothing of what there is."""
    answer = both.ask(lambda side: UNSERVED[what][1](side.of(nobody)))
    assert (answer.status, answer.reason) == (403, "Forbidden")


@pytest.mark.parametrize("place", ["/nonsense", "/apis/none.example/v1/things"])
def test_unknown_path(both: Both, nobody: str, place: str) -> None:
    """Outside of known API groups 404 is plain text, and 403 a Status."""
    answer = both.ask(lambda side: side.client.get(place))
    refused = both.ask(lambda side: side.of(nobody).get(place))
    assert (answer.status, answer.body) == (404, "404 page not found\n")
    assert (refused.status, refused.body["kind"]) == (403, "Status")


@pytest.mark.parametrize("query", [{"limit": "x"}, {"fieldSelector": "data.x=y"}, {"labelSelector": "a b"}])
def test_permission_comes_before_the_query(both: Both, nobody: str, query: dict[str, str]) -> None:
    """A query that is wrong is no 400 for whoever may not ask."""
    answer = both.ask(lambda side: side.of(nobody).get(ALL_SECRETS, **query))
    assert answer.status == 403


def refused(answer: Agreed, asked: request.Request) -> str:
    """The rule that rotator says is missing."""
    assert (answer.status, answer.reason) == (403, "Forbidden")
    error = told(answer, asked)
    assert isinstance(error, Forbidden)
    return error.hint


def test_smallest_rules_allow(both: Both, namespace: str, limited: str) -> None:
    """With `resourceNames` everything by that name is allowed: apply that creates, get, list and watch by name."""
    place = path("secrets", namespace, "worker-pull")
    created = both.ask(lambda side: side.of(limited).apply(place, secret()))
    again = both.ask(lambda side: side.of(limited).apply(place, secret()))
    assert (created.status, again.status) == (201, 200)
    assert both.ask(lambda side: side.of(limited).get(place)).status == 200
    for selector in (
        f"metadata.name=worker-pull,metadata.namespace={namespace}",
        f"metadata.namespace={namespace},metadata.name==worker-pull",
    ):
        found = both.ask(lambda side, by=selector: side.of(limited).get(ALL_SECRETS, fieldSelector=by))  # type: ignore[misc]
        assert [item["metadata"]["namespace"] for item in found.body["items"]] == [namespace]
        with both.watching(
            lambda side, by=selector: side.of(limited).watching(ALL_SECRETS, fieldSelector=by)  # type: ignore[misc]
        ) as notices:
            assert next(notices).object["metadata"]["namespace"] == namespace


def test_smallest_rules_refuse(both: Both, namespace: str, limited: str) -> None:
    """Every other name, a POST, and a list or watch of everything are 403; the message names verb, object and place."""
    secrets = path("secrets", namespace)
    get = both.ask(lambda side: side.of(limited).get(f"{secrets}/other"))
    apply = both.ask(lambda side: side.of(limited).apply(f"{secrets}/other", secret("other")))
    post = both.ask(lambda side: side.of(limited).post(secrets, secret()))
    delete = both.ask(lambda side: side.of(limited).delete(f"{secrets}/worker-pull"))
    everything = both.ask(lambda side: side.of(limited).get(ALL_SECRETS))
    by_label = both.ask(lambda side: side.of(limited).get(ALL_SECRETS, labelSelector="metadata.name=worker-pull"))
    watch = both.ask(lambda side: side.of(limited).get(ALL_SECRETS, watch="true"))
    assert get.message == (
        f'secrets "other" is forbidden: User "{limited}" cannot get resource "secrets" in API group "" '
        f'in the namespace "{namespace}"'
    )
    assert get.body["details"] == {"name": "other", "kind": "secrets"}
    assert everything.message == (
        f'secrets is forbidden: User "{limited}" cannot list resource "secrets" in API group "" at the cluster scope'
    )
    assert everything.body["details"] == {"kind": "secrets"}
    assert refused(get, request.get("secrets", namespace, "other")) == (
        f"grant verbs [get] on secrets named other in namespace {namespace}"
    )
    assert refused(everything, request.list_all("secrets", None)) == "grant verbs [list] on secrets in all namespaces"
    assert [answer.status for answer in (apply, post, delete, by_label, watch)] == [403] * 5


@pytest.mark.parametrize("selector", ["metadata.name!=worker-pull", "metadata.name=other", "type=Opaque", "nonsense"])
def test_only_the_exact_name_counts(both: Both, limited: str, selector: str) -> None:
    """A selector that does not demand the one name gives no permission."""
    for query in ({}, {"watch": "true"}):
        answer = both.ask(
            lambda side, more=query: side.of(limited).get(ALL_SECRETS, fieldSelector=selector, **more)  # type: ignore[misc]
        )
        assert answer.status == 403


def test_apply_that_creates_needs_create(both: Both, namespace: str) -> None:
    """With `patch` alone an apply changes, but does not create: the refusal speaks of create, and has the name."""
    user = both.user(Rule(("patch",), ("secrets",)))
    place = path("secrets", namespace, "worker-pull")
    answer = both.ask(lambda side: side.of(user).apply(place, secret()))
    assert answer.message == (
        f'secrets "worker-pull" is forbidden: User "{user}" cannot create resource "secrets" in API group "" '
        f'in the namespace "{namespace}"'
    )
    both.each(lambda side: side.client.post(path("secrets", namespace), secret()))
    assert both.ask(lambda side: side.of(user).patch(place, {}, "application/merge-patch+json")).status == 200


def test_rules_of_one_namespace(both: Both, namespace: str) -> None:
    """A Role holds in its namespace, for the Namespace itself too, and neither elsewhere nor in the whole cluster."""
    elsewhere = both.namespace()
    user = both.user(Rule(("get", "list"), ("secrets", "namespaces"), namespaces=(namespace,)))
    places = [
        path("secrets", namespace),
        f"{NAMESPACES}/{namespace}",
        path("secrets", elsewhere),
        f"{NAMESPACES}/{elsewhere}",
        ALL_SECRETS,
        NAMESPACES,
    ]
    answers = [both.ask(lambda side, at=place: side.of(user).get(at)) for place in places]  # type: ignore[misc]
    assert [answer.status for answer in answers] == [200, 200, 403, 403, 403, 403]
    assert answers[3].message == (
        f'namespaces "{elsewhere}" is forbidden: User "{user}" cannot get resource "namespaces" in API group "" '
        f'in the namespace "{elsewhere}"'
    )


def test_refusal_names_the_group(both: Both, namespace: str, nobody: str) -> None:
    """Outside of the core group resource and details have it."""
    answer = both.ask(lambda side: side.of(nobody).get(lease_path(namespace, "x")))
    assert answer.message == (
        f'leases.coordination.k8s.io "x" is forbidden: User "{nobody}" cannot get resource "leases" '
        f'in API group "coordination.k8s.io" in the namespace "{namespace}"'
    )
    assert answer.body["details"] == {"name": "x", "group": "coordination.k8s.io", "kind": "leases"}


def review(**attributes: str) -> dict[str, Any]:
    """May I?"""
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }


QUESTIONS: list[tuple[bool, dict[str, str]]] = [
    (True, {"verb": "get", "resource": "secrets", "name": "worker-pull", "namespace": "default"}),
    (True, {"verb": "list", "resource": "secrets", "name": "worker-pull"}),
    (True, {"verb": "create", "resource": "serviceaccounts", "subresource": "token", "namespace": "default"}),
    (True, {"verb": "create", "group": "authorization.k8s.io", "resource": "selfsubjectaccessreviews"}),
    (False, {"verb": "get", "resource": "secrets", "name": "other", "namespace": "default"}),
    (False, {"verb": "get", "resource": "secrets", "namespace": "default"}),
    (False, {"verb": "list", "resource": "secrets"}),
    (False, {"verb": "delete", "resource": "secrets", "name": "worker-pull"}),
    (False, {"verb": "create", "resource": "serviceaccounts", "subresource": "token", "namespace": "kube-system"}),
    (False, {"verb": "get", "group": "apps", "resource": "secrets", "name": "worker-pull"}),
    (False, {"verb": "*", "group": "*", "resource": "*"}),
]


def test_may_i(both: Both) -> None:
    """An access review answers 201 with whether, by name and without; it repeats the question."""
    tokens = Rule(("create",), ("serviceaccounts/token",), namespaces=("default",))
    user = both.user(BY_NAME, tokens)
    for allowed, attributes in QUESTIONS:
        answer = both.ask(
            lambda side, question=attributes: side.of(user).post(  # type: ignore[misc]
                f"{AUTHORIZATION}/selfsubjectaccessreviews", review(**question)
            ),
            seen=lambda body: [body["kind"], body["apiVersion"], body["spec"], body["status"]["allowed"]],
        )
        assert (answer.status, answer.body["status"]["allowed"]) == (201, allowed), attributes
        assert answer.body["spec"] == {"resourceAttributes": attributes}


RIGHTS = [
    (True, Right("get", "secrets", "worker-pull", "default")),
    (True, Right("list", "secrets", "worker-pull", None)),
    (False, Right("list", "secrets", None, None)),
    (True, Right("create", "serviceaccounts/token", None, "default")),
    (False, Right("create", "serviceaccounts/token", None, "kube-system")),
    (True, Right("update", "leases", "rotator", "default")),
    (False, Right("update", "leases", None, "default")),
    (False, Right("bind", "clusterroles", None, None)),
    (False, Right("*", "*", None, None)),
]


def test_rotators_access_reviews(both: Both) -> None:
    """As rotator asks them: about itself, which everybody may, and about a ServiceAccount, which takes a right."""
    tokens = Rule(("create",), ("serviceaccounts/token",), namespaces=("default",))
    lease = Rule(("update",), ("leases",), ("rotator",), ("default",), ("coordination.k8s.io",))
    user = both.user(BY_NAME, tokens, lease)
    reviewer = both.user(Rule(("create",), ("subjectaccessreviews",), api_groups=("authorization.k8s.io",)))
    namespace, name = user.split(":")[2:]
    for allowed, right in RIGHTS:
        about_us, about_it = request.may_i(right), request.may_account(right, namespace, name)
        for asked, who in ((about_us, user), (about_it, reviewer)):
            answer = both.ask(lambda side, of=who, what=asked: posted(side.of(of), what), seen=allowance)  # type: ignore[misc]
            assert (answer.status, allowance(answer.body)) == (201, allowed), (right, who)
    refusal = both.ask(lambda side: posted(side.of(user), about_it))
    assert refused(refusal, about_it) == "grant verbs [create] on subjectaccessreviews.authorization.k8s.io"


def posted(client: Client, asked: request.Request) -> Answer:
    """The answer to a request of rotator's."""
    return client.post(asked.path, json.loads(asked.body))


def allowance(body: Any) -> bool:  # noqa: ANN401  (decoded JSON)
    """What rotator reads of a review."""
    return msgspec.convert(body, answers.AccessReview).status.allowed


@pytest.mark.parametrize(("place", "allowed"), [("/version", True), ("/metrics", False)])
def test_may_i_read_a_path(both: Both, nobody: str, place: str, *, allowed: bool) -> None:
    """The same for paths that are no resource's."""
    body = {"spec": {"nonResourceAttributes": {"path": place, "verb": "get"}}}
    answer = both.ask(
        lambda side: side.of(nobody).post(f"{AUTHORIZATION}/selfsubjectaccessreviews", body),
        seen=lambda found: [found["spec"], found["status"]["allowed"]],
    )
    assert answer.body["status"]["allowed"] is allowed


def test_may_i_as_administrator(both: Both) -> None:
    """Whoever may do everything is told so."""
    answer = both.ask(
        lambda side: side.client.post(
            f"{AUTHORIZATION}/selfsubjectaccessreviews", review(verb="*", group="*", resource="*")
        ),
        seen=lambda body: body["status"]["allowed"],
    )
    assert answer.body["status"]["allowed"] is True


def test_review_of_another_kind(both: Both, nobody: str) -> None:
    """400."""
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "Nonsense"}
    answer = both.ask(lambda side: side.of(nobody).post(f"{AUTHORIZATION}/selfsubjectaccessreviews", body), words=False)
    assert (answer.status, answer.reason) == (400, "BadRequest")


def core_rules(body: Any) -> list[Any]:  # noqa: ANN401  (decoded JSON)
    """The rules about the core group; which others everybody has differs from version to version."""
    return sorted((rule for rule in body["status"]["resourceRules"] if rule["apiGroups"] == [""]), key=str)


def test_what_may_i(both: Both, namespace: str) -> None:
    """A rules review lists what holds in one namespace: more than needed is seen there."""
    here = Rule(("get",), ("serviceaccounts",), namespaces=(namespace,))
    elsewhere = Rule(("get",), ("pods",), namespaces=("default",))
    user = both.user(BY_NAME, here, elsewhere)
    answer = both.ask(
        lambda side: side.of(user).post(f"{AUTHORIZATION}/selfsubjectrulesreviews", {"spec": {"namespace": namespace}}),
        seen=lambda body: [body["kind"], core_rules(body), body["status"]["incomplete"]],
    )
    assert answer.status == 201
    assert core_rules(answer.body) == [
        {"verbs": list(BY_NAME.verbs), "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["worker-pull"]},
        {"verbs": ["get"], "apiGroups": [""], "resources": ["serviceaccounts"]},
    ]


def test_what_may_i_nowhere(both: Both, nobody: str) -> None:
    """Without a namespace it is a bad request."""
    answer = both.ask(lambda side: side.of(nobody).post(f"{AUTHORIZATION}/selfsubjectrulesreviews", {"spec": {}}))
    assert (answer.status, answer.message) == (400, "no namespace on request")


def identity(body: Any) -> dict[str, Any]:  # noqa: ANN401  (decoded JSON)
    """Who it is, without the id of the token."""
    return {name: value for name, value in body["status"]["userInfo"].items() if name != "extra"}


def test_who_am_i(both: Both, nobody: str) -> None:
    """A ServiceAccount learns its user name, its UID and its groups, without any rule."""
    answer = both.ask(lambda side: side.of(nobody).post(f"{AUTHENTICATION}/selfsubjectreviews", {}), seen=identity)
    home = nobody.split(":")[2]
    assert answer.status == 201
    assert answer.body["kind"] == "SelfSubjectReview"
    assert identity(answer.body)["username"] == nobody
    assert identity(answer.body)["groups"] == [
        "system:serviceaccounts",
        f"system:serviceaccounts:{home}",
        "system:authenticated",
    ]


def token_request(**spec: object) -> dict[str, Any]:
    """A token, please."""
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}


def token_facts(body: Any) -> dict[str, Any]:  # noqa: ANN401  (decoded JSON)
    """What one reads of a TokenRequest."""
    meta = {name: body["metadata"].get(name) for name in ("name", "namespace", "uid", "creationTimestamp")}
    return {"kind": body["kind"], "metadata": meta, "spec": body["spec"], "status": body["status"]}


def test_token_of_a_service_account(both: Both, namespace: str) -> None:
    """A TokenRequest is 201 with token and end; the token is the ServiceAccount's, and gives its rules alone."""
    place = path("serviceaccounts", namespace, "default/token")
    made = both.ask(lambda side: side.client.post(place, token_request(expirationSeconds=600)), seen=token_facts)
    assert made.status == 201
    assert made.body["spec"]["expirationSeconds"] == 600
    assert made.body["status"].keys() == {"token", "expirationTimestamp"}

    def use(ask: Callable[[Client], Answer]) -> Agreed:
        return both.ask(lambda side: ask(side.connect(made.on(side).body["status"]["token"])), seen=identity)

    assert identity(use(lambda client: client.post(f"{AUTHENTICATION}/selfsubjectreviews", {})).body)["username"] == (
        f"system:serviceaccount:{namespace}:default"
    )
    assert use(lambda client: client.get(path("secrets", namespace))).status == 403


def test_token_without_wishes(both: Both, namespace: str) -> None:
    """An hour, for the API server itself."""
    place = path("serviceaccounts", namespace, "default/token")
    answer = both.ask(lambda side: side.client.post(place, token_request()), seen=token_facts)
    assert answer.body["spec"]["expirationSeconds"] == 3600
    assert answer.body["spec"]["audiences"] == ["https://kubernetes.default.svc"]


def test_token_for_another_audience(both: Both, namespace: str) -> None:
    """Such a token is for somebody else: this server does not know whose it is (401)."""
    place = path("serviceaccounts", namespace, "default/token")
    made = both.ask(lambda side: side.client.post(place, token_request(audiences=["registry"])), seen=token_facts)
    answer = both.ask(lambda side: side.connect(made.on(side).body["status"]["token"]).get("/version"))
    assert answer.status == 401


@pytest.mark.parametrize("seconds", [0, 599])
def test_token_that_would_be_too_short(both: Both, namespace: str, seconds: int) -> None:
    """Ten minutes is the shortest life (422)."""
    place = path("serviceaccounts", namespace, "default/token")
    answer = both.ask(lambda side: side.client.post(place, token_request(expirationSeconds=seconds)))
    assert (answer.status, answer.reason) == (422, "Invalid")
    (cause,) = answer.body["details"]["causes"]
    assert (cause["reason"], cause["field"]) == ("FieldValueInvalid", "spec.expirationSeconds")


def test_token_of_nobody(both: Both, namespace: str) -> None:
    """404 names the ServiceAccount."""
    answer = both.ask(lambda side: side.client.post(path("serviceaccounts", namespace, "none/token"), token_request()))
    assert (answer.status, answer.message) == (404, 'serviceaccounts "none" not found')


def test_token_needs_its_own_rule(both: Both, namespace: str) -> None:
    """`create` on serviceaccounts/token, which can be limited by name; `create` on serviceaccounts is another thing."""
    both.each(lambda side: side.client.post(path("serviceaccounts", namespace), account("other")))
    named = both.user(Rule(("create",), ("serviceaccounts/token",), ("default",)))
    creator = both.user(Rule(("create",), ("serviceaccounts",)))
    asked = {
        (user, name): both.ask(
            lambda side, who=user, whose=name: side.of(who).post(  # type: ignore[misc]
                path("serviceaccounts", namespace, f"{whose}/token"), token_request()
            ),
            seen=token_facts,
        )
        for user in (named, creator)
        for name in ("default", "other")
    }
    assert [answer.status for answer in asked.values()] == [201, 403, 403, 403]
    assert asked[named, "other"].message == (
        f'serviceaccounts "other" is forbidden: User "{named}" cannot create resource "serviceaccounts/token" '
        f'in API group "" in the namespace "{namespace}"'
    )
    assert asked[named, "other"].body["details"] == {"name": "other", "kind": "serviceaccounts"}


def test_discovery(both: Both, nobody: str) -> None:
    """Every authenticated user may see which resources there are; the emulation has fewer, of the same kinds."""

    def kinds(body: Any) -> dict[str, Any]:  # noqa: ANN401  (decoded JSON)
        served = ("namespaces", "secrets", "serviceaccounts", "pods", "events")
        fields = ("kind", "singularName", "namespaced", "shortNames")
        found = {each["name"]: each for each in body["resources"]}
        return {name: {field: found[name].get(field) for field in fields} for name in served}

    answer = both.ask(lambda side: side.of(nobody).get("/api/v1"), seen=kinds)
    assert kinds(answer.body)["secrets"]["namespaced"] is True
    group = both.ask(lambda side: side.of(nobody).get("/apis/coordination.k8s.io"), seen=lambda body: body["name"])
    assert group.status == 200
