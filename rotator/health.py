"""Whether this process makes progress (`/healthz`), and whether it does its work (`/readyz`).

Neither asks a cloud, a registry or the API server: a restart mends none of them, and would lose what is in memory.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from http import HTTPStatus

from rotator.serving import Answer, Page

Condition = Callable[[], str]
"""Says what is missing; "" when nothing is. It is asked from any thread and at any time, and may wait for nothing."""

LONGEST_GAP = timedelta(seconds=5)
"""After so long without a single sign of life the whole process had stopped, or the machine. Loops that beat each
second are signs enough."""


class _Signs:
    """The signs of life of all loops together: they tell one that hangs from a process that was stopped."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last = self._woke = clock()
        self._beaten = True  # since it woke

    def beat(self) -> float:
        """A loop is alive: now, in seconds."""
        with self._lock:
            self._look()
            self._beaten = True
            return self._last

    def silence(self, heard: float) -> float:
        """Seconds since then, or since the process woke."""
        with self._lock:
            self._look()
            return self._last - max(heard, self._woke)

    def _look(self) -> None:
        """Who looks is a sign too. Two gaps without a beat between them are no sleep: then nothing beats any more."""
        now = self._clock()
        if now - self._last > LONGEST_GAP.total_seconds() and self._beaten:
            self._woke, self._beaten = now, False
        self._last = now


class Loop:
    """One loop that has to make progress."""

    def __init__(self, silence: timedelta, signs: _Signs) -> None:
        self._longest = silence.total_seconds()
        self._signs = signs
        self._heard = signs.beat()
        self._resting: threading.Thread | None = None

    def beat(self) -> None:
        """It has made progress, and goes on."""
        self._heard, self._resting = self._signs.beat(), None

    def rest(self) -> None:
        """It waits for something to do, from now to its next beat: for any time, as long as its thread lives."""
        self._heard, self._resting = self._signs.beat(), threading.current_thread()

    def trouble(self) -> str:
        """What is wrong with it; "" for nothing."""
        if resting := self._resting:
            return "" if resting.is_alive() else "its thread has ended"
        silent = self._signs.silence(self._heard)
        return f"silent for {silent:.0f} s, at most {self._longest:g} s are sound" if silent > self._longest else ""


class Health:
    """The loops and conditions, by name. `clock` gives seconds that never run backwards. Thread-safe."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._signs = _Signs(clock)
        self._lock = threading.Lock()
        self._loops: dict[str, Loop] = {}
        self._conditions: dict[str, Condition] = {}

    def loop(self, name: str, silence: timedelta) -> Loop:
        """Expect a sign of life of this loop, from now on and never longer apart than this."""
        loop = Loop(silence, self._signs)
        with self._lock:
            self._loops[name] = loop
        return loop

    def require(self, name: str, condition: Condition) -> None:
        """Be ready only while this condition holds."""
        with self._lock:
            self._conditions[name] = condition

    @property
    def pages(self) -> Mapping[str, Page]:
        """What a server serves."""
        return {"/healthz": lambda _: self.healthz(), "/readyz": lambda _: self.readyz()}

    def healthz(self) -> Answer:
        """200 while every loop makes progress."""
        with self._lock:
            loops = dict(self._loops)
        return _told("healthz", {name: loop.trouble() for name, loop in loops.items()})

    def readyz(self) -> Answer:
        """200 while every condition holds."""
        with self._lock:
            conditions = dict(self._conditions)
        return _told("readyz", {name: _missing(condition) for name, condition in conditions.items()})


def _missing(condition: Condition) -> str:
    try:
        return condition()
    except Exception as error:  # noqa: BLE001  (whoever cannot say that it is ready is not)
        return f"{type(error).__name__} when it was asked"


def _told(name: str, troubles: Mapping[str, str]) -> Answer:
    """One line each, as kube-apiserver writes them for `?verbose`, and one for them all."""
    lines = [f"[-]{part} failed: {trouble}" if trouble else f"[+]{part} ok" for part, trouble in troubles.items()]
    failed = any(troubles.values())
    lines.append(f"{name} check {'failed' if failed else 'passed'}")
    status = HTTPStatus.SERVICE_UNAVAILABLE if failed else HTTPStatus.OK
    return Answer(status, "".join(f"{line}\n" for line in lines).encode())
