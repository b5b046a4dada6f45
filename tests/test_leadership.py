"""Who may lead: a table of what a candidate sees, and how long it waits."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from rotator.leadership import Candidate, Outlook, Record, Timing, claimed, micro_time, released

NOW = datetime(2026, 11, 23, 12, 0, 0, 50, UTC)
LATER = NOW + timedelta(seconds=2)
ME = Candidate("rotator", "leader", "me")
HELD = Record("other", 15, "2026-11-23T11:00:00.000000Z", "2026-11-23T11:59:59.000000Z", 3)
RENEWED = replace(HELD, renewed="2026-11-23T12:00:01.000000Z")
BLANK = Record()
EMPTIED = replace(HELD, holder="")
RELEASED = released(HELD, NOW)


def test_a_lease_that_is_not_there_or_was_never_held_is_free() -> None:
    """The first replica of an installation does not wait."""
    assert Outlook(ME).wait(None, 100) == 0
    assert Outlook(ME).wait(BLANK, 100) == 0


def test_a_lease_is_free_when_it_did_not_change_for_its_duration_on_our_clock() -> None:
    """What is counted begins when it was first seen like this, not at the time that stands in it."""
    outlook = Outlook(ME)
    assert [outlook.wait(HELD, now) for now in (100, 102, 114.5, 115, 200)] == [15, 13, 0.5, 0, 0]


def test_each_change_begins_the_wait_anew() -> None:
    """A holder that renews is never robbed, whatever its wall clock writes."""
    outlook = Outlook(ME)
    outlook.wait(HELD, 100)
    assert outlook.wait(RENEWED, 114) == 15
    assert outlook.wait(HELD, 128) == 15  # its clock was set back: a change all the same


@pytest.mark.parametrize(("stated", "wait"), [(60, 60), (15, 15), (1, 15), (0, 15)])
def test_the_longer_of_both_durations_counts(stated: int, wait: float) -> None:
    """The holder's promise, if that is longer; a short one that a person wrote robs nobody."""
    assert Outlook(ME).wait(replace(HELD, seconds=stated), 100) == wait


def test_a_lease_that_was_given_back_is_free_at_once() -> None:
    """A standby does not wait for a holder that said good-bye."""
    outlook = Outlook(ME)
    outlook.wait(HELD, 100)
    assert outlook.wait(RELEASED, 101) == 0


@pytest.mark.parametrize("now_says", [None, BLANK])
def test_what_was_deleted_was_not_given_back(now_says: Record | None) -> None:
    """Its holder may write until it notices: the others wait as long as if nothing had been done."""
    outlook = Outlook(ME)
    outlook.wait(HELD, 100)
    assert [outlook.wait(now_says, now) for now in (105, 115)] == [10, 0]


def test_what_was_emptied_by_hand_was_not_given_back() -> None:
    """No holder releases with its whole duration; the wait begins with the edit, also for who sees it first."""
    assert Outlook(ME).wait(EMPTIED, 100) == 15


def test_our_own_claim_is_ours_at_once() -> None:
    """A claim whose answer was lost may have been carried out."""
    outlook = Outlook(ME)
    outlook.wait(None, 100)
    outlook.asks()
    assert outlook.wait(claimed(None, ME, NOW), 101) == 0


def test_a_lease_that_names_us_unasked_is_not_ours() -> None:
    """Somebody edited it; its last holder may not know yet, so we wait as for anybody's."""
    outlook = Outlook(ME)
    assert outlook.wait(replace(HELD, holder="me"), 100) == 15


def test_a_claim_that_was_lost_is_forgotten() -> None:
    """Another won; a Lease that names us after that was edited too."""
    outlook = Outlook(ME)
    outlook.wait(None, 100)
    outlook.asks()
    outlook.wait(HELD, 101)
    assert outlook.wait(replace(HELD, holder="me"), 105) == 15


def test_the_first_claim() -> None:
    """As client-go writes it."""
    first = claimed(None, ME, NOW)
    assert first == Record("me", 15, "2026-11-23T12:00:00.000050Z", "2026-11-23T12:00:00.000050Z", 0)


def test_a_renewal_changes_the_renewal_time_alone() -> None:
    """So `kubectl get lease -o yaml` says since when somebody leads."""
    first = claimed(None, ME, NOW)
    assert claimed(first, ME, LATER) == replace(first, renewed="2026-11-23T12:00:02.000050Z")


def test_taking_over_counts_a_transition() -> None:
    """From another, after a release, and of a Lease that was made by hand."""
    for before, transitions in ((HELD, 4), (RELEASED, 4), (BLANK, 1)):
        taken = claimed(before, ME, NOW)
        assert (taken.holder, taken.transitions, taken.acquired) == ("me", transitions, taken.renewed)


def test_a_renewal_repairs_what_was_removed_by_hand() -> None:
    """An empty time would be refused by the API server."""
    assert claimed(Record("me", 15), ME, NOW).acquired == "2026-11-23T12:00:00.000050Z"


def test_a_release_names_nobody_and_keeps_the_count() -> None:
    """Duration 1, for the API server refuses 0."""
    assert (RELEASED.holder, RELEASED.seconds, RELEASED.transitions) == ("", 1, 3)


def test_micro_time_is_utc_with_six_digits() -> None:
    """The only form that the API server takes, also at a full second and in another zone."""
    assert micro_time(datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))) == "2026-01-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("lease", "renew", "retry", "problem"),
    [
        (10, 10, 2, "the lease duration must be longer than the renew deadline"),
        (15, 2.4, 2, "the renew deadline must be longer than 1.2 retry periods"),
        (15, 10, 0, "the retry period must be positive"),
    ],
)
def test_durations_with_which_two_could_lead_are_refused(
    lease: float, renew: float, retry: float, problem: str
) -> None:
    """The holder must have ceased before another may begin, and must be able to fail once."""
    with pytest.raises(ValueError, match=problem):
        Timing(timedelta(seconds=lease), timedelta(seconds=renew), timedelta(seconds=retry))


def test_a_duration_is_stated_in_whole_seconds_and_never_shorter() -> None:
    """The field is an integer; who waits too long robs nobody."""
    assert Timing(timedelta(seconds=10.5)).seconds == 11
