"""How fast a fan-out goes when nothing presses: no faster than configured, and well within the time that is left.

Other clients write to the same API server and the same etcd, and to them ten thousand writes in one go are a burst.
"""

import threading
from collections.abc import Callable
from datetime import timedelta

SHARE = 0.1
"""Of the time until the first credential expires, a paced fan-out takes so much at most: the rest is for failures."""

LOOK = 0.1
"""Seconds between two looks whether there is reason to hurry."""


def gap(writes: int, per_second: int, left: timedelta) -> float:
    """Seconds from one of so many writes to the next, when so much time is left until the first must be done."""
    return min(1 / per_second, max(left.total_seconds(), 0) * SHARE / max(writes, 1))


class Pace:
    """Gives writers their turns, `gap` seconds apart, until `hurries` says that somebody waits for the end."""

    def __init__(
        self,
        gap: float,
        hurries: Callable[[], bool],
        seconds: Callable[[], float],
        sleep: Callable[[float], object],
    ) -> None:
        self._gap = gap
        self._hurries = hurries
        self._seconds = seconds
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = seconds()

    @property
    def is_early(self) -> bool:
        """Whether the next turn has not come yet, and would be waited for."""
        return self._next > self._seconds() and not self._hurries()

    def keep(self) -> None:
        """Wait for the next turn. A turn that nobody took in time is not made up for."""
        with self._lock:
            turn = max(self._next, self._seconds())
            self._next = turn + self._gap
        while (left := turn - self._seconds()) > 0 and not self._hurries():
            self._sleep(min(left, LOOK))
