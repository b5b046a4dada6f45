"""Passes that run side by side, so that no two of them create one Secret.

What is there is guarded by its version; of what is not yet there is none, and a repair waits for no fan-out.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rotator.model import Subject


class Overlap:
    """Knows what was created while more than one pass was under way. Thread-safe."""

    def __init__(self) -> None:
        self._passes = 0
        self._creating: set[Subject] = set()
        self._created: set[Subject] = set()
        self._changed = threading.Condition()

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """One more pass, from its look at the cluster on."""
        with self._changed:
            self._passes += 1
        try:
            yield
        finally:
            with self._changed:
                self._passes -= 1
                if not self._passes:  # whoever looks from now on sees all of it
                    self._created.clear()

    @contextmanager
    def creating(self, subject: Subject) -> Iterator[bool]:
        """Alone with this object; whether another pass may have made it since somebody looked."""
        with self._changed:
            self._changed.wait_for(lambda: subject not in self._creating)
            self._creating.add(subject)
            created = subject in self._created
        try:
            yield created
        finally:
            with self._changed:
                self._creating.remove(subject)
                if self._passes > 1:
                    self._created.add(subject)
                self._changed.notify_all()
