"""Candidates for a Lease: as objects in this process, and as programs that can be killed and frozen."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Self

from rotator.clock import Clock, utc_now
from rotator.cluster import lease as clocks
from rotator.cluster.lease import Lease
from rotator.cluster.login import log_in
from rotator.leadership import Candidate, Timing
from tests.processes import dying_with_us

ROOT = Path(__file__).parents[2]

QUICK = Timing(timedelta(seconds=3), timedelta(seconds=2), timedelta(seconds=0.2))
PATIENT = Timing(timedelta(seconds=20), timedelta(seconds=15), timedelta(seconds=0.2))
"""For tests in which nobody shall lose because the machine is busy."""


class Candidates:
    """Those of one namespace and Lease. They are stopped with the block, whose exit waits for none that hangs."""

    def __init__(self, kubeconfig: Path, namespace: str, name: str, timing: Timing) -> None:
        self.kubeconfig = kubeconfig
        self.namespace = namespace
        self.name = name
        self.timing = timing
        self.told: list[tuple[str, bool]] = []
        """Who was told of what, in order."""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def make(
        self,
        identity: str,
        *,
        kubeconfig: Path | None = None,
        clock: Clock = utc_now,
        since_boot: Callable[[], float] = clocks.since_boot,
        on_change: Callable[[bool], None] | None = None,
        notes: Callable[[], Mapping[str, str]] = dict,
    ) -> Lease:
        """A candidate that does not stand yet."""

        def remember(leads: bool) -> None:
            self.told.append((identity, leads))

        lease = Lease(
            partial(log_in, kubeconfig or self.kubeconfig, None),
            Candidate(self.namespace, self.name, identity, self.timing),
            clock=clock,
            draw=random.random,
            since_boot=since_boot,
            on_change=on_change or remember,
            notes=notes,
        )
        self._stack.callback(lease.stop, timedelta(seconds=1))
        return lease

    def stand(self, identity: str, *, kubeconfig: Path | None = None, clock: Clock = utc_now) -> Lease:
        """One that stands."""
        lease = self.make(identity, kubeconfig=kubeconfig, clock=clock)
        lease.start()
        return lease

    @contextmanager
    def program(self, identity: str, directory: Path) -> Iterator["Standing"]:
        """One that stands in a process of its own."""
        durations = (self.timing.lease_duration, self.timing.renew_deadline, self.timing.retry_period)
        words = [str(self.kubeconfig), self.namespace, self.name, identity]
        words += [str(duration.total_seconds()) for duration in durations]
        output = directory / identity
        with output.open("wb") as said, (directory / f"{identity}.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603  (our own module)
                [*dying_with_us(), sys.executable, "-m", "tests.cluster.standing", *words],
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], "HOME": str(directory)},
                stdout=said,
                stderr=log,
            )
        try:
            yield Standing(process, output)
        finally:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Said:
    """One question of a program to itself, and the answer."""

    before: float
    after: float
    holds: bool


@dataclass(frozen=True)
class Standing:
    """A candidate that is a program."""

    process: "subprocess.Popen[bytes]"
    output: Path

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    @property
    def said(self) -> list[Said]:
        """What it has said so far, in whole lines."""
        text = self.output.read_text()
        lines = [line.split() for line in text[: text.rfind("\n") + 1].splitlines()]
        return [Said(float(before), float(after), holds == "1") for before, after, holds in lines]

    def holds(self) -> bool:
        """What it said last."""
        said = self.said
        return bool(said) and said[-1].holds
