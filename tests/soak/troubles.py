"""When something was wrong, for whom, and so which failed pull is rotator's fault."""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from rotator.sandbox.demo.workers import Tally, Verdict
from rotator.sandbox.worker import Pull
from tests.soak.grounds import cloud_of

EVERYBODY = "cluster"
"""The concern of every pull: API server and replicas."""

CALM = 8.0
"""Seconds without a trouble in which rotator puts everything right: after an API server's failure it tries again in
five, and a lease of three is another replica's in four."""

HEALED = 5.0
"""Seconds in which what somebody did is mended where nothing else was wrong for `CALM` before: by the watches, for the
next renewal or sweep may be further away."""

RESOLUTION = 1.0
"""Notes of one trouble so close to each other are one stretch: the soak looks every tenth of a second."""


def shut(place: str) -> str:
    """The concern of each pull at a cloud's registries, or in a namespace, while none can succeed there."""
    return f"shut: {place}"


@dataclass
class Troubles:
    """Stretches of time in which something was wrong, by whom it concerns, and the last deed in each namespace."""

    _stretches: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    _deeds: dict[str, float] = field(default_factory=dict)
    _gone: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, concern: str, now: float, since: float | None = None) -> None:
        """Something is wrong now, or has been all the time `since` then."""
        began = now if since is None else since
        with self._lock:
            stretches = self._stretches.setdefault(concern, [])
            if stretches and began - stretches[-1][1] <= RESOLUTION:
                stretches[-1] = (stretches[-1][0], now)
            else:
                stretches.append((began, now))

    def deed(self, namespace: str, now: float) -> None:
        """Somebody took something from this namespace's Pods, or made it, or selected it anew."""
        with self._lock:
            self._deeds[namespace] = now
            self._gone.discard(namespace)

    def gone(self, namespace: str) -> None:
        """It is being deleted, or selected no more: nothing there is owed to anybody."""
        with self._lock:
            self._gone.add(namespace)

    def excuses(self, namespace: str, host: str, now: float, window: float, calm: float = CALM) -> bool:
        """Whether no valid credential could have been there for a Pod of this namespace.

        One could have been there if since the last deed in the namespace, and within the last `window` seconds (what
        has expired now was due all that time), there was a stretch of `calm` seconds in which nothing was wrong that it
        depends on: the API server answered, a replica that runs held the lead, the host's own cloud gave tokens and its
        registry took them. After a deed that fell into such a stretch, `HEALED` is enough. Whatever else happens
        meanwhile excuses nothing.
        """
        with self._lock:
            if namespace in self._gone:
                return True
            deed = self._deeds.get(namespace, 0.0)
            concerns = {EVERYBODY, cloud_of(host), namespace}
            wrong = [stretch for concern in concerns for stretch in self._stretches.get(concern, [])]
        if deed and now - deed > HEALED and all(ended < deed - CALM for _, ended in wrong):
            return False
        return longest_calm(wrong, max(now - window, deed), now) < calm

    def is_shut(self, namespace: str, host: str, now: float) -> bool:
        """Whether nobody can pull there just now, with any credential: its registry fails, or its Secret is taken."""
        with self._lock:
            stretches = [self._stretches.get(shut(place), []) for place in (namespace, cloud_of(host))]
        return any(each and now - each[-1][1] <= RESOLUTION for each in stretches)

    def is_failing(self, namespace: str, now: float) -> bool:
        """Whether the API server fails just now, for all or for this namespace."""
        with self._lock:
            ends = [self._stretches[concern][-1][1] for concern in (EVERYBODY, namespace) if concern in self._stretches]
        return any(now - end <= 2 * RESOLUTION for end in ends)

    def is_calm(self, now: float, seconds: float) -> bool:
        """Whether nothing was wrong for anybody for so long."""
        with self._lock:
            ends = [stretches[-1][1] for stretches in self._stretches.values()]
        return all(now - end > seconds for end in (*ends, *self._deeds.values()))


def longest_calm(wrong: Iterable[tuple[float, float]], since: float, until: float) -> float:
    """The longest time between `since` and `until` without any of these stretches, in seconds."""
    longest, calm_from = 0.0, since
    for began, ended in sorted(wrong):
        longest = max(longest, min(began, until) - calm_from)
        calm_from = max(calm_from, ended)
    return max(longest, until - calm_from)


class Judged(Tally):
    """A tally that knows no excuse but that no valid credential could have been there, or that none could help."""

    def __init__(self, troubles: Troubles, window: float) -> None:
        super().__init__()
        self._troubles = troubles
        self._window = window

    def count(self, pull: Pull, excuse: str | None) -> Verdict:
        """As the tally; a pull is judged when it ended."""
        if not pull.ok:
            excuse = excuse or self._reason(pull.namespace, pull.image.host, time.monotonic())
        return super().count(pull, excuse)

    def _reason(self, namespace: str, host: str, now: float) -> str | None:
        if self._troubles.is_shut(namespace, host, now):
            return "no credential could have helped"
        if self._troubles.excuses(namespace, host, now, self._window):
            return "no valid credential could have been there"
        return None
