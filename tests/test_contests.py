"""Objects that are changed back again and again are left alone for longer each time."""

from datetime import timedelta

from rotator.contests import FREE, LONGEST_PAUSE, WINDOW, Contests
from rotator.model import Kind, Subject

OURS = Subject(Kind.SERVICE_ACCOUNT, "team-a", "workers")
OTHER = Subject(Kind.SERVICE_ACCOUNT, "team-b", "workers")


class Clock:
    """Seconds that a test moves on."""

    now = 1000.0

    def __call__(self) -> float:
        """Now."""
        return self.now


def test_the_first_repairs_are_free_and_each_further_one_costs_twice_the_pause() -> None:
    """2, 4, 8 … seconds, and never more than the longest."""
    contests = Contests(Clock())
    pauses = [contests.note(OURS).total_seconds() for _ in range(14)]
    assert pauses[:5] == [0, 0, 2, 4, 8]
    assert pauses[-1] == LONGEST_PAUSE.total_seconds()
    assert contests.note(OTHER) == timedelta(0)


def test_a_war_without_end_costs_no_more_than_the_longest_pause() -> None:
    """However many repairs there were within the window: sweeps go on making them, pause or not."""
    contests = Contests(Clock())
    assert {contests.note(OURS) for _ in range(1100)} <= {timedelta(seconds=2**n) for n in range(1, 9)} | {
        timedelta(0),
        LONGEST_PAUSE,
    }


def test_an_object_is_paused_until_its_pause_is_over() -> None:
    """And no other with it."""
    clock = Clock()
    contests = Contests(clock)
    for _ in range(FREE):
        contests.note(OURS)
    assert contests.is_paused(OURS)
    assert not contests.is_paused(OTHER)
    clock.now += 2
    assert not contests.is_paused(OURS)


def test_a_namespace_rests_until_the_first_pause_in_it_is_over() -> None:
    """Then the object may be looked at again; where nothing is left alone there is nothing to wait for."""
    clock = Clock()
    contests = Contests(clock)
    assert contests.rest("team-a") == timedelta(0)
    for _ in range(FREE + 1):
        contests.note(OURS)
    second = Subject(Kind.SECRET, "team-a", "worker-pull")
    for _ in range(FREE):
        contests.note(second)
    clock.now += 0.5
    assert contests.rest("team-a") == timedelta(seconds=1.5)
    assert contests.rest("team-b") == timedelta(0)
    clock.now += 1.5
    assert contests.rest("team-a") == timedelta(seconds=2)
    clock.now += 2
    assert contests.rest("team-a") == timedelta(0)


def test_what_is_at_stake_is_known_before_the_repair_that_is_paused() -> None:
    """The repair takes the fields from whoever changed them, so who that is must be asked before."""
    clock = Clock()
    contests = Contests(clock)
    contests.note(OURS)
    assert contests.at_stake("team-a") == []
    contests.note(OURS)
    assert contests.at_stake("team-a") == [OURS]
    assert contests.at_stake("team-b") == []
    clock.now += WINDOW.total_seconds() + 1
    assert contests.at_stake("team-a") == []


def test_what_is_long_ago_is_forgotten() -> None:
    """A repair now and then is no war, and nothing is kept of objects that are gone."""
    clock = Clock()
    contests = Contests(clock)
    for _ in range(10):
        assert contests.note(OURS) == timedelta(0)
        clock.now += WINDOW.total_seconds() / 2 + 1
    for _ in range(FREE):
        contests.note(OURS)
    clock.now += WINDOW.total_seconds() + 1
    contests.note(OTHER)
    assert OURS not in contests._repairs  # noqa: SLF001
    assert OURS not in contests._paused_until  # noqa: SLF001
