"""The roles that `rotator rbac` prints, on a real cluster: whoever has rotator's token can do nothing else."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.apiclient import MERGE_PATCH, Answer, Client, secret
from tests.controlplane.server import ControlPlane
from tests.installation import ACCOUNT, installed_on
from tests.outside import SECRET
from tests.scenarios.roles import BY_NAME, BY_PATTERN, apply_printed, stage


@dataclass(frozen=True)
class Place:
    """Where a request is tried: as rotator, in one namespace of its own and one that is none of its business."""

    client: Client
    own: str
    other: str
    home: str
    role: str

    def secrets(self, namespace: str, name: str = "") -> str:
        """The path of a Secret, or of all of them."""
        return f"/api/v1/namespaces/{namespace}/secrets/{name}".rstrip("/")


POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p"},
    "spec": {"containers": [{"name": "c", "image": "i"}]},
}
TOKEN = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
MORE = {"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}
ROLES = "/apis/rbac.authorization.k8s.io/v1"
ADMIN = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}

ATTEMPTS: dict[str, Callable[[Place], Answer]] = {
    "read another Secret": lambda at: at.client.get(at.secrets(at.own, "others")),
    "read a Secret of kube-system": lambda at: at.client.get(at.secrets("kube-system", "others")),
    "list the Secrets of a namespace": lambda at: at.client.get(at.secrets(at.own)),
    "list all Secrets": lambda at: at.client.get("/api/v1/secrets"),
    "list another Secret by its name": lambda at: at.client.get(
        "/api/v1/secrets", fieldSelector="metadata.name=others"
    ),
    "list all Secrets but one": lambda at: at.client.get("/api/v1/secrets", fieldSelector=f"metadata.name!={SECRET}"),
    "watch all Secrets": lambda at: at.client.get("/api/v1/secrets", watch="true", timeoutSeconds=1),
    "create another Secret": lambda at: at.client.post(at.secrets(at.own), secret("new")),
    "create its Secret by POST": lambda at: at.client.post(at.secrets(at.own), secret()),
    "apply another Secret": lambda at: at.client.apply(at.secrets(at.own, "new"), secret("new")),
    "patch another Secret": lambda at: at.client.patch(at.secrets(at.own, "others"), {"metadata": {}}, MERGE_PATCH),
    "apply a Secret under another name": lambda at: at.client.apply(at.secrets(at.own, "others"), secret()),
    "replace its Secret": lambda at: at.client.put(at.secrets(at.own, SECRET), secret()),
    "delete another Secret": lambda at: at.client.delete(at.secrets(at.own, "others")),
    "delete its Secret": lambda at: at.client.delete(at.secrets(at.own, SECRET)),
    "delete all Secrets": lambda at: at.client.delete(at.secrets(at.own)),
    "mint a token of its own": lambda at: at.client.post(
        f"/api/v1/namespaces/{at.home}/serviceaccounts/{ACCOUNT}/token", TOKEN
    ),
    "mint a token of a worker": lambda at: at.client.post(
        f"/api/v1/namespaces/{at.own}/serviceaccounts/workers/token", TOKEN
    ),
    "create a ServiceAccount": lambda at: at.client.post(
        f"/api/v1/namespaces/{at.own}/serviceaccounts",
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "new"}},
    ),
    "delete a ServiceAccount": lambda at: at.client.delete(f"/api/v1/namespaces/{at.own}/serviceaccounts/workers"),
    "change another ServiceAccount": lambda at: at.client.patch(
        f"/api/v1/namespaces/{at.own}/serviceaccounts/default", {"imagePullSecrets": []}, MERGE_PATCH
    ),
    "change its own ServiceAccount": lambda at: at.client.patch(
        f"/api/v1/namespaces/{at.home}/serviceaccounts/{ACCOUNT}", {"imagePullSecrets": []}, MERGE_PATCH
    ),
    "read Events": lambda at: at.client.get(f"/api/v1/namespaces/{at.own}/events"),
    "delete Events": lambda at: at.client.delete(f"/api/v1/namespaces/{at.own}/events"),
    "create a Pod": lambda at: at.client.post(f"/api/v1/namespaces/{at.own}/pods", POD),
    "delete a namespace": lambda at: at.client.delete(f"/api/v1/namespaces/{at.own}"),
    "change its Role": lambda at: at.client.patch(f"{ROLES}/namespaces/{at.own}/roles/{at.role}", MORE, MERGE_PATCH),
    "change its ClusterRole": lambda at: at.client.patch(f"{ROLES}/clusterroles/{at.role}", MORE, MERGE_PATCH),
    "bind itself to more": lambda at: at.client.post(
        f"{ROLES}/namespaces/{at.own}/rolebindings",
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "more"}}
        | {"roleRef": ADMIN, "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": at.home}]},
    ),
    "read its Role": lambda at: at.client.get(f"{ROLES}/namespaces/{at.own}/roles/{at.role}"),
}
WHERE_LISTED: dict[str, Callable[[Place], Answer]] = {
    "make an Event elsewhere": lambda at: at.client.post(f"/api/v1/namespaces/{at.other}/events", {}),
    "read its Secret's name elsewhere": lambda at: at.client.get(at.secrets(at.other, SECRET)),
    "apply its Secret elsewhere": lambda at: at.client.apply(at.secrets(at.other, SECRET), secret()),
    "list its Secret everywhere": lambda at: at.client.get("/api/v1/secrets", fieldSelector=f"metadata.name={SECRET}"),
    "read another Namespace": lambda at: at.client.get(f"/api/v1/namespaces/{at.other}"),
    "list Namespaces": lambda at: at.client.get("/api/v1/namespaces"),
    "list ServiceAccounts": lambda at: at.client.get(f"/api/v1/namespaces/{at.own}/serviceaccounts"),
}


@pytest.mark.parametrize("case", [BY_NAME, BY_PATTERN])
def test_whoever_has_its_token_can_do_nothing_else(controlplane: ControlPlane, tmp_path: Path, case: str) -> None:
    """Real requests with rotator's own token: each is refused by RBAC, and every Secret is as it was."""
    with installed_on(controlplane, tmp_path) as installation:
        names = stage(installation, case)
        apply_printed(installation)
        assert installation.run("once").returncode == 0
        others = controlplane.admin.post(f"/api/v1/namespaces/{names['team-a']}/secrets", secret("others"))
        assert others.status == 201
        before = installation.secret(names["team-a"])
        home, role = installation.full(ACCOUNT), installation.full("rotator")
        with controlplane.client((installation.directory / "token").read_text()) as client:
            at = Place(client, names["team-a"], names["other"], home, role)
            attempts = ATTEMPTS | (WHERE_LISTED if case == BY_NAME else {})
            answers = {what: attempt(at).status for what, attempt in attempts.items()}
        assert answers == dict.fromkeys(attempts, 403)
        assert installation.secret(names["team-a"]) == before


def test_the_name_is_its_own_in_every_namespace_of_a_pattern(controlplane: ControlPlane, tmp_path: Path) -> None:
    """What a ClusterRole cannot tell apart, as the README says: the name here, and in a namespace that is not meant."""
    with installed_on(controlplane, tmp_path) as installation:
        names = stage(installation, BY_PATTERN)
        apply_printed(installation)
        with controlplane.client((installation.directory / "token").read_text()) as client:
            path = f"/api/v1/namespaces/{names['other']}/secrets/{SECRET}"
            assert client.apply(path, secret()).status == 201
            assert client.get(path).status == 200
            assert client.delete(path).status == 403
