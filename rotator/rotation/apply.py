"""Apply: write what the plan decided, namespaces side by side, in each the references first and then the Secrets.

What is pruned comes last, in the same order.

A change is decided on a snapshot, so each write carries the version that it was decided on. When the object has changed
since, it is read, judged and merged again, a few times.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import structlog

from rotator import annotations
from rotator.clock import Clock
from rotator.cluster.client import Cluster
from rotator.config import Config
from rotator.desired import Offers, changed_entries, desired_secret
from rotator.errors import (
    ClusterError,
    Conflict,
    DockerConfigError,
    Invalid,
    NamespaceTerminating,
    NotFound,
    NotLeading,
    RotatorError,
    ServerFailed,
)
from rotator.logs import where
from rotator.model import Action, Change, DesiredSecret, SecretRecord, ServiceAccountRecord, Snapshot, State
from rotator.orphans import Orphans
from rotator.plan import judge_secret
from rotator.rotation.flow import Flow
from rotator.rotation.overlap import Overlap
from rotator.rotation.pace import Pace, gap
from rotator.rotation.report import Outcome, Result, log_fields

log = structlog.get_logger("rotator.apply")

TRIES = 5
"""How often one object is read again before its writers are left to themselves until the next pass."""

Progress = Callable[[int, int], None]
"""Told how many changes are done, and of how many."""

LOOK = 0.1
"""Seconds between two looks at the progress: whoever woke at each write would hold up the writers."""

Waiting = deque[tuple[str, list[Change]]]
"""Namespaces with what is to be done there."""


@dataclass(frozen=True)
class Applying:
    """One application of a plan."""

    cluster: Cluster
    config: Config
    snapshot: Snapshot
    offers: Offers
    clock: Clock
    stopping: Callable[[], bool]
    overlap: Overlap
    seconds: Callable[[], float]
    """A clock that never runs backwards."""
    hurries: Callable[[], bool]
    """Whether to write as fast as the API server takes it, even what has time."""

    def apply(self, changes: Sequence[Change], progress: Progress) -> list[Result]:
        """Carry out the changes that ask for something, so many namespaces at a time as is configured."""
        workers = self.config.fan_out.concurrency
        batches: dict[str, list[Change]] = {}
        for change in sorted(changes, key=self._urgency):
            batches.setdefault(change.subject.namespace, []).append(change)
        pace = self._pace(changes)
        waiting: Waiting = deque(batches.items())
        results: dict[str, list[Result]] = {}
        writers = min(workers, len(batches))
        flow = Flow(writers, self.seconds)
        with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="apply") as pool:
            try:
                working = [pool.submit(self._work_off, waiting, results, flow, pace, n) for n in range(writers)]
                while wait(working, timeout=LOOK).not_done:
                    progress(sum(map(len, tuple(results.values()))), len(changes))
            finally:
                waiting.clear()  # who interrupts waits for what has begun, not for all
                flow.end()
        for each in working:
            each.result()
        progress(len(changes), len(changes))
        return [result for namespace in batches for result in results[namespace]]

    def _work_off(
        self, waiting: Waiting, results: dict[str, list[Result]], flow: Flow, pace: Pace, number: int
    ) -> None:
        """Apply what waits, one namespace after the other: a Future for each of 10,000 would take 15 MiB."""
        with suppress(IndexError):
            while flow.join(number):
                namespace, changes = waiting.popleft()
                found, began = self._apply_safely(changes, pace)
                results[namespace] = found
                if not any(isinstance(result.error, ServerFailed) for result in found):
                    flow.note(began, len(changes))
        flow.end()

    def _pace(self, changes: Sequence[Change]) -> Pace:
        """Of all that has time, what expires first says how much."""
        expiries = [expiry for change in changes if (expiry := self._urgency(change))]
        first = annotations.moment(min(expiries, default=""))
        left = first - self.clock() if first else timedelta(0)
        between = gap(len(expiries), self.config.fan_out.per_second, left)
        return Pace(between, self.hurries, self.seconds, threading.Event().wait)

    def _urgency(self, change: Change) -> str:
        """What expires first is written first; where nothing is, or no reference, no Pod can pull meanwhile.

        Empty: it presses. The note may be a tenant's, who may so put himself before others for some seconds.
        """
        record = self.snapshot.secrets.get((change.subject.namespace, change.pull_secret))
        return record.annotations.get(annotations.EXPIRES_AT, "") if record and change.state is State.DUE else ""

    def foresee(self, change: Change) -> Result:
        """What would become of this change, without a write."""
        if change.action not in {Action.CREATE, Action.UPDATE}:
            return Result(change, Outcome.PLANNED)
        record = self.snapshot.secrets.get((change.subject.namespace, change.subject.name))
        desired = self._desired(change, record)
        if desired is None:
            return Result(change, unwritten(change))
        return Result(change, Outcome.PLANNED, entries=changed_entries(desired, record, change.needs))

    def _apply_safely(self, changes: list[Change], pace: Pace) -> tuple[list[Result], float]:
        """What became of them, and when it began: after the wait for their turn, where they have time."""
        began = self.seconds()
        try:
            if all(map(self._urgency, changes)) and not (pace.is_early and self._is_idle(changes)):
                pace.keep()
                began = self.seconds()
            return self._apply_namespace(changes), began
        except Exception as error:  # noqa: BLE001  (a defect that one namespace meets must not end the fan-out)
            defect = RotatorError(f"{type(error).__name__} {where(error)}", hint="please report this")
            log.error("change.failed", namespace=changes[0].subject.namespace, message=defect.message)  # noqa: TRY400
            return [Result(change, Outcome.FAILED, defect) for change in changes], began

    def _is_idle(self, changes: list[Change]) -> bool:
        """Whether there is nothing newer to write, as in an outage of a cloud: then nothing is paced either."""
        return all(self.foresee(change).outcome is not Outcome.PLANNED for change in changes)

    def _apply_namespace(self, changes: list[Change]) -> list[Result]:
        # A Pod takes its pull secrets from the ServiceAccount when it is created, and the kubelet waits for a missing
        # Secret but never for a missing reference: so the references come first.
        attach = [change for change in changes if change.action is Action.ATTACH]
        write = [change for change in changes if change.action in {Action.CREATE, Action.UPDATE}]
        return [*self._attach_all(attach), *map(self._write, write), *self._prune(changes)]

    def _attach_all(self, changes: list[Change]) -> list[Result]:
        by_account: dict[str, list[Change]] = {}
        for change in changes:
            by_account.setdefault(change.subject.name, []).append(change)
        return [result for group in by_account.values() for result in self._attach(group)]

    def _attach(self, changes: list[Change]) -> list[Result]:
        """One patch for all references that one ServiceAccount lacks."""
        subject = changes[0].subject
        account = self.snapshot.service_accounts[subject.namespace, subject.name]
        try:
            for attempt in range(TRIES):
                missing = [c.pull_secret for c in changes if c.pull_secret not in (account.pull_secrets or ())]
                if not missing or self.stopping():
                    outcome = Outcome.WAITING if missing else Outcome.NOTHING
                    return [Result(change, outcome) for change in changes]
                try:
                    self.cluster.attach(account, missing)
                    break
                except (Conflict, Invalid):
                    if attempt == TRIES - 1:
                        raise
                    account = self.cluster.service_account(subject.namespace, subject.name)
        except ClusterError as error:
            return [self._failure(change, error) for change in changes]
        for change in changes:
            log.info("reference.attached", **log_fields(change))
        return [Result(change, Outcome.ATTACHED) for change in changes]

    def _prune(self, changes: list[Change]) -> list[Result]:
        """References first, as ever: an orphan stays while one of them could not be taken out."""
        detached = [self._detach(change) for change in changes if change.action is Action.DETACH]
        held = {result.change.pull_secret for result in detached if result.outcome in {Outcome.FAILED, Outcome.WAITING}}
        orphans = [change for change in changes if change.action is Action.REMOVE]
        return detached + [
            Result(change, Outcome.WAITING) if change.pull_secret in held else self._remove(change)
            for change in orphans
        ]

    def _detach(self, change: Change) -> Result:
        account = self.snapshot.service_accounts[change.subject.namespace, change.subject.name]
        try:
            return self._detach_from(account, change)
        except ClusterError as error:
            return self._failure(change, error)

    def _detach_from(self, account: ServiceAccountRecord, change: Change) -> Result:
        for attempt in range(TRIES):
            if change.pull_secret not in (account.pull_secrets or ()):
                return Result(change, Outcome.NOTHING)
            if self.stopping():
                return Result(change, Outcome.WAITING)
            try:
                self.cluster.detach(account, change.pull_secret)
            except (Conflict, Invalid):
                if attempt == TRIES - 1:
                    raise
                account = self.cluster.service_account(account.namespace, account.name)
            else:
                log.info("reference.detached", **log_fields(change))
                return Result(change, Outcome.DETACHED)
        raise AssertionError  # the last try returns or raises

    def _remove(self, change: Change) -> Result:
        record = self.snapshot.secrets[change.subject.namespace, change.subject.name]
        try:
            return self._remove_as_judged(record, change)
        except ClusterError as error:
            return self._failure(change, error)

    def _remove_as_judged(self, record: SecretRecord, change: Change) -> Result:
        for attempt in range(TRIES):
            if self.stopping():
                return Result(change, Outcome.WAITING)
            try:
                self.cluster.delete_secret(record)
            except Conflict:
                if attempt == TRIES - 1:
                    raise
                record = self.cluster.secret(record.namespace, record.name)
                change = Orphans(self.snapshot, self.config, self.clock()).judge(record)
                if change.action is Action.NOTHING:
                    return Result(change, Outcome.NOTHING)
            else:
                log.info("secret.removed", **log_fields(change))
                return Result(change, Outcome.REMOVED)
        raise AssertionError  # the last try returns or raises

    def _write(self, change: Change) -> Result:
        record = self.snapshot.secrets.get((change.subject.namespace, change.subject.name))
        try:
            return self._write_merged(change, record) if record else self._create(change)
        except (ClusterError, DockerConfigError) as error:
            return self._failure(change, error)

    def _create(self, change: Change) -> Result:
        """Nothing guards what is not there: so no other pass makes it meanwhile, and what one has made is read."""
        with self.overlap.creating(change.subject) as made:
            return self._write_merged(*self._judge_anew(change)) if made else self._write_merged(change, None)

    def _write_merged(self, change: Change, record: SecretRecord | None) -> Result:
        for attempt in range(TRIES):
            if change.action is Action.NOTHING:
                return Result(change, Outcome.NOTHING)
            if self.stopping():
                return Result(change, Outcome.WAITING)
            desired = self._desired(change, record)
            if desired is None:
                return Result(change, unwritten(change))
            try:
                self._send(change, desired)
            except (Conflict, Invalid):
                if attempt == TRIES - 1:
                    raise
                change, record = self._judge_anew(change)
            else:
                log.info("secret.written", **log_fields(change), expires_at=desired.annotations[annotations.EXPIRES_AT])
                return Result(change, Outcome.WRITTEN)
        raise AssertionError  # the last try returns or raises

    def _send(self, change: Change, desired: DesiredSecret) -> None:
        """Apply it; a field that somebody else's edit owns is taken back, by force.

        The resourceVersion still guards what was merged. Without one there was nothing to merge from: then whoever made
        the Secret meanwhile keeps it.
        """
        try:
            self.cluster.apply_secret(desired)
        except Conflict as conflict:
            if not conflict.managers or desired.resource_version is None:
                raise
            log.warning("secret.contested", **log_fields(change), managers=list(conflict.managers))
            self.cluster.apply_secret(desired, force=True)

    def _desired(self, change: Change, record: SecretRecord | None) -> DesiredSecret | None:
        pull_secret = self.config.pull_secret(change.pull_secret)
        return desired_secret(change, pull_secret, record, self.offers, self.config, self.clock())

    def _judge_anew(self, change: Change) -> tuple[Change, SecretRecord | None]:
        """The same Secret as it is now, and what it asks for."""
        place = change.subject.namespace
        try:
            record = self.cluster.secret(place, change.subject.name)
        except NotFound:
            record = None
        pull_secret = self.config.pull_secret(change.pull_secret)
        return judge_secret(pull_secret, place, record, self.config, self.clock()), record

    def _failure(self, change: Change, error: ClusterError | DockerConfigError) -> Result:
        if isinstance(error, NotFound | NamespaceTerminating):
            log.info("object.gone", **log_fields(change))
            return Result(change, Outcome.GONE)
        if isinstance(error, NotLeading):
            return Result(change, Outcome.WAITING)
        log.error("change.failed", **log_fields(change), message=error.message, hint=error.hint)
        return Result(change, Outcome.FAILED, error)


def unwritten(change: Change) -> Outcome:
    """Nothing newer is at hand: a valid entry may wait for it, an absent or broken one may not."""
    return Outcome.WAITING if change.state is State.DUE else Outcome.BLOCKED
