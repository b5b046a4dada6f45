"""Events on their way: bounded, at a bounded rate, in nobody's way."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from structlog.testing import capture_logs

from rotator.errors import ClusterError, ClusterUnusable, Forbidden, NamespaceTerminating, NotFound
from rotator.events import Event, Reason, Series
from rotator.model import Kind, Subject
from rotator.sending import BURST, FORGOTTEN, PER_SECOND, REMEMBERED, ROOM, ROOM_FOR_NEWS, Sender
from tests.build import NOW
from tests.waiting import eventually


def news(number: int = 0) -> Event:
    """Good news about some ServiceAccount."""
    return Event(Reason.ATTACHED, Subject(Kind.SERVICE_ACCOUNT, f"team-{number}", "workers"), "added")


def trouble(number: int = 0) -> Event:
    """Bad news about some Secret."""
    return Event(Reason.FOREIGN, Subject(Kind.SECRET, f"team-{number}", "worker-pull"), "foreign")


@dataclass
class Office:
    """Where Events arrive; it may be shut, or refuse them."""

    open: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    arrived: list[tuple[Event, Series]] = field(default_factory=list)
    refuses: ClusterError | Exception | None = None
    leads: bool = True
    now: datetime = NOW
    seconds: float = 0.0

    def record(self, event: Event, series: Series) -> None:
        """Take an Event."""
        self.begun.set()
        assert self.open.wait(60)
        self.arrived.append((event, series))
        if self.refuses:
            raise self.refuses

    @property
    def counts(self) -> list[int]:
        """How often each was told by then."""
        return [series.count for _, series in self.arrived]


@contextmanager
def sending(office: Office) -> Iterator[Sender]:
    """A sender at work."""
    sender = Sender(office.record, lambda: office.now, lambda: office.seconds, may_send=lambda: office.leads)
    sender.start()
    try:
        yield sender
    finally:
        office.open.set()
        sender.stop()


@pytest.fixture
def office() -> Office:
    """One that is open."""
    office = Office()
    office.open.set()
    return office


def test_a_burst_is_sent_at_once_and_the_rest_as_time_passes(office: Office) -> None:
    """A clock that stands still lets no more through; ten seconds let through what ten seconds may."""
    with sending(office) as sender:
        for number in range(BURST + 60):
            sender.offer(trouble(number))
        eventually(lambda: len(office.arrived) == BURST, "the burst")
        office.seconds += 10
        eventually(lambda: len(office.arrived) == BURST + 10 * PER_SECOND, "what ten seconds let through")
        assert sender.dropped == 0
        office.seconds += 10
        eventually(lambda: len(office.arrived) == BURST + 60, "the rest")


def test_a_roll_out_over_the_whole_cluster_is_a_hundred_events(office: Office) -> None:
    """50,000 attached references: the first are told, the others are counted, and one line in the log says how many."""
    office.open.clear()
    with capture_logs() as logged, sending(office) as sender:
        for number in range(50_000):
            sender.offer(news(number))
        sender.offer(trouble())
        office.open.set()
        eventually(lambda: sender.sent == BURST, "the burst")
        office.seconds += 60
        eventually(lambda: office.arrived[-1][0] == trouble(), "the trouble is not dropped for good news")
        assert sender.sent <= ROOM_FOR_NEWS + 2
        assert sender.dropped + sender.sent == 50_001
        eventually(lambda: [event["event"] for event in logged] == ["events.dropped"], "one line for them all")
        assert logged[0]["count"] == sender.dropped


def test_troubles_are_bounded_too(office: Office) -> None:
    """Memory does not grow with a cluster in which every Secret is foreign."""
    office.open.clear()
    with sending(office) as sender:
        sender.offer(trouble())
        assert office.begun.wait(60)  # one is in the sender's hands
        for number in range(20_000):
            sender.offer(trouble(number))
        assert sender.dropped == 20_000 - ROOM


def test_a_repetition_is_counted_up_from_when_it_was_first_told(office: Office) -> None:
    """One that was told an hour ago begins anew, as Kubernetes forgets it."""
    with sending(office) as sender:
        for wait in (timedelta(0), timedelta(minutes=10), FORGOTTEN):
            office.now += wait
            sent = sender.sent
            sender.offer(trouble())
            eventually(lambda before=sent: sender.sent == before + 1, "it is sent")  # type: ignore[misc]
    assert office.counts == [1, 2, 1]
    assert [series.first for _, series in office.arrived] == [NOW, NOW, office.now]
    assert [series.last for _, series in office.arrived][1] == NOW + timedelta(minutes=10)


def test_what_is_counted_is_bounded(office: Office) -> None:
    """Of many Events the latest are remembered."""
    sender = Sender(office.record, lambda: office.now, itertools.count(0, 1000).__next__)  # all the time in the world
    sender.start()
    numbers = (0, 0, *range(1, REMEMBERED + 1), 0)
    for begin in range(0, len(numbers), ROOM):
        for number in numbers[begin : begin + ROOM]:
            sender.offer(trouble(number))
        eventually(lambda: len(office.arrived) == min(begin + ROOM, len(numbers)), "they are sent")  # noqa: B023
    sender.stop()
    assert office.counts[:2] == [1, 2]
    assert set(office.counts[2:]) == {1}


FAILURES = [
    (Forbidden("create events: forbidden", hint="grant it"), "Forbidden"),
    (ClusterUnusable("no connection"), "ClusterUnusable"),
    (KeyError("a defect"), "KeyError"),
]


@pytest.mark.parametrize(("error", "reason"), FAILURES)
def test_a_failure_is_one_line_however_many_events_it_meets(office: Office, error: Exception, reason: str) -> None:
    """They are counted, the thread goes on, and once one was sent the same failure is told anew."""
    office.refuses = error
    with capture_logs() as logged, sending(office) as sender:
        for number in range(20):
            sender.offer(trouble(number))
        eventually(lambda: sender.failed == 20, "all have failed")
        assert [(event["event"], event["reason"]) for event in logged] == [("event.failed", reason)]
        office.refuses = None
        sender.offer(trouble())
        eventually(lambda: sender.sent == 1, "one is sent")
        office.refuses = error
        sender.offer(trouble())
        eventually(lambda: sender.failed == 21, "and it fails again")
    assert len(logged) == (1 if reason == "Forbidden" else 2)  # what RBAC forbids is told once and for all


@pytest.mark.parametrize("error", [NotFound("gone"), NamespaceTerminating("going")])
def test_what_is_gone_is_no_failure(office: Office, error: ClusterError) -> None:
    """The namespace was deleted while the Event was on its way."""
    office.refuses = error
    with capture_logs() as logged, sending(office) as sender:
        sender.offer(trouble())
        eventually(lambda: len(office.arrived) == 1, "it was tried")
    assert (logged, sender.failed) == ([], 0)


def test_a_standby_says_nothing(office: Office) -> None:
    """Neither what it is offered, nor what still waited when it ceased to lead."""
    office.open.clear()
    with sending(office) as sender:
        sender.offer(trouble(1))
        sender.offer(trouble(2))
        assert office.begun.wait(60)
        office.leads = False
        sender.offer(trouble(3))
    assert [event for event, _ in office.arrived] == [trouble(1)]


def test_a_stop_sends_what_waits(office: Office) -> None:
    """Without regard to the rate: it is the last that is heard of this process."""
    sender = Sender(office.record, lambda: office.now, lambda: office.seconds)
    for number in range(BURST * 2):
        sender.offer(trouble(number))
    sender.start()
    sender.stop(timedelta(seconds=60))
    assert sender.sent == BURST * 2


def test_a_stop_does_not_wait_for_an_api_server_that_hangs(office: Office) -> None:
    """It gives up what waits, and counts it."""
    office.open.clear()
    with capture_logs() as logged, sending(office) as sender:
        for number in range(10):
            sender.offer(trouble(number))
        assert office.begun.wait(60)
        sender.stop(timedelta(milliseconds=50))
        assert sender.dropped == 9
        assert [(event["event"], event["count"]) for event in logged] == [("events.dropped", 9)]


def test_a_stop_before_the_start_is_no_error(office: Office) -> None:
    """Of a program that is stopped while it starts."""
    Sender(office.record, lambda: office.now, lambda: office.seconds).stop()
