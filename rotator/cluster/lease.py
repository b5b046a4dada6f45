"""Leadership by a Lease: of all replicas one leads, and stops to lead by itself when it cannot renew.

The rules are in `leadership.py`. Here are the requests, and the clock: seconds since boot, which go on while a process
is stopped and while the machine is suspended. `holds` compares two numbers, so it is right in the first instruction
after a thaw, before any thread of ours or any request has had its turn.
"""

import secrets
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from threading import Event, Thread
from typing import Any

import msgspec
import structlog
from kubernetes.client.configuration import Configuration

from rotator.clock import Clock
from rotator.cluster import answers, failures, request
from rotator.cluster.request import Request
from rotator.cluster.transport import Transport
from rotator.deadline import DeadlineExceeded, within
from rotator.errors import ClusterError, Conflict, Invalid, NotFound
from rotator.leadership import Candidate, Outlook, Record, claimed, released
from rotator.logs import where

log = structlog.get_logger("rotator.lease")

SOONEST, LATEST = 0.7, 0.9
"""Of a retry period: when a standby looks again. The request fits into the rest, so it sees a change within one."""

SHORTEST_PAUSE = 0.05  # of a retry period: two turns never follow each other at once

STOP_TIMEOUT = timedelta(seconds=2)

CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Linux alone tells the time since boot with what it was suspended, which its monotonic clock leaves out."""


def since_boot() -> float:
    """Seconds, also those that this process or its machine slept through."""
    return time.clock_gettime(CLOCK)


def new_identity() -> str:
    """A holder's identity as `kubectl get lease` shows it: the Pod's name, and what no other process has."""
    return f"{socket.gethostname()}_{secrets.token_hex(4)}"


def _nobody(_leads: bool) -> None:
    """Whoever is told of a change when nobody asked to be."""


class Lease:
    """One candidate for one Lease, with a thread of its own from `start` to `stop`.

    `holds` must be asked before each write. `on_change` is told of it from the lease's thread: True when this process
    began to lead, False when it ceased, but not for `stop`. What `notes` says goes into the Lease's annotations with
    whatever is written there anyway. Raises ClusterUnusable.
    """

    def __init__(
        self,
        log_in: Callable[[], Configuration],
        candidate: Candidate,
        *,
        clock: Clock,
        draw: Callable[[], float],
        since_boot: Callable[[], float] = since_boot,
        on_change: Callable[[bool], None] = _nobody,
        notes: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        timing = candidate.timing
        self._limit = timing.renew_deadline / 2  # of one request: after one that hangs there is time for another
        self._renew_deadline = timing.renew_deadline.total_seconds()
        self._retry_period = timing.retry_period.total_seconds()
        self._transport = Transport(log_in, workers=1, timeout=self._limit, deadline=timing.renew_deadline)
        self._candidate = candidate
        self._clock = clock
        self._draw = draw
        self._since_boot = since_boot
        self._on_change = on_change
        self._notes = notes
        self._outlook = Outlook(candidate)
        self._mine: _Seen | None = None  # the Lease as we wrote it last, while we know of nobody who wrote since
        self._held_until = float("-inf")
        self._told = False
        self._complaints: set[str] = set()
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="lease", daemon=True)
        self.holder: str | None = None
        """The identity in the Lease when it was seen last; "": nobody's, None: not seen yet."""
        self.last_renewal: datetime | None = None
        """By the wall clock."""
        self.last_turn: float | None = None
        """By `time.monotonic`: when the loop last came round. It does so whatever the API server does."""
        self.failures: Counter[str] = Counter()
        """How many turns failed, by reason."""

    def holds(self) -> bool:
        """Whether this process leads, now: may it write? Costs no request, and no lock."""
        return self._since_boot() < self._held_until and not self._stopping.is_set()

    @property
    def is_anothers(self) -> bool:
        """Whether another has it by our last look, which did not fail: then there is nothing to do but to stand by."""
        return bool(self.holder) and self.holder != self._candidate.identity and not self._complaints

    @property
    def started(self) -> bool:
        """Whether it stands, or has stood."""
        return self._thread.ident is not None

    def start(self) -> None:
        """Begin to stand for it."""
        self._thread.start()

    def stop(self, timeout: timedelta = STOP_TIMEOUT) -> None:
        """Cease to lead, give the Lease back, and end; within the timeout, whatever the API server does.

        After the last write: as soon as the Lease is given back another may write.
        """
        self._stopping.set()
        if self.started:
            self._thread.join(timeout.total_seconds() / 2)  # a renewal under way would make a release fail
        try:
            within(timeout / 2, self._release, name=self._name)
        except ClusterError as error:
            self._complain(error.reason, error.message, error.hint)
        except DeadlineExceeded:
            self._complain(DeadlineExceeded.__name__, "the Lease was not given back in time", "it runs out by itself")
        self._transport.close()

    # The loop ---------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            pause = self._turn()
            self._tell()
            self.last_turn = time.monotonic()
            self._stopping.wait(pause)
            self._tell()  # who was frozen hears so before the next renewal

    def _turn(self) -> float:
        """One renewal, or one look; the seconds until the next."""
        try:
            pause = self._renew() or self._stand()
        except NotFound as error:  # of a claim, which creates what is not there
            self._complain(error.reason, error.message, "create the namespace, or name another for the Lease")
        except ClusterError as error:
            self._complain(error.reason, error.message, error.hint)
        except DeadlineExceeded:
            self._complain(DeadlineExceeded.__name__, "no answer about the Lease in time", "")
        except Exception as error:  # noqa: BLE001  (a defect here must not end the loop)
            self._complain(type(error).__name__, where(error), "please report this")
        else:
            self._complaints.clear()
            return max(pause, self._retry_period * SHORTEST_PAUSE)
        return self._jittered()

    def _renew(self) -> float | None:
        """Write the Lease anew, if it is still as we left it; None: it must be read."""
        if self._mine is None:
            return None
        try:
            return self._claim(self._mine)
        except Conflict:
            return None

    def _stand(self, *, again: bool = True) -> float:
        """Read the Lease, and take it if it is free, or ours. Of two that try at once, one reads again."""
        seen = self._read()
        self._note_holder(seen.record.holder if seen else "")
        wait = self._outlook.wait(seen.record if seen else None, self._since_boot())
        if wait:
            self._mine, self._held_until = None, float("-inf")
            return min(wait, self._jittered())
        try:
            return self._claim(seen)
        except (Conflict, Invalid):
            if not again:
                raise
            return self._stand(again=False)

    def _claim(self, seen: "_Seen | None") -> float:
        """Write that we hold it. What counts is when the request was begun, for the answer may come any time later."""
        if self._stopping.is_set():
            return 0.0  # it may be given back already
        candidate = self._candidate
        record = claimed(seen.record if seen else None, candidate, self._clock())
        content = (seen or _Seen.absent(candidate)).saying(record, self._notes())
        asked = request.put_lease(candidate.namespace, candidate.name, content)
        self._outlook.asks()
        began = self._since_boot()
        written = self._exchange(asked)
        if (written.record.holder, written.record.renewed) != (record.holder, record.renewed):
            raise failures.malformed(asked)
        self._mine, self._held_until = written, began + self._renew_deadline
        self.last_renewal = self._clock()
        self._note_holder(candidate.identity)
        return self._retry_period

    def _release(self) -> None:
        """Give it back if it is ours; once more if somebody edited it meanwhile."""
        candidate = self._candidate
        mine = self._mine
        for _ in range(2):
            if mine is None or mine.record.holder != candidate.identity:
                return
            content = mine.saying(released(mine.record, self._clock()), self._notes())
            try:
                self._transport.send(request.put_lease(candidate.namespace, candidate.name, content))
            except Conflict:
                mine = self._read()
            else:
                self.holder, self._mine = "", None
                log.info("lease.released", **self._names)
                return

    # Requests ---------------------------------------------------------------------------------------------------------

    def _read(self) -> "_Seen | None":
        try:
            return self._exchange(request.get_lease(self._candidate.namespace, self._candidate.name))
        except NotFound:
            return None

    def _exchange(self, asked: Request) -> "_Seen":
        """The Lease in the answer, in time: also where a name is not resolved, which no socket's time limit bounds.

        A request that is given up may still be carried out: then the Lease is read again, and found to be ours.
        """
        left = timedelta(seconds=max(self._held_until - self._since_boot(), 0.0))
        limit = min(self._limit, left) if left else self._limit  # the loop must notice when the lease has run out
        body = within(limit, partial(self._transport.send, asked), name=self._name)
        try:
            return _Seen.of(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise failures.malformed(asked) from error

    # What is told -----------------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        leads = self.holds()
        if leads == self._told or self._stopping.is_set():
            return
        self._told = leads
        if leads:
            log.info("lease.acquired", **self._names, identity=self._candidate.identity)
        else:
            taken = self.holder != self._candidate.identity
            reason = "TakenOver" if taken else "NotRenewed"
            log.warning("lease.lost", **self._names, reason=reason, holder=self.holder)
        try:
            self._on_change(leads)
        except Exception as error:  # noqa: BLE001  (whoever is told must not end the loop)
            self._complain(type(error).__name__, where(error), "please report this")

    def _note_holder(self, holder: str) -> None:
        if holder != self.holder and holder not in {"", self._candidate.identity}:
            log.info("lease.held", **self._names, holder=holder)
        self.holder = holder

    def _complain(self, reason: str, message: str, hint: str) -> None:
        """Count it, and log it once until a turn succeeds."""
        self.failures[reason] += 1
        if reason not in self._complaints:
            self._complaints.add(reason)
            log.warning("lease.failed", **self._names, reason=reason, message=message, hint=hint)

    def _jittered(self) -> float:
        return self._retry_period * (SOONEST + (LATEST - SOONEST) * self._draw())

    @property
    def _names(self) -> dict[str, str]:
        return {"namespace": self._candidate.namespace, "lease": self._candidate.name}

    @property
    def _name(self) -> str:
        return f"Lease for {self._candidate.identity}"


@dataclass(frozen=True, slots=True)
class _Seen:
    """A Lease as the API server gave it: all of it, to be written back, and what it says of its holder."""

    content: Mapping[str, Any]
    record: Record

    @classmethod
    def of(cls, body: bytes) -> "_Seen":
        """Raises a DecodeError for what is no Lease."""
        content = msgspec.json.decode(body, type=dict[str, Any])
        return cls(content, msgspec.convert(content, answers.Lease).record())

    @classmethod
    def absent(cls, candidate: Candidate) -> "_Seen":
        """One that is still to be made."""
        metadata = {"name": candidate.name, "namespace": candidate.namespace}
        content = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata}
        return cls(content, Record())

    def saying(self, record: Record, notes: Mapping[str, str]) -> dict[str, Any]:
        """Its content with this said of the holder and in the annotations, and everything else as it was."""
        metadata = self.content["metadata"]
        noted = {"annotations": {**(metadata.get("annotations") or {}), **notes}} if notes else {}
        spec = {**(self.content.get("spec") or {}), **record.spec}
        return {**self.content, "metadata": {**metadata, **noted}, "spec": spec}
