"""A fan-out takes its time when nothing presses, and only then."""

from datetime import timedelta

import pytest

from rotator.rotation.pace import SHARE, Pace, gap


class Hand:
    """A clock that moves by the sleeps alone."""

    def __init__(self) -> None:
        self.now = 100.0

    def seconds(self) -> float:
        """As it stands."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let so much time pass."""
        self.now += seconds


def turns(pace: Pace, hand: Hand, times: int) -> list[float]:
    """When so many turns came, in seconds from now."""
    began, found = hand.now, []
    for _ in range(times):
        pace.keep()
        found.append(hand.now - began)
    return found


def test_with_time_enough_it_goes_as_configured() -> None:
    """A token with hours left does not make a burst."""
    assert gap(10_000, 100, timedelta(hours=6)) == 0.01


def test_with_less_time_it_ends_in_a_small_share_of_it() -> None:
    """So that a failure may still be tried again."""
    assert gap(10_000, 100, timedelta(minutes=5)) * 10_000 == pytest.approx(SHARE * 300)


@pytest.mark.parametrize("left", [timedelta(0), timedelta(minutes=-1)])
def test_with_none_left_it_does_not_wait(left: timedelta) -> None:
    """Whatever expired is written at once."""
    assert gap(10_000, 1, left) == 0


def test_turns_come_one_after_the_other() -> None:
    """The first at once."""
    hand = Hand()
    pace = Pace(0.25, lambda: False, hand.seconds, hand.sleep)
    assert turns(pace, hand, 4) == pytest.approx([0, 0.25, 0.5, 0.75])


def test_before_its_turn_it_is_early() -> None:
    """And not with the first one, or in a hurry, or when the turn has come."""
    hand, hurry = Hand(), [False]
    pace = Pace(0.25, lambda: hurry[0], hand.seconds, hand.sleep)
    seen = [pace.is_early]
    pace.keep()
    seen.append(pace.is_early)
    hurry[0] = True
    seen.append(pace.is_early)
    hurry[0] = False
    hand.sleep(0.25)
    assert [*seen, pace.is_early] == [False, True, False, False]


def test_a_slow_time_is_not_made_up_for() -> None:
    """After it the writes would come in a burst."""
    hand = Hand()
    pace = Pace(0.25, lambda: False, hand.seconds, hand.sleep)
    pace.keep()
    hand.sleep(10)
    assert turns(pace, hand, 3) == pytest.approx([0, 0.25, 0.5])


def test_who_is_waited_for_hurries() -> None:
    """In the middle of a turn as well."""
    hand = Hand()
    pace = Pace(60, lambda: hand.now >= 101, hand.seconds, hand.sleep)
    assert turns(pace, hand, 5)[-1] == pytest.approx(1, abs=0.11)
