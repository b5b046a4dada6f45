"""What Prometheus reads: `docs/metrics.md` lists it, and a test compares the two.

Nothing here is kept per namespace, so that the number of series follows the configuration and not the cluster. Series
of registries and pull secrets that leave the configuration go with it. Gauges are made when they are asked for, from
what the last sweep reported or from what the daemon shows; only what is counted is kept.
"""

import platform
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from rotator import __version__
from rotator.clock import Clock, utc_now
from rotator.cluster.watch import Health
from rotator.config import Config
from rotator.errors import (
    ClusterUnusable,
    Conflict,
    DockerConfigError,
    Forbidden,
    Invalid,
    MintError,
    RotatorError,
    ServerFailed,
    Throttled,
)
from rotator.model import Change, Kind, State
from rotator.probe import Verdict
from rotator.rotation.observing import OK
from rotator.rotation.report import Outcome, RegistryStatus, Report, Result
from rotator.scopes import Scope
from rotator.serving import Answer, Page, zipped
from rotator.tallies import Durations, Tally


def _reasons(*errors: type[RotatorError]) -> tuple[str, ...]:
    return tuple(error.__name__ for error in errors)


MINT_RESULTS = (OK, *_reasons(MintError, *MintError.__subclasses__()))

WRITE_FAILURES = _reasons(
    ClusterUnusable, Conflict, DockerConfigError, Forbidden, Invalid, RotatorError, ServerFailed, Throttled
)

STATES: Mapping[Kind, tuple[State, ...]] = {
    Kind.SECRET: (
        State.UP_TO_DATE,
        State.MISSING,
        State.INCOMPLETE,
        State.DRIFTED,
        State.EXPIRED,
        State.DUE,
        State.FOREIGN,
        State.WRONG_TYPE,
        State.IMMUTABLE,
        State.MALFORMED,
        State.ORPHAN,
    ),
    Kind.SERVICE_ACCOUNT: (State.REFERENCED, State.REFERENCE_MISSING, State.SERVICE_ACCOUNT_MISSING),
    Kind.NAMESPACE: (State.NAMESPACE_MISSING, State.TERMINATING),
}
"""By kind, the states that an object of it can be in; beside these, any may be Unreadable."""

NOBODY_KNOWN = "unknown"
MOST_RIVALS = 20
"""Field managers that have a series of their own: a tenant may invent names, and the rest are `other`."""

RESOURCES = ("namespaces", "secrets", "serviceaccounts")
WATCH_STATES = ("synced", "failing", "starting")
SCOPES = {True: "all", False: "namespace"}

AFTERWARDS = {Outcome.WRITTEN: State.UP_TO_DATE, Outcome.ATTACHED: State.REFERENCED}
"""The state of what a pass put right."""

CALL = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60)
PASS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
HEAL = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300)
"""Upper bounds of the buckets, in seconds."""

Places = Counter[tuple[str, str, str]]
"""How many objects, by kind, pull secret and state."""


class Watch(Protocol):
    """What is shown of a reflector."""

    @property
    def scope(self) -> Scope:
        """What it follows."""

    @property
    def health(self) -> Health:
        """How it is."""


class Metrics:
    """Counts what it is told, shows what it is let look at, and forgets what left the configuration. Thread-safe."""

    def __init__(self, clock: Clock = utc_now) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)
        self._clock = clock
        self._lock = threading.Lock()
        self._config: Config | None = None
        self._digest = ""
        self._configured_at: datetime | None = None
        self._reload_failed = False
        self._swept_at: datetime | None = None
        self._statuses: dict[str, RegistryStatus] = {}
        self._objects = Places()
        self._rivals = {NOBODY_KNOWN}
        self._make_tallies()
        self.follow()

    def _make_tallies(self) -> None:
        self._mints = Tally("rotator_mints_total", "Requests to a cloud for a credential.", "registry", "result")
        self._probes = Tally("rotator_probes_total", "New credentials shown to a host.", "registry", "verdict")
        self._secrets = Tally("rotator_secret_writes_total", "Writes of Secrets.", "pull_secret", "result")
        self._references = Tally(
            "rotator_reference_writes_total", "References attached to ServiceAccounts.", "pull_secret", "result"
        )
        self._contested = Tally(
            "rotator_contested_objects_total",
            "Repairs put off: somebody changes it back.",
            "pull_secret",
            "kind",
            "manager",
        )
        self._reloads = Tally("rotator_configuration_reloads_total", "Reloads of the configuration.", "result")
        self._minting = Durations("rotator_mint_duration_seconds", "Time that a cloud took.", CALL, "registry")
        self._probing = Durations("rotator_probe_duration_seconds", "Time that a host took.", CALL, "registry")
        self._passing = Durations("rotator_pass_duration_seconds", "Time that a pass took.", PASS, "scope")
        self._healing = Durations("rotator_heal_duration_seconds", "From a change to the end of its repair.", HEAL)
        self._reloads.settle([("accepted",), ("refused",)])
        self._passing.settle((scope,) for scope in SCOPES.values())
        self._healing.settle([()])

    # What is told ----------------------------------------------------------------------------------------------------

    def follow(
        self,
        *,
        queue_depth: Callable[[], int] = lambda: 0,
        leads: Callable[[], bool] = lambda: False,
        watches: Callable[[], Iterable[Watch]] = lambda: (),
        events_dropped: Callable[[], int] = lambda: 0,
    ) -> None:
        """Ask these whenever the metrics are read: from any thread, so they may not wait for anything."""
        self._queue_depth, self._leads, self._watches, self._events_dropped = (
            queue_depth,
            leads,
            watches,
            events_dropped,
        )

    def configured(self, config: Config, digest: str) -> None:
        """This configuration counts from now on; `digest` is that of its file. Any but the first is a reload."""
        registries = [registry.name for registry in config.registries]
        pull_secrets = [pull_secret.name for pull_secret in config.pull_secrets]
        with self._lock:
            if self._config:
                self._reloads.add("accepted")
            self._config, self._digest, self._configured_at = config, digest, self._clock()
            self._reload_failed = False
            self._mints.settle(_each(registries, MINT_RESULTS))
            self._probes.settle(_each(registries, Verdict))
            self._minting.settle(_each(registries))
            self._probing.settle(_each(registries))
            self._secrets.settle(_each(pull_secrets, ("written", "gone", *WRITE_FAILURES)))
            self._references.settle(_each(pull_secrets, ("attached", "gone", *WRITE_FAILURES)))
            self._contested.settle(
                (name, kind, NOBODY_KNOWN) for name, kind in _each(pull_secrets, (Kind.SECRET, Kind.SERVICE_ACCOUNT))
            )

    def refused_configuration(self) -> None:
        """A new configuration cannot be used, and the old one stays."""
        with self._lock:
            self._reload_failed = True
            self._reloads.add("refused")

    def minted(self, registry: str, result: str, seconds: float) -> None:
        """As `Observer`."""
        with self._lock:
            self._mints.add(registry, result)
            self._minting.note(seconds, registry)

    def probed(self, registry: str, verdict: Verdict, seconds: float) -> None:
        """As `Observer`."""
        with self._lock:
            self._probes.add(registry, verdict)
            self._probing.note(seconds, registry)

    def passed(self, report: Report, seconds: float) -> None:
        """As `Observer`: one over everything also says how things stand."""
        everything = report.snapshot.only is None
        objects = _placed(report) if everything else Places()
        with self._lock:
            self._passing.note(seconds, SCOPES[everything])
            for result in report.results:
                self._count_write(result)
            if everything:
                self._swept_at, self._objects = self._clock(), objects
                self._statuses = {status.name: status for status in report.registries}

    def stood_down(self) -> None:
        """Another process leads: how things stand is for that one to say, and our last word would only get old."""
        with self._lock:
            self._statuses, self._objects = {}, Places()

    def healed(self, seconds: float) -> None:
        """What changed in the cluster was put right, so long after it was heard of."""
        with self._lock:
            self._healing.note(seconds)

    def contested(self, change: Change, managers: Sequence[str]) -> None:
        """These field managers change this object back again and again, and its next repair is put off."""
        with self._lock:
            manager = managers[0] if managers else NOBODY_KNOWN
            if manager in self._rivals or len(self._rivals) < MOST_RIVALS:
                self._rivals.add(manager)
            else:
                manager = "other"
            self._contested.add(change.pull_secret, change.subject.kind, manager)

    def _count_write(self, result: Result) -> None:
        tally = self._secrets if result.change.subject.kind is Kind.SECRET else self._references
        match result.outcome:
            case Outcome.WRITTEN | Outcome.ATTACHED | Outcome.GONE:
                tally.add(result.change.pull_secret, result.outcome)
            case Outcome.FAILED:
                tally.add(result.change.pull_secret, result.error.reason if result.error else RotatorError.__name__)

    # What is shown ---------------------------------------------------------------------------------------------------

    @property
    def pages(self) -> Mapping[str, Page]:
        """What a server serves."""
        return {"/metrics": self.page}

    def page(self, headers: Mapping[str, str]) -> Answer:
        """`/metrics`, in the format that the client prefers of those that Prometheus has."""
        try:
            encode, content_type = choose_encoder(headers.get("accept", ""))
        except (TypeError, ValueError):  # a version that is no number
            encode, content_type = choose_encoder("")
        answer = Answer(200, encode(self.registry), content_type)
        return zipped(answer) if gzip_accepted(headers.get("accept-encoding", "")) else answer

    def collect(self) -> Iterator[Metric]:
        """Every family of ours, as things stand."""
        yield from self._shown()
        with self._lock:
            counted = [tally.family() for tally in self._counted()]
            standing = [*self._of_credentials(), self._of_objects(), *self._of_configuration()]
        yield from counted
        yield from standing

    def _counted(self) -> tuple[Tally | Durations, ...]:
        return (
            self._mints,
            self._minting,
            self._probes,
            self._probing,
            self._secrets,
            self._references,
            self._passing,
            self._healing,
            self._contested,
            self._reloads,
        )

    def _shown(self) -> Iterator[Metric]:
        """What the daemon lets us look at, without our lock: who waits for us there must not wait for themselves."""
        yield GaugeMetricFamily("rotator_queue_depth", "Namespaces that wait for a pass.", self._queue_depth())
        yield GaugeMetricFamily("rotator_leader", "1 if this process leads, 0 if it stands by.", int(self._leads()))
        found = Counter((watch.scope.resource, _state(watch.health)) for watch in self._watches())
        watches = GaugeMetricFamily("rotator_watches", "Watches by how they are.", labels=("resource", "state"))
        for resource, state in _each(RESOURCES, WATCH_STATES):
            watches.add_metric((resource, state), found[resource, state])
        yield watches
        dropped = self._events_dropped()
        yield CounterMetricFamily("rotator_events_dropped_total", "Kubernetes Events that were never sent.", dropped)
        versions = (__version__, platform.python_version())
        build = GaugeMetricFamily("rotator_build_info", "The version that runs.", labels=("version", "python"))
        build.add_metric(versions, 1)
        yield build

    def _of_credentials(self) -> Iterator[Metric]:
        for name, text, moment in (
            ("issue", "When the oldest published credential was issued.", _issue),
            ("expiry", "When the first published credential expires.", _expiry),
            ("renewal", "When the next renewal, or the next try, is due.", self._renewal),
        ):
            family = _seconds(f"rotator_credential_{name}_timestamp_seconds", text, "registry")
            for status in self._known():
                if (at := moment(status)) is not None:
                    family.add_metric((status.name,), at.timestamp())
            yield family

    def _renewal(self, status: RegistryStatus) -> datetime | None:
        return status.renewal_at(self._config.renewal.at) if self._config else None

    def _known(self) -> list[RegistryStatus]:
        registries = self._config.registries if self._config else ()
        return [self._statuses[registry.name] for registry in registries if registry.name in self._statuses]

    def _of_objects(self) -> Metric:
        labels = ("kind", "pull_secret", "state")
        family = GaugeMetricFamily("rotator_objects", "Objects by the state that the last sweep left.", labels=labels)
        for place in self._places():
            family.add_metric(place, self._objects[place])
        return family

    def _places(self) -> Iterator[tuple[str, str, str]]:
        """Kind, pull secret and state of every series, each once."""
        served = [pull_secret.name for pull_secret in self._config.pull_secrets] if self._config else []
        former = [former.name for former in self._config.prune.former] if self._config else []
        for name in served:
            yield from ((kind, name, state) for kind, states in STATES.items() for state in states)
        for name in dict.fromkeys(former):
            if name not in served:
                yield Kind.SECRET, name, State.ORPHAN
        yield from ((kind, "", State.UNREADABLE) for kind in Kind)

    def _of_configuration(self) -> Iterator[Metric]:
        info = GaugeMetricFamily("rotator_configuration_info", "The configuration that counts.", labels=("digest",))
        if self._config:
            info.add_metric((self._digest,), 1)
        yield info
        yield GaugeMetricFamily(
            "rotator_configuration_last_reload_successful",
            "0 while the file holds a configuration that cannot be used.",
            int(not self._reload_failed),
        )
        for name, text, at in (
            (
                "rotator_configuration_last_reload_success_timestamp_seconds",
                "When the configuration was last taken.",
                self._configured_at,
            ),
            ("rotator_last_successful_sweep_timestamp_seconds", "When the last sweep came to its end.", self._swept_at),
        ):
            family = _seconds(name, text)
            family.add_metric((), at.timestamp() if at else 0)
            yield family
        if self._config:
            yield from _settings(self._config)


def _settings(config: Config) -> Iterator[Metric]:
    """What alerts have to go by."""
    for name, text, value in (
        ("rotator_renewal_at_ratio", "Share of a life after which it is renewed.", config.renewal.at),
        ("rotator_sweep_interval_seconds", "Time between two sweeps.", config.renewal.sweep.total_seconds()),
    ):
        family = GaugeMetricFamily(name, text)
        family.add_metric((), value)
        yield family


def _each(firsts: Iterable[str], seconds: Iterable[str] | None = None) -> Iterator[tuple[str, ...]]:
    """Each of the first, alone or with each of the second."""
    others = None if seconds is None else list(seconds)
    for first in firsts:
        yield from [(first,)] if others is None else [(first, str(other)) for other in others]


def _seconds(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=labels, unit="seconds")


def _issue(status: RegistryStatus) -> datetime | None:
    return status.issued_at


def _expiry(status: RegistryStatus) -> datetime | None:
    return status.expires_at


def _state(health: Health) -> str:
    if health.synced:
        return "synced"
    return "failing" if health.failures else "starting"


def _placed(report: Report) -> Places:
    """How many objects are in each state after the pass; what is gone is in none."""
    lacking = {status.name for status in report.registries if status.error or status.late}
    return Counter(
        (result.change.subject.kind, result.change.pull_secret, _state_after(result, lacking))
        for result in report.results
        if result.outcome not in {Outcome.GONE, Outcome.REMOVED}
    )


def _state_after(result: Result, lacking: set[str]) -> State:
    """A Secret that was written without the credential of one of its registries is no better than it was."""
    found = result.change.state
    return AFTERWARDS.get(result.outcome, found) if lacking.isdisjoint(result.change.needs.values()) else found
