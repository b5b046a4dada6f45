"""Who may lead: the rules of client-go's leader election, without its clocks and requests. Pure.

A Lease that another holds is free once it has not changed for as long as it lasts, on the clock of whoever looks at it.
The times that stand in it are for people: nobody's wall clock decides anything, so clocks may differ by hours.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

RELEASED_SECONDS = 1
"""The duration in a Lease that its holder gave back, as client-go writes it: the API server refuses 0."""

CLIENT_GO_JITTER = 1.2
"""As in client-go: a retry period may be so much longer than it says, and the renew deadline must leave room for it."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long each thing lasts; names and defaults are client-go's. Raises ValueError where two could lead.

    The holder leads for `renew_deadline` after its last renewal was sent; others wait for `lease_duration` after they
    saw it. What is between the two is for writes that are under way when the holder's time runs out.
    """

    lease_duration: timedelta = timedelta(seconds=15)
    renew_deadline: timedelta = timedelta(seconds=10)
    retry_period: timedelta = timedelta(seconds=2)

    def __post_init__(self) -> None:
        if self.retry_period <= timedelta():
            msg = "the retry period must be positive; write for example 2s"
        elif self.renew_deadline <= self.retry_period * CLIENT_GO_JITTER:
            msg = f"the renew deadline must be longer than {CLIENT_GO_JITTER:g} retry periods; lengthen it"
        elif self.lease_duration <= self.renew_deadline:
            msg = "the lease duration must be longer than the renew deadline; lengthen it"
        else:
            return
        raise ValueError(msg)

    @property
    def seconds(self) -> int:
        """The lease duration as a Lease can state it: in whole seconds, never shorter."""
        return math.ceil(self.lease_duration.total_seconds())


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who wants to lead, by which Lease. `identity` is this process's alone: one that is started anew has another."""

    namespace: str
    name: str
    identity: str
    timing: Timing = field(default_factory=Timing)


@dataclass(frozen=True, slots=True)
class Record:
    """What a Lease says of its holder. The times are compared and shown, never computed with."""

    holder: str = ""
    seconds: int = 0
    acquired: str = ""
    renewed: str = ""
    transitions: int = 0

    @property
    def is_blank(self) -> bool:
        """Whether it says nothing: a Lease that was made by hand, for its name, and never held."""
        return not self.holder and not self.seconds

    @property
    def is_released(self) -> bool:
        """Whether its holder gave it back; one that a person emptied still states the duration that it had."""
        return not self.holder and self.seconds == RELEASED_SECONDS

    @property
    def spec(self) -> Mapping[str, object]:
        """These fields of a Lease's spec."""
        return {
            "holderIdentity": self.holder,
            "leaseDurationSeconds": self.seconds,
            "acquireTime": self.acquired,
            "renewTime": self.renewed,
            "leaseTransitions": self.transitions,
        }


def claimed(record: Record | None, candidate: Candidate, now: datetime) -> Record:
    """What the candidate writes to take, or to keep, a Lease that says this; None: there is none yet."""
    kept = record is not None and record.holder == candidate.identity
    return Record(
        holder=candidate.identity,
        seconds=candidate.timing.seconds,
        acquired=(record.acquired if record and kept else "") or micro_time(now),
        renewed=micro_time(now),
        transitions=record.transitions + (not kept) if record else 0,
    )


def released(record: Record, now: datetime) -> Record:
    """What its holder writes to give it back at once."""
    return Record("", RELEASED_SECONDS, micro_time(now), micro_time(now), record.transitions)


def micro_time(moment: datetime) -> str:
    """As the API server takes it: UTC, and six digits also where they are zeros."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Outlook:
    """What one candidate has seen of the Lease, and how long it has to wait for it."""

    def __init__(self, candidate: Candidate) -> None:
        self._candidate = candidate
        self._seen: Record | None = None
        self._free_at = -math.inf
        self._asked = False

    def asks(self) -> None:
        """The candidate sends a claim; from now on a Lease that names it may be its own."""
        self._asked = True

    def wait(self, record: Record | None, now: float) -> float:
        """Seconds until the Lease may be claimed, which says this now, or is gone; 0: at once.

        `now` is the candidate's own clock. A Lease that was deleted or blanked was not given back: whoever held it may
        not know yet, so what was seen last goes on counting.
        """
        if record and (record.is_released or self._is_ours(record)):
            self._free_at = -math.inf
        elif record and not record.is_blank and record != self._seen:
            self._asked = False
            self._free_at = now + max(record.seconds, self._candidate.timing.seconds)
        self._seen = record or self._seen
        return max(self._free_at - now, 0.0)

    def _is_ours(self, record: Record) -> bool:
        """A Lease that names us before we asked was edited by a person, and its last holder may not know yet."""
        return self._asked and record.holder == self._candidate.identity
