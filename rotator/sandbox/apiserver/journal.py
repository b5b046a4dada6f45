"""What was asked of the server: enough to count writes, and no bodies, headers or tokens."""

import threading
from collections import Counter
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Record:
    """One request. `verb` is RBAC's (an apply is a patch); for other paths `resource` is empty and `name` the path."""

    time: datetime
    user: str
    user_agent: str
    verb: str
    resource: str
    namespace: str
    name: str
    status: int


class Journal:
    """All requests since the start or the last `clear`; a watch is recorded when it begins."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: list[Record] = []

    def add(self, record: Record) -> None:
        """Add one request."""
        with self._lock:
            self._records.append(record)

    def clear(self) -> None:
        """Begin anew."""
        with self._lock:
            self._records.clear()

    @property
    def records(self) -> tuple[Record, ...]:
        """Every request, oldest first."""
        with self._lock:
            return tuple(self._records)

    @property
    def counts(self) -> Counter[tuple[str, str, int]]:
        """How many requests by verb, resource and status."""
        return Counter((record.verb, record.resource, record.status) for record in self.records)
