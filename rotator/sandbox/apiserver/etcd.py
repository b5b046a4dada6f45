"""The store below the API: versioned keys, indexes by name, and a bounded history for watches and older pages."""

import threading
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from queue import SimpleQueue

from rotator.sandbox.apiserver.objects import Object, metadata, with_metadata

LAST = "\U0010ffff"  # sorts after every character of a key


class Compacted(Exception):
    """The history does not reach back that far. `oldest` is the first version that can be asked for."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"the history begins at {oldest}")
        self.oldest = oldest


@dataclass(frozen=True, slots=True)
class Event:
    """One write: what stood under the key before and after; None is nothing."""

    version: int
    key: str
    old: Object | None
    new: Object | None


@dataclass(slots=True)
class _Table:
    """One resource: objects by key, keys in order, keys by name, and its latest events, oldest first."""

    objects: dict[str, Object] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    names: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    events: list[Event] = field(default_factory=list)
    compacted: int = 0  # the newest version that was forgotten
    feeds: list["Feed"] = field(default_factory=list)


Feed = SimpleQueue[Event | None]
"""The events of one watch, as they happen; None says: look whether you are still wanted."""


class Etcd:
    """Holds every object. Whoever reads or writes more than one thing holds `lock`."""

    def __init__(self, history: int = 10_000) -> None:
        self.version = 0
        self.history = history  # events kept for each resource, at least
        self.lock = threading.RLock()
        self._tables: defaultdict[str, _Table] = defaultdict(_Table)

    def get(self, resource: str, key: str) -> Object | None:
        """The current object."""
        return self._tables[resource].objects.get(key)

    def put(self, resource: str, key: str, obj: Object) -> Object:
        """Store the object under the next version, and return it with that version."""
        with self.lock:
            stored = with_metadata(obj, resourceVersion=str(self.version + 1))
            table = self._tables[resource]
            if key not in table.objects:
                insort(table.keys, key)
                table.names[metadata(obj)["name"]].add(key)
            self._record(table, key, stored)
            return stored

    def delete(self, resource: str, key: str) -> Object:
        """Remove the object, which must exist, and return it with the version of its removal."""
        with self.lock:
            table = self._tables[resource]
            old = table.objects[key]
            del table.keys[bisect_left(table.keys, key)]
            table.names[metadata(old)["name"]].discard(key)
            self._record(table, key, None)
            return with_metadata(old, resourceVersion=str(self.version))

    def _record(self, table: _Table, key: str, new: Object | None) -> None:
        self.version += 1
        event = Event(self.version, key, table.objects.pop(key, None), new)
        table.events.append(event)
        for feed in table.feeds:
            feed.put(event)
        if new is not None:
            table.objects[key] = new
        if len(table.events) > 2 * self.history:
            table.compacted = table.events[-self.history - 1].version
            del table.events[: -self.history]

    def compact(self) -> None:
        """Forget the whole history, as etcd does every five minutes: each version so far is then Expired.

        Watches that are open go on: they have their feeds.
        """
        with self.lock:
            self.version += 1
            for table in self._tables.values():
                table.events.clear()
                table.compacted = self.version

    def latest(self, resource: str) -> int:
        """The version of the last write to any object of this resource."""
        table = self._tables[resource]
        return table.events[-1].version if table.events else table.compacted

    def named(self, resource: str, name: str) -> list[str]:
        """The keys of all objects of this name, in order: no scan."""
        with self.lock:
            return sorted(self._tables[resource].names.get(name, ()))

    def count(self, resource: str, prefix: str, start: str, at: int) -> int:
        """How many objects there were under `prefix` from key `start` on, as of version `at`. Raises Compacted."""
        with self.lock:
            if at != self.version:
                return len(self.scan(resource, lambda _: True, prefix=prefix, start=start, at=at))
            keys = self._tables[resource].keys
            return bisect_left(keys, prefix + LAST) - bisect_left(keys, max(prefix, start))

    def scan(
        self,
        resource: str,
        wanted: Callable[[Object], bool],
        *,
        prefix: str = "",
        start: str = "",
        limit: int | None = None,
        at: int | None = None,
    ) -> list[tuple[str, Object]]:
        """Up to `limit` wanted objects under `prefix`, from key `start` on, in order, as of version `at` (or now).

        Raises Compacted.
        """
        with self.lock:
            table = self._tables[resource]
            past = {} if at is None else self._undone(table, at)
            found = (
                (key, obj)
                for key in _range(table.keys, past, max(prefix, start), prefix + LAST)
                if (obj := past[key] if key in past else table.objects[key]) is not None and wanted(obj)
            )
            return list(islice(found, limit))

    def follow(self, resource: str, version: int) -> Feed:
        """A feed of every write after this version, the past ones included. Raises Compacted."""
        feed: Feed = SimpleQueue()
        with self.lock:
            table = self._tables[resource]
            for event in self._after(table, version):
                feed.put(event)
            table.feeds.append(feed)
        return feed

    def leave(self, resource: str, feed: Feed) -> None:
        """End a feed."""
        with self.lock:
            self._tables[resource].feeds.remove(feed)

    def wake(self) -> None:
        """Make every watch look whether it is still wanted."""
        with self.lock:
            for table in self._tables.values():
                for feed in table.feeds:
                    feed.put(None)

    def _after(self, table: _Table, version: int) -> list[Event]:
        if version < table.compacted:
            raise Compacted(table.compacted)
        return table.events[bisect_left(table.events, version + 1, key=lambda event: event.version) :]

    def _undone(self, table: _Table, version: int) -> dict[str, Object | None]:
        """What stood then under the keys that were written since."""
        return {event.key: event.old for event in reversed(self._after(table, version))}


def _range(keys: list[str], past: dict[str, Object | None], first: str, last: str) -> Iterator[str]:
    here = keys[bisect_left(keys, first) : bisect_left(keys, last)]
    gone = {key for key in past if first <= key < last}.difference(here)
    return iter(sorted({*here, *gone}) if gone else here)
