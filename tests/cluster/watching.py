"""Who listens to a reflector in the tests, how it is made not to wait, and how it is run."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

from rotator.cluster.login import log_in
from rotator.cluster.transport import Transport
from rotator.cluster.watch import LENGTH, Reflector, Seen
from rotator.scopes import Scope
from tests.waiting import eventually

SECOND = timedelta(seconds=1)


class Ear:
    """Keeps what it is told. `fail_next` makes it a defective hearer, once."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.resyncs = 0
        self.fail_next = False

    def changed(self, seen: Seen) -> None:
        """One more event."""
        if self.fail_next:
            self.fail_next = False
            raise ZeroDivisionError
        self.seen.append(seen)

    def resync(self, _scope: Scope) -> None:
        """One more resync."""
        self.resyncs += 1

    @property
    def names(self) -> list[str]:
        """The objects that were heard of, in order."""
        return [seen.name for seen in self.seen]


class Pauses:
    """Takes every pause as taken after a moment, and keeps what it was: many tries in little time."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    def __call__(self, stopping: threading.Event, seconds: float) -> None:
        """Rest."""
        self.taken.append(seconds)
        stopping.wait(min(seconds, 0.005))


class Following:
    """A reflector at work."""

    def __init__(self, reflector: Reflector, ear: Ear, pauses: Pauses) -> None:
        self.reflector = reflector
        self.ear = ear
        self.pauses = pauses

    def await_sync(self) -> None:
        """Wait until a watch is accepted: from now on every change is heard as it comes."""
        eventually(lambda: self.reflector.health.synced, "the reflector is in sync")

    def await_name(self, name: str) -> None:
        """Wait until something of this name was heard of."""
        eventually(lambda: name in self.ear.names, f"a change of {name} is heard")

    def await_turns(self, turns: int) -> list[float]:
        """Wait for so many turns, and give the pauses after them."""
        eventually(lambda: len(self.pauses.taken) >= turns, f"{turns} turns")
        return self.pauses.taken[:turns]


@contextmanager
def following(
    kubeconfig: Path,
    scope: Scope,
    *,
    draw: float = 0.0,
    length: timedelta = LENGTH,
    grace: timedelta = timedelta(seconds=30),
    timeout: timedelta = timedelta(seconds=10),
) -> Iterator[Following]:
    """A reflector that follows the scope, takes no pause to its end, and must end with the test."""
    with closing(Transport(partial(log_in, kubeconfig, None), workers=1, timeout=timeout, deadline=timeout)) as way:
        ear, pauses = Ear(), Pauses()
        reflector = Reflector(way, scope, ear, lambda: draw, length=length, grace=grace, rest=pauses)
        reflector.start()
        try:
            yield Following(reflector, ear, pauses)
        finally:
            reflector.stop()
            assert reflector.join(SECOND * 10), "the reflector did not end"
