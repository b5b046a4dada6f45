"""How long until another replica leads, on a real API server: python -m bench.takeover

Two replicas with the default durations of the Lease (15 s, 10 s, 2 s). The leader is asked to end (SIGTERM) or killed
(SIGKILL); the time runs from the signal until the other leads, and until a namespace made meanwhile has its Secret.
"""

# ruff: noqa: TID251  (benchmarks are modules of no package, and measure time)

import itertools
import signal
import time
from contextlib import AbstractContextManager
from dataclasses import replace

from bench.installed import installed
from bench.tables import show
from tests.installation import Installation
from tests.outside import SECRET
from tests.program import Running
from tests.waiting import eventually

RUNS = 3
GOALS = {signal.SIGTERM: 3.0, signal.SIGKILL: 17.0}
"""Seconds."""


def replica(installation: Installation, number: int) -> AbstractContextManager[Running]:
    """One more process, with a log of its own."""
    directory = installation.directory / f"replica-{number}"
    directory.mkdir()
    return replace(installation, directory=directory).start("run")


def leads(running: Running) -> bool:
    """Whether it took the lead."""
    return bool(running.events("lease.acquired"))


def taken_over(
    installation: Installation, number: signal.Signals, serial: "itertools.count[int]"
) -> tuple[float, float]:
    """Seconds until the other one leads, and until it did something."""
    with replica(installation, next(serial)) as first:
        eventually(lambda: leads(first) and first.events("pass.finished"), "a leader")
        with replica(installation, next(serial)) as second:
            eventually(lambda: second.events("lease.held"), "a standby")
            began = time.monotonic()
            first.process.send_signal(number)
            (namespace,) = installation.add_namespaces(f"team-{next(serial)}")
            eventually(lambda: leads(second), "another leader")
            lead = time.monotonic() - began
            eventually(lambda: installation.find("secrets", namespace, SECRET), "its work")
            work = time.monotonic() - began
            second.end()
    return lead, work


def main() -> None:
    """Measure and print."""
    rows, serial = [], itertools.count()
    with installed() as installation:
        for number, goal in GOALS.items():
            seen = [taken_over(installation, number, serial) for _ in range(RUNS)]
            leads_after, works_after = ([f"{each:.1f}" for each in column] for column in zip(*seen, strict=True))
            rows.append([number.name, f"{', '.join(leads_after)} s", f"{', '.join(works_after)} s", f"< {goal:.0f} s"])
    show("Take-over by the second replica", ("the leader gets", "the other leads", "and has served", "goal"), rows)


if __name__ == "__main__":
    main()
