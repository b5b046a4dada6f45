"""kubectl against the emulated API: people will point it at the demo's cluster."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rotator.sandbox.apiserver import ApiServer
from rotator.sandbox.authority import Authority
from tests.controlplane import binaries

KUBECTL = binaries.find("kubectl") or shutil.which("kubectl")
pytestmark = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed (Debian: kubernetes-client)")

Kubectl = Callable[..., str]
MANIFEST = "apiVersion: v1\nkind: Secret\nmetadata: {name: applied}\nstringData: {a: %s}\n"


@pytest.fixture
def api() -> Iterator[ApiServer]:
    """A running TLS server with the namespace `a`."""
    with ApiServer(Authority()) as server:
        server.store.create_namespace("a")
        yield server


@pytest.fixture
def kubectl(api: ApiServer, tmp_path: Path) -> Kubectl:
    """Runs kubectl with our kubeconfig in namespace `a`, and gives what it printed."""
    kubeconfig = api.kubeconfig(tmp_path / "kubeconfig", user="admin")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": str(kubeconfig)}

    def run(*arguments: str, text: str | None = None) -> str:
        command = [str(KUBECTL), "-n", "a", *arguments]
        done = subprocess.run(  # noqa: S603  (kubectl with arguments of these tests)
            command, env=environment, input=text, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_reading(api: ApiServer, kubectl: Kubectl) -> None:
    """`get` shows namespaces, and Secrets as YAML and JSON."""
    api.store.put_secret("a", "worker-pull", {".dockerconfigjson": "{}"})
    assert "kube-system" in kubectl("get", "ns")
    assert "type: kubernetes.io/dockerconfigjson" in kubectl("get", "secrets", "-o", "yaml")
    assert json.loads(kubectl("get", "secret", "worker-pull", "-o", "json"))["metadata"]["name"] == "worker-pull"
    assert "v1.36" in kubectl("version")


def test_creating_and_deleting(api: ApiServer, kubectl: Kubectl) -> None:
    """`create secret docker-registry` posts protobuf; what it says is stored, and `delete` removes it."""
    credentials = ("--docker-server=r.example", "--docker-username=u", "--docker-password=p")
    kubectl("create", "secret", "docker-registry", "worker-pull", *credentials)
    stored = api.store.get("secrets", "a", "worker-pull")
    assert stored is not None
    assert stored["type"] == "kubernetes.io/dockerconfigjson"
    assert stored["metadata"]["managedFields"][0]["manager"] == "kubectl-create"
    kubectl("delete", "secret", "worker-pull")
    assert api.store.get("secrets", "a", "worker-pull") is None


def test_patching_and_running(api: ApiServer, kubectl: Kubectl) -> None:
    """A patched ServiceAccount gives its pull secrets to the Pods that `run` creates from then on."""
    kubectl("patch", "serviceaccount", "default", "-p", '{"imagePullSecrets":[{"name":"worker-pull"}]}')
    kubectl("run", "worker", "--image=r.example/worker")
    pod = api.store.get("pods", "a", "worker")
    assert pod is not None
    assert pod["spec"]["imagePullSecrets"] == [{"name": "worker-pull"}]


def test_applying(api: ApiServer, kubectl: Kubectl) -> None:
    """`apply` works on both sides, and `label` after it."""
    for value in ("one", "two"):
        kubectl("apply", "--validate=false", "-f", "-", text=MANIFEST % value)
    kubectl("apply", "--server-side", "--force-conflicts", "--validate=false", "-f", "-", text=MANIFEST % "three")
    kubectl("label", "secret", "applied", "team=a")
    stored = api.store.get("secrets", "a", "applied")
    assert stored is not None
    assert stored["data"] == {"a": "dGhyZWU="}
    assert stored["metadata"]["labels"] == {"team": "a"}


def test_deleting_a_namespace(api: ApiServer, kubectl: Kubectl) -> None:
    """`delete namespace` waits until it is gone."""
    kubectl("delete", "namespace", "a")
    assert api.store.get("namespaces", "", "a") is None
