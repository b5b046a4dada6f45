"""Whoever is told what the daemon does: Prometheus by numbers, and the people beside an object by Kubernetes Events."""

from collections.abc import Callable, Sequence

from rotator.eventing import Eventing
from rotator.metrics import Metrics
from rotator.model import Change
from rotator.probe import Verdict
from rotator.rotation import Report


class Witnesses:
    """An observer of the pass that tells both, and what only a daemon sees besides."""

    def __init__(self, metrics: Metrics, eventing: Eventing, leads: Callable[[], bool] = lambda: True) -> None:
        self._metrics = metrics
        self._eventing = eventing
        self._leads = leads

    def minted(self, registry: str, result: str, seconds: float) -> None:
        """As `Observer`."""
        self._metrics.minted(registry, result, seconds)

    def probed(self, registry: str, verdict: Verdict, seconds: float) -> None:
        """As `Observer`."""
        self._metrics.probed(registry, verdict, seconds)

    def passed(self, report: Report, seconds: float) -> None:
        """As `Observer`; but what a pass left whose lead was lost on the way, the next leader knows better."""
        if self._leads():
            self._metrics.passed(report, seconds)
            self._eventing.passed(report)

    def lead_changed(self) -> None:
        """This process began to lead, or ceased to."""
        if not self._leads():
            self._metrics.stood_down()

    def healed(self, seconds: float) -> None:
        """A namespace that asked for a pass has had it, so long after it was first heard of."""
        self._metrics.healed(seconds)

    def contested(self, change: Change, managers: Sequence[str]) -> None:
        """Somebody changes this object back again and again: these field managers, as far as they are known."""
        self._metrics.contested(change, managers)
        self._eventing.contested(change, managers)


def nobody() -> Witnesses:
    """Witnesses whom nobody asks."""
    return Witnesses(Metrics(), Eventing(lambda _event: None))
