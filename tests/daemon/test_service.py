"""The process around a duty, in this process: what it notices while it waits for its end."""

import threading

from structlog.testing import capture_logs

from rotator.daemon import Daemon
from rotator.providers import provider_for
from tests.daemon.test_duty import sweeps
from tests.outside import ECR_ONLY
from tests.scenarios.world import World
from tests.waiting import wait_until


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
