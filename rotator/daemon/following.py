"""Follows the configuration's file: what stands in it now, as soon as somebody changed it.

It is looked at, not waited for: a ConfigMap changes by a symlink two levels up, an editor by a new file in place of the
old one, and neither is an event of the file that was opened.
"""

import hashlib
import os
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from rotator import config as configuration
from rotator.config import Config
from rotator.errors import ConfigError

EVERY = timedelta(seconds=1)
"""How often it is looked at: a stat costs 2 µs."""

PATIENCE = 10
"""A file that is found changed so often in a row is read as it is: whoever writes it does not mean to come to rest."""

Signature = tuple[int, ...] | None
"""What tells one state of a file from another without reading it; None: it cannot be told."""


class Follower:
    """One file. `load` reads it first; from `start` on, `on_good` and `on_bad` are told, from a thread, of each change.

    A file that does not change any more for a moment counts: whoever writes it in two steps is not read in between. The
    same content, written again, is no change; and the same bad content is told of once.
    """

    def __init__(
        self,
        path: Path,
        on_good: Callable[[Config, str], None],
        on_bad: Callable[[ConfigError], None],
        *,
        every: timedelta = EVERY,
    ) -> None:
        self._path = path
        self._on_good = on_good
        self._on_bad = on_bad
        self._every = every
        self._seen: Signature = None
        self._told = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="configuration", daemon=True)

    def load(self) -> tuple[Config, str]:
        """The configuration, and the digest of its text. Raises ConfigError."""
        self._seen = _signature(self._path)
        text = configuration.read(self._path)
        self._told = digest(text)
        return configuration.parse(text, str(self._path)), self._told

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Tell nothing more; a file system that hangs is not waited for."""
        self._stopping.set()

    def _run(self) -> None:
        before, restless = self._seen, 0
        while not self._stopping.wait(self._every.total_seconds()):
            now = _signature(self._path)
            restless = 0 if now == before else restless + 1
            if now != self._seen and (now == before or restless > PATIENCE):
                self._seen, restless = now, 0
                self._look()
            before = now

    def _look(self) -> None:
        content = ""
        try:
            text = self._read()
            content = digest(text)
            config = configuration.parse(text, str(self._path))
        except ConfigError as error:
            if self._is_news(content or str(error)):
                self._on_bad(error)
        else:
            if self._is_news(content):
                self._on_good(config, content)

    def _read(self) -> str:
        """Its text, unless it is a pipe by now: opening one waits for its writer, and nothing would be followed."""
        with suppress(OSError):
            if stat.S_ISFIFO(os.stat(self._path).st_mode):  # noqa: PTH116  (as below)
                raise ConfigError(str(self._path), ("is a pipe; put a file in its place",))
        return configuration.read(self._path)

    def _is_news(self, content: str) -> bool:
        before, self._told = self._told, content
        return content != before and not self._stopping.is_set()


def digest(text: str) -> str:
    """Names a configuration: the first 12 hex digits of its text's SHA-256, enough to tell replicas apart."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _signature(path: Path) -> Signature:
    try:
        found = os.stat(path)  # noqa: PTH116  (through every symlink, as a ConfigMap's)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
