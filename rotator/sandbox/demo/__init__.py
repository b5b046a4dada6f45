"""`rotator demo`: a minute of rotation in sight, with misfortunes, on a world that is emulated down to its wires.

The program that is watched is the real one, started as a subprocess on a production-looking configuration. The demo
ends with a summary, and with exit code 1 if any pull failed that should not have.
"""

import json
import signal
import tempfile
import time
from contextlib import nullcontext
from datetime import datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from rotator.sandbox.cloud import utc_now
from rotator.sandbox.demo import screen
from rotator.sandbox.demo.misfortunes import Misfortune, Misfortunes, wait_until
from rotator.sandbox.demo.screen import View
from rotator.sandbox.demo.stage import NAMESPACES, NEWCOMER, PULL_SECRET, REGISTRIES, Stage
from rotator.sandbox.demo.workers import Tally, Verdict, Workers
from rotator.sandbox.worker import Pull

START_UP = 30.0
"""Seconds that the program has for its first Secrets before the show is called off."""

STOPPED = 130
"""The exit code of a program that Ctrl-C ended, as in every shell."""

TICK = 0.2
PLAIN_TICK = 5.0

EVENTS = {
    "credential.minted": "rotator minted a credential for {registry}, {life_s} s of life",
    "mint.failed": "rotator could not mint for {registry} ({reason}), next try in {next_attempt_in_s} s",
    "lease.lost": "a replica ceased to lead",
    "lease.acquired": "the replica {identity} leads",
    "secret.contested": "rotator takes its Secret in {namespace} back from {managers[0]}",
}


class Demo:
    """One show."""

    def __init__(self, duration: timedelta, *, plain: bool, with_rotator: bool) -> None:
        self._seconds = duration.total_seconds()
        self._with_rotator = with_rotator
        self._console = Console()
        self._plain = plain or not self._console.is_terminal
        self._view = View(self._seconds)
        self._tally = Tally()
        self._began = time.monotonic()
        self._stopped = False

    def run(self) -> int:
        """Play it; the exit code. Ctrl-C ends it early and well, and so does SIGTERM (`timeout`, CI)."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.default_int_handler)
        with tempfile.TemporaryDirectory(prefix="rotator-demo-") as directory, Stage(Path(directory)) as stage:
            workers = Workers(stage, self._tally, self._failed)
            misfortunes = Misfortunes(
                stage, self._tally, workers, self._tell, lambda name: self._view.left.get(name, 0.0)
            )
            self._began = time.monotonic()
            first_write = self._open(stage)
            if first_write is None:
                self._console.print(Text("rotator wrote no Secret; its last words:", style="red"))
                self._console.print(stage.written_by_rotator()[-2000:], markup=False)
                return 1
            workers.start(list(NAMESPACES))
            try:
                self._play(stage, misfortunes)
            except KeyboardInterrupt:
                self._stopped = True
            finally:
                workers.stop()
            self._look(stage)
            self._console.print(screen.summary(self._tally, self._figures(stage, first_write)))
            return self._verdict(stage)

    def _verdict(self, stage: Stage) -> int:
        """The last lines, and the exit code."""
        if self._stopped:
            self._console.print("stopped by hand: no verdict")
            return STOPPED
        leaked = self._leaks(stage)
        good = not self._tally.failures and self._tally.counts[Verdict.PULLED] > 0
        self._console.print(screen.verdict(good=good))
        return 0 if good and not leaked else 1

    def _open(self, stage: Stage) -> float | None:
        """Have the first Secrets written; how many seconds the first took, None if there is none."""
        start = time.monotonic()
        if self._with_rotator:
            self._tell(f"rotator starts on {len(NAMESPACES)} namespaces without a pull secret")
            stage.start_rotator()
        else:
            self._tell("without rotator: somebody makes the Secrets once, and that is all")
            stage.run_rotator_once()
        if not wait_until(lambda: _secrets(stage) > 0, START_UP):
            return None
        first = time.monotonic() - start
        if not wait_until(lambda: _secrets(stage) == len(NAMESPACES), START_UP):
            return None
        self._tell(f"all {len(NAMESPACES)} Secrets are there, the first after {first:.1f} s; workers start")
        return first

    def _play(self, stage: Stage, misfortunes: Misfortunes) -> None:
        script = misfortunes.script(self._seconds) if self._with_rotator else []
        screened = nullcontext() if self._plain else Live(console=self._console, refresh_per_second=8)
        lines_at = 0.0
        with screened as shown:
            while (elapsed := time.monotonic() - self._began) < self._seconds:
                self._look(stage)
                script = self._happen(script, elapsed)
                misfortunes.settle()
                if shown is not None:
                    shown.update(screen.live(self._view, self._tally))
                elif elapsed >= lines_at:
                    self._say(screen.plain(self._view, self._tally))
                    lines_at += PLAIN_TICK
                time.sleep(TICK)

    def _happen(self, script: list[Misfortune], elapsed: float) -> list[Misfortune]:
        """Let happen what is to happen now; what is still to come."""
        now = [misfortune for misfortune in script if misfortune.at <= elapsed and misfortune.ready()]
        for misfortune in now:
            misfortune.happen()
        aftermath = [after for misfortune in now for after in misfortune.aftermath(elapsed)]
        return [misfortune for misfortune in script if misfortune not in now] + aftermath

    def _look(self, stage: Stage) -> None:
        """What there is to see now: in the cluster as kubectl shows it, in the program's log, in the clouds' books."""
        view = self._view
        view.elapsed = min(time.monotonic() - self._began, self._seconds)
        view.program = _program(stage)
        view.left = _left(stage)
        view.mints = _mints(stage)
        view.writes = _writes(stage)
        if self._with_rotator:
            self._tell_log(stage)

    def _tell_log(self, stage: Stage) -> None:
        for replica in stage.replicas:
            events = list(replica.news())
            attached = [event for event in events if event.get("event") == "reference.attached"]
            for event in events:
                if words := EVENTS.get(str(event.get("event"))):
                    self._tell(words.format(**event))
            if attached:
                places = f"{len(attached)} ServiceAccounts" if len(attached) > 1 else attached[0]["namespace"]
                self._tell(f"rotator attached {PULL_SECRET} in {places}")

    def _failed(self, pull: Pull) -> None:
        self._tell(f"FAILED pull in {pull.namespace} of {pull.image}: {pull.message}")

    def _tell(self, line: str) -> None:
        when = screen.span(time.monotonic() - self._began)
        style = "red" if line.startswith("FAILED") else "yellow" if line.startswith("misfortune") else ""
        self._view.story.append(Text(f"{when}  {line}", style=style, no_wrap=True, overflow="ellipsis"))
        if self._plain:
            self._say(line)

    def _say(self, line: str) -> None:
        when = screen.span(time.monotonic() - self._began)
        self._console.print(f"{when}  {line}", markup=False, highlight=False, soft_wrap=True)

    def _figures(self, stage: Stage, first_write: float) -> list[str]:
        counts, mints = self._tally.counts, _mints(stage)
        renewals = ", ".join(f"{name} {count}" for name, count in mints.items())
        return [
            "",
            f"{counts.total()} Pods: {counts[Verdict.PULLED]} pulled, {counts[Verdict.FAILED]} failed",
            f"{counts[Verdict.EXCUSED]} more could not pull while their namespace was new, or was changed by hand",
            f"mints: {renewals}; Secret writes: {_writes(stage)} in {_secrets(stage)} namespaces",
            f"start-up to first write: {first_write:.1f} s",
        ]

    def _leaks(self, stage: Stage) -> bool:
        """Whether a secret value stands in what the program wrote, at level debug."""
        written = stage.written_by_rotator()
        leaked = [secret for secret in stage.net.secrets() if len(secret) > 8 and secret in written]  # noqa: PLR2004
        words = f"{len(leaked)} secret values in" if leaked else "no secret value in"
        self._console.print(Text(f"{'✗' if leaked else '✓'} {words} {len(written)} characters of its debug log"))
        return bool(leaked)


def _program(stage: Stage) -> str:
    leader = stage.leader
    running = [replica for replica in stage.replicas if replica.is_running]
    standing = ", ".join(str(one.process.pid) for one in running if one is not leader and one.process)
    if leader is None or leader.process is None:
        return f"standing by: {standing}" if standing else "rotator is not running"
    return f"leader: {leader.process.pid}" + (f", standing by: {standing}" if standing else "")


def _secrets(stage: Stage) -> int:
    names = (*NAMESPACES, NEWCOMER)
    return sum(1 for name in names if stage.api.store.get("secrets", name, PULL_SECRET))


def _left(stage: Stage) -> dict[str, float]:
    """By registry: seconds until the published token of the first namespace expires."""
    secret = stage.api.store.get("secrets", NAMESPACES[0], PULL_SECRET)
    annotations = secret["metadata"].get("annotations", {}) if secret else {}
    entries = json.loads(annotations.get("rotator.dev/entries", "{}"))
    ends = {entry["registry"]: datetime.fromisoformat(entry["expiresAt"]) for entry in entries.values()}
    return {name: (ends[name] - utc_now()).total_seconds() for name in REGISTRIES if name in ends}


def _mints(stage: Stage) -> dict[str, int]:
    net = stage.net
    return {
        "prod": net.aws.calls["GetAuthorizationToken"],
        "images": net.google.calls["generateAccessToken"],
        "contoso": net.azure.calls["exchange"],
    }


def _writes(stage: Stage) -> int:
    counts = stage.api.journal.counts
    return counts["patch", "secrets", 200] + counts["patch", "secrets", 201]
