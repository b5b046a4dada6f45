"""Objects that somebody changes back again and again: each repair waits longer than the one before.

Two programs that both insist would otherwise write as fast as the API server lets them. A sweep repairs in any case.
"""

import threading
from collections import deque
from collections.abc import Callable
from datetime import timedelta

from rotator.model import Subject

WINDOW = timedelta(minutes=10)
"""Repairs that are longer ago than this are forgotten."""

FREE = 3
"""So many repairs of one object within the window are made at once."""

MOST = 12
"""Repairs that are counted: enough for the longest pause."""

FIRST_PAUSE = timedelta(seconds=2)
LONGEST_PAUSE = timedelta(minutes=5)


class Contests:
    """Remembers repairs. `clock` gives seconds that never run backwards. Thread-safe."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._repairs: dict[Subject, deque[float]] = {}
        self._paused_until: dict[Subject, float] = {}

    def note(self, subject: Subject) -> timedelta:
        """Note a repair; how long to leave the object alone now: not at all after the first few."""
        now = self._clock()
        with self._lock:
            self._forget(now)
            repairs = self._repairs.setdefault(subject, deque(maxlen=MOST))
            repairs.append(now)
            if len(repairs) < FREE:
                return timedelta(0)
            pause = min(FIRST_PAUSE * (1 << (len(repairs) - FREE)), LONGEST_PAUSE)
            self._paused_until[subject] = now + pause.total_seconds()
            return pause

    def at_stake(self, namespace: str) -> list[Subject]:
        """The objects there whose next repair would not be free any more: now is the time to see who changed them."""
        with self._lock:
            self._forget(self._clock())
            return [
                subject
                for subject, repairs in self._repairs.items()
                if subject.namespace == namespace and len(repairs) >= FREE - 1
            ]

    def is_paused(self, subject: Subject) -> bool:
        """Whether it is still to be left alone."""
        with self._lock:
            return self._clock() < self._paused_until.get(subject, 0.0)

    def rest(self, namespace: str) -> timedelta:
        """How long until the first of those there that are left alone may be repaired again; 0: none is left alone."""
        with self._lock:
            now = self._clock()
            ends = [end for subject, end in self._paused_until.items() if subject.namespace == namespace and end > now]
            return timedelta(seconds=min(ends, default=now) - now)

    def _forget(self, now: float) -> None:
        """Drop what was repaired too long ago to count: objects come and go, and this must not grow."""
        gone = now - WINDOW.total_seconds()
        for subject, repairs in list(self._repairs.items()):
            while repairs and repairs[0] < gone:
                repairs.popleft()
            if not repairs:
                del self._repairs[subject]
                self._paused_until.pop(subject, None)
