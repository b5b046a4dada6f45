"""Namespaces of a real cluster in which all is well, until a test makes one thing ill."""

import base64
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rotator import config as configuration
from rotator.clock import utc_now
from rotator.cluster.client import Cluster
from rotator.doctor import CHECKS, Check, Finding, examine
from tests.apiclient import MERGE_PATCH
from tests.controlplane.server import ControlPlane
from tests.installation import Installation, installed_on
from tests.outside import ECR, SECRET

ACCOUNT = "workers"
GROUPS = {"deployments": "/apis/apps/v1", "jobs": "/apis/batch/v1", "cronjobs": "/apis/batch/v1"}
IMAGE = f"{ECR}/shuffle/worker:2.1"


@dataclass(frozen=True)
class Ward:
    """One namespace that the configuration covers, with everything in order."""

    installation: Installation
    namespace: str

    def examine(self, *checks: Check) -> dict[str, Finding]:
        """What these checks find in this namespace, by name."""
        return examined(self.installation, checks, self.namespace)

    def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """The object as the API server made it."""
        path = self._path(f"{manifest['kind'].lower()}s")
        answer = self.installation.controlplane.admin.post(path, manifest)
        assert answer.status == 201, answer
        made: dict[str, Any] = answer.body
        return made

    def patch(self, path: str, change: dict[str, Any]) -> None:
        """Change an object of this namespace, named as in serviceaccounts/workers."""
        client = self.installation.controlplane.admin
        answer = client.patch(self._path(path), change, MERGE_PATCH)
        assert answer.status == 200, answer

    def delete(self, path: str) -> None:
        """Delete an object of this namespace."""
        answer = self.installation.controlplane.admin.delete(self._path(path))
        assert answer.status == 200, answer

    def _path(self, path: str) -> str:
        group = GROUPS.get(path.partition("/")[0], "/api/v1")
        return f"{group}/namespaces/{self.namespace}/{path}"

    def add_pod(self, name: str, image: str = IMAGE, account: str = ACCOUNT, **spec: object) -> dict[str, Any]:
        """A Pod as some platform creates it; admission gives it the references of its ServiceAccount."""
        return self.create(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name},
                "spec": pod_spec(image, account, automountServiceAccountToken=False, **spec),
            }
        )

    def add_deployment(self, name: str, image: str = IMAGE, account: str = ACCOUNT, **spec: object) -> dict[str, Any]:
        """A Deployment that is scaled down, so that it makes no Pods."""
        labels = {"app": name}
        return self.create(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name},
                "spec": {
                    "replicas": 0,
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": pod_spec(image, account, **spec)},
                },
            }
        )

    def add_pull_secret(self, name: str, text: str) -> None:
        """A Secret of somebody else that a kubelet reads."""
        self.create(pull_secret(name, text))

    def reference(self, *names: str, account: str = ACCOUNT) -> None:
        """The ServiceAccount references just these, in this order."""
        self.patch(f"serviceaccounts/{account}", {"imagePullSecrets": [{"name": name} for name in names]})

    def edit_secret(self, text: str, **annotations: str) -> None:
        """Put this text into our Secret."""
        data = {".dockerconfigjson": base64.b64encode(text.encode()).decode()}
        self.patch(f"secrets/{SECRET}", {"data": data, "metadata": {"annotations": annotations}})


def pod_spec(image: str, account: str, **more: object) -> dict[str, Any]:
    """Of a Pod or a template."""
    return {"serviceAccountName": account, "containers": [{"name": "main", "image": image}], **more}


def pull_secret(name: str, text: str, kind: str = "kubernetes.io/dockerconfigjson") -> dict[str, Any]:
    """A pull secret with this text."""
    data = {".dockerconfigjson": base64.b64encode(text.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "data": data}


def entries(*hosts: str) -> str:
    """A text with somebody's credential for these hosts."""
    auth = base64.b64encode(b"somebody:password").decode()
    return json.dumps({"auths": {host: {"auth": auth} for host in hosts}})


def examined(installation: Installation, checks: tuple[Check, ...], namespace: str | None) -> dict[str, Finding]:
    """What these checks find there, by name; None: in all namespaces that are covered."""
    config = configuration.load(installation.directory / "config.yaml")
    cluster = Cluster.connect(Path(installation.environment["KUBECONFIG"]))
    try:
        diagnosis = examine(cluster, config, utc_now(), checks, namespace)
    finally:
        cluster.close()
    return {finding.check: finding for finding in diagnosis.findings}


def named(*names: str) -> tuple[Check, ...]:
    """The checks of these names."""
    return tuple(check for check in CHECKS if check.name in names)


class Hospital:
    """An installation that did its work once; its wards hold copies of what it wrote, as good as written there."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        (first,) = installation.add_namespaces("team-first")
        done = installation.run("once")
        assert done.returncode == 0, done.stderr
        self._written = installation.secret(first)

    def ward(self) -> Ward:
        """A new namespace in which all is well: our Secret, a reference, a Deployment and a Pod of it."""
        (namespace,) = self.installation.add_namespaces(f"team-{secrets.token_hex(4)}")
        ward = Ward(self.installation, namespace)
        ward.create(self._copy())
        ward.reference(SECRET)
        ward.add_deployment("worker")
        ward.add_pod("worker-0")
        return ward

    def _copy(self) -> dict[str, Any]:
        metadata = {key: self._written["metadata"][key] for key in ("name", "labels", "annotations")}
        return {**{key: self._written[key] for key in ("apiVersion", "kind", "type", "data")}, "metadata": metadata}


@contextmanager
def hospital_on(controlplane: ControlPlane, directory: Path) -> Iterator[Hospital]:
    """Rotator installed there, with every right."""
    with installed_on(controlplane, directory) as installation:
        installation.grant_everything()
        yield Hospital(installation)
