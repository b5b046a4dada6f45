"""Namespaces that come and go, and Pods, which take their pull secrets from their ServiceAccount when they are created.

A namespace is deleted at once in the emulation and within seconds on the real server, so these tests wait for both.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from rotator.cluster import request
from rotator.errors import NamespaceTerminating, NotFound
from rotator.model import DesiredSecret, SecretText, ServiceAccountRecord
from tests.apiclient import JSON_PATCH, MERGE_PATCH
from tests.conformance.both import NAMESPACES, Both, Side, unique
from tests.conformance.writing import (
    FOREIGN_UID,
    NAME,
    account,
    encoded,
    lease_path,
    managers,
    path,
    pull_secret,
    send,
    told,
)
from tests.waiting import eventually


@pytest.fixture
def namespace(both: Both) -> str:
    """A fresh namespace on both sides."""
    return both.namespace()


@pytest.fixture
def going(both: Both, namespace: str) -> Iterator[str]:
    """A namespace that is being deleted, for as long as the test lasts: a Secret in it has a finalizer."""
    both.each(lambda side: side.client.post(path("secrets", namespace), pull_secret(finalizers=["example.com/wait"])))
    both.emulation.api.store.hold_terminating = True
    both.each(lambda side: side.client.delete(f"{NAMESPACES}/{namespace}"))
    # Admission knows it from a watch, so a create may get through for a moment.
    probe = secret_body("probe")
    eventually(lambda: all(_refuses(side, namespace, probe) for side in both.sides), "creates are refused")
    yield namespace
    both.each(
        lambda side: side.client.patch(
            path("secrets", namespace, NAME), {"metadata": {"finalizers": None}}, MERGE_PATCH
        )
    )
    both.emulation.api.store.finish_namespace(namespace)


def secret_body(name: str) -> dict[str, Any]:
    """A pull secret."""
    return pull_secret(name=name)


def _refuses(side: Side, namespace: str, body: dict[str, Any]) -> bool:
    return side.client.post(path("secrets", namespace), body, dryRun="All").status == 403


def desired(namespace: str, name: str = "new") -> DesiredSecret:
    """A pull secret as rotator wants it."""
    return DesiredSecret(namespace, name, SecretText('{"auths":{}}'), {}, {})


# Namespaces


def test_namespace_is_born_active(both: Both) -> None:
    """A new namespace is Active, is labelled with its name, and gets a bare ServiceAccount `default`."""
    name = both.namespace(team="a")
    body = both.ask(lambda side: side.client.get(f"{NAMESPACES}/{name}")).body
    assert body["status"] == {"phase": "Active"}
    assert body["metadata"]["labels"] == {"kubernetes.io/metadata.name": name, "team": "a"}
    default = both.ask(lambda side: side.client.get(path("serviceaccounts", name, "default"))).body
    assert "imagePullSecrets" not in default
    assert managers(default) == {}


def test_namespace_exists_once(both: Both, namespace: str) -> None:
    """A second one of that name is 409, and so is one while the first is being deleted."""
    answer = both.ask(lambda side: side.client.post(NAMESPACES, {"metadata": {"name": namespace}}))
    assert (answer.status, answer.reason) == (409, "AlreadyExists")


@pytest.mark.parametrize("name", ["Team", "a.b", "x" * 64])
def test_namespace_has_a_short_name(both: Both, name: str) -> None:
    """A label's characters only, 63 at most (422)."""
    answer = both.ask(lambda side: side.client.post(NAMESPACES, {"metadata": {"name": name}}))
    assert (answer.status, answer.reason) == (422, "Invalid")


def test_deleted_namespace_is_terminating(both: Both, going: str) -> None:
    """It has a deletionTimestamp and the phase Terminating, which is how rotator knows it."""
    body = both.ask(lambda side: side.client.get(f"{NAMESPACES}/{going}"), seen=_phase).body
    assert body["status"]["phase"] == "Terminating"
    assert body["metadata"]["deletionTimestamp"]


def _phase(body: Any) -> Any:  # noqa: ANN401  (decoded JSON)
    """Without the conditions that the namespace controller adds."""
    return {"metadata": body["metadata"], "phase": body["status"]["phase"]}


def test_second_delete_of_a_namespace(both: Both, going: str) -> None:
    """It is accepted again (200) as long as the namespace is there."""
    assert both.ask(lambda side: side.client.delete(f"{NAMESPACES}/{going}"), seen=_phase).status == 200


def test_nothing_is_created_in_a_namespace_that_goes(both: Both, going: str) -> None:
    """Rotator's apply of a new Secret is 403 with the cause NamespaceTerminating, which rotator takes for gone."""
    asked = request.apply_secret(desired(going), force=False)
    answer = both.ask(lambda side: send(side.client, asked))
    assert (answer.status, answer.reason) == (403, "Forbidden")
    assert answer.message == (
        f'secrets "new" is forbidden: unable to create new content in namespace {going} because it is being terminated'
    )
    assert answer.body["details"]["causes"] == [
        {
            "reason": "NamespaceTerminating",
            "message": f"namespace {going} is being terminated",
            "field": "metadata.namespace",
        }
    ]
    error = told(answer, asked)
    assert isinstance(error, NamespaceTerminating)
    assert error.message.endswith("the namespace is being deleted")


def test_termination_counts_before_validity(both: Both, going: str) -> None:
    """An invalid Secret is refused for the namespace, too."""
    answer = both.ask(lambda side: side.client.post(path("secrets", going), pull_secret(encoded("["), "new")))
    assert answer.status == 403


def test_generated_name_is_refused_by_its_prefix(both: Both, going: str) -> None:
    """Admission comes before the name is generated, so the prefix is named."""
    body = pull_secret() | {"metadata": {"generateName": "new-"}}
    answer = both.ask(lambda side: side.client.post(path("secrets", going), body))
    assert answer.message.startswith('secrets "new-" is forbidden')


def test_no_event_in_a_namespace_that_goes(both: Both, going: str) -> None:
    """Neither can an Event be created there, nor a Lease: who reports must do without."""
    event = {"metadata": {"name": "x"}, "involvedObject": {"namespace": going}}
    refused = both.ask(lambda side: side.client.post(path("events", going), event))
    lease = both.ask(lambda side: side.client.post(lease_path(going), {"metadata": {"name": "x"}}))
    assert (refused.status, lease.status) == (403, 403)


def test_what_is_there_can_still_be_written(both: Both, going: str) -> None:
    """A Secret that a finalizer holds in a namespace that goes is updated as ever (200)."""
    answer = both.ask(
        lambda side: send(side.client, request.apply_secret(desired(going, NAME), force=False)),
        seen=lambda body: body["kind"],
    )
    assert answer.status == 200


def test_namespace_that_goes_exists(both: Both, going: str) -> None:
    """Its name is not free yet."""
    answer = both.ask(lambda side: side.client.post(NAMESPACES, {"metadata": {"name": going}}))
    assert answer.message == f'object is being deleted: namespaces "{going}" already exists'


def test_namespace_is_gone_with_all_in_it(both: Both, namespace: str) -> None:
    """In the end nothing is left, and every write is 404: of the namespace for a create, of the object for a patch."""
    both.each(lambda side: side.client.post(path("secrets", namespace), pull_secret()))
    home = f"{NAMESPACES}/{namespace}"
    both.each(lambda side: side.client.delete(home))
    eventually(lambda: all(side.client.get(home).status == 404 for side in both.sides), "the namespace is gone")
    assert both.ask(lambda side: side.client.get(path("secrets", namespace, NAME))).status == 404
    assert both.ask(lambda side: side.client.get(path("secrets", namespace))).body["items"] == []
    asked = request.apply_secret(desired(namespace), force=False)
    attached = request.attach(ServiceAccountRecord(namespace, "default", "", "1"), ["ours"])
    created = both.ask(lambda side: send(side.client, asked))
    patched = both.ask(lambda side: send(side.client, attached))
    assert created.message == f'namespaces "{namespace}" not found'
    assert patched.message == 'serviceaccounts "default" not found'
    assert isinstance(told(created, asked), NotFound)
    assert isinstance(told(patched, attached), NotFound)


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
def test_some_namespaces_stay(both: Both, name: str) -> None:
    """The system's own cannot be deleted (403)."""
    answer = both.ask(lambda side: side.client.delete(f"{NAMESPACES}/{name}"))
    assert answer.message == f'namespaces "{name}" is forbidden: this namespace may not be deleted'


@pytest.mark.parametrize("precondition", [{"uid": FOREIGN_UID}, {"resourceVersion": "1"}], ids=["uid", "version"])
def test_namespace_is_deleted_with_preconditions(both: Both, namespace: str, precondition: dict[str, str]) -> None:
    """They fail in words of their own (409), and the namespace stays."""
    home = f"{NAMESPACES}/{namespace}"
    answer = both.ask(lambda side: side.client.delete(home, {"preconditions": precondition}))
    assert (answer.status, answer.reason) == (409, "Conflict")
    assert "Precondition failed: " in answer.message
    assert both.ask(lambda side: side.client.get(home)).body["status"]["phase"] == "Active"


def test_labels_of_a_namespace_change(both: Both, namespace: str) -> None:
    """A label is patched in, by which rotator may be asked to cover it; phase and finalizers are not to be written."""
    body = {"metadata": {"labels": {"pull": "private"}}, "status": {"phase": "Terminating"}, "spec": {"finalizers": []}}
    answer = both.ask(lambda side: side.client.patch(f"{NAMESPACES}/{namespace}", body, MERGE_PATCH))
    assert answer.body["metadata"]["labels"]["pull"] == "private"
    assert (answer.body["status"]["phase"], answer.body["spec"]) == ("Active", {"finalizers": ["kubernetes"]})


# Pods


def pod(name: str = "app", **spec: object) -> dict[str, Any]:
    """A Pod of one container."""
    containers = [{"name": "main", "image": "registry.example/app"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": containers, **spec}}


def pulls(body: Any) -> Any:  # noqa: ANN401  (decoded JSON)
    """What admission decides of a Pod."""
    spec = body["spec"]
    chosen = ("serviceAccountName", "serviceAccount", "imagePullSecrets", "restartPolicy")
    return {name: spec.get(name) for name in chosen} | {"phase": body["status"]["phase"]}


def names(body: Any) -> list[str]:  # noqa: ANN401  (decoded JSON)
    """Of a Pod's pull secrets."""
    return [item["name"] for item in body["spec"].get("imagePullSecrets", [])]


@pytest.fixture
def pods(both: Both, namespace: str) -> str:
    """The path of Pods in a namespace with a ServiceAccount `worker` that has three references, one of them twice."""
    worker = account("worker", "b", "a", "b")
    both.each(lambda side: side.client.post(path("serviceaccounts", namespace), worker))
    return path("pods", namespace)


def test_pod_takes_its_accounts_references(both: Both, pods: str) -> None:
    """A Pod that names no pull secret gets those of its ServiceAccount, in their order and as they are."""
    answer = both.ask(lambda side: side.client.post(pods, pod(serviceAccountName="worker")), seen=pulls)
    assert answer.status == 201
    assert names(answer.body) == ["b", "a", "b"]


def test_pod_that_names_none_in_a_list_takes_them_too(both: Both, pods: str) -> None:
    """An empty list is no list."""
    body = pod(serviceAccountName="worker", imagePullSecrets=[])
    assert names(both.ask(lambda side: side.client.post(pods, body), seen=pulls).body) == ["b", "a", "b"]


def test_pod_with_pull_secrets_of_its_own_keeps_them(both: Both, pods: str) -> None:
    """One of its own, and nothing is injected: such a Pod never pulls with rotator's credential."""
    body = pod(serviceAccountName="worker", imagePullSecrets=[{"name": "own"}])
    assert names(both.ask(lambda side: side.client.post(pods, body), seen=pulls).body) == ["own"]


def test_pod_without_an_account_has_the_default_one(both: Both, pods: str) -> None:
    """It runs as `default`, whose list is absent."""
    answer = both.ask(lambda side: side.client.post(pods, pod()), seen=pulls)
    assert answer.body["spec"]["serviceAccountName"] == "default"
    assert names(answer.body) == []


def test_pod_may_name_its_account_the_old_way(both: Both, pods: str) -> None:
    """`serviceAccount` is the same as `serviceAccountName`."""
    assert names(both.ask(lambda side: side.client.post(pods, pod(serviceAccount="worker")), seen=pulls).body)


def test_pod_does_not_heal(both: Both, pods: str, namespace: str) -> None:
    """A reference that is attached after the Pod was created reaches the next Pod, not this one."""
    both.each(lambda side: side.client.post(pods, pod("early")))
    steps = [{"op": "add", "path": "/imagePullSecrets", "value": [{"name": "ours"}]}]
    default = path("serviceaccounts", namespace, "default")
    both.each(lambda side: side.client.patch(default, steps, JSON_PATCH))

    def has_reference(side: Side) -> bool:  # admission knows ServiceAccounts from a watch
        return names(side.client.post(pods, pod("late"), dryRun="All").body) == ["ours"]

    eventually(lambda: all(has_reference(side) for side in both.sides), "the next Pod has the reference")
    late = both.ask(lambda side: side.client.post(pods, pod("late")), seen=pulls)
    early = both.ask(lambda side: side.client.get(f"{pods}/early"), seen=pulls)
    assert (names(early.body), names(late.body)) == ([], ["ours"])


def test_pod_of_an_absent_account_is_refused(both: Both, pods: str, namespace: str) -> None:
    """A ServiceAccount that does not exist is 403 for the Pod, also under a name that is generated."""
    answer = both.ask(lambda side: side.client.post(pods, pod(serviceAccountName="gone")))
    generated = pod(serviceAccountName="gone") | {"metadata": {"generateName": "app-"}}
    unnamed = both.ask(lambda side: side.client.post(pods, generated))
    problem = f'error looking up service account {namespace}/gone: serviceaccount "gone" not found'
    assert answer.message == f'pods "app" is forbidden: {problem}'
    assert unnamed.message == f'pods "app-" is forbidden: {problem}'
    assert (answer.status, answer.reason) == (403, "Forbidden")


def test_account_may_forbid_other_pull_secrets(both: Both, pods: str, namespace: str) -> None:
    """`enforce-mountable-secrets` refuses a Pod whose own pull secret its ServiceAccount does not reference."""
    strict = account("strict", "a")
    strict["metadata"]["annotations"] = {"kubernetes.io/enforce-mountable-secrets": "true"}
    both.each(lambda side: side.client.post(path("serviceaccounts", namespace), strict))
    own = [{"name": "a"}, {"name": "z"}]
    refused = both.ask(
        lambda side: side.client.post(pods, pod("own", serviceAccountName="strict", imagePullSecrets=own))
    )
    injected = both.ask(lambda side: side.client.post(pods, pod("none", serviceAccountName="strict")), seen=pulls)
    assert (refused.status, injected.status) == (403, 201)
    assert refused.message == (
        'pods "own" is forbidden: imagePullSecrets[1].name="z" is not allowed because service account strict does not '
        "reference that imagePullSecret"
    )
    assert names(injected.body) == ["a"]


def test_pod_has_a_container(both: Both, pods: str) -> None:
    """A Pod without any is 422."""
    answer = both.ask(lambda side: side.client.post(pods, {"metadata": {"name": "empty"}, "spec": {}}))
    assert answer.message == 'Pod "empty" is invalid: spec.containers: Required value'


def test_pod_in_an_absent_namespace_is_not_found(both: Both) -> None:
    """The namespace is what is missing (404)."""
    nowhere = unique("not")
    answer = both.ask(lambda side: side.client.post(path("pods", nowhere), pod()))
    assert answer.message == f'namespaces "{nowhere}" not found'
