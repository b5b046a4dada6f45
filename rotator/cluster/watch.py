"""Reflectors: each hears what changes in one collection, as it changes.

A reflector lists its collection only for the resourceVersion, and watches from there: one watch after another, each
from where the last one ended. It keeps no objects. Nothing is lost: a change is either heard by a watch, or it may lie
before the resourceVersion of a list, and then the hearer is told to look at everything.

The kubernetes package's informer, kept out here, asks 2,000 times a second where it is refused (facts: measured).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus
from threading import Event, Thread
from time import monotonic
from typing import Annotated, Literal, Protocol

import msgspec
import structlog

from rotator.cluster import answers, failures, request
from rotator.cluster.failures import Gone
from rotator.cluster.request import Request
from rotator.cluster.stream import Malformed, Stream
from rotator.cluster.transport import Transport
from rotator.errors import ClusterError, ServerFailed
from rotator.logs import where
from rotator.scopes import Scope

log = structlog.get_logger("rotator.watch")

LENGTH = timedelta(minutes=2)
"""The longest that a watch is asked to last: a server sends a bookmark each minute, and one 2 s before the end (seen on
a real server, where the resource had a change since the server's start)."""

SPREAD = 0.25  # of the length, by chance: watches that began together do not end together

GRACE = timedelta(seconds=30)
"""A watch that has not ended so long after its time is given up: the connection is dead, however open it looks."""

LIST_LIMIT = timedelta(seconds=10)

SETTLED = 10.0
"""Seconds after which a watch was good, though it heard nothing; one that brought something new was good at once."""

FLOOR = 1.0  # seconds between the beginnings of two turns, however well they go
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0  # seconds
LONGEST_WISH = 300.0  # seconds that a Retry-After is obeyed; then a sweep was due anyway


class Seen(msgspec.Struct, frozen=True):
    """One event. `namespace` of a Namespace is its own name; of a deleted object, what is said here was true before.

    `pull_secrets` are a ServiceAccount's references, in their order; None for any other resource, or without a list.
    """

    event: Literal["ADDED", "MODIFIED", "DELETED"]
    resource: str
    namespace: str
    name: str
    version: str
    terminating: bool = False
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    pull_secrets: tuple[str, ...] | None = None


class Hearer(Protocol):
    """Who is told, from the reflectors' threads: it should not take long, and what it raises is logged as a defect."""

    def changed(self, seen: Seen) -> None:
        """An object in the collection changed. An event may come twice, and an old one again after a newer one."""

    def resync(self, scope: Scope) -> None:
        """Anything in this collection may have changed unheard; what is read from now on is new enough."""


@dataclass(frozen=True, slots=True)
class Health:
    """How a reflector is. `last_contact` is of `time.monotonic`: when the API server last answered or sent a line.

    `synced`: a watch was accepted, and nothing has failed since. `failures` counts those in a row, until a watch was
    good; `reason` and `message` say the last. `watches` counts all that were accepted.
    """

    synced: bool = False
    failures: int = 0
    reason: str = ""
    message: str = ""
    last_contact: float | None = None
    watches: int = 0


class Reflector:
    """Follows one collection, in a thread of its own from `start` to `stop`. `health` may be read from any thread.

    `draw` gives numbers from 0 to 1, for jitter; `rest` waits for an event, or so many seconds.
    """

    def __init__(
        self,
        transport: Transport,
        scope: Scope,
        hearer: Hearer,
        draw: Callable[[], float],
        *,
        length: timedelta = LENGTH,
        grace: timedelta = GRACE,
        rest: Callable[[Event, float], object] = Event.wait,
    ) -> None:
        self.scope = scope
        self._health = Health()
        self._last_contact: float | None = None
        self._transport = transport
        self._hearer = hearer
        self._draw = draw
        self._length = length.total_seconds()
        self._grace = grace
        self._rest = rest
        self._version = ""  # up to here everything was heard; "" where nobody knows
        self._in_step = False  # the last watch ended when it should, so the next one can go on where it was
        self._good = False  # the last watch
        self._complaints: set[str] = set()
        self._stream: Stream | None = None
        self._stopping = Event()
        self._thread = Thread(target=self._run, name=f"watch {scope.resource}", daemon=True)

    @property
    def health(self) -> Health:
        """How it is now."""
        return replace(self._health, last_contact=self._last_contact)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Tell the hearer nothing more, and end whatever is read or waited for; returns at once, from any thread."""
        self._stopping.set()
        if stream := self._stream:
            stream.end()

    def join(self, timeout: timedelta) -> bool:
        """Wait until it has ended, and say whether it has.

        One that still waits for a connection, or for the head of an answer, is left behind when that takes too long: it
        ends by itself, and at the latest with the process.
        """
        if self._thread.ident is not None:
            self._thread.join(timeout.total_seconds())
        return not self._thread.is_alive()

    # The loop ---------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            pause = self._turn()
            if not self._stopping.is_set():
                self._rest(self._stopping, pause)

    def _turn(self) -> float:
        """One watch, and what it takes to begin it; the seconds until the next turn."""
        began = monotonic()
        try:
            self._follow()
        except ClusterError as error:
            return self._failed(error.reason, error.message, error.hint, error.retry_after)
        except Exception as error:  # noqa: BLE001  (a defect, the hearer's too, must not end the loop)
            self._version = ""
            return self._failed(type(error).__name__, where(error), "please report this")
        return max(began + FLOOR - monotonic(), 0.0)

    def _follow(self) -> None:
        if self._in_step:
            try:
                self._watch()
            except Gone:
                log.debug("watch.expired", **self._names)
            else:
                return
        self._find_position()
        self._watch()

    def _find_position(self) -> None:
        """List, and go on from there if we do not know our place, or if the server went back behind it.

        A server whose etcd was restored from a backup accepts a watch from the future, and is silent until it comes to
        that resourceVersion again (seen on a real server). It must restart for that, and so our watch ends early.
        """
        asked = request.position(self.scope)
        with self._opened(asked, LIST_LIMIT) as stream:
            try:
                version = _LIST.decode(stream.read()).metadata.resource_version
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise stream.malformed() from error
        self._note_contact()
        if self._version and not _is_earlier(version, self._version):
            return
        self._version = version
        log.debug("watch.resynced", **self._names)
        if not self._stopping.is_set():
            self._hearer.resync(self.scope)

    def _watch(self) -> None:
        seconds = math.ceil(self._length * (1 - SPREAD * self._draw()))
        asked = request.watch(self.scope, self._version, seconds)
        began = monotonic()
        self._in_step = self._good = False
        try:
            with self._opened(asked, timedelta(seconds=seconds) + self._grace) as stream:
                self._health = replace(self._health, synced=True, watches=self._health.watches + 1)
                self._note_contact()
                for line in stream.lines():
                    self._hear(asked, stream, line)
        except (Gone, Malformed):
            self._version = ""  # past what cannot be read there may be more
            raise
        finally:
            lived = monotonic() - began
            if lived >= min(SETTLED, seconds):
                self._do_well()
        if not self._good:
            msg = f"{asked}: the API server ended the watch at once"
            raise ServerFailed(msg)
        self._in_step = lived >= seconds

    def _opened(self, asked: Request, limit: timedelta) -> Stream:
        stream = self._stream = self._transport.stream(asked, limit)
        if self._stopping.is_set():  # `stop` may have come before there was something to end
            stream.end()
        return stream

    def _hear(self, asked: Request, stream: Stream, line: bytes) -> None:
        try:
            event = _EVENT.decode(line)
            if event.type == "ERROR":
                raise failures.answered(asked, _STATUS.decode(event.object).code, {}, bytes(event.object))
            found = _OBJECT.decode(event.object)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise stream.malformed() from error
        self._note_contact()
        if event.type != "BOOKMARK" and not self._stopping.is_set():
            self._hearer.changed(found.seen(event.type, self.scope.resource))
        if found.metadata.resource_version != self._version:
            self._version = found.metadata.resource_version
            self._do_well()

    # How it goes ------------------------------------------------------------------------------------------------------

    def _note_contact(self) -> None:
        self._last_contact = monotonic()

    def _do_well(self) -> None:
        if self._good:
            return
        self._good = True
        if self._health.failures:
            log.info("watch.recovered", **self._names, failures=self._health.failures)
            self._complaints.clear()
            self._health = replace(self._health, failures=0, reason="", message="")

    def _failed(self, reason: str, message: str, hint: str, retry_after: timedelta | None = None) -> float:
        """Count it, and log it once until a watch was good; the seconds until the next turn."""
        if self._stopping.is_set():
            return 0.0  # the end was ours
        count = self._health.failures + 1
        self._health = replace(self._health, synced=False, failures=count, reason=reason, message=message)
        pause = pause_after(count, retry_after, self._draw())
        if reason not in self._complaints:
            self._complaints.add(reason)
            told = {"reason": reason, "message": message, "hint": hint, "next_attempt_in_s": round(pause, 1)}
            log.warning("watch.failed", **self._names, **told)
        return pause

    @property
    def _names(self) -> dict[str, str]:
        scope = self.scope
        return {"resource": scope.resource, "namespace": scope.namespace or "*", "name": scope.name or "*"}


def pause_after(failures: int, retry_after: timedelta | None, draw: float) -> float:
    """Seconds after so many failures in a row: doubled up to a minute, and up to half of it taken off by `draw`.

    Never sooner than the API server asks for.
    """
    doubled = min(FIRST_PAUSE * (1 << min(failures - 1, 10)), LONGEST_PAUSE)
    wish = min(retry_after.total_seconds(), LONGEST_WISH) if retry_after else 0.0
    return max(doubled * (1 - draw / 2), wish * (1 + draw / 10))


def _is_earlier(version: str, than: str) -> bool:
    """Kubernetes compares resourceVersions as numbers since 1.35 (KEP-5504), and always gave numbers."""
    return version.isdecimal() and than.isdecimal() and int(version) < int(than)


# What comes ----------------------------------------------------------------------------------------------------------


class _Metadata(msgspec.Struct, rename="camel"):
    """Of an object, a bookmark or a list."""

    resource_version: Annotated[str, msgspec.Meta(min_length=1)]
    name: str = ""
    namespace: str = ""
    labels: dict[str, str] | None = None
    deletion_timestamp: str | None = None


class _Object(msgspec.Struct, rename="camel"):
    metadata: _Metadata
    image_pull_secrets: list[answers.Reference] | None = None

    def seen(self, event: Literal["ADDED", "MODIFIED", "DELETED"], resource: str) -> Seen:
        references = self.image_pull_secrets
        return Seen(
            event=event,
            resource=resource,
            namespace=self.metadata.namespace or self.metadata.name,
            name=self.metadata.name,
            version=self.metadata.resource_version,
            terminating=self.metadata.deletion_timestamp is not None,
            labels=self.metadata.labels or {},
            pull_secrets=None if references is None else tuple(reference.name for reference in references),
        )


class _List(msgspec.Struct):
    metadata: _Metadata


class _Event(msgspec.Struct):
    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: msgspec.Raw


class _Status(msgspec.Struct):
    code: int = HTTPStatus.INTERNAL_SERVER_ERROR


_EVENT = msgspec.json.Decoder(_Event)
_OBJECT = msgspec.json.Decoder(_Object)
_LIST = msgspec.json.Decoder(_List)
_STATUS = msgspec.json.Decoder(_Status)
