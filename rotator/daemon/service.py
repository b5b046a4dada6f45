"""The process around a duty: it stands for the lead, follows the configuration's file, and ends when it is told to."""

import random
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import structlog

from rotator.annotations import LAST_SWEEP, stamp
from rotator.clock import Clock, utc_now
from rotator.cluster.client import Cluster
from rotator.cluster.lease import Lease, new_identity
from rotator.cluster.login import log_in, own_namespace
from rotator.config import MOST_WRITERS, Config, LeaderElection, Registry
from rotator.contests import Contests
from rotator.daemon.duty import Duty
from rotator.daemon.following import Follower
from rotator.daemon.witnesses import Witnesses
from rotator.errors import ClusterError, ConfigError, RotatorError
from rotator.eventing import Eventing
from rotator.health import Health
from rotator.leadership import Candidate
from rotator.metrics import Metrics
from rotator.providers import Provider
from rotator.rotation import Minting, Rotation
from rotator.sending import Sender
from rotator.serving import Address, Server

log = structlog.get_logger("rotator.daemon")

TICK = timedelta(seconds=1)
"""How often the wall clock is compared with the monotonic one, and a new configuration is taken over."""

JUMP = timedelta(seconds=5)
"""A wall clock that ran so much more or less than the time that passed was set, or the machine slept."""

SILENCE = timedelta(seconds=60)
"""How long a loop may show no progress; each comes round in seconds, whatever the API server does."""

BRIEFLY = timedelta(seconds=1)
"""The same for each part that ends while another configuration is taken over."""

PARTING_WORDS = timedelta(seconds=0.5)
"""How long Events that wait are still sent."""

GIVE_BACK = timedelta(seconds=1.5)
"""How long the Lease is tried to be given back; with what a duty's end takes, a stop stays under 5 s in any case."""


class Daemon:
    """What `rotator run` runs. Raises ConfigError and ClusterUnusable at first, and AddressUnusable from `run`."""

    def __init__(
        self,
        config_file: Path,
        provider_for: Callable[[Registry], Provider],
        *,
        kubeconfig: Path | None = None,
        context: str | None = None,
        health_address: Address | None = None,
        metrics_address: Address | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._clock = clock
        self._follower = Follower(config_file, self._take, self._take_refusal)
        self._config, self._digest = self._follower.load()
        # What stood in the file, good or bad, in order.
        self._found: SimpleQueue[Callable[[threading.Event], None]] = SimpleQueue()
        self._refusal = ""
        self._cluster = Cluster.connect(kubeconfig, context, workers=MOST_WRITERS, may_write=self.leads)
        self._lease = self._candidate(self._config.leader_election)
        self._sender = Sender(self._cluster.record, clock, time.monotonic, may_send=self.leads)
        self._metrics = Metrics(clock)
        self._health = Health(time.monotonic)
        self._witnesses = Witnesses(self._metrics, Eventing(self._sender.offer, clock), self.leads)
        self._minting = Minting(self._config, provider_for, clock, self._witnesses)
        self._contests = Contests(time.monotonic)
        self._duty = self._duty_by(self._config)
        pages = (("health", health_address, self._health.pages), ("metrics", metrics_address, self._metrics.pages))
        self._servers = [Server(name, address, served) for name, address, served in pages if address]
        self._show()

    def run(self, stop: threading.Event) -> None:
        """Renew until `stop` is set; the last write then ends, and the Lease is given back."""
        with ExitStack() as serving:
            for server in self._servers:
                serving.enter_context(server)
            try:
                self._begin(stop)
                self._attend(stop)
            finally:
                self._end()
        log.info("daemon.stopped")

    def leads(self) -> bool:
        """Whether this process may write, now."""
        return self._lease is None or self._lease.holds()

    def _begin(self, stop: threading.Event) -> None:
        self._sender.start()
        self._go_on_duty(stop)
        self._follower.start()
        sweep, registries = self._config.renewal.sweep.total_seconds(), len(self._config.registries)
        log.info("daemon.started", sweep_s=sweep, registries=registries, configuration=self._digest)

    def _attend(self, stop: threading.Event) -> None:
        """Wait for `stop`, and notice meanwhile what no alarm can tell."""
        offset = self._offset()
        attending, lease = self._health.loop("daemon", SILENCE), self._health.loop("lease", SILENCE)
        while not stop.wait(TICK.total_seconds()):
            attending.beat()
            if self._is_standing():
                lease.beat()
            moved, offset = self._offset() - offset, self._offset()
            if abs(moved) > JUMP:
                log.warning("clock.jumped", by_s=round(moved.total_seconds()))
                self._duty.clock_was_set()
            while not self._found.empty() and not stop.is_set():
                self._found.get()(stop)

    def _offset(self) -> timedelta:
        """The wall clock less the monotonic one: steady, unless the wall clock is set or the machine slept."""
        return self._clock() - datetime.fromtimestamp(time.monotonic(), UTC)

    def _end(self) -> None:
        """In this order: the last write, then the Lease, so that nobody else writes beside us."""
        self._follower.stop()
        self._duty.end()
        self._sender.stop(PARTING_WORDS)
        if self._lease:
            self._lease.stop(GIVE_BACK)
        self._cluster.close()

    # Duties -----------------------------------------------------------------------------------------------------------

    def _duty_by(self, config: Config) -> Duty:
        rotation = Rotation(
            config, self._cluster, self._minting, clock=self._clock, leads=self.leads, observer=self._witnesses
        )
        return Duty(
            rotation,
            self._clock,
            leads=self.leads,
            contests=self._contests,
            witnesses=self._witnesses,
            health=self._health,
        )

    def _go_on_duty(self, stop: threading.Event) -> None:
        if self._lease and not self._lease.started:
            self._lease.start()
        self._duty.begin(stop)

    # What is shown ----------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        """Let Prometheus and the kubelet look at what is there."""
        self._metrics.configured(self._config, self._digest)
        self._metrics.follow(
            queue_depth=lambda: self._duty.depth,
            leads=self.leads,
            watches=lambda: self._duty.reflectors,
            events_dropped=lambda: self._sender.dropped,
        )
        self._health.require("configuration", lambda: self._refusal)
        self._health.require("watches", lambda: self._duty.out_of_sync)
        self._health.require("first-pass", self._first_pass)

    def _first_pass(self) -> str:
        """Whoever leads has looked at everything once; whoever knows of another leader stands by."""
        if self.leads():
            return "" if self._duty.has_swept else "not yet"
        return "" if self._lease and self._lease.is_anothers else "nobody leads"

    def _is_standing(self) -> bool:
        """Whether the loop of the Lease goes round, where there is one."""
        turn = self._lease.last_turn if self._lease else time.monotonic()
        return turn is not None and time.monotonic() - turn < SILENCE.total_seconds()

    # The configuration ------------------------------------------------------------------------------------------------

    def _take(self, config: Config, digest: str) -> None:
        """A good one stands in the file; it is taken over by the thread that attends."""
        self._found.put(partial(self._reload, config, digest))

    def _take_refusal(self, error: ConfigError) -> None:
        """A bad one; said by the same thread, so that one which came before it does not count as the file's last."""
        self._found.put(lambda _stop: self._refuse(error))

    def _refuse(self, error: RotatorError) -> None:
        self._metrics.refused_configuration()
        problems = error.problems if isinstance(error, ConfigError) else (str(error),)
        self._refusal = f"the file is refused ({len(problems)} problems), the one before stays in force"
        log.error("configuration.refused", problems=list(problems), message="the one before stays in force")

    def _reload(self, config: Config, digest: str, stop: threading.Event) -> None:
        """Take it over: what is under way ends first, and what is fresh stays fresh. A stop does not wait for that."""
        try:
            lease = self._lease
            if config.leader_election != self._config.leader_election:
                lease = self._candidate(config.leader_election)
        except ClusterError as error:
            self._refuse(error)
            return
        if config != self._config:
            self._duty.end(BRIEFLY)
            if stop.is_set():
                return
            if lease is not self._lease:
                self._replace_lease(lease)
            self._minting.serve(config)
            self._config, self._duty = config, self._duty_by(config)
            if stop.is_set():
                return
            self._go_on_duty(stop)
        self._refusal = ""
        self._metrics.configured(config, digest)
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
            on_change=self._lead_changed,
            notes=self._notes,
        )

    def _notes(self) -> dict[str, str]:
        """What the Lease says beside its holder, for `rotator status`; it costs no request."""
        at = self._duty.last_sweep
        return {LAST_SWEEP: stamp(at)} if at else {}

    def _lead_changed(self, _leads: bool) -> None:
        self._witnesses.lead_changed()
        self._duty.lead_changed()

    def _replace_lease(self, lease: Lease | None) -> None:
        before, self._lease = self._lease, lease
        self._witnesses.lead_changed()  # the new one tells of a lead that it gets, not of one that is lost with the old
        if before:
            before.stop(BRIEFLY)
