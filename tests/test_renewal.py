"""Renewal: decisions on the wall clock, alarms with jitter, pauses bounded by the life that is left."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator import renewal
from tests.build import NOW

HOUR = timedelta(hours=1)
LIVES = st.timedeltas(min_value=timedelta(seconds=2), max_value=timedelta(hours=12))
SHARES = st.floats(min_value=0.05, max_value=0.95)


def test_half_of_the_life_left_at_issue_is_the_default_point() -> None:
    """A 12 h credential with `at: 0.5` is due after 6 h, not before and not only later."""
    due = renewal.due_at(NOW, NOW + 12 * HOUR, 0.5)
    assert due == NOW + 6 * HOUR
    assert not renewal.is_due(NOW, NOW + 12 * HOUR, 0.5, due - timedelta(seconds=1))
    assert renewal.is_due(NOW, NOW + 12 * HOUR, 0.5, due)


@given(LIVES, SHARES)
def test_invariant_5_due_lies_between_issue_and_expiry(life: timedelta, at: float) -> None:
    """Whatever the life and the share, renewal starts before expiry and never before issue."""
    due = renewal.due_at(NOW, NOW + life, at)
    assert NOW <= due < NOW + life


@given(LIVES, SHARES, st.timedeltas(min_value=timedelta(0), max_value=timedelta(hours=13)))
def test_invariant_5_the_decision_is_a_function_of_the_times_alone(life: timedelta, at: float, age: timedelta) -> None:
    """Once due, a credential stays due: asking later or twice never changes the answer back."""
    now = NOW + age
    if renewal.is_due(NOW, NOW + life, at, now):
        assert renewal.is_due(NOW, NOW + life, at, now + timedelta(seconds=1))
    assert renewal.is_due(NOW, NOW + life, at, NOW + life)


@given(LIVES, SHARES, st.floats(0, 0.5), st.floats(0, 1))
def test_invariant_5_jitter_moves_only_the_alarm(life: timedelta, at: float, jitter: float, draw: float) -> None:
    """The alarm never rings before the credential is due, and never later than its expiry (or the shortest pause)."""
    due = renewal.due_at(NOW, NOW + life, at)
    alarm = renewal.wake_at(due, NOW + life, jitter=jitter, draw=draw, now=NOW)
    assert due <= alarm <= max(NOW + life, NOW + renewal.SHORTEST_PAUSE)


def test_a_credential_that_arrives_nearly_spent_is_renewed_sooner() -> None:
    """Two minutes left of an hour: due in one minute, because only the life left counts."""
    assert renewal.due_at(NOW, NOW + timedelta(minutes=2), 0.5) == NOW + timedelta(minutes=1)


def test_an_overdue_alarm_rings_soon_but_not_at_once() -> None:
    """An alarm in the past rings after the shortest pause, so nothing spins."""
    alarm = renewal.wake_at(NOW - HOUR, NOW, jitter=0.1, draw=0.5, now=NOW)
    assert alarm == NOW + renewal.SHORTEST_PAUSE


@pytest.mark.parametrize(
    ("failures", "left", "retry_after", "pause"),
    [
        (1, 6 * HOUR, None, timedelta(seconds=2)),
        (2, 6 * HOUR, None, timedelta(seconds=4)),
        (20, 6 * HOUR, None, renewal.LONGEST_BACKOFF),
        (20, timedelta(minutes=2), None, timedelta(seconds=30)),
        (20, timedelta(seconds=8), None, timedelta(seconds=2)),
        (20, timedelta(0), None, renewal.LONGEST_OUTAGE_BACKOFF),
        (20, -HOUR, None, renewal.LONGEST_OUTAGE_BACKOFF),
        (1, 6 * HOUR, timedelta(minutes=10), timedelta(minutes=10)),
        (1, timedelta(minutes=2), HOUR, timedelta(seconds=30)),
        (1, timedelta(seconds=1), None, renewal.SHORTEST_PAUSE),
    ],
)
def test_backoff_is_bounded_by_the_life_that_is_left(
    failures: int, left: timedelta, retry_after: timedelta | None, pause: timedelta
) -> None:
    """Pauses double, follow Retry-After, and take at most a quarter of the life left; in an outage 30 s."""
    assert renewal.backoff(failures, left, retry_after) == pause


@given(st.integers(1, 10_000), st.timedeltas(min_value=timedelta(seconds=4), max_value=timedelta(hours=12)))
def test_backoff_never_spends_the_last_minutes_waiting(failures: int, left: timedelta) -> None:
    """However many failures there were, several tries fit into the life that is left."""
    assert renewal.backoff(failures, left) <= left / renewal.SHARE_OF_LIFE_LEFT


def test_a_credential_from_the_future_is_due() -> None:
    """The clock was set back by an hour: the times of what is held mean nothing any more, so it is minted anew."""
    assert renewal.is_due(NOW + HOUR, NOW + 13 * HOUR, 0.5, NOW)
    assert not renewal.is_due(NOW + timedelta(minutes=1), NOW + 12 * HOUR, 0.5, NOW)


def test_what_a_person_must_put_right_is_not_asked_for_every_half_minute() -> None:
    """A refusal while Pods fail: tried again, but at the usual pace."""
    assert renewal.backoff(20, timedelta(0), retryable=False) == renewal.LONGEST_BACKOFF
