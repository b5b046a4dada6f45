"""What the Shuffle scenario rests on: the node pulls as a kubelet does, and names the Pod that cannot."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apiclient import secret
from tests.controlplane.server import ControlPlane
from tests.installation import Installation, installed_on
from tests.registries.skopeo import Pull
from tests.scenarios.node import ANONYMOUS, Node
from tests.waiting import eventually

IMAGE = "registry.example/team/app:1"
USERS = {"stale": "YTpzdGFsZQ==", "fresh": "YTpmcmVzaA=="}


@pytest.fixture
def place(controlplane: ControlPlane, tmp_path: Path) -> Iterator[tuple[Installation, str]]:
    """A namespace with a stale pull secret and a fresh one."""
    with installed_on(controlplane, tmp_path) as installation:
        (namespace,) = installation.add_namespaces("team-a")
        for name, auth in USERS.items():
            text = f'{{"auths": {{"registry.example": {{"auth": "{auth}"}}}}}}'
            controlplane.apply(
                secret(name) | {"metadata": {"name": name, "namespace": namespace}, "stringData": _data(text)}
            )
        yield installation, namespace


def _data(text: str) -> dict[str, str]:
    return {".dockerconfigjson": text}


def pull(_: str, authfile: bytes) -> Pull:
    """A registry that knows the fresh credential alone."""
    message = "unauthorized anonymously" if authfile == ANONYMOUS else "unauthorized"
    return Pull(ok=USERS["fresh"].encode() in authfile, message=message)


@pytest.mark.parametrize(
    ("references", "refusal"),
    [
        (["fresh"], ""),
        (["stale", "fresh"], ""),
        (["missing", "fresh"], ""),
        (["stale"], "unauthorized"),
        (["missing"], "no pull secret matches: unauthorized anonymously"),
        ([], "the Pod names no pull secret: unauthorized anonymously"),
    ],
)
def test_a_pod_gets_its_image_with_what_it_names_and_nothing_else(
    place: tuple[Installation, str], references: list[str], refusal: str
) -> None:
    """Every credential of the Secrets that it names is tried, a missing one is skipped, no other is looked at."""
    installation, namespace = place
    admin = installation.controlplane.admin
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {
            "serviceAccountName": "workers",
            "imagePullSecrets": [{"name": name} for name in references],
            "containers": [{"name": "c", "image": IMAGE}],
        },
    }
    assert admin.post(f"/api/v1/namespaces/{namespace}/pods", pod).status == 201
    with Node(admin, namespace, pull) as node:
        eventually(lambda: node.tries, "the Pod was tried")
        if not refusal:
            eventually(lambda: node.running("workers") == {"p"}, "the Pod runs")
    (first,) = node.first_tries()
    assert (first.pod, first.references, first.ok) == ("p", tuple(references), not refusal)
    assert node.never_pulled() == ({"p": refusal} if refusal else {})
