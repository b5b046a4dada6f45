"""`rotator` as a program: started with words and an environment, as a person or a Deployment would."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.waiting import PATIENCE

COLUMNS = 80
ANY_PORTS = {"ROTATOR_HEALTH_ADDRESS": "127.0.0.1:0", "ROTATOR_METRICS_ADDRESS": "127.0.0.1:0"}
"""Many programs run side by side: each serves where there is room, and logs where."""
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def events_in(text: str) -> list[dict[str, Any]]:
    """The log's events; every line must be one."""
    return [json.loads(line) for line in text.splitlines()]


@dataclass(frozen=True)
class Running:
    """A command that was started and not awaited; what it writes goes to files, so that it never waits for a reader."""

    process: "subprocess.Popen[bytes]"
    out: Path
    err: Path

    @property
    def log(self) -> str:
        """The complete lines on standard error."""
        text = self.err.read_text()
        return text[: text.rfind("\n") + 1]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of this name so far."""
        return [event for event in events_in(self.log) if event["event"] == name]

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = PATIENCE) -> int:
        """Send the signal; the exit code. Raises TimeoutExpired if it does not end in time."""
        self.process.send_signal(number)
        return self.process.wait(timeout=seconds)


class Program:
    """The program in one directory with one environment; a subclass is a dataclass that has both."""

    directory: Path
    environment: dict[str, str]

    def configure(self, text: str) -> None:
        """Use this configuration from now on."""
        (self.directory / "config.yaml").write_text(text)

    def run(self, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run `rotator` with these words to its end, with more variables in its environment."""
        return subprocess.run(  # noqa: S603  (our own program)
            [sys.executable, "-m", "rotator", *words],
            env=self.environment | variables,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    @contextmanager
    def start(self, *words: str) -> Iterator[Running]:
        """Start `rotator` with these words; killed at the end, if it still runs."""
        out, err = (self.directory / f"{words[0]}.{name}" for name in ("out", "err"))
        with out.open("wb") as to_out, err.open("wb") as to_err:
            process = subprocess.Popen(  # noqa: S603  (our own program)
                [sys.executable, "-m", "rotator", *words],
                env=self.environment,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=to_out,
                stderr=to_err,
            )
        try:
            yield Running(process, out, err)
        finally:
            process.kill()
            process.wait()

    def run_on_terminal(self, *words: str) -> tuple[int, str]:
        """Run `rotator` on a terminal of 80 columns: its exit code, and what the terminal was sent."""
        return run_on_terminal(words, self.environment, self.directory)


def run_on_terminal(words: Sequence[str], environment: Mapping[str, str], directory: Path) -> tuple[int, str]:
    """Run `rotator` on a terminal of 80 columns: its exit code, and what the terminal was sent."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, COLUMNS))
    process = subprocess.Popen(  # noqa: S603  (our own program)
        [sys.executable, "-m", "rotator", *words],
        env={**environment, "TERM": "xterm"},
        cwd=directory,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b"".join(_read_all(ours)).decode()
    os.close(ours)
    return process.wait(timeout=PATIENCE), shown


def _read_all(descriptor: int) -> Iterator[bytes]:
    """What is written to the other end, until nobody has it open; Linux says so with an error."""
    with suppress(OSError):
        while chunk := os.read(descriptor, 65536):
            yield chunk
