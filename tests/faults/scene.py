"""The stage of a fault: rotator installed on a real cluster, its way there through a gate, and workers that pull."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import yaml
from prometheus_client.parser import text_string_to_metric_families

from rotator.sandbox.server import Request
from rotator.sandbox.worker import Client, Image, Kubelet
from tests.controlplane.server import ControlPlane
from tests.gate import Gate
from tests.installation import ACCOUNT, Installation, installed_on
from tests.outside import ECR, ECR_ONLY, SECRET
from tests.program import Running
from tests.waiting import eventually

QUIET = "renewal: {sweep: 1h}\n"
"""Nothing is due, and no sweep is near: what is mended was heard of."""

ELECTION = "leaseDuration: 6s, renewDeadline: 4s, retryPeriod: 1s"
HASTY_ELECTION = "leaseDuration: 3s, renewDeadline: 2s, retryPeriod: 1s"
"""For those who wait for it to run out."""


@dataclass
class Scene:
    """An installation that may do everything, the gate before its API server, and a kubelet that sees all Pods."""

    installation: Installation
    gate: Gate
    kubelet: Kubelet
    _numbers: Iterator[int]

    # What there is --------------------------------------------------------------------------------------------------

    def configure(self, text: str = ECR_ONLY + QUIET, election: str = ELECTION) -> None:
        """Use this configuration from now on, with the test's own namespaces, and a Lease among them."""
        installation = self.installation
        lease = f"leaderElection: {{namespace: {self.home}, {election}}}\n"
        installation.configure(text.replace("team-", installation.full("team-")) + lease)

    def served(self, *namespaces: str) -> bool:
        """Whether each of the namespaces has its Secret and its reference."""
        installation = self.installation
        return all(
            installation.find("secrets", name, SECRET) and installation.references(name) == [SECRET]
            for name in namespaces
        )

    def password(self, namespace: str) -> str:
        """What a kubelet would send to ECR."""
        return self.installation.password(namespace, ECR)

    # A worker -------------------------------------------------------------------------------------------------------

    def pod(self, namespace: str, host: str = ECR) -> dict[str, Any] | None:
        """A new Pod of the ServiceAccount `workers`, as the API server took it; None where it did not."""
        return self.kubelet.create(namespace, f"worker-{next(self._numbers)}", "workers", Image(host, "team/app"))

    def comes_up(self, pod: dict[str, Any], host: str = ECR) -> bool:
        """Whether the kubelet, trying now, gets the Pod's image."""
        return self.kubelet.pull(pod, Image(host, "team/app")).ok

    def pulls(self, namespace: str, host: str = ECR) -> bool:
        """Whether a Pod that is created now gets its image at the first try."""
        pod = self.pod(namespace, host)
        assert pod is not None
        return self.comes_up(pod, host)

    # What the operator sees -----------------------------------------------------------------------------------------

    def metric(self, running: Running, name: str, **labels: str) -> float:
        """The sum of this metric over the series with these labels."""
        samples = _samples(_page(running, "metrics", "/metrics"))
        return sum(value for key, found, value in samples if key == name and labels.items() <= found.items())

    def tells(self, running: Running, name: str) -> bool:
        """Whether there is any series of this metric."""
        return any(key == name for key, _, _ in _samples(_page(running, "metrics", "/metrics")))

    def is_ready(self, running: Running) -> bool:
        """Whether `/readyz` says so."""
        with suppress(OSError):
            return bool(_page(running, "health", "/readyz"))
        return False

    def is_alive(self, running: Running) -> bool:
        """Whether `/healthz` says so."""
        with suppress(OSError):
            return bool(_page(running, "health", "/healthz"))
        return False

    def events(self, namespace: str) -> set[str]:
        """The reasons of rotator's Events there."""
        items = self.installation.controlplane.admin.get(f"/api/v1/namespaces/{namespace}/events").body["items"]
        return {each["reason"] for each in items if each["source"].get("component") == "rotator"}

    @property
    def home(self) -> str:
        """Rotator's own namespace."""
        return self.installation.full(ACCOUNT)


@contextmanager
def scene_on(controlplane: ControlPlane, directory: Path, life: timedelta | None = None) -> Iterator[Scene]:
    """A scene in which the clouds' tokens live that long (None: as the real ones)."""
    with (
        installed_on(controlplane, directory, life) as installation,
        Gate(controlplane.url, controlplane.ca_file) as gate,
        gate.leading(directory / "kubeconfig"),
    ):
        installation.grant_everything()
        client = _client(installation)
        made = Scene(installation, gate, Kubelet(client), count())
        made.configure()
        yield made
        client.close()


@contextmanager
def on_duty(scene: Scene, *teams: str) -> Iterator[tuple[Running, list[str]]]:
    """The program at work, when these namespaces have been served; it must end well. With their full names."""
    names = scene.installation.add_namespaces(*teams)
    with scene.installation.start("run") as running:
        eventually(lambda: scene.served(*names), "the first Secrets")
        eventually(lambda: running.events("pass.finished"), "the end of the first pass")
        yield running, names
        assert running.end() == 0


def writes_to(request: Request, resource: str, namespace: str = "") -> bool:
    """Whether this is rotator's write of such an object, there or anywhere."""
    return request.method == "PATCH" and f"/{resource}/" in request.path and f"/{namespace}" in request.path


def _client(installation: Installation) -> Client:
    """A kubelet's: to the cluster as its administrator, to the registries through the proxy of the internet."""
    plane = installation.controlplane
    users = yaml.safe_load(plane.kubeconfig(installation.directory / "kubelet").read_text())["users"]
    net = installation.net
    return Client(plane.url, users[0]["user"]["token"], str(plane.ca_file), net.proxy.url, str(net.ca_file))


def _page(running: Running, server: str, path: str) -> str:
    """A page of the running program."""
    (listening,) = running.events(f"{server}.listening")
    with urlopen(f"http://{listening['address']}{path}", timeout=20) as answer:
        return str(answer.read().decode())


def _samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value
