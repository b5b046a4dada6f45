"""Who counts what the pass does: it is told, and nothing that it does with that matters to the pass."""

from typing import Protocol

from rotator.probe import Verdict
from rotator.rotation.report import Report

OK = "ok"
"""The result of a mint that gave a credential; of any other it is the error's reason."""


class Observer(Protocol):
    """Told from the threads in which it happens: it must not take long, and not raise. All durations in seconds."""

    def minted(self, registry: str, result: str, seconds: float) -> None:
        """The registry's cloud gave a credential (`OK`), or an error of this reason."""

    def probed(self, registry: str, verdict: Verdict, seconds: float) -> None:
        """One host of the registry was shown a new credential."""

    def passed(self, report: Report, seconds: float) -> None:
        """A pass came to its end."""


class _Silent:
    """Counts nothing."""

    def minted(self, registry: str, result: str, seconds: float) -> None:
        """Nobody counts."""

    def probed(self, registry: str, verdict: Verdict, seconds: float) -> None:
        """Nobody counts."""

    def passed(self, report: Report, seconds: float) -> None:
        """Nobody counts."""


SILENT: Observer = _Silent()
