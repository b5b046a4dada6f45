"""`rotator run`: a pass when a credential is due, and one at every sweep, until told to stop.

The scheduler holds one date job per registry, set anew after each pass, and one interval job, the sweep: the safety net
against anything missed. A job that comes late still runs (no misfire grace time), and runs once (coalesced).
"""

import random
import threading
from datetime import datetime, timedelta

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

RETRY = timedelta(seconds=5)
"""After an API server's failure, or while it cannot be used: the next pass, long before the next sweep."""

SWEEP = "sweep"
RETRY_JOB = "retry"


class Daemon:
    """The scheduler around the pass."""

    def __init__(self, rotation: Rotation, clock: Clock) -> None:
        self._rotation = rotation
        self._clock = clock
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
        stop.wait()
        self._rotation.stop()
        self._scheduler.shutdown(wait=True)
        log.info("daemon.stopped")

    def _pass(self, reason: str) -> None:
        try:
            report = self._rotation.run()
        except RotatorError as error:
            log.error("pass.failed", reason=error.reason, message=error.message, hint=error.hint, trigger=reason)  # noqa: TRY400  (no traceback)
            self._schedule(RETRY_JOB, self._clock() + RETRY)
        except Exception as error:  # noqa: BLE001  (a defect in one pass must not end the daemon)
            log.error("pass.failed", reason=type(error).__name__, message=where(error), trigger=reason)  # noqa: TRY400
            self._schedule(RETRY_JOB, self._clock() + RETRY)
        else:
            self._reschedule(report)

    def _reschedule(self, report: Report) -> None:
        now, rotation = self._clock(), self._rotation
        draw = random.random  # jitter is no secret
        alarms = wakes(rotation.config, report.snapshot, report.results, rotation.minting.held, now, draw)
        for status in report.registries:
            at = status.next_attempt_at or alarms.get(status.name)
            if at is not None:
                self._schedule(status.name, at)
        if report.retryable:
            self._schedule(RETRY_JOB, now + RETRY)

    def _schedule(self, job: str, at: datetime) -> None:
        """Set the alarm of this name anew; one that is overdue rings after a moment, so that nothing can spin."""
        if not self._scheduler.running:
            return
        at = max(at, self._clock() + renewal.SHORTEST_PAUSE)
        trigger = DateTrigger(at, timezone="UTC")
        self._scheduler.add_job(self._pass, trigger, args=[job], id=f"due-{job}", replace_existing=True)
        log.debug("alarm.set", job=job, at=stamp(at))
