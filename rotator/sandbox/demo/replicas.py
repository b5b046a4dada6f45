"""The replicas of the program, as a Deployment would run them: each a process with a log of its own."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any


@dataclass
class Replica:
    """One of them. Its log goes on when it is started again."""

    log_file: Path
    argv: Sequence[str]
    environment: Mapping[str, str]
    process: "subprocess.Popen[bytes] | None" = None
    _read: int = field(default=0, repr=False)  # bytes of the log that were told

    @property
    def is_running(self) -> bool:
        """Whether there is a process."""
        return self.process is not None and self.process.poll() is None

    @property
    def log(self) -> str:
        """Everything that it has written so far."""
        return self.log_file.read_text() if self.log_file.exists() else ""

    def start(self) -> None:
        """Start it, if it does not run."""
        if not self.is_running:
            log: IO[bytes]
            with self.log_file.open("ab") as log:
                self.process = subprocess.Popen(self.argv, env=self.environment, stdout=log, stderr=log)  # noqa: S603

    def kill(self) -> None:
        """End it without a warning, as the kernel does when memory is short."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def terminate(self) -> None:
        """Ask it to end, as the kubelet does first."""
        if self.process is not None and self.is_running:
            self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> None:
        """Wait for its end, and then kill it, as the kubelet does."""
        try:
            if self.process is not None:
                self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def news(self) -> Iterator[dict[str, Any]]:
        """The events that it has logged since this was asked last."""
        if not self.log_file.exists():
            return
        with self.log_file.open("rb") as file:
            file.seek(self._read)
            fresh = file.read()
        complete = fresh.rfind(b"\n") + 1
        self._read += complete
        for line in fresh[:complete].decode().splitlines():
            yield _event(line)

    def holds(self, identity: str) -> bool:
        """Whether it took the Lease as this identity."""
        return any(
            event.get("event") == "lease.acquired" and event.get("identity") == identity
            for event in map(_event, self.log.splitlines())
        )


def program(*words: str) -> list[str]:
    """The command line of `rotator` with these words."""
    return [sys.executable, "-m", "rotator", *words]


def _event(line: str) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
