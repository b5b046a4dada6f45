"""rotator as it is installed: a program on a real cluster, as a ServiceAccount of its own with a projected-style token.

Many tests share one cluster, so each has namespaces of its own: `full("team-a")` is the name that "team-a" has there.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from rotator.sandbox.internet import Internet
from tests.apiclient import Client
from tests.controlplane.server import ControlPlane
from tests.outside import CONFIG, Surroundings
from tests.program import ANY_PORTS, Program
from tests.waiting import eventually

ACCOUNT = "rotator"
"""Namespace (with the test's prefix) and name of rotator's ServiceAccount."""


@dataclass
class Installation(Surroundings, Program):
    """The clouds, a real cluster, and `rotator` with no right but those that `grant` gave it."""

    controlplane: ControlPlane
    prefix: str
    environment: dict[str, str] = field(default_factory=dict)

    def full(self, name: str) -> str:
        """The name of this test's own namespace or cluster-wide object."""
        return f"{self.prefix}-{name}"

    def find(self, resource: str, namespace: str, name: str) -> dict[str, Any] | None:
        """The object as it stands in the cluster."""
        answer = self.controlplane.admin.get(f"/api/v1/namespaces/{namespace}/{resource}/{name}")
        assert answer.status in {200, 404}, answer
        return answer.body if answer.status == 200 else None

    def add_namespaces(self, *names: str) -> list[str]:
        """Namespaces with a ServiceAccount `workers` in each; their full names."""
        made = [self.full(name) for name in names]
        for name in made:
            self.add_namespace(name, "workers")
        return made

    def add_namespace(self, name: str, *accounts: str) -> None:
        """A namespace with these ServiceAccounts."""
        self.controlplane.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
            *(
                {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": name}}
                for account in accounts
            ),
        )

    @property
    def user(self) -> str:
        """Who the API server takes rotator for."""
        return f"system:serviceaccount:{self.full(ACCOUNT)}:{ACCOUNT}"

    def log_in(self, life: timedelta = timedelta(hours=1)) -> Path:
        """Write a new token where the kubelet would project it; the file."""
        path = self.directory / "token"
        token = self.controlplane.service_account_token(self.full(ACCOUNT), ACCOUNT, life)
        unfinished = path.with_suffix(".new")
        unfinished.write_text(token)
        unfinished.rename(path)
        return path

    def grant(self, *roles: dict[str, Any]) -> None:
        """Apply these Roles, ClusterRoles and bindings, and wait until they hold for rotator."""
        self.controlplane.apply(*roles)
        with self.controlplane.client(self.log_in().read_text()) as client:
            for role in roles:
                for rule in role.get("rules", ()):
                    review = _review(rule, role["metadata"].get("namespace"))
                    eventually(partial(_allowed, client, review), f"allowed: {review}")

    def grant_everything(self) -> None:
        """Let it do whatever it likes, for tests that are not about permissions."""
        subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": self.full(ACCOUNT)}
        api = "rbac.authorization.k8s.io"
        name = self.full("everything")
        rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
        self.grant(
            {"apiVersion": f"{api}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules},
            {
                "apiVersion": f"{api}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": name},
                "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": name},
                "subjects": [subject],
            },
        )

    def requests(self) -> list[dict[str, Any]]:
        """What rotator asked of the API server and what became of it, from the audit log."""
        return self.controlplane.audit(self.user)


def _review(rule: dict[str, Any], namespace: str | None) -> dict[str, Any]:
    """Asks whether the first thing that the rule allows is allowed."""
    attributes = {
        "group": rule["apiGroups"][0],
        "resource": rule["resources"][0],
        "verb": rule["verbs"][0],
        "name": rule.get("resourceNames", [""])[0],
        "namespace": namespace or "",
    }
    kind = "SelfSubjectAccessReview"
    return {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": {"resourceAttributes": attributes}}


def _allowed(client: Client, review: dict[str, Any]) -> bool:
    answer = client.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    return bool(answer.body["status"]["allowed"])


@contextmanager
def installed_on(controlplane: ControlPlane, directory: Path, life: timedelta | None = None) -> Iterator[Installation]:
    """Rotator installed, without any right yet; tokens of the clouds live that long (None: as the real ones).

    The configuration is that of `tests.outside`, with this test's own namespaces in place of `team-*`.
    """
    with Internet(life=life) as net:
        made = Installation(net, directory, controlplane, f"t{secrets.token_hex(4)}")
        made.add_namespace(made.full(ACCOUNT), ACCOUNT)
        kubeconfig = controlplane.kubeconfig(
            directory / "kubeconfig", token_file=made.log_in(), namespace=made.full(ACCOUNT)
        )
        made.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "KUBECONFIG": str(kubeconfig),
            "ROTATOR_CONFIG": str(directory / "config.yaml"),
            **ANY_PORTS,
            **net.environment(),
            **made.identities(),
        }
        made.configure(CONFIG.replace("team-", made.full("team-")))
        yield made
