"""Sends Events from a thread of its own: bounded, at a bounded rate, and never in the way of a pass.

A first roll-out may have 50,000 things to tell. Nobody reads so many, and each costs etcd a write: the first of the
good news are told and the rest is counted as dropped. Troubles have more room, and what is dropped of them is told
again as long as they last (`eventing.py`).
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog

from rotator.clock import Clock
from rotator.errors import ClusterError, Forbidden, NamespaceTerminating, NotFound
from rotator.events import Event, Reason, Series, Type
from rotator.logs import where
from rotator.model import Subject

log = structlog.get_logger("rotator.events")

BURST = 100
"""Events that are sent at once after a quiet time."""

PER_SECOND = 5.0
"""Events that are sent in each further second: for an etcd of hundreds of writes a second next to nothing."""

ROOM = 1_000
"""Events that wait at most."""

ROOM_FOR_NEWS = 100
"""Good news are dropped as soon as so many Events wait: troubles come first."""

REMEMBERED = 4_096
"""Events whose repetitions are counted."""

FORGOTTEN = timedelta(hours=1)
"""An Event that was told so long ago begins anew: Kubernetes has forgotten it by then, too."""

STOP_TIMEOUT = timedelta(seconds=1)


class Sender:
    """`record` sends one Event and may raise a ClusterError; `may_send` says whether this process leads.

    `monotonic` gives seconds that never run backwards. Thread-safe. `dropped` and `failed` count Events that nobody
    will see.
    """

    def __init__(
        self,
        record: Callable[[Event, Series], None],
        clock: Clock,
        monotonic: Callable[[], float],
        *,
        may_send: Callable[[], bool] = lambda: True,
    ) -> None:
        self._record = record
        self._may_send = may_send
        self._tally = _Tally(clock)
        self._bucket = _Bucket(monotonic)
        self._waiting: deque[Event] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._complaints: set[str] = set()
        self._untold = 0  # dropped since it was last said in the log
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self.sent = 0
        self.dropped = 0
        self.failed = 0

    def offer(self, event: Event) -> None:
        """Have it sent soon, or drop it; at once in any case."""
        if not self._may_send():
            return
        with self._changed:
            if len(self._waiting) >= (ROOM_FOR_NEWS if event.reason.type is Type.NORMAL else ROOM):
                self.dropped += 1
                self._untold += 1
                return
            self._waiting.append(event)
            self._changed.notify()

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self, timeout: timedelta = STOP_TIMEOUT) -> None:
        """Send what waits, as much as can be within the timeout, and end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout.total_seconds())
        with self._changed:
            self.dropped += len(self._waiting)
            self._untold += len(self._waiting)
            self._waiting.clear()  # which ends a thread that is still busy, after the Event in its hands
            self._say_what_was_dropped()

    # The thread -------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (event := self._next()) is not None:
            if self._may_send():
                self._send(event)

    def _next(self) -> Event | None:
        """Block until an Event may be sent; None: no more. On the way out nobody waits for a better rate."""
        with self._changed:
            while not (self._stopping and not self._waiting):
                pause = self._bucket.pause() if self._waiting and not self._stopping else 0.0
                if self._waiting and not pause:
                    self._bucket.take()
                    return self._waiting.popleft()
                if not self._waiting:
                    self._say_what_was_dropped()
                self._changed.wait(pause or None)
            return None

    def _send(self, event: Event) -> None:
        try:
            self._record(event, self._tally.next(event))
        except (NotFound, NamespaceTerminating):
            return  # what it was about is gone
        except ClusterError as error:
            self._complain(error.reason, error.message, error.hint)
        except Exception as error:  # noqa: BLE001  (a defect here must not end the thread)
            self._complain(type(error).__name__, where(error), "please report this")
        else:
            self.sent += 1
            self._complaints &= {Forbidden.__name__}

    def _complain(self, reason: str, message: str, hint: str) -> None:
        """Count it, and log it once until one is sent; what RBAC does not allow, once and for all."""
        self.failed += 1
        if reason not in self._complaints:
            self._complaints.add(reason)
            log.warning("event.failed", reason=reason, message=message, hint=hint)

    def _say_what_was_dropped(self) -> None:
        if self._untold:
            log.info("events.dropped", count=self._untold, message="so many at once are not told; the log has them all")
            self._untold = 0


@dataclass
class _Bucket:
    """A token bucket: `BURST` at once, and `PER_SECOND` from then on."""

    clock: Callable[[], float]

    def __post_init__(self) -> None:
        self._tokens = float(BURST)
        self._at = self.clock()

    def pause(self) -> float:
        """Seconds until the next may be taken."""
        now = self.clock()
        self._tokens = min(self._tokens + (now - self._at) * PER_SECOND, BURST)
        self._at = now
        return 0.0 if self._tokens >= 1 else (1 - self._tokens) / PER_SECOND

    def take(self) -> None:
        """Take one."""
        self._tokens -= 1


class _Tally:
    """Counts repetitions of the latest Events. A restart begins anew; the Event of before is then written over."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._series: OrderedDict[tuple[Reason, Subject | None, str], Series] = OrderedDict()

    def next(self, event: Event) -> Series:
        """How often this one has been told, this time included."""
        key, now = (event.reason, event.subject, event.detail), self._clock()
        before = self._series.pop(key, None)
        series = Series(1, now, now)
        if before and now - before.last < FORGOTTEN:
            series = Series(before.count + 1, before.first, now)
        self._series[key] = series
        if len(self._series) > REMEMBERED:
            self._series.popitem(last=False)
        return series
