"""One configuration on duty: a pass when a credential is due, when something changed, and at every sweep.

The scheduler holds one date job per registry, set anew after each pass, and one interval job, the sweep: the safety net
against anything missed. A job that comes late still runs (no misfire grace time), and runs once (coalesced).
Reflectors hear what changes in the cluster, and workers pass over the namespaces concerned. Who does not lead keeps its
watches and its alarms, and makes no pass.
"""

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from rotator import renewal
from rotator.annotations import stamp
from rotator.clock import Clock
from rotator.cluster.watch import Reflector
from rotator.config import Config
from rotator.contests import Contests
from rotator.daemon.witnesses import Witnesses, nobody
from rotator.errors import ClusterError, RotatorError
from rotator.health import Health
from rotator.hearing import Hearing
from rotator.logs import where
from rotator.model import Subject
from rotator.rotation import Outcome, Report, Rotation
from rotator.rotation.report import log_fields
from rotator.rotation.wakes import wakes
from rotator.scopes import Scope, scopes
from rotator.workqueue import Work, Workqueue

log = structlog.get_logger("rotator.duty")

FIRST_RETRY = timedelta(seconds=5)
"""After an API server's failure: the next pass, long before the next sweep; then twice as long each time."""

IN_POSITION = timedelta(seconds=2)
"""How long the first sweep waits for the watches, so that nothing changes unheard between the two."""

END = timedelta(seconds=1.5)
"""How long an end waits for passes and watches; a request that still waits for its answer then is left behind. A write
is one request with its own preconditions, so whatever becomes of it, it is whole."""

HEALERS = 4
"""Namespaces that are passed over at a time because something changed there."""

EACH_BEAT, SILENCE = timedelta(seconds=2), timedelta(seconds=60)
"""How often the scheduler shows that it and its threads make progress, and how long it may show nothing."""

LONGEST_PASS = timedelta(minutes=10)
"""What a pass over one namespace may take: a few requests with their tries of half a minute each."""

MOST_WATCHES = 200
"""Each is a connection and a thread (0.12 MB): where so many namespaces are named, a pattern is one watch for all."""

SWEEP = "sweep"
BEAT = "beat"
RETRY = "retry"
LOOK = "look"
CHANGE = "change"


class Duty:
    """The scheduler, the watches and the queue around the pass. `leads` says whether this process may write."""

    def __init__(
        self,
        rotation: Rotation,
        clock: Clock,
        *,
        leads: Callable[[], bool] = lambda: True,
        contests: Contests | None = None,
        witnesses: Witnesses | None = None,
        health: Health | None = None,
    ) -> None:
        self.contests = contests or Contests(time.monotonic)
        self.has_swept = False
        """Whether a pass over everything has ended: Pods have what could be had."""
        self.last_sweep: datetime | None = None
        """When the last one ended; None: none since this process leads."""
        self._witnesses = witnesses or nobody()
        self._health = health or Health(time.monotonic)
        self._rotation = rotation
        self._clock = clock
        self._leads = leads
        self._failed_passes = 0
        self._asked_at = self._swept_at = 0.0  # by time.monotonic: when all was to be looked at, and a sweep began
        self._under_way = UnderWay()
        self._queue = Workqueue(time.monotonic)
        self._hearing = Hearing(
            rotation.config,
            rotation.cluster,
            self._queue,
            spare=self.contests.is_paused,
            resync=self._resync,
        )
        self.reflectors: list[Reflector] = [
            rotation.cluster.reflector(scope, self._hearing, random.random) for scope in _watched(rotation.config)
        ]
        self._healers = [
            threading.Thread(target=self._heal, args=[f"heal-{n}"], name=f"heal-{n}", daemon=True)
            for n in range(HEALERS)
        ]
        passes = len(rotation.config.registries) + 4
        self._scheduler = BackgroundScheduler(
            timezone="UTC",
            executors={"default": ThreadPoolExecutor(passes)},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    def begin(self, stop: threading.Event | None = None) -> None:
        """Start the watches, the alarms and the workers; the first sweep runs when this returns, or soon."""
        self._begin_to_hear(stop or threading.Event())
        self._alive = self._health.loop("scheduler", SILENCE)
        self._set_rounds()
        self._scheduler.modify_job(SWEEP, next_run_time=self._clock())
        self._scheduler.start()
        for healer in self._healers:
            healer.start()

    def end(self, within: timedelta = END) -> None:
        """Begin nothing more, and wait so long for what is under way; whatever hangs is left behind."""
        until = time.monotonic() + within.total_seconds()
        self._rotation.retire()
        self._queue.close()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        for reflector in self.reflectors:
            reflector.stop()
        if not self._under_way.wait(until - time.monotonic()):
            log.warning("pass.abandoned", message="a request did not end in time; what it asked for is done or not")
        for reflector in self.reflectors:
            reflector.join(timedelta(seconds=max(until - time.monotonic(), 0)))

    @property
    def depth(self) -> int:
        """How many namespaces wait for a pass."""
        return len(self._queue)

    @property
    def out_of_sync(self) -> str:
        """Which watches do not follow the cluster now, and why; empty: all do."""
        troubles = {
            f"{each.scope.resource}: {each.health.reason or 'not yet'}"
            for each in self.reflectors
            if not each.health.synced
        }
        return ", ".join(sorted(troubles))

    def lead_changed(self) -> None:
        """This process began to lead, or ceased to: whoever begins looks at everything at once."""
        if self._leads():
            self._look_again()
        else:
            self.last_sweep = None  # whoever leads now notes its own

    def clock_was_set(self) -> None:
        """Every alarm was set by the old clock: look at everything, and set them anew."""
        if self._scheduler.running:
            self._set_rounds()
        self._look_again()

    def _set_rounds(self) -> None:
        """What comes round by itself, counted from now: after a clock was set back it would wait for the old time."""
        self._set_round(SWEEP, self._rotation.config.renewal.sweep, self._sweep, SWEEP)
        self._set_round(BEAT, EACH_BEAT, self._alive.beat)

    def _set_round(self, job: str, every: timedelta, work: Callable[..., None], *args: str) -> None:
        trigger = IntervalTrigger(seconds=every.total_seconds(), timezone="UTC")
        self._scheduler.add_job(work, trigger, args=args, id=job, replace_existing=True)

    def _begin_to_hear(self, stop: threading.Event) -> None:
        """Start the watches, and wait a moment until each has its position or a failure."""
        for reflector in self.reflectors:
            reflector.start()
        until = time.monotonic() + IN_POSITION.total_seconds()
        while time.monotonic() < until and not all(r.health.synced or r.health.failures for r in self.reflectors):
            if stop.wait(0.01):
                return

    def _sweep(self, reason: str) -> None:
        """A pass over everything, where this process leads."""
        if (reason == LOOK and self._swept_at > self._asked_at) or not self._leads():
            return  # what began since has read it all; and whoever begins to lead looks at everything
        began = self._swept_at = time.monotonic()
        if report := self._pass(reason):
            self.has_swept = True
            self.last_sweep = self._clock() if self._leads() else None
            self._reschedule(report)
        if self._asked_at > began:  # and the alarm may have rung in vain, since of one name one runs at a time
            self._schedule(LOOK, self._clock())

    def _heal(self, name: str) -> None:
        """Pass over one namespace after the other, as the queue gives them."""
        loop = self._health.loop(name, LONGEST_PASS)
        loop.rest()
        while (work := self._queue.take()) is not None:
            loop.beat()
            healed = self._is_healed(work)
            # What was heard meanwhile may be due before a pause is over, and has taken its place in the queue then.
            if rest := self.contests.rest(work.key):
                self._queue.add(work.key, rest)
            self._queue.done(work.key, failed=not healed)
            loop.rest()

    def _is_healed(self, work: Work) -> bool:
        if self._hearing.is_only_echo(work.key) or not self._leads():
            return True
        rivals = self._rivals(work.key)
        report = self._pass(CHANGE, only=work.key)
        if report is None or report.retryable:
            return False
        self._reschedule(report)
        self._witnesses.healed(time.monotonic() - work.since)
        self._note_repairs(report, rivals)
        return True

    def _rivals(self, namespace: str) -> dict[Subject, tuple[str, ...]]:
        """Who owns what is contested there, before a repair takes it from them."""
        rivals = {}
        for subject in self.contests.at_stake(namespace):
            with suppress(ClusterError):  # it may be gone, and the repair is what matters
                rivals[subject] = self._rotation.cluster.rivals(subject)
        return rivals

    def _note_repairs(self, report: Report, rivals: Mapping[Subject, Sequence[str]]) -> None:
        """Leave what is changed back again and again alone for a while."""
        for result in report.results:
            if result.outcome in {Outcome.WRITTEN, Outcome.ATTACHED}:
                subject = result.change.subject
                pause = self.contests.note(subject)
                if pause:
                    managers = rivals.get(subject, ())
                    fields = log_fields(result.change)
                    said = {"managers": list(managers) or ["unknown"], "next_attempt_in_s": pause.total_seconds()}
                    log.warning("object.contested", **fields, **said)
                    self._witnesses.contested(result.change, managers)

    def _resync(self) -> None:
        """A watch has lost its thread."""
        self._look_again(after=renewal.SHORTEST_PAUSE)

    def _look_again(self, after: timedelta = timedelta(0)) -> None:
        """Sweep soon, but once for all who ask meanwhile."""
        self._asked_at = time.monotonic()
        self._set_alarm(LOOK, self._clock() + after)

    def _pass(self, trigger: str, only: str | None = None) -> Report | None:
        """The report; None where the pass failed as a whole, and another one comes soon."""
        try:
            with self._under_way:
                return self._run(only)
        except RotatorError as error:
            self._log_failure(trigger, error.reason, error.message, error.hint)
        except Exception as error:  # noqa: BLE001  (a defect in one pass must not end the daemon)
            self._log_failure(trigger, type(error).__name__, where(error), "please report this")
        return None

    def _run(self, only: str | None) -> Report:
        if only is None:
            return self._rotation.run(when_late=self._resume, paced=True)
        return self._rotation.run(only=only, when_late=self._resume, spare=self.contests.is_paused)

    def _log_failure(self, trigger: str, reason: str, message: str, hint: str) -> None:
        log.error("pass.failed", trigger=trigger, reason=reason, message=message, hint=hint)
        if trigger != CHANGE:
            self._schedule(RETRY, self._clock() + self.retry_pause())

    def _reschedule(self, report: Report) -> None:
        """Set the alarms by what the pass left; one over a single namespace may only bring them forward."""
        now, rotation = self._clock(), self._rotation
        draw = random.random  # jitter is no secret
        alarms = wakes(rotation.config, report.snapshot, report.results, rotation.minting.held, now, draw)
        everything = report.snapshot.only is None
        for status in report.registries:
            at = status.next_attempt_at or alarms.get(status.name)
            if at is not None and not status.late:
                self._schedule(f"due-{status.name}", at, only_sooner=not everything)
        if everything and report.retryable:
            self._schedule(RETRY, now + self.retry_pause())
        elif everything:
            self._failed_passes = 0

    def retry_pause(self) -> timedelta:
        """The pause before another pass after one more failure of the API server: doubled each time, up to a sweep."""
        pause = FIRST_RETRY * (1 << min(self._failed_passes, 10))
        self._failed_passes += 1
        return min(pause, self._rotation.config.renewal.sweep)

    def _resume(self, registry: str) -> None:
        """A late mint has ended: write what it gave, or back off."""
        self._schedule(f"late-{registry}", self._clock())

    def _schedule(self, job: str, at: datetime, *, only_sooner: bool = False) -> None:
        """Set the alarm of this name anew; one that is overdue rings after a moment, so that nothing can spin."""
        at = max(at, self._clock() + renewal.SHORTEST_PAUSE)
        if only_sooner and (set_before := self._scheduler.get_job(job)) and set_before.next_run_time <= at:
            return
        self._set_alarm(job, at)

    def _set_alarm(self, job: str, at: datetime) -> None:
        if self._scheduler.running:
            trigger = DateTrigger(at, timezone="UTC")
            self._scheduler.add_job(self._sweep, trigger, args=[job], id=job, replace_existing=True)
            log.debug("alarm.set", job=job, at=stamp(at))


def _watched(config: Config) -> Sequence[Scope]:
    """The collections that are watched; of very many, the rest is left to the sweeps."""
    wanted = scopes(config)
    if len(wanted) > MOST_WATCHES:
        message = f"only {MOST_WATCHES} of {len(wanted)} collections are watched, the others are seen by each sweep"
        log.warning("watches.limited", message=message, hint="choose the namespaces by a pattern: that is one watch")
    return wanted[:MOST_WATCHES]


class UnderWay:
    """Counts the passes under way, so that an end can wait for them."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def wait(self, seconds: float) -> bool:
        """Until none is under way, but no longer than that; whether none is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count == 0, seconds)
