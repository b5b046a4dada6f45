"""How many writes go out at a time: as many as there are writers, and fewer while the API server is slow.

A server that throttles (429) says when to come again, and whoever sends waits for that: so throttling shows as slowness
too. An answer later than half of what Kubernetes promises of a write (SLI "mutating API calls": 1 s for 99 %, see
kubernetes/community, sig-scalability/slos) says that more in flight would only wait in the server's queue, in which
other clients wait too; then half as many go out, and one more with each round that is fast. What fails without an
answer says nothing of a queue.
"""

import threading
from collections.abc import Callable

SLOW = 0.5
"""Seconds of a write from which on the server has enough to do."""


class Flow:
    """Tells each of the writers, numbered from 0, whether it may go on. `clock` gives seconds, never backwards."""

    def __init__(self, writers: int, clock: Callable[[], float]) -> None:
        self._writers = writers
        self._clock = clock
        self._width = float(writers)
        self._slower_from = float("-inf")
        self._changed = threading.Condition()
        self._ended = False

    @property
    def width(self) -> int:
        """How many may write now: one at least."""
        return int(self._width)

    def join(self, number: int) -> bool:
        """Wait until this writer may go on. False: there is nothing left to do."""
        if number < self.width:
            return not self._ended
        with self._changed:
            self._changed.wait_for(lambda: self._ended or number < self.width)
            return not self._ended

    def note(self, began: float, writes: int) -> None:
        """So many writes, one after the other, began then, by the clock, and are answered."""
        now = self._clock()
        with self._changed:
            if now - began > SLOW * writes:
                self._narrow(began, now)
            elif self._width < self._writers:
                self._width = min(self._width + 1 / self._width, self._writers)
                self._changed.notify_all()

    def end(self) -> None:
        """Let nobody wait any longer."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _narrow(self, began: float, now: float) -> None:
        """Once for all writes that were under way together: each of them was slow for the same reason."""
        if began >= self._slower_from:
            self._width = max(self._width / 2, 1.0)
            self._slower_from = now
