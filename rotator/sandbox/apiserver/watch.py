"""Watches: the stream of changes to what a selection matches, with bookmarks.

Sources: apiserver/pkg/storage/cacher (cacher.go, cache_watcher.go): an event is seen through the selection, so an
object that begins to match is ADDED and one that ceases to is DELETED, with its last matching content.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import Empty

from rotator.sandbox.apiserver.etcd import Compacted, Etcd, Event, Feed
from rotator.sandbox.apiserver.objects import Object, metadata, with_metadata
from rotator.sandbox.apiserver.resources import Resource
from rotator.sandbox.apiserver.selector import Selection
from rotator.sandbox.apiserver.status import expired

GLANCE = 0.5  # seconds between looks whether the client is still there
LAST_BOOKMARK = 2.0  # seconds before the end (cacher.go, nextBookmarkTime)
INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}

Notice = tuple[str, Object]
"""ADDED, MODIFIED, DELETED, BOOKMARK or ERROR, and the object."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is watched: one resource, in one namespace or all, seen through a selection."""

    resource: Resource
    namespace: str
    selection: Selection

    def sees(self, obj: Object | None) -> bool:
        """Is this object in the scope?"""
        return (
            obj is not None
            and (not self.namespace or metadata(obj).get("namespace") == self.namespace)
            and self.selection.matches(obj)
        )

    def notice(self, event: Event) -> Notice | None:
        """What a watcher learns of this event."""
        before, after = self.sees(event.old), self.sees(event.new)
        if after and event.new is not None:
            return ("MODIFIED" if before else "ADDED"), event.new
        if before and event.old is not None:
            return "DELETED", with_metadata(event.old, resourceVersion=str(event.version))
        return None


@dataclass(frozen=True, slots=True)
class Terms:
    """How long, in seconds of the monotonic clock, and whether with bookmarks. `wanted` turns false to end it.

    `initial`: whether with what there is now, and a bookmark after that (sendInitialEvents); None: as `stream` says.
    """

    seconds: float
    bookmark_every: float | None
    wanted: Callable[[], bool]
    initial: bool | None = None


def stream(etcd: Etcd, scope: Scope, version: int, terms: Terms) -> Iterator[Notice]:
    """The notices after `version`; for 0 what there is now comes first, as ADDED."""
    current: list[tuple[str, Object]] = []
    with etcd.lock:
        if terms.initial or (not version and terms.initial is None):
            version, current = 0, etcd.scan(scope.resource.name, scope.sees)
        begun = version or etcd.version
        try:
            feed = etcd.follow(scope.resource.name, begun)
        except Compacted as compacted:
            # After authorisation every failure of a watch is an ERROR event in a 200 answer (newErrWatcher).
            yield "ERROR", expired(f"too old resource version: {version} ({compacted.oldest})").status
            return
    try:
        yield from (("ADDED", obj) for _, obj in current)
        if terms.initial and terms.bookmark_every is not None:
            yield "BOOKMARK", with_metadata(_bookmark(scope.resource, begun), annotations=INITIAL_EVENTS_END)
        yield from _follow(etcd, scope, feed, terms, begun)
    finally:
        etcd.leave(scope.resource.name, feed)


def _follow(etcd: Etcd, scope: Scope, feed: Feed, terms: Terms, begun: int) -> Iterator[Notice]:
    end = time.monotonic() + terms.seconds
    bookmark = _next_bookmark(end, terms)
    while terms.wanted() and (now := time.monotonic()) < end:
        try:
            event = feed.get(timeout=max(0.0, min(GLANCE, bookmark - now, end - now)))
        except Empty:
            if time.monotonic() >= bookmark and (version := _quiet_version(etcd, scope.resource, feed)):
                if version > begun:  # otherwise the watcher would learn nothing
                    yield "BOOKMARK", _bookmark(scope.resource, version)
                bookmark = _next_bookmark(end, terms)
            continue
        if event is not None and (notice := scope.notice(event)):
            yield notice


def _next_bookmark(end: float, terms: Terms) -> float:
    """Regularly, and once more shortly before the end; never where nobody asked for them."""
    now = time.monotonic()
    if terms.bookmark_every is None:
        return float("inf")
    last = end - LAST_BOOKMARK
    regular = now + terms.bookmark_every
    return min(regular, last) if last > now else regular


def _quiet_version(etcd: Etcd, resource: Resource, feed: Feed) -> int:
    """The version up to which the watcher has seen everything; 0 if an event came in the meantime.

    The cache of one resource knows only of its own writes.
    """
    with etcd.lock:
        return etcd.latest(resource.name) if feed.empty() else 0


def _bookmark(resource: Resource, version: int) -> Object:
    return {
        "kind": resource.kind,
        "apiVersion": resource.api_version,
        "metadata": {"resourceVersion": str(version)},
    }
