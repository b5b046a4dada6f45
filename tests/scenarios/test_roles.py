"""What the tests of the roles rest on: a right too many or too few is seen, and so is a request that was refused."""

from pathlib import Path
from typing import Any

from tests.controlplane.server import ControlPlane
from tests.installation import ACCOUNT, Installation, installed_on
from tests.scenarios.roles import BY_NAME, apply_printed, refused, stage, surplus

RBAC = "rbac.authorization.k8s.io"


def one_more(installation: Installation, namespace: str) -> list[dict[str, Any]]:
    """A role that lets rotator delete Secrets there, and its binding."""
    head = {"apiVersion": f"{RBAC}/v1", "metadata": {"name": "one-more", "namespace": namespace}}
    return [
        {**head, "kind": "Role", "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["delete"]}]},
        {
            **head,
            "kind": "RoleBinding",
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "one-more"},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": installation.full(ACCOUNT)}],
        },
    ]


def test_a_right_too_many_or_too_few_is_seen(controlplane: ControlPlane, tmp_path: Path) -> None:
    """What the API server says is compared with the roles in both directions, in the one namespace that is meant."""
    with installed_on(controlplane, tmp_path) as installation:
        names = stage(installation, BY_NAME)
        roles = apply_printed(installation)
        more = one_more(installation, names["team-a"])
        delete = {("delete", "", "secrets", "")}
        assert surplus(installation, names["team-a"], roles) == set()
        assert surplus(installation, names["team-a"], roles + more) == delete
        installation.grant(*more)
        assert surplus(installation, names["team-a"], roles) == delete
        assert surplus(installation, names["team-b"], roles) == set()


def test_a_request_that_was_refused_is_seen(controlplane: ControlPlane, tmp_path: Path) -> None:
    """The audit log holds rotator's requests under its own name, with the words of RBAC."""
    with installed_on(controlplane, tmp_path) as installation:
        names = stage(installation, BY_NAME)
        assert installation.run("once").returncode != 0
        assert any(f"/namespaces/{names['team-a']}" in line and "forbidden" in line for line in refused(installation))
