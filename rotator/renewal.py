"""When is a credential due, when does the daemon wake up for it, and how long does it wait after a failure?

Wall-clock times in, wall-clock times out: no clock is read and nothing is drawn here. Jitter moves the alarm, never
the decision: a decision with chance in it loops, or is skipped, when two places take it differently.
"""

from datetime import datetime, timedelta

from rotator.annotations import CLOCK_TOLERANCE
from rotator.model import whole_seconds

SHORTEST_PAUSE = timedelta(seconds=1)
"""A metadata server's nearly spent token is asked for again at half of what is left, but not more often than this."""

FIRST_BACKOFF = timedelta(seconds=2)
LONGEST_BACKOFF = timedelta(minutes=5)
LONGEST_OUTAGE_BACKOFF = timedelta(seconds=30)
"""While nothing valid is published, Pods fail: then the next try is never further away than this."""

SHARE_OF_LIFE_LEFT = 4
"""A pause takes at most a quarter of the life that is left, so the last minutes are not spent waiting."""


def due_at(issued_at: datetime, expires_at: datetime, at: float) -> datetime:
    """When to renew: after the share `at` of the life that was left when the credential arrived.

    Rounded down to whole seconds, as the annotations are, so that a stored and a recomputed time agree.
    """
    return whole_seconds(issued_at + (expires_at - issued_at) * at)


def is_due(issued_at: datetime, expires_at: datetime, at: float, now: datetime) -> bool:
    """Whether to renew now. No randomness: two replicas and two runs decide alike.

    What was issued in the future was issued before the clock was set back: its times mean nothing, so it is due too.
    """
    return now >= due_at(issued_at, expires_at, at) or issued_at > now + CLOCK_TOLERANCE


def wake_at(due: datetime, expires_at: datetime, *, jitter: float, draw: float, now: datetime) -> datetime:
    """When the alarm rings: up to the share `jitter` of the remaining life after `due`; `draw` is from 0 to 1."""
    late = max(expires_at - due, timedelta(0)) * jitter * draw
    return max(due + late, now + SHORTEST_PAUSE)


def backoff(
    failures: int, left: timedelta, retry_after: timedelta | None = None, *, retryable: bool = True
) -> timedelta:
    """The pause after so many failures in a row, with this much life left in what is published (none: zero or less).

    Doubles from two seconds. The cloud's own Retry-After lengthens it, but neither outlasts a quarter of the life left.
    Where nothing is left, what may pass by itself is tried again sooner than what a person has to put right.
    """
    doubled = min(FIRST_BACKOFF * (1 << min(failures - 1, 20)), LONGEST_BACKOFF)
    outage = LONGEST_OUTAGE_BACKOFF if retryable else LONGEST_BACKOFF
    bound = left / SHARE_OF_LIFE_LEFT if left > timedelta(0) else outage
    return max(min(max(doubled, retry_after or timedelta(0)), bound), SHORTEST_PAUSE)
