"""The process around a duty: it stands for the lead, follows the configuration's file, and ends when it is told to."""

import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import structlog

from rotator.clock import Clock, utc_now
from rotator.cluster.client import Cluster
from rotator.cluster.lease import Lease, new_identity
from rotator.cluster.login import log_in, own_namespace
from rotator.config import Config, LeaderElection, Registry
from rotator.contests import Contests
from rotator.daemon.duty import Duty
from rotator.daemon.following import Follower
from rotator.errors import ClusterError, ConfigError, RotatorError
from rotator.leadership import Candidate
from rotator.providers import Provider
from rotator.rotation import Minting, Rotation
from rotator.rotation.passes import WORKERS

log = structlog.get_logger("rotator.daemon")

TICK = timedelta(seconds=1)
"""How often the wall clock is compared with the monotonic one, and a new configuration is taken over."""

JUMP = timedelta(seconds=5)
"""A wall clock that ran so much more or less than the time that passed was set, or the machine slept."""

GIVE_BACK = timedelta(seconds=1.5)
"""How long the Lease is tried to be given back; with what a duty's end takes, a stop stays under 5 s in any case."""


class Daemon:
    """What `rotator run` runs. Its parts are built by `run`, which raises ConfigError and ClusterUnusable."""

    def __init__(
        self,
        config_file: Path,
        provider_for: Callable[[Registry], Provider],
        *,
        kubeconfig: Path | None = None,
        context: str | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._provider_for = provider_for
        self._kubeconfig = kubeconfig
        self._context = context
        self._clock = clock
        self._follower = Follower(config_file, self._take, self._refuse)
        self._taken: tuple[Config, str] | None = None
        self._contests = Contests(time.monotonic)
        self._lease: Lease | None = None

    def run(self, stop: threading.Event) -> None:
        """Renew until `stop` is set; the last write then ends, and the Lease is given back."""
        config, digest = self._follower.load()
        self._cluster = Cluster.connect(self._kubeconfig, self._context, workers=WORKERS, may_write=self.leads)
        self._minting = Minting(config, self._provider_for, self._clock)
        self._lease = self._candidate(config.leader_election)
        self._go_on_duty(config)
        self._follower.start()
        log.info(
            "daemon.started",
            sweep_s=config.renewal.sweep.total_seconds(),
            registries=len(config.registries),
            configuration=digest,
        )
        try:
            self._attend(stop)
        finally:
            self._end()
        log.info("daemon.stopped")

    def leads(self) -> bool:
        """Whether this process may write, now."""
        return self._lease is None or self._lease.holds()

    # Duties -----------------------------------------------------------------------------------------------------------

    def _attend(self, stop: threading.Event) -> None:
        """Wait for `stop`, and notice meanwhile what no alarm can tell."""
        offset = self._offset()
        while not stop.wait(TICK.total_seconds()):
            moved, offset = self._offset() - offset, self._offset()
            if abs(moved) > JUMP:
                log.warning("clock.jumped", by_s=round(moved.total_seconds()))
                self._duty.clock_was_set()
            if taken := self._taken:
                self._taken = None
                self._reload(*taken)

    def _offset(self) -> timedelta:
        """The wall clock less the monotonic one: steady, unless the wall clock is set or the machine slept."""
        return self._clock() - datetime.fromtimestamp(time.monotonic(), UTC)

    def _go_on_duty(self, config: Config) -> None:
        rotation = Rotation(config, self._cluster, self._minting, clock=self._clock, leads=self.leads)
        self._config = config
        self._duty = Duty(rotation, self._clock, leads=self.leads, contests=self._contests)
        if self._lease and not self._lease.started:
            self._lease.start()
        self._duty.begin()

    def _end(self) -> None:
        """In this order: the last write, then the Lease, so that nobody else writes beside us."""
        self._follower.stop()
        self._duty.end()
        if self._lease:
            self._lease.stop(GIVE_BACK)
        self._cluster.close()

    # The configuration ------------------------------------------------------------------------------------------------

    def _take(self, config: Config, digest: str) -> None:
        """A good one stands in the file; it is taken over by the thread that attends."""
        self._taken = config, digest

    def _refuse(self, error: RotatorError) -> None:
        problems = error.problems if isinstance(error, ConfigError) else (str(error),)
        log.error("configuration.refused", problems=list(problems), message="the one before stays in force")

    def _reload(self, config: Config, digest: str) -> None:
        """Take it over: what is under way ends first, and what is fresh stays fresh."""
        try:
            lease = self._lease
            if config.leader_election != self._config.leader_election:
                lease = self._candidate(config.leader_election)
        except ClusterError as error:
            self._refuse(error)
            return
        if config != self._config:
            self._duty.end()
            if lease is not self._lease:
                self._replace_lease(lease)
            self._minting.serve(config)
            self._go_on_duty(config)
        log.info("configuration.reloaded", configuration=digest, registries=len(config.registries))

    # The lead ---------------------------------------------------------------------------------------------------------

    def _candidate(self, election: LeaderElection) -> Lease | None:
        """One that does not stand for the Lease yet; None: every replica writes. Raises ClusterUnusable."""
        if not election.enabled:
            return None
        namespace = election.namespace or own_namespace(self._kubeconfig, self._context)
        return Lease(
            partial(log_in, self._kubeconfig, self._context),
            Candidate(namespace, election.name, new_identity(), election.timing),
            clock=self._clock,
            draw=random.random,
            on_change=lambda _leads: self._duty.lead_changed(),
        )

    def _replace_lease(self, lease: Lease | None) -> None:
        before, self._lease = self._lease, lease
        if before:
            before.stop(GIVE_BACK)
