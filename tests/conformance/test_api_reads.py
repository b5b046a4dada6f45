"""Gets and lists: the emulation answers as kube-apiserver does, and both as rotator relies on."""

from typing import Any

import pytest

from rotator.cluster import request
from rotator.cluster.failures import Gone
from tests.apiclient import PARTIAL, PARTIAL_LIST, secret
from tests.conformance.both import NAMESPACES, Agreed, Both, Side, unique
from tests.conformance.writing import account, lease_path, path, told

ALL_SECRETS = "/api/v1/secrets"
ALL_NAMESPACES = NAMESPACES


def put(both: Both, namespace: str, name: str, **labels: str) -> None:
    """A Secret with these labels."""
    body = secret(name, metadata={"name": name, "labels": labels})
    both.each(lambda side: side.client.post(path("secrets", namespace), body))


def put_event(both: Both, namespace: str, name: str, **fields: object) -> None:
    """An Event about the Secret worker-pull."""
    about = {"apiVersion": "v1", "kind": "Secret", "namespace": namespace, "name": "worker-pull"}
    body = {"metadata": {"name": name}, "involvedObject": about, "message": "m", "type": "Normal"} | fields
    both.each(lambda side: side.client.post(path("events", namespace), body))


def names(body: Any) -> list[str]:  # noqa: ANN401  (decoded JSON)
    """The name of each item of a list."""
    return [item["metadata"]["name"] for item in body["items"]]


def following(page: Agreed, side: Side) -> str:
    """The token for the page after this one, or the one that came with a 410."""
    return str(page.on(side).body["metadata"]["continue"])


@pytest.fixture
def letters(both: Both) -> str:
    """A namespace with the Secrets a to e, labelled with their names."""
    namespace = both.namespace()
    for name in "abcde":
        put(both, namespace, name, app=name, team="t")
    return namespace


def test_version_is_told_to_everybody(both: Both) -> None:
    """`/version` names major, minor and the whole version, also to whoever shows no token."""
    answer = both.ask(lambda side: side.connect(None).get("/version"), seen=lambda body: body["major"])
    assert {"major", "minor", "gitVersion", "platform"} <= answer.body.keys()
    assert answer.body["gitVersion"].startswith("v1.")


def test_namespace(both: Both) -> None:
    """A Namespace has its name as a label, and a phase."""
    namespace = both.namespace(pull="private")
    answer = both.ask(lambda side: side.client.get(f"{NAMESPACES}/{namespace}"))
    assert answer.body["metadata"]["labels"] == {"kubernetes.io/metadata.name": namespace, "pull": "private"}
    assert answer.body["status"] == {"phase": "Active"}


def test_secret(both: Both, letters: str) -> None:
    """A Secret has type, data, UID and version."""
    answer = both.ask(lambda side: side.client.get(path("secrets", letters, "a")))
    assert answer.body["type"] == "kubernetes.io/dockerconfigjson"
    assert answer.body["data"].keys() == {".dockerconfigjson"}
    assert answer.body["metadata"]["uid"]
    assert answer.version


def test_service_account(both: Both) -> None:
    """Every namespace has `default`, without a list of pull secrets; where there is one, it is in its order."""
    namespace = both.namespace()
    accounts = path("serviceaccounts", namespace)
    both.each(lambda side: side.client.post(accounts, account("worker", "z", "a")))
    default = both.ask(lambda side: side.client.get(f"{accounts}/default"))
    worker = both.ask(lambda side: side.client.get(f"{accounts}/worker"))
    assert "imagePullSecrets" not in default.body
    assert worker.body["imagePullSecrets"] == [{"name": "z"}, {"name": "a"}]


@pytest.mark.parametrize("resource", ["secrets", "serviceaccounts", "pods", "events"])
def test_absent_object(both: Both, resource: str) -> None:
    """404 names the object, also where its whole namespace is absent."""
    for namespace in (both.namespace(), "absent"):
        answer = both.ask(lambda side, home=namespace: side.client.get(path(resource, home, "none")))  # type: ignore[misc]
        assert (answer.status, answer.reason) == (404, "NotFound")
        assert answer.message == f'{resource} "none" not found'
        assert answer.body["details"] == {"name": "none", "kind": resource}


def test_absent_namespace(both: Both) -> None:
    """404 for itself, and an empty list for what would be in it."""
    answer = both.ask(lambda side: side.client.get(f"{NAMESPACES}/absent"))
    listed = both.ask(lambda side: side.client.get(path("secrets", "absent")))
    assert (answer.status, answer.message) == (404, 'namespaces "absent" not found')
    assert listed.body["items"] == []


def test_list(both: Both, letters: str) -> None:
    """A list has kind and version, its items have neither; they come in the order of their names."""
    answer = both.ask(lambda side: side.client.get(path("secrets", letters)))
    assert (answer.body["kind"], answer.body["apiVersion"]) == ("SecretList", "v1")
    assert names(answer.body) == ["a", "b", "c", "d", "e"]
    assert "kind" not in answer.body["items"][0]
    for side in both.sides:
        body = answer.on(side).body
        newest = max(int(item["metadata"]["resourceVersion"]) for item in body["items"])
        assert int(body["metadata"]["resourceVersion"]) >= newest


def test_pages_are_of_one_version(both: Both, letters: str) -> None:
    """Every page shows the cluster as it was at the first one, and tells how many items are left."""
    secrets = path("secrets", letters)
    first = both.ask(lambda side: side.client.get(secrets, limit=2))
    both.each(lambda side: side.client.delete(f"{secrets}/c"))
    put(both, letters, "f")
    second = both.ask(lambda side: side.client.get(secrets, limit=2, **{"continue": following(first, side)}))
    third = both.ask(lambda side: side.client.get(secrets, limit=2, **{"continue": following(second, side)}))
    assert [names(page.body) for page in (first, second, third)] == [["a", "b"], ["c", "d"], ["e"]]
    left = [page.body["metadata"].get("remainingItemCount") for page in (first, second, third)]
    assert left == [3, 1, None]
    assert "continue" not in third.body["metadata"]
    for side in both.sides:
        assert len({page.on(side).version for page in (first, second, third)}) == 1


@pytest.mark.parametrize("query", [{"labelSelector": "team=t"}, {"fieldSelector": "type!=Opaque"}])
def test_pages_of_a_selection_do_not_tell_what_is_left(both: Both, letters: str, query: dict[str, str]) -> None:
    """With a selector the server does not count."""
    answer = both.ask(lambda side: side.client.get(path("secrets", letters), limit=2, **query))
    assert names(answer.body) == ["a", "b"]
    assert "remainingItemCount" not in answer.body["metadata"]


def test_pages_of_one_name_in_all_namespaces(both: Both) -> None:
    """The list of one name across namespaces comes in pages, in the order of namespaces."""
    name, homes = unique("pull"), sorted([both.namespace(), both.namespace(), both.namespace()])
    for home in homes:
        put(both, home, name)
    query = {"fieldSelector": f"metadata.name={name}", "limit": "2"}
    first = both.ask(lambda side: side.client.get(ALL_SECRETS, **query))
    second = both.ask(lambda side: side.client.get(ALL_SECRETS, **query, **{"continue": following(first, side)}))
    found = [item["metadata"]["namespace"] for page in (first, second) for item in page.body["items"]]
    assert found == homes


@pytest.mark.parametrize("limit", [0, -1, 5, 6])
def test_limit_that_does_not_limit(both: Both, letters: str, limit: int) -> None:
    """Everything comes in one page."""
    answer = both.ask(lambda side: side.client.get(path("secrets", letters), limit=limit))
    assert len(answer.body["items"]) == 5
    assert answer.body["metadata"].keys() == {"resourceVersion"}


def test_expired_token_comes_with_another(both: Both) -> None:
    """A token from before a compaction is 410 Expired; the token in that answer goes on with what there is now.

    With Events, which no watch cache holds: of other resources the cache still serves old pages after a compaction.
    """
    namespace = both.namespace()
    events = path("events", namespace)
    for name in "abcde":
        put_event(both, namespace, name)
    first = both.ask(lambda side: side.client.get(events, limit=2), seen=names)
    both.each(lambda side: side.client.delete(f"{events}/c"))
    put_event(both, namespace, "f")
    both.compact()
    expired = both.ask(lambda side: side.client.get(events, limit=2, **{"continue": following(first, side)}))
    assert (expired.status, expired.reason) == (410, "Expired")
    rest = both.ask(lambda side: side.client.get(events, **{"continue": following(expired, side)}), seen=names)
    assert names(rest.body) == ["d", "e", "f"]
    gone = told(expired, request.list_all("secrets", None))
    assert isinstance(gone, Gone)
    assert gone.token == expired.body["metadata"]["continue"]


def test_token_that_is_none(both: Both, letters: str) -> None:
    """400."""
    answer = both.ask(lambda side: side.client.get(path("secrets", letters), **{"continue": "nonsense"}), words=False)
    assert (answer.status, answer.reason) == (400, "BadRequest")


def test_token_and_version_exclude_each_other(both: Both, letters: str) -> None:
    """The token has a version of its own (400)."""
    first = both.ask(lambda side: side.client.get(path("secrets", letters), limit=2))
    answer = both.ask(
        lambda side: side.client.get(
            path("secrets", letters), resourceVersion=1, **{"continue": following(first, side)}
        )
    )
    assert (answer.status, answer.reason) == (400, "BadRequest")


def test_version_zero_gives_everything_at_once(both: Both, letters: str) -> None:
    """`resourceVersion=0` is served from the cache, which heeds no limit: it is not for lists in pages."""
    answer = both.ask(lambda side: side.client.get(path("secrets", letters), resourceVersion=0, limit=2))
    assert len(answer.body["items"]) == 5
    assert "continue" not in answer.body["metadata"]


def test_list_as_of_a_version(both: Both, letters: str) -> None:
    """`Exact` gives the list as it was then; `NotOlderThan` as it is now."""
    secrets = path("secrets", letters)
    before = both.ask(lambda side: side.client.get(secrets))
    both.each(lambda side: side.client.delete(f"{secrets}/c"))

    def listed(match: str) -> Agreed:
        return both.ask(
            lambda side: side.client.get(secrets, resourceVersion=before.on(side).version, resourceVersionMatch=match)
        )

    past = listed("Exact")
    assert names(past.body) == ["a", "b", "c", "d", "e"]
    assert names(listed("NotOlderThan").body) == ["a", "b", "d", "e"]
    assert [past.on(side).version for side in both.sides] == [before.on(side).version for side in both.sides]


REFUSED_OPTIONS: list[tuple[int, dict[str, str]]] = [
    (422, {"resourceVersionMatch": "Exact"}),
    (422, {"resourceVersionMatch": "Exact", "resourceVersion": "0"}),
    (422, {"resourceVersionMatch": "Newest", "resourceVersion": "1"}),
    (422, {"resourceVersionMatch": "Exact", "resourceVersion": "1", "continue": "x"}),
    (422, {"sendInitialEvents": "true"}),
    (400, {"resourceVersion": "x"}),
    (400, {"limit": "x"}),
    (400, {"timeoutSeconds": "x"}),
]


@pytest.mark.parametrize(("status", "query"), REFUSED_OPTIONS)
def test_options_that_do_not_fit(both: Both, letters: str, status: int, query: dict[str, str]) -> None:
    """422 with the field at fault, or 400 where a number is none."""
    answer = both.ask(lambda side: side.client.get(path("secrets", letters), **query))
    assert (answer.status, answer.reason) == (status, "Invalid" if status == 422 else "BadRequest")


def test_version_that_is_still_to_come(both: Both, letters: str) -> None:
    """504 with a Retry-After; the real server waits for three seconds whether it comes."""
    answer = both.ask(lambda side: side.client.get(path("secrets", letters), resourceVersion=10**9))
    assert (answer.status, answer.reason, answer.headers["Retry-After"]) == (504, "Timeout", "1")
    assert answer.body["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


FIELD_SELECTORS: dict[str, list[str]] = {
    "metadata.name=a": ["a"],
    "metadata.name==a": ["a"],
    "metadata.name!=a": ["b", "c", "d", "e"],
    "metadata.name=a,metadata.name=b": [],
    "metadata.name=a,": ["a"],
    "metadata.name=": [],
    "metadata.name=Not_A_Name": [],
    "metadata.namespace=elsewhere": [],
    "type=kubernetes.io/dockerconfigjson,metadata.name!=b": ["a", "c", "d", "e"],
    "type=Opaque": [],
}


@pytest.mark.parametrize("selector", FIELD_SELECTORS)
def test_field_selector(both: Both, letters: str, selector: str) -> None:
    """By name, namespace and type of Secret; all terms must hold."""
    answer = both.ask(lambda side: side.client.get(path("secrets", letters), fieldSelector=selector))
    assert names(answer.body) == FIELD_SELECTORS[selector]


def test_field_selector_of_name_and_namespace(both: Both) -> None:
    """Together they choose one Secret of the whole cluster."""
    name, homes = unique("pull"), [both.namespace(), both.namespace()]
    for home in homes:
        put(both, home, name)
    selector = f"metadata.name={name},metadata.namespace={homes[1]}"
    answer = both.ask(lambda side: side.client.get(ALL_SECRETS, fieldSelector=selector))
    assert [item["metadata"]["namespace"] for item in answer.body["items"]] == [homes[1]]


@pytest.mark.parametrize(
    ("resource", "selector"),
    [
        ("secrets", "data.x=y"),
        ("secrets", "metadata.uid=x"),
        ("secrets", "metadata.name in (a)"),
        ("secrets", "nonsense"),
        ("serviceaccounts", "imagePullSecrets=x"),
        ("pods", "spec.containers=x"),
        ("events", "message=m"),
        ("namespaces", "metadata.namespace=x"),
    ],
)
def test_field_selector_that_is_not_supported(both: Both, resource: str, selector: str) -> None:
    """400, never everything."""
    place = NAMESPACES if resource == "namespaces" else path(resource, "default")
    answer = both.ask(lambda side: side.client.get(place, fieldSelector=selector))
    assert (answer.status, answer.reason) == (400, "BadRequest")


LABEL_SELECTORS: dict[str, list[str]] = {
    "": ["1", "2", "3", "4"],
    "app": ["1", "2", "3"],
    "!app": ["4"],
    "! app": ["4"],
    "app=x": ["1", "2"],
    " app = x ": ["1", "2"],
    "app==x,tier": ["2"],
    "app!=x": ["3", "4"],
    "app in (x, y)": ["1", "2", "3"],
    "app in (y,)": ["3"],
    "app notin (x),tier notin (z)": ["3", "4"],
    "app=": [],
    "size>2": ["4"],
    "size<3": ["3"],
    "rotator.example/none=1": [],
}


@pytest.mark.parametrize("selector", LABEL_SELECTORS)
def test_label_selector(both: Both, selector: str) -> None:
    """Equality and sets: != and notin take objects without the label, too."""
    namespace = both.namespace()
    put(both, namespace, "1", app="x")
    put(both, namespace, "2", app="x", tier="z")
    put(both, namespace, "3", app="y", size="2")
    put(both, namespace, "4", size="10")
    answer = both.ask(lambda side: side.client.get(path("secrets", namespace), labelSelector=selector))
    assert names(answer.body) == LABEL_SELECTORS[selector]


BAD_LABEL_SELECTORS = [
    "a=b=c",
    "a in b",
    "a in (x",
    "=x",
    "a b",
    "a,,b",
    "a,",
    "!a=b",
    "-a",
    "a=-b",
    "a in (-b)",
    "a/b/c",
    "Upper.example/a",
    "a=" + "x" * 64,
    "x" * 64,
    "a>b",
]


@pytest.mark.parametrize("selector", BAD_LABEL_SELECTORS)
def test_label_selector_that_is_none(both: Both, selector: str) -> None:
    """400, not everything and not nothing; each server has its own words for why."""
    answer = both.ask(lambda side: side.client.get(ALL_NAMESPACES, labelSelector=selector), words=False)
    assert (answer.status, answer.reason) == (400, "BadRequest")


def test_namespaces_by_label_and_phase(both: Both) -> None:
    """The cluster's Namespaces are chosen by label, and by their phase."""
    mark = unique("mark")
    first, second = sorted([both.namespace(mark=mark), both.namespace(mark=mark)])
    labelled = both.ask(lambda side: side.client.get(ALL_NAMESPACES, labelSelector=f"mark={mark}"))
    phased = both.ask(
        lambda side: side.client.get(
            ALL_NAMESPACES, labelSelector=f"mark={mark}", fieldSelector="status.phase=Terminating"
        )
    )
    assert names(labelled.body) == [first, second]
    assert phased.body["items"] == []


def test_only_metadata(both: Both, letters: str) -> None:
    """PartialObjectMetadata gives one object without its data; a plain type after it is what old servers give."""
    one = path("secrets", letters, "a")
    partial = both.ask(lambda side: side.client.get(one, PARTIAL))
    either = both.ask(lambda side: side.client.get(one, request.METADATA_ONLY))
    assert (partial.body["kind"], partial.body["apiVersion"]) == ("PartialObjectMetadata", "meta.k8s.io/v1")
    assert partial.body.keys() == {"kind", "apiVersion", "metadata"}
    assert [either.on(side).body for side in both.sides] == [partial.on(side).body for side in both.sides]


def test_list_of_only_metadata(both: Both, letters: str) -> None:
    """A list has its own type, whose items do repeat their kind; pages go on as ever."""
    accept = f"{PARTIAL_LIST},application/json"
    first = both.ask(lambda side: side.client.get(path("secrets", letters), accept, limit=3))
    rest = both.ask(
        lambda side: side.client.get(path("secrets", letters), accept, **{"continue": following(first, side)})
    )
    assert first.body["kind"] == "PartialObjectMetadataList"
    assert first.body["metadata"]["remainingItemCount"] == 2
    assert first.body["items"][0].keys() == {"kind", "apiVersion", "metadata"}
    assert names(rest.body) == ["d", "e"]


def test_form_that_does_not_fit(both: Both, letters: str) -> None:
    """406: the type of a list for one object and the other way round, also where a plain type comes after it."""
    one, several = path("secrets", letters, "a"), path("secrets", letters)
    for place, accept in ((one, PARTIAL_LIST), (several, PARTIAL), (several, f"{PARTIAL},application/json")):
        answer = both.ask(lambda side, at=place, form=accept: side.client.get(at, form), words=False)  # type: ignore[misc]
        assert (answer.status, answer.reason) == (406, "NotAcceptable")


def pod_facts(pod: Any) -> dict[str, Any]:  # noqa: ANN401  (decoded JSON)
    """What one wants to know of a Pod that cannot pull."""
    spec = pod["spec"]
    return {
        "name": pod["metadata"]["name"],
        "labels": pod["metadata"].get("labels"),
        "owners": pod["metadata"].get("ownerReferences"),
        "account": spec["serviceAccountName"],
        "references": spec.get("imagePullSecrets"),
        "images": [(container["name"], container["image"]) for container in spec["containers"]],
        "phase": pod["status"]["phase"],
    }


def test_pods(both: Both) -> None:
    """A Pod names its ServiceAccount, its pull secrets (the ServiceAccount's, or its own) and its images."""
    namespace = both.namespace()
    pods = path("pods", namespace)
    both.each(lambda side: side.client.post(path("serviceaccounts", namespace), account("worker", "worker-pull")))
    specs: dict[str, dict[str, Any]] = {
        "heir": {"serviceAccountName": "worker"},
        "own": {"serviceAccountName": "worker", "imagePullSecrets": [{"name": "own"}]},
        "plain": {},
    }
    for name, spec in specs.items():
        body = {"metadata": {"name": name}, "spec": spec | {"containers": [{"name": "main", "image": "r.example/x:1"}]}}
        both.each(lambda side, pod=body: side.client.post(pods, pod))  # type: ignore[misc]
    answer = both.ask(lambda side: side.client.get(pods), seen=lambda body: [pod_facts(pod) for pod in body["items"]])
    heir, own, plain = (pod_facts(pod) for pod in answer.body["items"])
    assert heir["references"] == [{"name": "worker-pull"}]
    assert own["references"] == [{"name": "own"}]
    assert (plain["references"], plain["account"], plain["phase"]) == (None, "default", "Pending")
    for selector, found in {"spec.serviceAccountName=worker": ["heir", "own"], "status.phase=Running": []}.items():
        chosen = both.ask(
            lambda side, by=selector: side.client.get(pods, fieldSelector=by),  # type: ignore[misc]
            seen=names,
        )
        assert names(chosen.body) == found


def test_events_about_an_object(both: Both) -> None:
    """Events are found by what they are about, by reason and by type."""
    namespace = both.namespace()
    put_event(both, namespace, "healed", reason="Healed", reportingComponent="rotator", reportingInstance="r-1")
    put_event(both, namespace, "refused", reason="Refused", type="Warning")
    about = f"involvedObject.kind=Secret,involvedObject.namespace={namespace},involvedObject.name=worker-pull"
    for selector, found in {
        about: ["healed", "refused"],
        f"{about},type=Warning": ["refused"],
        "involvedObject.apiVersion=v1,reason=Healed": ["healed"],
        "reportingComponent=rotator": ["healed"],
        "involvedObject.kind=Pod": [],
    }.items():
        answer = both.ask(
            lambda side, by=selector: side.client.get(path("events", namespace), fieldSelector=by)  # type: ignore[misc]
        )
        assert names(answer.body) == found


def test_lease(both: Both) -> None:
    """A Lease is read with its holder and times; an absent one is a 404 that names its group."""
    namespace = both.namespace()
    absent = both.ask(lambda side: side.client.get(lease_path(namespace, "rotator")))
    assert absent.message == 'leases.coordination.k8s.io "rotator" not found'
    assert absent.body["details"] == {"name": "rotator", "group": "coordination.k8s.io", "kind": "leases"}
    time = "2026-01-02T03:04:05.000006Z"
    spec = {"holderIdentity": "r-1", "leaseDurationSeconds": 15, "renewTime": time, "leaseTransitions": 2}
    both.each(lambda side: side.client.post(lease_path(namespace), {"metadata": {"name": "rotator"}, "spec": spec}))
    answer = both.ask(lambda side: side.client.get(lease_path(namespace, "rotator")))
    assert answer.body["spec"] == spec
