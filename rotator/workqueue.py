"""A queue of keys: each stands in it once, however often it is added, and one worker at a time has it.

What is added while a worker has it comes again afterwards; what failed comes again, later each time. So a burst of
events about one namespace is one pass, and a namespace that cannot be served holds up no other.
"""

import heapq
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Work:
    """A key to work on now; `since` is when it was first asked for, in seconds of the queue's clock."""

    key: str
    since: float


class Workqueue:
    """Thread-safe. `clock` gives seconds that never run backwards."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._wanted: dict[str, tuple[float, float]] = {}  # by key: not before, and asked for since
        self._order: list[tuple[float, str]] = []  # a heap; an item whose time is not the key's any more is stale
        self._taken: dict[str, float] = {}  # and asked for since
        self._failures: dict[str, int] = {}
        self._closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        """How many keys wait, those in a pause included."""
        return len(self._wanted)

    def add(self, key: str, after: timedelta = timedelta(0)) -> None:
        """Ask for this key, not before this pause is over; of several requests the earliest counts.

        None of them shortens the pause after a failure.
        """
        with self._changed:
            at, _ = self._wanted.get(key, (float("inf"), None))
            paused = key in self._wanted and key in self._failures
            if not paused and self._clock() + after.total_seconds() < at:
                self._want(key, after, self._clock())

    def take(self) -> Work | None:
        """Block until a key is due, and have it until it is `done`. None: the queue is closed."""
        with self._changed:
            while not self._closed:
                pause = self._pause()
                if pause == 0:
                    return self._pop()
                self._changed.wait(pause)
            return None

    def pause(self) -> timedelta | None:
        """How long until a key is due; None: nothing waits."""
        with self._changed:
            pause = self._pause()
        return None if pause is None else timedelta(seconds=pause)

    def done(self, key: str, *, failed: bool = False) -> None:
        """Give the key back; one that failed is asked for again, after a pause that doubles each time."""
        with self._changed:
            since = self._taken.pop(key)
            failures = self._failures.pop(key, 0)
            if failed:
                self._failures[key] = failures + 1
                pause = min(FIRST_PAUSE * (1 << min(failures, 20)), LONGEST_PAUSE)
                self._want(key, pause, since)
            elif key in self._wanted:
                self._put(key)

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _want(self, key: str, after: timedelta, since: float) -> None:
        _, earlier = self._wanted.get(key, (None, since))
        self._wanted[key] = self._clock() + after.total_seconds(), min(since, earlier)
        if key not in self._taken:
            self._put(key)

    def _put(self, key: str) -> None:
        heapq.heappush(self._order, (self._wanted[key][0], key))
        self._changed.notify()

    def _pause(self) -> float | None:
        while self._order and self._is_stale(*self._order[0]):
            heapq.heappop(self._order)
        return max(self._order[0][0] - self._clock(), 0) if self._order else None

    def _is_stale(self, at: float, key: str) -> bool:
        """What is taken is put again when it is done."""
        return key in self._taken or self._wanted.get(key, (None,))[0] != at

    def _pop(self) -> Work:
        _, key = heapq.heappop(self._order)
        _, since = self._wanted.pop(key)
        self._taken[key] = since
        return Work(key, since)
