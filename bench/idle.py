"""What rotator costs at rest on a large cluster: python -m bench.idle

10,000 namespaces with 50,000 ServiceAccounts on a real API server, three clouds, and a sweep each minute instead of
each five: the requests are those of one sweep and of the time until the next. Prints memory, requests and processor
time of a leader that rolled everything out itself, and of one that was started on a cluster where all was in place. It
takes about eight minutes.
"""

# ruff: noqa: T201, TID251  (benchmarks are modules of no package, print, and measure time)

import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from bench.installed import installed, populate
from bench.tables import show
from tests.apiclient import PARTIAL_LIST
from tests.installation import Installation
from tests.outside import SECRET
from tests.program import Running
from tests.vitals import Vitals, cpu_seconds
from tests.waiting import eventually

NAMESPACES = int(os.environ.get("IDLE_NAMESPACES", "10000"))
ACCOUNTS = ("workers", "builds", "deploys", "tests")
"""With `default`, five in each namespace."""

SWEEP = 60
"""Seconds from sweep to sweep."""

DEFAULT_SWEEP = 5
"""Minutes from sweep to sweep that rotator makes by default."""

ROLL_OUT = 600.0
"""Seconds that the first pass may take."""

APART = frozenset({"watch", "leases"})
"""What the goal does not count: watches, and the Lease."""

GOAL_MEMORY, GOAL_REQUESTS, GOAL_CPU = 110.0, 10.0, 1.0


@dataclass(frozen=True)
class Rest:
    """What was seen from the end of one sweep to the end of the next."""

    before: Vitals
    after: Vitals
    requests: Counter[str]
    sweep_cpu: float
    idle_cpu: float

    @property
    def counted(self) -> int:
        """The requests that the goal counts."""
        return sum(count for asked, count in self.requests.items() if not APART & set(asked.split()))


def sweeps(running: Running) -> int:
    """How many passes over everything have ended."""
    return sum(1 for event in running.events("pass.finished") if event["namespace"] is None)


def next_sweep(running: Running, seconds: float) -> None:
    """Wait for the end of one more."""
    before = sweeps(running)
    eventually(lambda: sweeps(running) > before, "the next sweep", seconds)


def observed(installation: Installation, running: Running) -> Rest:
    """From the end of one sweep to the end of the next: the processor time of its first half is that of idling."""
    next_sweep(running, SWEEP + ROLL_OUT)
    pid, asked = running.process.pid, len(installation.requests())
    began, cpu = time.monotonic(), cpu_seconds(pid)
    time.sleep(SWEEP / 2)
    before, idle_cpu = Vitals.of(pid), (cpu_seconds(pid) - cpu) / (time.monotonic() - began)
    next_sweep(running, SWEEP + ROLL_OUT)
    after, seconds = Vitals.of(pid), time.monotonic() - began
    requests = Counter(_words(event) for event in installation.requests()[asked:])
    return Rest(before, after, requests, after.cpu - cpu - idle_cpu * seconds, idle_cpu)


def _words(event: dict[str, dict[str, str]]) -> str:
    return f"{event['verb']} {event.get('objectRef', {}).get('resource', 'other')}"


def measured(installation: Installation, is_ready: Callable[[], bool]) -> tuple[float, Rest]:
    """Run it; how long until everything was in place, and how it rested then."""
    began = time.monotonic()
    with installation.start("run") as running:
        eventually(lambda: sweeps(running) and is_ready(), "everything in place", ROLL_OUT)
        ready = time.monotonic() - began
        rest = observed(installation, running)
        running.end()
    return ready, rest


def in_place(installation: Installation) -> bool:
    """Whether every namespace has its Secret."""
    query = {"fieldSelector": f"metadata.name={SECRET}"}
    listed = installation.controlplane.admin.get("/api/v1/secrets", PARTIAL_LIST, **query).body["items"]
    return len(listed) == NAMESPACES


def rows(name: str, ready: float, rest: Rest) -> list[list[object]]:
    """What was seen of one leader."""
    return [
        [name, "ready after", f"{ready:.1f} s", ""],
        [name, "resident at rest", f"{rest.before.rss:.1f} MiB (PSS {rest.before.pss:.1f})", f"<= {GOAL_MEMORY:.0f}"],
        [
            name,
            "resident after a sweep",
            f"{rest.after.rss:.1f} MiB (PSS {rest.after.pss:.1f})",
            f"<= {GOAL_MEMORY:.0f}",
        ],
        [name, "the most ever resident", f"{rest.after.peak:.1f} MiB", ""],
        [name, "requests a minute, by default", f"{rest.counted / DEFAULT_SWEEP:.1f}", f"< {GOAL_REQUESTS:.0f}"],
        [name, "processor time of a sweep", f"{rest.sweep_cpu:.2f} s", f"<= {GOAL_CPU:.0f}"],
        [name, "processor time at rest", f"{1000 * rest.idle_cpu:.1f} ms a second", ""],
        [name, "threads, descriptors", f"{rest.after.threads}, {rest.after.descriptors}", ""],
    ]


def main() -> None:
    """Measure and print."""
    with installed(f"renewal: {{sweep: {SWEEP}s}}\n") as installation:
        began = time.monotonic()
        names = [installation.full(f"team-{number}") for number in range(NAMESPACES)]
        populate(installation.controlplane.admin, names, ACCOUNTS)
        print(f"{NAMESPACES} namespaces made in {time.monotonic() - began:.0f} s", flush=True)
        first = measured(installation, lambda: in_place(installation))
        print("rolled out, and seen at rest", first, flush=True)
        second = measured(installation, lambda: True)
    table = rows("after its roll-out", *first) + rows("after a restart", *second)
    show(f"At rest, {NAMESPACES} namespaces", ("leader", "what", "seen", "goal"), table)
    print(f"\nrequests after a restart: {dict(second[1].requests)}")


if __name__ == "__main__":
    main()
