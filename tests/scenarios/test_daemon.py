"""The daemon in this process: the alarms that it sets, and the clock that it watches."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from rotator.clock import Clock, utc_now
from rotator.daemon import Daemon
from rotator.rotation import Rotation
from rotator.sandbox.apiserver import Call
from rotator.sandbox.faults import Fault
from tests.outside import ECR_ONLY, SECRET
from tests.scenarios.world import World
from tests.waiting import wait_until


@contextmanager
def running(rotation: Rotation, clock: Clock = utc_now) -> Iterator[Daemon]:
    """The daemon at work, in a thread."""
    stop = threading.Event()
    daemon = Daemon(rotation, clock)
    thread = threading.Thread(target=daemon.run, args=(stop,))
    thread.start()
    try:
        yield daemon
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def sweeps(world: World) -> int:
    """How many passes have looked at the namespaces."""
    return world.api.journal.counts["list", "namespaces", 200]


def test_a_clock_that_is_set_back_is_noticed(world: World) -> None:
    """Every alarm was set by the old clock, the next sweep an hour away: the daemon sweeps at once all the same."""
    world.add_namespaces("team-a")
    world.configure(ECR_ONLY + "renewal: {sweep: 1h}\n")
    ahead = [timedelta(0)]

    def clock() -> datetime:
        return utc_now() + ahead[0]

    with running(world.rotation(), clock):
        assert wait_until(lambda: world.api.store.get("secrets", "team-a", SECRET) is not None, 30)
        assert wait_until(lambda: sweeps(world) == 1, 5)
        ahead[0] = timedelta(hours=-5)
        assert wait_until(lambda: sweeps(world) >= 2, 30)


def test_an_api_server_that_goes_on_failing_is_asked_less_and_less(world: World) -> None:
    """A failure of the API server leads to another pass soon, but not every few seconds for good."""
    world.add_namespaces("team-a")
    world.configure(ECR_ONLY + "renewal: {sweep: 1h}\n")
    rotation = world.rotation()
    daemon = Daemon(rotation, utc_now)
    pauses = [daemon.retry_pause() for _ in range(12)]
    assert pauses[0] == timedelta(seconds=5)
    assert pauses == sorted(pauses)
    assert pauses[-1] == timedelta(hours=1)


def test_a_cloud_that_failed_is_tried_again_long_before_the_sweep(world: World) -> None:
    """Each registry has an alarm of its own for its next try; the next sweep is an hour away."""
    world.add_namespaces("team-a")
    world.configure(ECR_ONLY + "renewal: {sweep: 1h}\n")
    world.net.aws.fault = Fault.DOWN
    rotation = world.rotation()
    with running(rotation):
        assert wait_until(lambda: rotation.minting.failure("prod") is not None, 30)
        world.net.aws.fault = None
        assert wait_until(lambda: world.api.store.get("secrets", "team-a", SECRET) is not None, 30)


def test_what_the_api_server_did_not_answer_is_asked_for_again_soon(world: World) -> None:
    """500 for the Secrets is a gap, not the end of the pass: another pass mends it, and forgets the failures."""
    world.add_namespaces("team-a")
    world.configure(ECR_ONLY + "renewal: {sweep: 1h}\n")
    first = iter([True])

    def fail(call: Call) -> None:
        if call.place.resource.name == "namespaces" and next(first, False):
            world.api.faults.fail(3)  # as often as one request is sent

    world.api.before_request(fail)
    with running(world.rotation()) as daemon:
        assert wait_until(lambda: world.api.journal.counts["list", "secrets", 500] == 3, 30)
        assert wait_until(lambda: world.api.store.get("secrets", "team-a", SECRET) is not None, 30)
    assert daemon.retry_pause() == timedelta(seconds=5)


def test_what_a_slow_cloud_gives_at_last_is_written_long_before_the_sweep(world: World) -> None:
    """The pass went on without it; the end of the late mint leads to another pass."""
    world.add_namespaces("team-a")
    world.configure(ECR_ONLY.replace("deadline: 2s", "deadline: 60s") + "renewal: {sweep: 1h}\n")
    world.net.aws.fault = Fault.HUNG
    with running(world.rotation()):
        assert wait_until(lambda: world.api.journal.counts["patch", "serviceaccounts", 200] == 1, 30)
        world.net.aws.fault = None
        assert wait_until(lambda: world.api.store.get("secrets", "team-a", SECRET) is not None, 30)
