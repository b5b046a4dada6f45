"""A reflector against a real API server, with no more rights than it needs."""

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from rotator.scopes import Scope
from tests.apiclient import MERGE_PATCH, secret
from tests.cluster.watching import SECOND, following
from tests.controlplane.server import ControlPlane
from tests.waiting import eventually

API = "rbac.authorization.k8s.io"
NAMESPACES = "/api/v1/namespaces"


@pytest.fixture
def namespace(controlplane: ControlPlane) -> str:
    """A fresh one, with its ServiceAccount `default`."""
    name = f"watched-{secrets.token_hex(4)}"
    assert controlplane.admin.post(NAMESPACES, {"metadata": {"name": name}}).status == 201
    account = f"{NAMESPACES}/{name}/serviceaccounts/default"
    eventually(lambda: controlplane.admin.get(account).status == 200, account)
    return name


@pytest.fixture
def watcher(controlplane: ControlPlane, namespace: str, tmp_path: Path) -> Path:
    """The kubeconfig of the namespace's ServiceAccount, which may list and watch one Secret in it, by name."""
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["worker-pull"], "verbs": ["list", "watch"]}
    binding = {
        "metadata": {"name": "watcher"},
        "roleRef": {"apiGroup": API, "kind": "Role", "name": "watcher"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}],
    }
    path = f"/apis/{API}/v1/namespaces/{namespace}"
    assert controlplane.admin.post(f"{path}/roles", {"metadata": {"name": "watcher"}, "rules": [rule]}).status == 201
    assert controlplane.admin.post(f"{path}/rolebindings", binding).status == 201
    return controlplane.kubeconfig(tmp_path / "config", controlplane.service_account_token(namespace, "default"))


@pytest.fixture
def write(controlplane: ControlPlane, namespace: str) -> Callable[[str, int], None]:
    """Writes an annotation of a Secret of that name in the namespace, or creates it."""

    def written(name: str, number: int) -> None:
        path = f"{NAMESPACES}/{namespace}/secrets"
        note = {"metadata": {"annotations": {"number": str(number)}}}
        if controlplane.admin.patch(f"{path}/{name}", note, MERGE_PATCH).status == 404:
            assert controlplane.admin.post(path, secret(name)).status == 201

    return written


def test_one_secret_is_heard_with_the_right_to_its_name_alone(
    controlplane: ControlPlane, namespace: str, watcher: Path, write: Callable[[str, int], None]
) -> None:
    """Creation, change and deletion, and nothing of another Secret."""
    with following(watcher, Scope("secrets", namespace, "worker-pull")) as watch:
        watch.await_sync()
        write("worker-pull", 1)
        write("other", 1)
        write("worker-pull", 2)
        controlplane.admin.delete(f"{NAMESPACES}/{namespace}/secrets/worker-pull")
        eventually(lambda: len(watch.ear.seen) == 3, "three events")
    assert [(seen.event, seen.name) for seen in watch.ear.seen] == [
        ("ADDED", "worker-pull"),
        ("MODIFIED", "worker-pull"),
        ("DELETED", "worker-pull"),
    ]
    assert watch.ear.resyncs == 1


def test_all_secrets_are_forbidden_to_it(namespace: str, watcher: Path) -> None:
    """The right to one name is no right to the rest, and the refusal is met with patience."""
    with following(watcher, Scope("secrets", namespace)) as watch:
        assert watch.await_turns(4) == [2, 4, 8, 16]
        assert watch.reflector.health.reason == "Forbidden"
        assert watch.ear.resyncs == 0


def test_service_accounts_and_namespaces_are_heard(controlplane: ControlPlane, tmp_path: Path) -> None:
    """A ServiceAccount comes with its references, a Namespace with its labels and with its end."""
    name = f"watched-{secrets.token_hex(4)}"
    path = controlplane.kubeconfig(tmp_path / "config")
    with (
        following(path, Scope("namespaces", name=name)) as namespaces,
        following(path, Scope("serviceaccounts", name, labels="app=ci")) as accounts,
    ):
        namespaces.await_sync()
        accounts.await_sync()
        controlplane.admin.post(NAMESPACES, {"metadata": {"name": name, "labels": {"pull": "private"}}})
        account = {
            "metadata": {"name": "x", "labels": {"app": "ci"}},
            "imagePullSecrets": [{"name": "b"}, {"name": "a"}],
        }
        controlplane.admin.post(f"{NAMESPACES}/{name}/serviceaccounts", account)
        accounts.await_name("x")
        controlplane.admin.delete(f"{NAMESPACES}/{name}")
        eventually(lambda: namespaces.ear.seen[-1].terminating, "its end")
    assert [seen.pull_secrets for seen in accounts.ear.seen if seen.event == "ADDED"] == [("b", "a")]
    assert {seen.labels["pull"] for seen in namespaces.ear.seen} == {"private"}
    assert not namespaces.ear.seen[0].terminating


def test_a_real_watch_ends_cleanly_at_its_time(controlplane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    """The next one follows at once, without a list, and so on; a change while there is none is heard by the next."""
    path = controlplane.kubeconfig(tmp_path / "config")
    with following(path, Scope("secrets", namespace, "worker-pull"), length=SECOND) as watch:
        eventually(lambda: watch.reflector.health.watches == 3, "three watches")
        controlplane.admin.post(f"{NAMESPACES}/{namespace}/secrets", secret())
        watch.await_name("worker-pull")
    assert watch.pauses.taken == [0.0] * len(watch.pauses.taken)
    assert watch.ear.resyncs == 1


def test_a_compacted_history_is_a_resync(controlplane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    """410 from a real server: of Events, which it keeps no history of itself, unlike of all that we watch."""
    path = controlplane.kubeconfig(tmp_path / "config")
    with following(path, Scope("events", namespace), length=SECOND) as watch:
        watch.await_sync()
        for number in range(3):
            assert controlplane.admin.post(f"{NAMESPACES}/{namespace}/secrets", secret(f"s{number}")).status == 201
        controlplane.compact()
        eventually(lambda: watch.ear.resyncs == 2, "a resync")
        watch.await_sync()
        assert watch.reflector.health.failures == 0
