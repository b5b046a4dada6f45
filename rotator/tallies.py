"""Counts and durations by the values of their labels, as families of Prometheus.

The series that exist are settled beforehand, by their first label: each begins at 0, so that the first event is an
increase, and what is told of a first label that is not there (any more) makes no series. Not thread-safe.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Generic, TypeVar

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily

Values = tuple[str, ...]
"""The values of the labels of one series, in the order of their names."""

T = TypeVar("T")


class _Series(Generic[T]):
    """What is kept for each series; `blank` makes it for a new one."""

    def __init__(self, blank: Callable[[], T]) -> None:
        self._blank = blank
        self._kept: dict[Values, T] = {}
        self._firsts: set[Values] = set()

    def settle(self, wanted: Iterable[Values]) -> None:
        """Drop the series whose first label is none of these, and begin those that are new."""
        new = {values: self._blank() for values in wanted}
        self._firsts = {values[:1] for values in new}
        self._kept = new | {values: kept for values, kept in self if values[:1] in self._firsts}

    def of(self, values: Values) -> T | None:
        """What is kept for this series; None: its first label is not known."""
        return self._kept.setdefault(values, self._blank()) if values[:1] in self._firsts else None

    def __iter__(self) -> Iterator[tuple[Values, T]]:
        return iter(self._kept.items())


class _Sum:
    """A number that only grows."""

    def __init__(self) -> None:
        self.value = 0


class Tally:
    """Counts events. The name ends in `_total`."""

    def __init__(self, name: str, text: str, *labels: str) -> None:
        self._head = name, text
        self._labels = labels
        self._series = _Series(_Sum)

    def settle(self, wanted: Iterable[Values]) -> None:
        """From now on there are series for the first labels of these alone; those that are new begin at 0."""
        self._series.settle(wanted)

    def add(self, *values: str) -> None:
        """Count one event."""
        if found := self._series.of(values):
            found.value += 1

    def family(self) -> CounterMetricFamily:
        """As it stands."""
        family = CounterMetricFamily(*self._head, labels=self._labels)
        for values, found in self._series:
            family.add_metric(values, found.value)
        return family


class _Spread:
    """How many durations fell into each bucket, the last of which has no bound, and their sum."""

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.sum = 0.0


class Durations:
    """A histogram of seconds. `bounds` are the upper ones of its buckets, in rising order."""

    def __init__(self, name: str, text: str, bounds: Sequence[float], *labels: str) -> None:
        self._head = name, text
        self._labels = labels
        self._bounds = bounds
        self._series = _Series(lambda: _Spread(len(bounds) + 1))

    def settle(self, wanted: Iterable[Values]) -> None:
        """From now on there are series for the first labels of these alone; those that are new begin at 0."""
        self._series.settle(wanted)

    def note(self, seconds: float, *values: str) -> None:
        """Count one duration."""
        if found := self._series.of(values):
            found.counts[bisect_left(self._bounds, seconds)] += 1
            found.sum += seconds

    def family(self) -> HistogramMetricFamily:
        """As it stands."""
        family = HistogramMetricFamily(*self._head, labels=self._labels, unit="seconds")
        ends = (*map(str, map(float, self._bounds)), "+Inf")
        for values, found in self._series:
            family.add_metric(values, list(zip(ends, accumulate(found.counts), strict=True)), found.sum)
        return family
