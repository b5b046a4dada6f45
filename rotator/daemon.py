"""`rotator run`: a pass when a credential is due, and one at every sweep, until told to stop.

The scheduler holds one date job per registry, set anew after each pass, and one interval job, the sweep: the safety net
against anything missed. A job that comes late still runs (no misfire grace time), and runs once (coalesced).
"""

import random
import threading
import time
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from rotator import renewal
from rotator.annotations import stamp
from rotator.clock import Clock
from rotator.errors import RotatorError
from rotator.logs import where
from rotator.rotation import Report, Rotation
from rotator.rotation.wakes import wakes

log = structlog.get_logger("rotator.daemon")

FIRST_RETRY = timedelta(seconds=5)
"""After an API server's failure: the next pass, long before the next sweep; then twice as long each time."""

TICK = timedelta(seconds=1)
"""How often the wall clock is compared with the monotonic one."""

JUMP = timedelta(seconds=5)
"""A wall clock that ran so much more or less than the time that passed was set, or the machine slept."""

SWEEP = "sweep"
RETRY = "retry"


class Daemon:
    """The scheduler around the pass."""

    def __init__(self, rotation: Rotation, clock: Clock) -> None:
        self._rotation = rotation
        self._clock = clock
        self._failed_passes = 0
        passes = len(rotation.config.registries) + 2
        self._scheduler = BackgroundScheduler(
            timezone="UTC",
            executors={"default": ThreadPoolExecutor(passes)},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    def run(self, stop: threading.Event) -> None:
        """Block until `stop` is set; passes under way then end with their current write."""
        sweep = self._rotation.config.renewal.sweep
        self._scheduler.add_job(
            self._pass,
            IntervalTrigger(seconds=sweep.total_seconds(), timezone="UTC"),
            args=[SWEEP],
            id=SWEEP,
            next_run_time=self._clock(),
        )
        self._scheduler.start()
        log.info("daemon.started", sweep_s=sweep.total_seconds(), registries=len(self._rotation.config.registries))
        self._watch_the_clock(stop)
        self._rotation.stop()
        self._scheduler.shutdown(wait=True)
        log.info("daemon.stopped")

    def _watch_the_clock(self, stop: threading.Event) -> None:
        """Wait for `stop`; sweep at once when the clock was set, since every alarm was set by the old one."""
        offset = self._offset()
        while not stop.wait(TICK.total_seconds()):
            moved, offset = self._offset() - offset, self._offset()
            if abs(moved) > JUMP:
                log.warning("clock.jumped", by_s=round(moved.total_seconds()))
                self._scheduler.modify_job(SWEEP, next_run_time=self._clock())

    def _offset(self) -> timedelta:
        """The wall clock less the monotonic one: steady, unless the wall clock is set or the machine slept."""
        return self._clock() - datetime.fromtimestamp(time.monotonic(), UTC)

    def _pass(self, reason: str) -> None:
        try:
            self._reschedule(self._rotation.run(when_late=self._resume))
        except RotatorError as error:
            self._log_failure(reason, error.reason, error.message, error.hint)
        except Exception as error:  # noqa: BLE001  (a defect in one pass must not end the daemon)
            self._log_failure(reason, type(error).__name__, where(error), "please report this")

    def _log_failure(self, trigger: str, reason: str, message: str, hint: str) -> None:
        log.error("pass.failed", trigger=trigger, reason=reason, message=message, hint=hint)
        self._schedule(RETRY, self._clock() + self.retry_pause())

    def _reschedule(self, report: Report) -> None:
        now, rotation = self._clock(), self._rotation
        draw = random.random  # jitter is no secret
        alarms = wakes(rotation.config, report.snapshot, report.results, rotation.minting.held, now, draw)
        for status in report.registries:
            at = status.next_attempt_at or alarms.get(status.name)
            if at is not None and not status.late:
                self._schedule(f"due-{status.name}", at)
        if report.retryable:
            self._schedule(RETRY, now + self.retry_pause())
        else:
            self._failed_passes = 0

    def retry_pause(self) -> timedelta:
        """The pause before another pass after one more failure of the API server: doubled each time, up to a sweep."""
        pause = FIRST_RETRY * (1 << min(self._failed_passes, 10))
        self._failed_passes += 1
        return min(pause, self._rotation.config.renewal.sweep)

    def _resume(self, registry: str) -> None:
        """A late mint has ended: write what it gave, or back off."""
        self._schedule(f"late-{registry}", self._clock())

    def _schedule(self, job: str, at: datetime) -> None:
        """Set the alarm of this name anew; one that is overdue rings after a moment, so that nothing can spin."""
        if not self._scheduler.running:
            return
        at = max(at, self._clock() + renewal.SHORTEST_PAUSE)
        trigger = DateTrigger(at, timezone="UTC")
        self._scheduler.add_job(self._pass, trigger, args=[job], id=job, replace_existing=True)
        log.debug("alarm.set", job=job, at=stamp(at))
