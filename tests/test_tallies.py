"""Counts and durations: which series exist, and what stands in them."""

import pytest

from rotator.tallies import Durations, Tally


def values(counted: Tally | Durations) -> dict[tuple[str, ...], float]:
    """Name and label values of each series, and its value."""
    return {(sample.name, *sample.labels.values()): sample.value for sample in counted.family().samples}


def test_a_series_begins_at_0() -> None:
    """So that the first event is an increase."""
    tally = Tally("mints_total", "Mints.", "registry", "result")
    assert values(tally) == {}
    tally.settle([("prod", "ok"), ("images", "ok")])
    assert values(tally) == {("mints_total", "prod", "ok"): 0, ("mints_total", "images", "ok"): 0}


def test_events_are_counted_by_their_labels() -> None:
    """A second label that nobody foresaw has its series, too: a result may be new."""
    tally = Tally("mints_total", "Mints.", "registry", "result")
    tally.settle([("prod", "ok")])
    for result in ("ok", "Odd", "ok"):
        tally.add("prod", result)
    assert values(tally) == {("mints_total", "prod", "ok"): 2, ("mints_total", "prod", "Odd"): 1}


def test_what_left_is_dropped_and_what_stayed_goes_on() -> None:
    """Series that nobody foresaw included; one that comes back begins anew."""
    tally = Tally("mints_total", "Mints.", "registry", "result")
    tally.settle([("prod", "ok"), ("images", "ok")])
    for registry in ("prod", "images"):
        tally.add(registry, "ok")
        tally.add(registry, "Odd")
    tally.settle([("prod", "ok")])
    assert values(tally) == {("mints_total", "prod", "ok"): 1, ("mints_total", "prod", "Odd"): 1}
    tally.settle([("prod", "ok"), ("images", "ok")])
    assert values(tally)["mints_total", "images", "ok"] == 0


def test_a_late_event_of_what_left_makes_no_series() -> None:
    """A mint may end after its registry left the configuration."""
    tally = Tally("mints_total", "Mints.", "registry", "result")
    tally.settle([("prod", "ok")])
    tally.add("images", "ok")
    assert values(tally) == {("mints_total", "prod", "ok"): 0}
    durations = Durations("mint_seconds", "Mints.", (1,), "registry")
    durations.settle([])
    durations.note(1, "images")
    assert values(durations) == {}


def test_a_histogram_counts_up_to_each_bound() -> None:
    """Cumulatively, a bound belonging to its bucket (le: less or equal), with count and sum."""
    durations = Durations("mint_seconds", "Mints.", (0.5, 1, 5), "registry")
    durations.settle([("prod",)])
    for seconds in (0.1, 0.5, 0.6, 1, 5.1):
        durations.note(seconds, "prod")
    found = values(durations)
    assert [found["mint_seconds_bucket", "prod", end] for end in ("0.5", "1.0", "5.0", "+Inf")] == [2, 4, 4, 5]
    assert found["mint_seconds_count", "prod"] == 5
    assert found["mint_seconds_sum", "prod"] == pytest.approx(7.3)


def test_a_histogram_without_labels_has_one_series() -> None:
    """It begins at 0, too."""
    durations = Durations("heal_seconds", "Repairs.", (1,))
    durations.settle([()])
    assert values(durations)["heal_seconds_count",] == 0
    durations.note(2)
    assert values(durations)["heal_seconds_count",] == 1
