"""Tells in the log what a pass found and did not put right: each trouble when it appears or changes, not every pass.

What a pass does is logged where it is done; this is for the rest: a foreign Secret, a reference that is only verified,
an object that could not be read. Off a terminal the log is all that a person sees.
"""

import threading

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

Key = tuple[str, str]


class Teller:
    """Remembers what it has told. Thread-safe."""

    def __init__(self) -> None:
        self._told: dict[Key, tuple[str, ...]] = {}
        self._lock = threading.Lock()

    def tell(self, report: Report) -> None:
        """Log what is new or different in this report; what is gone is forgotten, so that it is told if it returns."""
        found = {_key(result): result for result in report.notable() if result.outcome not in _TOLD}
        with self._lock:
            fresh = [result for key, result in found.items() if self._told.get(key) != _gist(result)]
            kept = {} if report.snapshot.only is None else self._told
            self._told = kept | {key: _gist(result) for key, result in found.items()}
        for result in fresh:
            _log(result)


def _key(result: Result) -> Key:
    return str(result.change.subject), result.change.pull_secret


def _gist(result: Result) -> tuple[str, ...]:
    return result.change.state, result.outcome, result.change.message


def _log(result: Result) -> None:
    change = result.change
    say = log.warning if result.failed else log.info
    say("object.judged", **log_fields(change), outcome=str(result.outcome), message=change.message)
