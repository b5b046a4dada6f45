"""Shuffle's way of making Pods, on a real cluster with real registries and a real client.

Orborus makes the workers' Deployment, a worker makes one for each app, and the controller manager makes the Pods. Each
component has a ServiceAccount and a pull secret of its own. The roles are those of Shuffle's chart
(functions/kubernetes/charts/shuffle/templates/{orborus,shuffle-worker}), none of which may touch Secrets.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from rotator.sandbox.internet import Internet
from tests.apiclient import MERGE_PATCH, Client
from tests.controlplane.server import ControlPlane
from tests.installation import Installation, installed_on
from tests.outside import ACR, ECR, GAR
from tests.registries import skopeo
from tests.registries.real import RealRegistry
from tests.scenarios.node import Node, Puller
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("real_programs")

NAMESPACE = "shuffle"
ORBORUS, WORKERS, APP, BACKEND, FRONTEND = (
    f"shuffle-{name}" for name in ("orborus", "workers", "app", "backend", "frontend")
)
REGISTRY = {ORBORUS: "prod", WORKERS: "prod", APP: "images", BACKEND: "contoso", FRONTEND: "contoso"}
IMAGE = {
    ORBORUS: f"{ECR}/shuffle/orborus:2.1",
    WORKERS: f"{ECR}/shuffle/worker:2.1",
    APP: f"{GAR}/apps/shuffle/http:1.4",
    BACKEND: f"{ACR}/shuffle/backend:2.1",
    FRONTEND: f"{ACR}/shuffle/frontend:2.1",
}
APPS = ("http-1-4-0", "email-1-3-0")
LIFE = timedelta(seconds=12)
ROTATIONS = 3

CONFIG = yaml.safe_dump(
    {
        "registries": [
            {"name": "prod", "ecr": {"hosts": [ECR]}},
            {"name": "images", "gar": {"hosts": [GAR]}},
            {"name": "contoso", "acr": {"hosts": [ACR], "identity": {"type": "workload"}}},
        ],
        "pullSecrets": [
            {
                "name": f"{account}-pull",
                "registries": [registry],
                "namespaces": {"names": [NAMESPACE]},
                "serviceAccounts": {"names": [account]},
            }
            for account, registry in REGISTRY.items()
        ],
        "renewal": {"sweep": "2s"},
    }
)


@dataclass
class Shuffle:
    """Shuffle, installed; and what its components and its administrator do."""

    installation: Installation
    node: Node
    orborus: Client
    worker: Client

    @property
    def admin(self) -> Client:
        """Who runs Helm, and scales."""
        return self.installation.controlplane.admin

    def deploy(self, who: Client, name: str, account: str, app: str) -> None:
        """Create a Deployment, as `who`."""
        answer = who.post(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments", deployment(name, account, app))
        assert answer.status == 201, answer

    def scale(self, name: str, replicas: int) -> None:
        """Another number of Pods."""
        path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}"
        assert self.admin.patch(path, {"spec": {"replicas": replicas}}, MERGE_PATCH).status == 200

    def await_running(self, account: str, count: int) -> None:
        """Wait until so many Pods of this ServiceAccount run."""
        eventually(
            lambda: len(self.node.running(account)) == count, f"{count} Pods of {account}: {self.node.tries[-3:]}"
        )

    def replace(self, account: str) -> None:
        """A worker deletes the Pods of an app, as it does with stuck ones; others come, and pull anew."""
        old = set(self.node.pods(account))
        for name in old:
            assert self.worker.delete(f"/api/v1/namespaces/{NAMESPACE}/pods/{name}").status == 200
        eventually(lambda: not old & set(self.node.pods(account)), f"the old Pods of {account} are gone")
        self.await_running(account, len(old))

    def uids(self) -> dict[str, str]:
        """The UID of every pull secret."""
        return {account: self.installation.secret(NAMESPACE, f"{account}-pull")["metadata"]["uid"] for account in IMAGE}

    def passwords(self) -> set[str]:
        """The passwords that are published now."""
        hosts = {account: image.partition("/")[0] for account, image in IMAGE.items()}
        return {self.installation.password(NAMESPACE, host, f"{account}-pull") for account, host in hosts.items()}

    def await_rotation(self, old: set[str]) -> set[str]:
        """Wait until none of the old passwords is published any more; those that are."""
        eventually(lambda: not old & self.passwords(), "every credential was rotated")
        return self.passwords()

    def referenced(self, account: str) -> bool:
        """Whether the ServiceAccount names its pull secret."""
        return self.installation.references(NAMESPACE, account) == [f"{account}-pull"]

    def served(self, account: str) -> bool:
        """Whether the pull secret is there, too."""
        return self.referenced(account) and self.installation.find("secrets", NAMESPACE, f"{account}-pull") is not None


def deployment(name: str, account: str, app: str) -> dict[str, Any]:
    """A Deployment as Shuffle's components make it."""
    labels = {
        "app.kubernetes.io/name": app,
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/managed-by": ORBORUS,
    }
    container = {"name": "main", "image": IMAGE[account], "imagePullPolicy": "Always"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app.kubernetes.io/instance": name}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"serviceAccountName": account, "containers": [container]},
            },
        },
    }


def chart() -> list[dict[str, Any]]:
    """What Shuffle's chart gives its components: two roles, and nothing about Secrets."""
    both = ["list", "create", "delete"]
    rules = {
        ORBORUS: [
            {"apiGroups": [""], "resources": ["pods", "services"], "verbs": both},
            {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": both},
        ],
        WORKERS: [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "delete"]},
            {"apiGroups": [""], "resources": ["services"], "verbs": ["create"]},
            {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["list", "create"]},
        ],
    }
    return [each for account, granted in rules.items() for each in _role(account, granted)]


def _role(account: str, rules: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    api = "rbac.authorization.k8s.io"
    metadata = {"name": account, "namespace": NAMESPACE}
    yield {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": metadata, "rules": rules}
    yield {
        "apiVersion": f"{api}/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": api, "kind": "Role", "name": account},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}],
    }


@pytest.fixture
def shuffle(controlplane: ControlPlane, tmp_path: Path) -> Iterator[Shuffle]:
    """Shuffle on a real cluster, with real registries behind the clouds' names; rotator may do what its roles say."""
    with ExitStack() as stack:
        installation = stack.enter_context(installed_on(controlplane, tmp_path, LIFE))
        installation.configure(CONFIG)
        installation.add_namespace(NAMESPACE, *IMAGE)
        stack.callback(controlplane.kubectl, "delete", "namespace", NAMESPACE)
        controlplane.apply(*chart())
        pull = stack.enter_context(registries(installation.net))
        node = stack.enter_context(Node(controlplane.admin, NAMESPACE, pull))
        orborus, worker = (
            stack.enter_context(controlplane.client(controlplane.service_account_token(NAMESPACE, account)))
            for account in (ORBORUS, WORKERS)
        )
        yield Shuffle(installation, node, orborus, worker)


@contextmanager
def registries(net: Internet) -> Iterator[Puller]:
    """A real registry at each host, with every image; yields what pulls from them."""
    with ExitStack() as stack:
        for host in (ECR, GAR, ACR):
            registry = stack.enter_context(RealRegistry(net, host))
            for image in IMAGE.values():
                if image.startswith(f"{host}/"):
                    registry.push(*image.removeprefix(f"{host}/").split(":"))
        yield partial(skopeo.pull, net=net)


def test_every_pod_that_could_pull_did(shuffle: Shuffle) -> None:
    """Across rotations, scale-ups, replaced Pods and a Helm upgrade; and the one Pod that could not is named."""
    installation, node = shuffle.installation, shuffle.node
    shuffle.deploy(shuffle.admin, BACKEND, BACKEND, "shuffle-backend")  # before rotator is there
    eventually(node.never_pulled, "a Pod without a reference was tried")
    (too_early,) = node.pods(BACKEND)
    apply_roles(installation)

    with installation.start("run") as running:
        eventually(lambda: all(map(shuffle.served, IMAGE)), "every ServiceAccount has its pull secret")
        shuffle.deploy(shuffle.admin, ORBORUS, ORBORUS, "shuffle-orborus")
        shuffle.deploy(shuffle.admin, FRONTEND, FRONTEND, "shuffle-frontend")
        shuffle.deploy(shuffle.orborus, WORKERS, WORKERS, "shuffle-worker")
        shuffle.await_running(WORKERS, 1)
        for app in APPS:
            shuffle.deploy(shuffle.worker, app, APP, "shuffle-app")
        shuffle.await_running(APP, len(APPS))
        uids, published = shuffle.uids(), shuffle.passwords()

        for rotation in range(1, ROTATIONS + 1):
            published = shuffle.await_rotation(published)
            shuffle.scale(WORKERS, 1 + rotation)
            shuffle.await_running(WORKERS, 1 + rotation)
            shuffle.replace(APP)

        reset_as_helm_does(shuffle, APP)
        shuffle.scale(APPS[0], 3)
        eventually(lambda: shuffle.referenced(APP), "the reference is back")
        shuffle.scale(APPS[1], 2)
        eventually(lambda: len(node.pods(APP)) == 5 and settled(node, APP), "every app's Pod was tried")
        assert shuffle.uids() == uids
        assert running.end() == 0
        assert running.events("change.failed") == []

    assert [each for each in node.first_tries() if each.references and not each.ok] == []
    without = {each.pod for each in node.tries if not each.references}
    assert set(node.never_pulled()) == without
    assert too_early in without
    assert all(why.startswith("the Pod names no pull secret") for why in node.never_pulled().values())
    assert all("unauthorized" in why for why in node.never_pulled().values())
    assert len([each for each in node.first_tries() if each.ok]) >= 10


def test_shuffle_s_own_accounts_cannot_read_the_secrets(shuffle: Shuffle) -> None:
    """Under the chart's roles no component reads, lists or changes a pull secret: its own, or another's."""
    apply_roles(shuffle.installation)
    assert shuffle.installation.run("once").returncode == 0
    secrets = f"/api/v1/namespaces/{NAMESPACE}/secrets"
    for account in IMAGE:
        token = shuffle.installation.controlplane.service_account_token(NAMESPACE, account)
        with shuffle.installation.controlplane.client(token) as client:
            assert client.get(secrets).status == 403
            for each in IMAGE:
                assert client.get(f"{secrets}/{each}-pull").status == 403
                assert client.patch(f"{secrets}/{each}-pull", {"data": {}}, MERGE_PATCH).status == 403


def test_a_component_s_credential_opens_only_its_own_registry(shuffle: Shuffle) -> None:
    """An app's Pod cannot pull the worker's image: its pull secret holds no credential for that registry."""
    apply_roles(shuffle.installation)
    assert shuffle.installation.run("once").returncode == 0
    curious = deployment("curious", APP, "shuffle-app")
    curious["spec"]["template"]["spec"]["containers"][0]["image"] = IMAGE[WORKERS]
    answer = shuffle.worker.post(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments", curious)
    assert answer.status == 201, answer
    eventually(shuffle.node.never_pulled, "the Pod was tried")
    (why,) = shuffle.node.never_pulled().values()
    assert why.startswith("no pull secret matches")
    assert "unauthorized" in why


def reset_as_helm_does(shuffle: Shuffle, account: str) -> None:
    """Put the ServiceAccount back to what the chart says: without pull secrets."""
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}"
    found = shuffle.admin.get(path).body
    del found["imagePullSecrets"]
    assert shuffle.admin.put(path, found).status == 200


def settled(node: Node, account: str) -> bool:
    """Whether every Pod that could pull did, and every other was tried."""
    tried = {each.pod for each in node.tries}
    could = {name for name, pod in node.pods(account).items() if pod["spec"].get("imagePullSecrets")}
    return set(node.pods(account)) <= tried and could <= node.running(account)


def apply_roles(installation: Installation) -> None:
    """Give rotator exactly what `rotator rbac` prints."""
    words = ("rbac", "--namespace", installation.full("rotator"))
    printed = installation.run(*words)
    assert printed.returncode == 0, printed.stderr
    installation.grant(*yaml.safe_load_all(printed.stdout))
