"""Misfortunes that a test or the demo can switch on while the server runs."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rotator.sandbox.apiserver.status import internal

GLANCE = 0.01  # seconds between looks whether the client is still there


class TooManyRequests(Exception):
    """429 as priority and fairness gives it: plain text and Retry-After, no Status."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("Too many requests, please try again later.")
        self.retry_after = retry_after


@dataclass
class Faults:
    """What goes wrong now.

    `down`: connections are closed without an answer (for refused ones, stop the server). `delay`: seconds before each
    answer. `forbidden_namespaces`: 403 for every request within them. `spared`: users whom nothing of this befalls.
    """

    down: bool = False
    delay: float = 0.0
    forbidden_namespaces: set[str] = field(default_factory=set)
    spared: set[str] = field(default_factory=set)
    _throttled: int = 0
    _retry_after: int = 1
    _failing: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def throttle(self, requests: int, retry_after: int = 1) -> None:
        """Answer the next requests with 429; `retry_after` in seconds."""
        with self._lock:
            self._throttled, self._retry_after = requests, retry_after

    def fail(self, requests: int) -> None:
        """Answer the next requests with 500."""
        with self._lock:
            self._failing = requests

    def check(self, gone: Callable[[], bool]) -> None:
        """Wait, and raise what this request meets: ConnectionAbortedError, TooManyRequests or a StatusError (500)."""
        end = time.monotonic() + self.delay
        while time.monotonic() < end and not gone():
            time.sleep(GLANCE)
        if self.down:
            raise ConnectionAbortedError
        with self._lock:
            if self._throttled:
                self._throttled -= 1
                raise TooManyRequests(self._retry_after)
            if self._failing:
                self._failing -= 1
                failure = internal("etcdserver: request timed out")
                raise failure
