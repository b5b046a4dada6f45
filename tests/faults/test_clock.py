"""The wall clock of a running daemon is set one hour forth or back."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from rotator.clock import utc_now
from rotator.daemon import Daemon
from rotator.providers import provider_for
from rotator.sandbox.worker import Image
from tests.outside import ACR, CONFIG, ECR, GAR
from tests.scenarios.world import World
from tests.scenarios.world import world as make_world
from tests.waiting import eventually


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A cluster, three clouds and a clock."""
    with make_world(tmp_path, monkeypatch) as made:
        made.add_namespaces("team-a")
        yield made


@contextmanager
def at_work(world: World) -> Iterator[None]:
    """The whole daemon, in this process; no sweep is near."""
    path = world.directory / "config.yaml"
    path.write_text(CONFIG + "renewal: {sweep: 1h}\n")
    daemon = Daemon(path, provider_for, kubeconfig=world.api.kubeconfig(world.directory / "kubeconfig"), clock=utc_now)
    stop = threading.Event()
    running = threading.Thread(target=daemon.run, args=[stop])
    running.start()
    try:
        yield
    finally:
        stop.set()
        running.join()


def is_new(world: World, before: dict[str, str]) -> bool:
    """Whether another password is published for each of these hosts."""
    return all(world.password("team-a", host) != password for host, password in before.items())


@pytest.mark.parametrize(("hours", "stale"), [(1, (GAR,)), (-1, (ECR, GAR, ACR))])
def test_the_clock_is_set(world: World, hours: int, stale: tuple[str, ...]) -> None:
    """It is said, and what the new time makes stale is renewed within seconds; a Pod then pulls from every registry."""
    hosts = (ECR, GAR, ACR)
    with capture_logs() as events, world.kubelet() as kubelet, at_work(world):
        eventually(lambda: any(event["event"] == "pass.finished" for event in events), "the first pass")
        before = {host: world.password("team-a", host) for host in stale}
        world.clock.advance(hours=hours)
        eventually(lambda: is_new(world, before), "what is stale is renewed")
        (jumped,) = (event for event in events if event["event"] == "clock.jumped")
        assert jumped["by_s"] == hours * 3600
        for number, host in enumerate(hosts):
            pod = kubelet.create("team-a", f"worker-{number}", "workers", Image(host, "team/app"))
            assert pod is not None
            assert kubelet.pull(pod, Image(host, "team/app")).ok
