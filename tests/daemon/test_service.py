"""The process around a duty, in this process: what it notices while it waits for its end."""

import threading
from datetime import datetime, timedelta

import pytest
import requests
from structlog.testing import capture_logs

from rotator.clock import utc_now
from rotator.daemon import Daemon, service
from rotator.providers import provider_for
from rotator.serving import Address
from tests.daemon.test_duty import sweeps
from tests.outside import ECR_ONLY
from tests.scenarios.world import World
from tests.waiting import wait_until


def healthz(address: str) -> str:
    """What the page says, whatever its status."""
    with requests.Session() as session:
        session.trust_env = False  # no proxy of the machine's
        return session.get(f"http://{address}/healthz", timeout=10).text


def test_a_clock_that_was_set_is_noticed(world: World) -> None:
    """Back by an hour, and the next sweep is another hour away: it is said, and all is looked at anew in seconds."""
    world.add_namespaces("team-a")
    config = world.directory / "config.yaml"
    config.write_text(ECR_ONLY + "renewal: {sweep: 1h}\nleaderElection: {enabled: false}\n")
    stop = threading.Event()
    with capture_logs() as events:
        daemon = Daemon(config, provider_for, kubeconfig=world.api.kubeconfig(world.directory / "kubeconfig"))
        thread = threading.Thread(target=daemon.run, args=[stop])
        thread.start()
        try:
            assert wait_until(lambda: sweeps(events) == 1, 30)
            world.clock.advance(hours=-1)
            assert wait_until(lambda: sweeps(events) == 2, 10)
        finally:
            stop.set()
            thread.join()
    assert [round(event["by_s"], -2) for event in events if event["event"] == "clock.jumped"] == [-3600]


def test_a_lease_loop_that_comes_round_no_more_is_not_healthy(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """All else goes on, but nobody would stand for the lead any more: only a restart mends that, so `/healthz` asks."""
    monkeypatch.setattr(service, "SILENCE", timedelta(seconds=4))
    world.add_namespaces("team-a")
    config = world.directory / "config.yaml"
    config.write_text(ECR_ONLY + "leaderElection: {namespace: team-a}\n")
    hangs, stop = threading.Event(), threading.Event()
    going_on = threading.Event()

    def clock() -> datetime:
        if hangs.is_set() and threading.current_thread().name == "lease":
            going_on.wait()
        return utc_now()

    with capture_logs() as events:
        kubeconfig, anywhere = world.api.kubeconfig(world.directory / "kubeconfig"), Address("127.0.0.1", 0)
        daemon = Daemon(config, provider_for, kubeconfig=kubeconfig, health_address=anywhere, clock=clock)
        thread = threading.Thread(target=daemon.run, args=[stop])
        thread.start()
        try:
            assert wait_until(lambda: sweeps(events) == 1, 30)
            address = next(event["address"] for event in events if event["event"] == "health.listening")
            assert "[+]lease ok" in healthz(address)
            hangs.set()
            assert wait_until(lambda: "[-]lease failed: silent" in healthz(address), 30)
            assert "[+]daemon ok" in healthz(address)
        finally:
            going_on.set()
            stop.set()
            thread.join()
