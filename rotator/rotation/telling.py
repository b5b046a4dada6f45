"""Tells in the log what a pass found and did not put right: each trouble when it appears or changes, not every pass.

What a pass does is logged where it is done; this is for the rest: a foreign Secret, a reference that is only verified,
an object that could not be read. Off a terminal the log is all that a person sees.
"""

import math
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Generic, TypeVar

import structlog

from rotator.rotation.report import Outcome, Report, Result, log_fields

log = structlog.get_logger("rotator.findings")

_TOLD = frozenset(
    {
        Outcome.WRITTEN,
        Outcome.ATTACHED,
        Outcome.DETACHED,
        Outcome.REMOVED,
        Outcome.GONE,
        Outcome.FAILED,
        Outcome.WAITING,
    }
)
"""Outcomes that were logged when they came about; what waits for a registry was, once, with that registry's failure."""

Key = tuple[str, str, str]
"""The namespace, the object and the pull secret that a trouble is about."""

Gist = tuple[str, ...]
"""What makes it another trouble when it changes."""

K = TypeVar("K")


class Told(Generic[K]):
    """Remembers which troubles were told: each once, and anew when it changes or comes back. Thread-safe.

    With `again` also when it was told so long ago, or by a clock that was set since.
    """

    def __init__(self, *, again: timedelta | None = None) -> None:
        self._again = again.total_seconds() if again else math.inf
        self._told: dict[K, tuple[Gist, float]] = {}
        self._lock = threading.Lock()

    def fresh(self, found: Mapping[K, Gist], looked_at: Callable[[K], bool], now: float = 0.0) -> list[K]:
        """Which of these are to be told at `now`, in seconds.

        What was `looked_at` and is not found any more is forgotten, so that it is told if it returns.
        """
        with self._lock:
            fresh = [key for key, gist in found.items() if self._is_fresh(key, gist, now)]
            kept = {key: told for key, told in self._told.items() if key in found or not looked_at(key)}
            self._told = kept | {key: (found[key], now) for key in fresh}
        return fresh

    def _is_fresh(self, key: K, gist: Gist, now: float) -> bool:
        told = self._told.get(key)
        return told is None or told[0] != gist or abs(now - told[1]) >= self._again


class Teller:
    """Tells reports, and remembers what it has told. Thread-safe."""

    def __init__(self) -> None:
        self._told: Told[Key] = Told()

    def tell(self, report: Report) -> None:
        """Log what is new or different in this report."""
        found = {_key(result): result for result in report.notable() if result.outcome not in _TOLD}
        gists = {key: _gist(result) for key, result in found.items()}
        for key in self._told.fresh(gists, lambda key: report.snapshot.only in {None, key[0]}):
            _log(found[key])


def _key(result: Result) -> Key:
    subject = result.change.subject
    return subject.namespace, str(subject), result.change.pull_secret


def _gist(result: Result) -> Gist:
    """What is told of a result."""
    return result.change.state, result.outcome, result.change.message


def _log(result: Result) -> None:
    change = result.change
    say = log.warning if result.failed else log.info
    say("object.judged", **log_fields(change), outcome=str(result.outcome), message=change.message)
