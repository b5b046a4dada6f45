"""What one phase of a benchmark took: time, processor time, requests, and what was sent to etcd."""

# ruff: noqa: TID251  (benchmarks are modules of no package, and measure time)

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.installation import Installation
from tests.vitals import cpu_seconds

SETTLED = 0.5
"""Seconds after which the audit log has what was answered."""


class Tail:
    """What is appended to a log from now on, or its whole; each line is read once, so that looking costs little."""

    def __init__(self, path: Path, *, whole: bool = False) -> None:
        self._file = path.open("rb")
        self._file.seek(0, os.SEEK_SET if whole else os.SEEK_END)
        self._rest = b""

    def lines(self) -> list[bytes]:
        """The complete lines since the last look."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        return lines

    def find(self, event: str, **fields: object) -> dict[str, Any] | None:
        """The first new event of this name with these fields; what came before it is passed over."""
        lines = iter(self.lines())
        for line in lines:
            if event.encode() in line:
                found = dict(json.loads(line))
                if found["event"] == event and fields.items() <= found.items():
                    self._rest = b"\n".join([*lines, self._rest])
                    return found
        return None

    def wait_for(self, event: str, seconds: float, **fields: object) -> dict[str, Any]:
        """The next event of this name with these fields. Raises TimeoutError."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if found := self.find(event, **fields):
                return found
            time.sleep(0.02)
        msg = f"no {event} within {seconds:.0f} s"
        raise TimeoutError(msg)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass
class Phase:
    """One phase. Seconds are its own, those of the processor by program; `writes` are those that changed something."""

    seconds: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    to_etcd: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    passing: float = 0.0
    """Seconds from the API server's receipt of the first request to its answer to the last Secret's write."""
    writing: float = 0.0
    """The same from the first Secret's write."""

    @property
    def writes(self) -> int:
        """Requests that may change something, but for the Lease and what is only asked by POST."""
        verbs = ("patch", "create", "update", "delete")
        return sum(
            count
            for asked, count in self.requests.items()
            if asked.startswith(verbs) and not asked.endswith(("leases", "reviews", "events"))
        )

    def record(self) -> dict[str, object]:
        """As JSON."""
        return {
            "seconds": round(self.seconds, 3),
            "passingSeconds": round(self.passing, 3),
            "writingSeconds": round(self.writing, 3),
            "cpuSeconds": {name: round(each, 2) for name, each in self.cpu.items()},
            "bytesToEtcd": self.to_etcd,
            "requests": dict(self.requests),
        }


class Meter:
    """Measures phases of one installation; `pid` is rotator's, where it runs."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self.pid: int | None = None

    @contextmanager
    def phase(self) -> Iterator[Phase]:
        """What happens within."""
        found, controlplane = Phase(), self._installation.controlplane
        tail = Tail(controlplane.audit_log)
        sent, cpu, began = controlplane.sent_to_etcd(), self._cpu(), time.monotonic()
        yield found
        found.seconds = time.monotonic() - began
        found.cpu = {name: after - cpu.get(name, 0.0) for name, after in self._cpu().items()}
        found.to_etcd = controlplane.sent_to_etcd() - sent
        time.sleep(SETTLED)
        events = [json.loads(line) for line in tail.lines()]
        tail.close()
        ours = [event for event in events if event["user"]["username"] == self._installation.user]
        found.requests = Counter(map(_words, ours))
        secrets = [event for event in ours if _words(event) == "patch secrets"]
        asked = [event for event in ours if event["verb"] != "watch" and "leases" not in _words(event)]
        if secrets:
            ended = max(_moment(event["stageTimestamp"]) for event in secrets)
            found.passing = (ended - _first(asked)).total_seconds()
            found.writing = (ended - _first(secrets)).total_seconds()

    def _cpu(self) -> dict[str, float]:
        programs = {each.log.stem: each.process.pid for each in self._installation.controlplane.programs}
        if self.pid is not None:
            programs["rotator"] = self.pid
        return {name: cpu_seconds(pid) for name, pid in programs.items()}


def _words(event: dict[str, Any]) -> str:
    return f"{event['verb']} {event.get('objectRef', {}).get('resource', 'other')}"


def _first(events: list[dict[str, Any]]) -> datetime:
    return min(_moment(event["requestReceivedTimestamp"]) for event in events)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
