"""Health: which loop is silent, what a stopped process is forgiven, and what readiness waits for."""

import threading
import time
from datetime import timedelta
from functools import partial

import pytest

from rotator.health import LONGEST_GAP, Health
from rotator.serving import Server
from tests.scraping import LOOPBACK, fetch

SOUND = timedelta(seconds=30)
GAP = LONGEST_GAP.total_seconds()


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Now."""
        return self.now


class Process:
    """Two loops, `clock` and `lease`, of which the first beats each second while it runs."""

    def __init__(self) -> None:
        self._clock = Clock()
        self.health = Health(self._clock)
        self.clock = self.health.loop("clock", SOUND)
        self.lease = self.health.loop("lease", SOUND)

    def run(self, seconds: int) -> None:
        """Let time pass in which only `clock` beats."""
        for _ in range(seconds):
            self._clock.now += 1
            self.clock.beat()

    def freeze(self, seconds: float) -> None:
        """Let time pass in which nothing happens at all."""
        self._clock.now += seconds

    def healthz(self) -> tuple[int, list[str]]:
        """Status and lines of the page."""
        answer = self.health.healthz()
        return answer.status, answer.body.decode().splitlines()


@pytest.fixture
def process() -> Process:
    """Both loops have just begun."""
    return Process()


def test_loops_that_beat_are_sound(process: Process) -> None:
    """One line each, and 200."""
    for _ in range(10):
        process.run(20)
        process.lease.beat()
        assert process.healthz() == (200, ["[+]clock ok", "[+]lease ok", "healthz check passed"])


def test_a_silent_loop_is_named(process: Process) -> None:
    """Not before its time, with what was sound; and when it beats again all is well."""
    process.run(30)
    assert process.healthz()[0] == 200
    process.run(1)
    status, lines = process.healthz()
    assert status == 503
    assert lines == [
        "[+]clock ok",
        "[-]lease failed: silent for 31 s, at most 30 s are sound",
        "healthz check failed",
    ]
    process.lease.beat()
    assert process.healthz()[0] == 200


def test_a_loop_that_never_begins_is_silent_too(process: Process) -> None:
    """It is expected from when it is named."""
    process.health.loop("scheduler", timedelta(seconds=3))
    process.run(4)
    assert "[-]scheduler failed: silent for 4 s, at most 3 s are sound" in process.healthz()[1]


def test_a_loop_that_waits_for_work_may_be_silent(process: Process) -> None:
    """For any time; from when it has some it has to make progress again."""
    process.lease.rest()
    process.run(3600)
    assert process.healthz()[0] == 200
    process.lease.beat()
    process.run(31)
    assert process.healthz()[0] == 503


def test_a_loop_whose_thread_ended_while_it_waited_is_found(process: Process) -> None:
    """Nobody would take the work that it waits for."""
    thread = threading.Thread(target=process.lease.rest)
    thread.start()
    thread.join()
    assert "[-]lease failed: its thread has ended" in process.healthz()[1]


@pytest.mark.parametrize("before", [0, 29])
@pytest.mark.parametrize("probed_first", [True, False])
def test_a_process_that_was_stopped_is_given_a_moment(process: Process, before: int, probed_first: bool) -> None:
    """SIGSTOP for an hour: whoever comes first afterwards, the probe or a loop, no loop is called silent for that."""
    process.run(before)
    process.freeze(3600)
    if probed_first:
        assert process.healthz()[0] == 200
    process.run(30)
    assert process.healthz()[0] == 200


def test_after_the_moment_a_loop_that_stayed_silent_is_named(process: Process) -> None:
    """A thaw forgives once: 30 s later the loop that did not come back is found."""
    process.freeze(3600)
    process.run(32)
    assert process.healthz()[1][1] == "[-]lease failed: silent for 31 s, at most 30 s are sound"


def test_each_stop_is_forgiven(process: Process) -> None:
    """As long as the loops come back in between."""
    for _ in range(5):
        process.freeze(3600)
        assert process.healthz()[0] == 200
        process.run(2)
        process.lease.beat()


def test_loops_that_are_all_silent_are_found_however_rare_the_probes(process: Process) -> None:
    """The probes are then the only signs of life: the first gap may be a thaw, the next ones are not."""
    found = []
    for _ in range(6):
        process.freeze(2 * GAP)
        found.append(process.healthz()[0])
    assert found == [200, 200, 200, 200, 503, 503]


def test_readiness_is_every_condition() -> None:
    """Each has its line, with what is missing."""
    health = Health(Clock())
    missing = {"configuration": "", "watches": "secrets: not in sync", "pass": ""}
    for name in missing:
        health.require(name, partial(missing.__getitem__, name))
    answer = health.readyz()
    assert answer.status == 503
    assert answer.body.decode().splitlines() == [
        "[+]configuration ok",
        "[-]watches failed: secrets: not in sync",
        "[+]pass ok",
        "readyz check failed",
    ]
    missing["watches"] = ""
    assert health.readyz().status == 200


def test_a_condition_that_raises_does_not_hold() -> None:
    """Its class is said, its words are not."""

    def broken() -> str:
        msg = "hunter2"
        raise ZeroDivisionError(msg)

    health = Health(Clock())
    health.require("watches", broken)
    answer = health.readyz()
    assert answer.status == 503
    assert b"[-]watches failed: ZeroDivisionError when it was asked\n" in answer.body
    assert b"hunter2" not in answer.body


def test_without_any_loop_or_condition_all_is_well() -> None:
    """An empty list has no trouble in it."""
    health = Health(Clock())
    assert (health.healthz().status, health.readyz().status) == (200, 200)


def test_the_pages_are_served() -> None:
    """Over HTTP, under the names that probes know."""
    health = Health(time.monotonic)
    health.loop("clock", SOUND)
    health.require("configuration", lambda: "")
    with Server("health", LOOPBACK, health.pages) as server:
        assert fetch(server, "/healthz")[0] == b"[+]clock ok\nhealthz check passed\n"
        body, headers = fetch(server, "/readyz?verbose")
    assert body == b"[+]configuration ok\nreadyz check passed\n"
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
