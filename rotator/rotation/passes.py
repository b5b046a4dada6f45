"""One pass: gather, plan, mint, probe, apply, report. `run`, `once` and `check` call the same function."""

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import structlog

from rotator.clock import Clock, utc_now
from rotator.cluster.client import Cluster
from rotator.cluster.gather import gather, with_references
from rotator.config import Config, Registry
from rotator.model import Action, Change, Credential, Plan, Snapshot, Subject
from rotator.plan import plan
from rotator.rotation.apply import Applying, Progress
from rotator.rotation.minting import Minting
from rotator.rotation.observing import SILENT, Observer
from rotator.rotation.overlap import Overlap
from rotator.rotation.published import Published, first, published
from rotator.rotation.report import Outcome, RegistryStatus, Report, Result
from rotator.rotation.telling import Teller

log = structlog.get_logger("rotator.pass")

PATIENCE = timedelta(seconds=2)
"""How long the first round of writes waits for slow clouds; what they give later is written in a second round."""


@dataclass(frozen=True, slots=True)
class _Sight:
    """What one look at the cluster showed and what it asks for."""

    snapshot: Snapshot
    plan: Plan
    held: Mapping[str, Credential]
    generation: int
    published: Mapping[str, Published]

    @property
    def needed(self) -> set[str]:
        """The registries that some Secret needs."""
        return {name for change in self.plan.changes for name in change.needs.values()}


class Rotation:
    """The pass over one cluster with one configuration; `minting` remembers credentials from pass to pass.

    Who does not lead, as `leads` says, begins no mint and no write.
    """

    def __init__(
        self,
        config: Config,
        cluster: Cluster,
        minting: Minting,
        *,
        clock: Clock = utc_now,
        leads: Callable[[], bool] = lambda: True,
        observer: Observer = SILENT,
    ) -> None:
        self.config = config
        self.cluster = cluster
        self.minting = minting
        self._clock = clock
        self._observer = observer
        self._leads = leads
        self._writing = threading.Lock()
        self._in_line: deque[None] = deque()  # one for each pass that waits to write
        self._generation = 0
        self._overlap = Overlap()
        self._teller = Teller()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Begin no further write, wait for no further mint or try: passes under way end soon and well."""
        self.retire()
        self.cluster.close()

    def retire(self) -> None:
        """The same, but leave the cluster to the rotation that comes after this one."""
        self._stopped.set()

    def _is_stopping(self) -> bool:
        return self._stopped.is_set() or not self._leads()

    def run(
        self,
        *,
        write: bool = True,
        only: str | None = None,
        progress: Progress | None = None,
        when_late: Callable[[str], None] | None = None,
        spare: Callable[[Subject], bool] = lambda _: False,
        paced: bool = False,
    ) -> Report:
        """One pass over everything, or over the namespace `only`; without `write` it stops before the first write.

        Slow clouds are waited for, and what they give is written in a second round. With `when_late` they are not: it
        is called with the registry's name when a late mint has ended, from that mint's thread, for another pass then.
        Objects that `spare` says are left for another pass, too. One that is `paced` takes its time over what has time.

        Raises ClusterUnusable where the cluster cannot be read at all; every other failure is in the report.
        """
        began = time.monotonic()
        with self._overlap.under_way():
            sight = self._look(only)
            mints = self._start_mints(sight)
            late = self._await(mints, PATIENCE)
            sight, results = self._carry_out(sight, write=write, progress=progress, spare=spare, paced=paced)
            if late and when_late is None and not self._is_stopping():
                late = self._await(late, timedelta.max)
                sight, later = self._carry_out(
                    self._look(only), write=write, progress=progress, spare=spare, paced=paced
                )
                results = _latest(results, later)
        report = Report(tuple(results), self._statuses(sight, mints, late), sight.snapshot)
        self._teller.tell(report)
        log.info("pass.finished", namespace=only, write=write, **report.counts())
        if not self._is_stopping():  # what was broken off says little of how things stand
            self._observer.passed(report, time.monotonic() - began)
        if when_late is not None:
            for name, mint in late.items():
                mint.add_done_callback(partial(_tell, when_late, name))
        return report

    def _look(self, only: str | None) -> _Sight:
        generation = self._generation
        snapshot = gather(self.cluster, self.config, only)
        held = self.minting.held
        now = self._clock()
        if self.config.prune.enabled:
            snapshot = with_references(self.cluster, self.config, snapshot, now)
        decided = plan(snapshot, self.config, held, now)
        return _Sight(snapshot, decided, held, generation, published(self.config, snapshot, decided.changes, now))

    def _start_mints(self, sight: _Sight) -> dict[str, Future[None]]:
        if self._is_stopping():
            return {}
        wanted = self.minting.wanted(sight.plan.mints, sight.needed, self._clock())
        return {
            name: self.minting.start(
                name,
                sight.plan.mints.get(name, "the last try failed"),
                {host: sight.published[host].until for host in self.config.registry(name).hosts},
                sight.held.get(name),
            )
            for name in wanted
        }

    def _await(self, mints: Mapping[str, Future[None]], patience: timedelta) -> dict[str, Future[None]]:
        """Wait for the mints, but no longer than `patience` and not beyond a stop; the ones still under way."""
        pending = set(mints.values())
        until = time.monotonic() + min(patience, timedelta(days=1)).total_seconds()
        while pending and time.monotonic() < until and not self._is_stopping():
            pending = wait(pending, timeout=min(0.2, max(until - time.monotonic(), 0))).not_done
        return {name: mint for name, mint in mints.items() if mint in pending}

    def _carry_out(
        self,
        sight: _Sight,
        *,
        write: bool,
        progress: Progress | None,
        spare: Callable[[Subject], bool],
        paced: bool,
    ) -> tuple[_Sight, list[Result]]:
        # A repair in one namespace waits for no fan-out: where both write one object, its version decides, and what
        # has none yet is made by one of them (`overlap`).
        with self._alone() if sight.snapshot.only is None else nullcontext():
            if sight.generation != self._generation:  # another pass has written since: decide on what is there now
                sight = self._look(sight.snapshot.only)
            applying = Applying(
                self.cluster,
                self.config,
                sight.snapshot,
                self.minting.offers,
                self._clock,
                self._is_stopping,
                self._overlap,
                time.monotonic,
                hurries=lambda: not paced or bool(self._in_line) or self._is_stopping(),
            )
            idle = [Result(change, Outcome.NOTHING) for change in sight.plan.changes if not _asks(change)]
            asking = [change for change in sight.plan.changes if _asks(change)]
            idle += [Result(change, Outcome.WAITING) for change in asking if spare(change.subject)]
            asking = [change for change in asking if not spare(change.subject)]
            if not write:
                return sight, idle + [applying.foresee(change) for change in asking]
            try:
                return sight, idle + applying.apply(asking, progress or _ignore)
            finally:
                if asking and sight.snapshot.only is None:
                    self._generation += 1  # not before: who looks while we write may miss some of it

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Write when no other pass over everything does; one that takes its time hurries for who waits here."""
        self._in_line.append(None)
        with self._writing:
            self._in_line.pop()
            yield

    def _statuses(self, sight: _Sight, mints: Collection[str], late: Collection[str]) -> tuple[RegistryStatus, ...]:
        return tuple(
            self._status(registry, sight, asked=registry.name in mints, late=registry.name in late)
            for registry in self.config.registries
        )

    def _status(self, registry: Registry, sight: _Sight, *, asked: bool, late: bool) -> RegistryStatus:
        # A registry that no Secret needs any more is not tried again, so its last failure is nobody's trouble.
        failure = self.minting.failure(registry.name) if registry.name in sight.needed else None
        shown = [sight.published[host] for host in registry.hosts if host in sight.published]
        return RegistryStatus(
            name=registry.name,
            kind=registry.kind,
            hosts=registry.hosts,
            minted=asked and not late and failure is None,
            late=late,
            credential=self.minting.held.get(registry.name),
            published_until=first(each.first_expiry for each in shown),
            published_since=first(each.first_issue for each in shown),
            published_due=first(each.first_due for each in shown),
            error=failure.error if failure else None,
            next_attempt_at=failure.retry_at if failure else None,
        )


def _asks(change: Change) -> bool:
    return change.action is not Action.NOTHING


def _latest(earlier: list[Result], later: list[Result]) -> list[Result]:
    """The results of two rounds as one: what the first did stays said where the second had nothing left to do."""
    done = {
        (result.change.subject, result.change.pull_secret): result
        for result in earlier
        if result.outcome in {Outcome.WRITTEN, Outcome.ATTACHED}
    }
    pruned = [result for result in earlier if result.outcome in {Outcome.DETACHED, Outcome.REMOVED}]
    return pruned + [
        done.get((result.change.subject, result.change.pull_secret), result)
        if result.outcome is Outcome.NOTHING and not result.failed
        else result
        for result in later
    ]


def _tell(when_late: Callable[[str], None], registry: str, _mint: Future[None]) -> None:
    when_late(registry)


def _ignore(_done: int, _total: int) -> None:
    """Nobody watches the progress."""
