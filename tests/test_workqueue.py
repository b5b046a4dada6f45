"""The queue: one pass for many events, one worker per key, later after a failure."""

import threading
import time
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from rotator.workqueue import FIRST_PAUSE, LONGEST_PAUSE, Work, Workqueue


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Now."""
        return self.now


def is_due(queue: Workqueue) -> bool:
    """Whether a worker would get something now."""
    return queue.pause() == timedelta(0)


def drained(queue: Workqueue) -> list[str]:
    """The keys that are due now, each taken and not yet done."""
    keys = []
    while is_due(queue):
        work = queue.take()
        assert work
        keys.append(work.key)
    return keys


def test_many_events_about_one_key_are_one_work() -> None:
    """A namespace with a hundred events is passed over once."""
    queue = Workqueue(Clock())
    for _ in range(100):
        queue.add("team-a")
    assert len(queue) == 1
    assert drained(queue) == ["team-a"]


def test_work_says_since_when_it_was_asked_for() -> None:
    """The first event counts, failures or not, so that the time to heal is the whole time."""
    clock = Clock()
    queue = Workqueue(clock)
    queue.add("team-a")
    clock.now = 5
    queue.add("team-a")
    assert queue.take() == Work("team-a", 0)
    queue.done("team-a", failed=True)
    clock.now = 10
    assert queue.take() == Work("team-a", 0)


def test_work_that_is_wanted_sooner_is_as_old_as_its_first_request() -> None:
    """Who was put off and is then asked for at once has waited all the while."""
    clock = Clock()
    queue = Workqueue(clock)
    queue.add("team-a", timedelta(seconds=60))
    clock.now = 5
    queue.add("team-a")
    assert queue.take() == Work("team-a", 0)


def test_the_oldest_comes_first() -> None:
    """Nobody is overtaken for good."""
    clock = Clock()
    queue = Workqueue(clock)
    for key in ("c", "a", "b"):
        queue.add(key)
        clock.now += 1
    assert [queue.take().key for _ in range(3)] == ["c", "a", "b"]  # type: ignore[union-attr]


def test_a_key_is_with_one_worker_at_a_time() -> None:
    """What is added meanwhile comes again, afterwards: the pass under way may have read too early."""
    queue = Workqueue(Clock())
    queue.add("team-a")
    assert queue.take()
    queue.add("team-a")
    assert drained(queue) == []
    queue.done("team-a")
    assert drained(queue) == ["team-a"]


def test_what_failed_comes_again_later_each_time() -> None:
    """1, 2, 4 … seconds, and never more than the longest pause; events meanwhile do not shorten it."""
    clock = Clock()
    queue = Workqueue(clock)
    queue.add("team-a")
    pauses = []
    for _ in range(12):
        assert drained(queue) == ["team-a"]
        queue.done("team-a", failed=True)
        queue.add("team-a")
        begun = clock.now
        while not is_due(queue):
            clock.now += 1
        pauses.append(clock.now - begun)
    assert pauses[:4] == [1, 2, 4, 8]
    assert pauses[-1] == LONGEST_PAUSE.total_seconds()


def test_a_success_forgets_the_failures() -> None:
    """The pause is short again after the next failure."""
    clock = Clock()
    queue = Workqueue(clock)
    for failed in (True, True, False, True):
        queue.add("team-a")
        clock.now += 60
        assert drained(queue) == ["team-a"]
        queue.done("team-a", failed=failed)
    clock.now += FIRST_PAUSE.total_seconds()
    assert drained(queue) == ["team-a"]


def test_a_key_in_its_pause_holds_up_no_other() -> None:
    """What failed waits by itself."""
    queue = Workqueue(Clock())
    queue.add("broken")
    assert drained(queue) == ["broken"]
    queue.done("broken", failed=True)
    queue.add("team-a")
    assert drained(queue) == ["team-a"]


def test_a_later_request_does_not_delay_an_earlier_one() -> None:
    """Of several times the earliest counts, in whichever order they come."""
    clock = Clock()
    queue = Workqueue(clock)
    queue.add("late", timedelta(seconds=60))
    queue.add("late", timedelta(seconds=5))
    queue.add("late", timedelta(seconds=30))
    assert drained(queue) == []
    clock.now = 5
    assert drained(queue) == ["late"]
    queue.done("late")
    clock.now = 90
    assert drained(queue) == []


def test_closing_lets_every_worker_go() -> None:
    """Workers that wait for work end at once."""
    queue = Workqueue(Clock())
    taken: list[Work | None] = []
    workers = [threading.Thread(target=lambda: taken.append(queue.take()), daemon=True) for _ in range(3)]
    for worker in workers:
        worker.start()
    queue.close()
    for worker in workers:
        worker.join(timeout=10)
    assert taken == [None, None, None]


def test_a_worker_that_waits_gets_what_is_added() -> None:
    """No polling and no lost wake-up: the pause of a later key does not hide a new one."""
    queue = Workqueue(time.monotonic)
    queue.add("later", timedelta(hours=1))
    taken: list[Work | None] = []
    worker = threading.Thread(target=lambda: taken.append(queue.take()), daemon=True)
    worker.start()
    queue.add("now")
    worker.join(timeout=10)
    assert [work.key for work in taken if work] == ["now"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["add", "later", "take", "done", "fail", "tick"]))))
def test_nothing_is_lost_and_nothing_is_taken_twice(steps: list[tuple[str, str]]) -> None:
    """Whatever happens: a key is with one worker at a time, and what was asked for after the last take comes."""
    clock = Clock()
    queue = Workqueue(clock)
    wanted: set[str] = set()
    taken: set[str] = set()
    for key, step in steps:
        match step:
            case "add" | "later":
                queue.add(key, timedelta(seconds=10 if step == "later" else 0))
                wanted.add(key)
            case "tick":
                clock.now += 7
            case "take" if is_due(queue):
                work = queue.take()
                assert work
                assert work.key in wanted - taken
                wanted.discard(work.key)
                taken.add(work.key)
            case "done" | "fail" if key in taken:
                queue.done(key, failed=step == "fail")
                taken.discard(key)
                wanted |= {key} if step == "fail" else set()
    assert len(queue) == len(wanted)
    for key in taken:
        queue.done(key)
    clock.now += LONGEST_PAUSE.total_seconds() + 10
    assert set(drained(queue)) == wanted
