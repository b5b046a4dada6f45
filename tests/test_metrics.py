"""Metrics: what a scrape shows of what happened, of which configuration, in which format; and its documentation."""

import gzip
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from rotator.cluster.watch import Health
from rotator.config import Config, Former, Namespaces, Prune
from rotator.errors import Forbidden, MintError, MintThrottled, RotatorError
from rotator.metrics import MINT_RESULTS, MOST_RIVALS, RESOURCES, STATES, Metrics
from rotator.model import Action, Change, Kind, State, Subject
from rotator.probe import Verdict
from rotator.rotation.report import Outcome, RegistryStatus, Report, Result
from rotator.scopes import Scope
from rotator.serving import Server
from tests.build import NOW, config, credential, snapshot
from tests.build import SECRET as WORKERS
from tests.scraping import LOOPBACK, Scrape, fetch, parsed, scrape
from tests.waiting import PATIENCE

DOCS = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text()
ONE_REGISTRY = config().model_copy(update={"registries": config().registries[:1]})
OTHER_SECRET = config(**{f"name: {WORKERS}": "name: other-pull"})
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Reflector:
    """What the metrics see of one."""

    scope: Scope
    health: Health


@dataclass
class Clock:
    """A wall clock that a test moves on."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        """Now."""
        return self.now


@pytest.fixture
def metrics() -> Metrics:
    """With the tests' configuration: prod and images, in one pull secret."""
    made = Metrics(Clock())
    made.configured(config(), "abc123")
    return made


def result(
    kind: Kind,
    state: State,
    outcome: Outcome = Outcome.NOTHING,
    *,
    name: str = WORKERS,
    error: RotatorError | None = None,
) -> Result:
    """What became of one object in team-a."""
    return Result(Change(Subject(kind, "team-a", "workers"), name, state, "a test", Action.NOTHING), outcome, error)


def report(*results: Result, statuses: tuple[RegistryStatus, ...] = (), only: str | None = None) -> Report:
    """A pass that found and did this."""
    return Report(results, statuses, replace(snapshot(), only=only))


def families(metrics: Metrics) -> list[Metric]:
    """What one scrape gives, in the text format."""
    return list(scrape(metrics).families)


# What is counted ------------------------------------------------------------------------------------------------------


def test_every_series_is_there_before_anything_happened(metrics: Metrics) -> None:
    """At 0: an alarm on an increase sees the first event, one on a failure is quiet until there is one."""
    found = scrape(metrics)
    for name, results in (("prod", MINT_RESULTS), ("images", MINT_RESULTS)):
        for each in results:
            assert found.value("rotator_mints_total", registry=name, result=each) == 0
        assert found.value("rotator_mint_duration_seconds_count", registry=name) == 0
        for verdict in Verdict:
            assert found.value("rotator_probes_total", registry=name, verdict=verdict) == 0
    for each in ("written", "gone", "Forbidden", "Conflict", "ServerFailed"):
        assert found.value("rotator_secret_writes_total", pull_secret=WORKERS, result=each) == 0
    for each in ("attached", "gone", "Forbidden", "Conflict", "ServerFailed"):
        assert found.value("rotator_reference_writes_total", pull_secret=WORKERS, result=each) == 0
    of_nobody = {"pull_secret": WORKERS, "kind": "Secret", "manager": "unknown"}
    assert found.value("rotator_contested_objects_total", **of_nobody) == 0
    assert found.value("rotator_heal_duration_seconds_count") == 0
    assert found.value("rotator_events_dropped_total") == 0
    assert found.value("rotator_configuration_reloads_total", result="refused") == 0
    assert found.value("rotator_last_successful_sweep_timestamp_seconds") == 0
    assert found.value("rotator_leader") == 0
    assert found.value("rotator_objects", kind="Secret", pull_secret=WORKERS, state="Foreign") == 0


def test_every_mint_error_is_a_result() -> None:
    """Those of `errors`, and what a defect is reported as."""
    assert {"ok", "MintError", "IdentityMissing", "MintTimedOut"} <= set(MINT_RESULTS)
    assert len(MINT_RESULTS) == 2 + len(MintError.__subclasses__())


def test_every_state_belongs_to_a_kind() -> None:
    """A state that is new in the model is shown by some series; Unreadable is of every kind."""
    assert {state for states in STATES.values() for state in states} == set(State) - {State.UNREADABLE}
    assert set(STATES) == set(Kind)


def test_mints_and_probes_are_counted_with_their_durations(metrics: Metrics) -> None:
    """By registry and result."""
    metrics.minted("prod", "ok", 0.2)
    metrics.minted("prod", "MintThrottled", 3)
    metrics.probed("prod", Verdict.REFUSED, 0.3)
    found = scrape(metrics)
    mints = {("prod", "ok"): 1, ("prod", "MintThrottled"): 1}
    assert found.some("rotator_mints_total", "registry", "result") == mints
    assert found.some("rotator_probes_total", "registry", "verdict") == {("prod", "Refused"): 1}
    assert found.value("rotator_mint_duration_seconds_sum", registry="prod") == pytest.approx(3.2)
    assert found.value("rotator_mint_duration_seconds_bucket", registry="prod", le="0.25") == 1
    assert found.value("rotator_probe_duration_seconds_count", registry="prod") == 1


def test_writes_are_counted_by_what_became_of_them(metrics: Metrics) -> None:
    """Of Secrets and references, in sweeps and in passes over one namespace; what was not tried is none."""
    forbidden = Forbidden("no")
    did = [
        result(Kind.SECRET, State.MISSING, Outcome.WRITTEN),
        result(Kind.SECRET, State.DUE, Outcome.FAILED, error=forbidden),
        result(Kind.SECRET, State.DUE, Outcome.GONE),
        result(Kind.SECRET, State.DUE, Outcome.WAITING),
        result(Kind.SECRET, State.MISSING, Outcome.BLOCKED),
        result(Kind.SECRET, State.UP_TO_DATE),
        result(Kind.SERVICE_ACCOUNT, State.REFERENCE_MISSING, Outcome.ATTACHED),
        result(Kind.SERVICE_ACCOUNT, State.REFERENCE_MISSING, Outcome.FAILED, error=forbidden),
    ]
    metrics.passed(report(*did), 1)
    metrics.passed(report(*did, only="team-a"), 0.1)
    found = scrape(metrics)
    assert found.some("rotator_secret_writes_total", "result") == {("written",): 2, ("Forbidden",): 2, ("gone",): 2}
    assert found.some("rotator_reference_writes_total", "result") == {("attached",): 2, ("Forbidden",): 2}
    assert found.some("rotator_pass_duration_seconds_count", "scope") == {("all",): 1, ("namespace",): 1}
    assert found.value("rotator_pass_duration_seconds_sum", scope="all") == 1


def test_repairs_and_contests_are_counted(metrics: Metrics) -> None:
    """How long each repair took, and which pull secret's objects somebody fights over."""
    metrics.healed(0.04)
    metrics.contested(result(Kind.SERVICE_ACCOUNT, State.REFERENCE_MISSING).change, ["argocd-controller", "kubectl"])
    found = scrape(metrics)
    assert found.value("rotator_heal_duration_seconds_sum") == pytest.approx(0.04)
    assert found.value("rotator_heal_duration_seconds_bucket", le="0.05") == 1
    contested = {(WORKERS, "ServiceAccount", "argocd-controller"): 1}
    assert found.some("rotator_contested_objects_total", "pull_secret", "kind", "manager") == contested


# How things stand -----------------------------------------------------------------------------------------------------


def test_objects_are_shown_as_the_last_sweep_left_them(metrics: Metrics) -> None:
    """What it put right is well, what is gone is nowhere, what it could not read is of no pull secret."""
    metrics.passed(report(result(Kind.SECRET, State.FOREIGN)), 1)
    metrics.passed(
        report(
            result(Kind.SECRET, State.MISSING, Outcome.WRITTEN),
            result(Kind.SECRET, State.UP_TO_DATE),
            result(Kind.SECRET, State.EXPIRED, Outcome.FAILED, error=Forbidden("no")),
            result(Kind.SECRET, State.DUE, Outcome.GONE),
            result(Kind.SECRET, State.UNREADABLE, name=""),
            result(Kind.SERVICE_ACCOUNT, State.REFERENCE_MISSING, Outcome.ATTACHED),
            result(Kind.NAMESPACE, State.NAMESPACE_MISSING),
        ),
        1,
    )
    assert scrape(metrics).some("rotator_objects", "kind", "pull_secret", "state") == {
        ("Secret", WORKERS, "UpToDate"): 2,
        ("Secret", WORKERS, "Expired"): 1,
        ("Secret", "", "Unreadable"): 1,
        ("ServiceAccount", WORKERS, "Referenced"): 1,
        ("Namespace", WORKERS, "NamespaceMissing"): 1,
    }


@pytest.mark.parametrize("trouble", [{"error": MintThrottled("no")}, {"late": True}])
def test_a_secret_that_was_written_without_one_of_its_registries_is_not_well(
    metrics: Metrics, trouble: dict[str, Any]
) -> None:
    """Its other entries are new, but one is still expired: it stays so until that registry's credential is written."""
    change = replace(result(Kind.SECRET, State.EXPIRED).change, needs={"a.example": "prod", "b.example": "images"})
    statuses = (replace(OLD, minted=True), replace(OLD, name="images", **trouble))
    metrics.passed(report(Result(change, Outcome.WRITTEN), statuses=statuses), 1)
    assert scrape(metrics).some("rotator_objects", "state") == {("Expired",): 1}


def test_a_pass_over_one_namespace_says_nothing_of_the_others(metrics: Metrics) -> None:
    """Objects, credentials and the time of the sweep stay as the sweep left them."""
    metrics.passed(report(result(Kind.SECRET, State.FOREIGN), statuses=(OLD,)), 1)
    before = scrape(metrics)
    metrics.passed(report(result(Kind.SECRET, State.UP_TO_DATE), only="team-a"), 1)
    after = scrape(metrics)
    for name in (
        "rotator_objects",
        "rotator_credential_expiry_timestamp_seconds",
        "rotator_last_successful_sweep_timestamp_seconds",
    ):
        assert after.values(name) == before.values(name)
    assert before.value("rotator_last_successful_sweep_timestamp_seconds") == NOW.timestamp()


NEW = credential(issued=NOW)
UNNEEDED = RegistryStatus("prod", "ecr", ())
OLD = replace(UNNEEDED, published_since=NOW - HOUR, published_until=NOW + HOUR, published_due=NOW)


@pytest.mark.parametrize(
    ("status", "issue", "expiry", "renewal"),
    [
        pytest.param(UNNEEDED, None, None, None, id="not needed"),
        pytest.param(OLD, -HOUR, HOUR, 0 * HOUR, id="published before"),
        pytest.param(replace(OLD, minted=True, credential=NEW), 0 * HOUR, 12 * HOUR, 6 * HOUR, id="new"),
        pytest.param(
            replace(OLD, error=MintThrottled("no"), next_attempt_at=NOW + HOUR / 60),
            -HOUR,
            HOUR,
            HOUR / 60,
            id="failed",
        ),
    ],
)
def test_credentials_are_shown_with_their_times(
    metrics: Metrics,
    status: RegistryStatus,
    issue: timedelta | None,
    expiry: timedelta | None,
    renewal: timedelta | None,
) -> None:
    """What Pods use: the oldest of it; a new one when it is just being published; nothing where nothing is needed."""
    metrics.passed(report(statuses=(status,)), 1)
    found = scrape(metrics)
    for name, after in (("issue", issue), ("expiry", expiry), ("renewal", renewal)):
        wanted = None if after is None else (NOW + after).timestamp()
        assert found.value(f"rotator_credential_{name}_timestamp_seconds", registry="prod") == wanted


def test_what_the_daemon_shows_is_read_when_it_is_asked_for(metrics: Metrics) -> None:
    """Queue, leadership, watches and Events, as they are at that moment."""
    waiting = ["team-a"]
    healths = (Health(synced=True, failures=2), Health(synced=True), Health(failures=1), Health())
    watches = [Reflector(Scope("secrets"), health) for health in healths]
    metrics.follow(queue_depth=waiting.__len__, leads=lambda: True, watches=lambda: watches, events_dropped=lambda: 3)
    found = scrape(metrics)
    assert found.value("rotator_queue_depth") == 1
    assert found.value("rotator_leader") == 1
    assert found.value("rotator_events_dropped_total") == 3
    assert found.some("rotator_watches", "resource", "state") == {
        ("secrets", "synced"): 2,
        ("secrets", "failing"): 1,
        ("secrets", "starting"): 1,
    }
    assert {dict(key)["resource"] for key in found.values("rotator_watches")} == set(RESOURCES)
    waiting.append("team-b")
    watches.clear()
    again = scrape(metrics)
    assert again.value("rotator_queue_depth") == 2
    assert again.some("rotator_watches", "resource", "state") == {}


# The configuration ----------------------------------------------------------------------------------------------------


def of(metrics: Metrics, name: str) -> set[str]:
    """The metrics that have a series with this label value."""
    return {sample.name for family in families(metrics) for sample in family.samples if name in sample.labels.values()}


@pytest.mark.parametrize(("left", "config_without"), [("images", ONE_REGISTRY), (WORKERS, OTHER_SECRET)])
def test_series_of_what_left_the_configuration_disappear_at_once(
    metrics: Metrics, left: str, config_without: Config
) -> None:
    """With the new configuration, not with the next pass; and what comes late from an old pass brings none back."""
    old = report(
        result(Kind.SECRET, State.UP_TO_DATE, Outcome.WRITTEN),
        statuses=(replace(OLD, name="images"),),
    )
    late: list[Callable[[], None]] = [
        lambda: metrics.minted("images", "ok", 1),
        lambda: metrics.probed("images", Verdict.OPEN, 1),
        lambda: metrics.passed(old, 1),
        lambda: metrics.contested(old.results[0].change, ["kubectl"]),
    ]
    for event in late:
        event()
    assert of(metrics, left)
    metrics.configured(config_without, "def456")
    assert of(metrics, left) == set()
    for event in late:
        event()
    assert of(metrics, left) == set()


def test_what_stays_in_the_configuration_goes_on(metrics: Metrics) -> None:
    """Its counters are not set back, which a rate would take for a restart."""
    metrics.minted("prod", "ok", 1)
    metrics.configured(ONE_REGISTRY, "def456")
    assert scrape(metrics).value("rotator_mints_total", registry="prod", result="ok") == 1


def test_the_configuration_and_its_reloads_are_shown() -> None:
    """The start is no reload; a refused one leaves digest and time of the last good one."""
    clock = Clock()
    metrics = Metrics(clock)
    assert scrape(metrics).values("rotator_configuration_info") == {}
    told = []

    def look() -> None:
        found = scrape(metrics)
        told.append(
            (
                found.some("rotator_configuration_info", "digest"),
                found.some("rotator_configuration_reloads_total", "result"),
                found.value("rotator_configuration_last_reload_successful"),
                found.value("rotator_configuration_last_reload_success_timestamp_seconds"),
            )
        )

    metrics.configured(config(), "abc123")
    look()
    clock.now += HOUR
    metrics.refused_configuration()
    look()
    clock.now += HOUR
    metrics.configured(config(), "def456")
    look()
    start = NOW.timestamp()
    assert told == [
        ({("abc123",): 1}, {}, 1, start),
        ({("abc123",): 1}, {("refused",): 1}, 0, start),
        ({("def456",): 1}, {("refused",): 1, ("accepted",): 1}, 1, start + 7200),
    ]


# The exposition -------------------------------------------------------------------------------------------------------


def test_both_formats_say_the_same(metrics: Metrics) -> None:
    """The text format by default, OpenMetrics to who prefers it; both parse, and are zipped if asked."""
    metrics.minted("prod", "ok", 1)
    prefers = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
    with Server("metrics", LOOPBACK, {"/metrics": metrics.page}) as server:
        plain, plain_headers = fetch(server, "/metrics")
        rich, rich_headers = fetch(server, "/metrics", prefers)
        zipped, zipped_headers = fetch(server, "/metrics", prefers | {"Accept-Encoding": "gzip"})
    assert plain_headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert rich_headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert zipped_headers["Content-Encoding"] == "gzip"
    first = parsed(text_string_to_metric_families(plain.decode()))
    second, third = (open_metrics(text.decode()) for text in (rich, gzip.decompress(zipped)))
    for other in (second, third):
        assert ours(other) == ours(first)


def open_metrics(text: str) -> Scrape:
    """A scrape in that format."""
    return parsed(openmetrics.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


def ours(found: Scrape) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
    """Every series of ours, less what a process says of itself, which changes meanwhile."""
    names = {sample.name for family in found.families for sample in family.samples if "process_" not in sample.name}
    return {name: found.values(name) for name in names}


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text;version=x", "a/b;;=,;q", "text/plain;version=9"])
def test_an_odd_wish_is_answered_all_the_same(metrics: Metrics, accept: str) -> None:
    """With a format that somebody can read."""
    with Server("metrics", LOOPBACK, {"/metrics": metrics.page}) as server:
        body, _ = fetch(server, "/metrics", {"Accept": accept})
    assert b"rotator_build_info" in body


def test_names_follow_the_rules_of_prometheus(metrics: Metrics) -> None:
    """As `promtool check metrics` wants them: help, a counter in _total and nothing else so, base units, no type."""
    for family in families(metrics):
        name = family.name + ("_total" if family.type == "counter" else "")
        assert re.fullmatch(r"(rotator|process)(_[a-z]+)+", name), name
        assert family.documentation.endswith(".") or name.startswith("process_"), name
        assert len(family.documentation) > 10, name
        assert ("_total" in name) == (family.type == "counter"), name
        assert not re.search(
            r"_(milliseconds|minutes|hours|ms|percent|counter|gauge|histogram|count|sum)(_|$)", name
        ), name
        for sample in family.samples:
            assert all(re.fullmatch(r"[a-z_]+", label) for label in sample.labels), name


def test_no_label_names_a_namespace(metrics: Metrics) -> None:
    """A thousand namespaces have no more series than one."""
    metrics.passed(report(result(Kind.SECRET, State.FOREIGN)), 1)
    before = scrape(metrics)
    many = [
        Result(
            Change(Subject(kind, f"team-{n}", f"name-{n}"), WORKERS, state, "a test"), Outcome.FAILED, Forbidden("no")
        )
        for n in range(1000)
        for kind, state in ((Kind.SECRET, State.MISSING), (Kind.SERVICE_ACCOUNT, State.REFERENCE_MISSING))
    ]
    metrics.passed(report(*many), 1)
    metrics.passed(report(*many, only="team-1"), 1)
    after = scrape(metrics)
    assert {name: set(series) for name, series in ours(after).items()} == {
        name: set(series) for name, series in ours(before).items()
    }


def test_it_is_read_while_it_is_told(metrics: Metrics) -> None:
    """Many threads count, reload and read at once: no read fails, and no event is lost."""
    failures: list[Exception] = []

    def count() -> None:
        for _ in range(200):
            metrics.minted("prod", "ok", 0.1)
            metrics.passed(report(result(Kind.SECRET, State.MISSING, Outcome.WRITTEN)), 1)

    def disturb() -> None:
        try:
            for n in range(20):
                metrics.configured((config(), ONE_REGISTRY)[n % 2], str(n))
                metrics.page({})
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=each) for each in (count, count, count, disturb, disturb)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert failures == []
    found = scrape(metrics)
    assert found.value("rotator_mints_total", registry="prod", result="ok") == 600
    assert found.value("rotator_secret_writes_total", pull_secret=WORKERS, result="written") == 600


# The documentation ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One metric as the table has it, or as the program has it."""

    type: str
    labels: frozenset[str] = field(default_factory=frozenset)


def documented() -> dict[str, Row]:
    """The rows of the table, by name."""
    (table,) = re.findall(r"<!-- metrics.*?-->\n(.*?)<!-- /metrics -->", DOCS, re.DOTALL)
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()[2:]]
    return {name.strip("`"): Row(kind, frozenset(filter(None, labels.split(", ")))) for name, kind, labels, *_ in rows}


def exposed(metrics: Metrics) -> dict[str, Row]:
    """The families of a scrape, by name."""
    found = {}
    for family in families(metrics):
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[family.name + ("_total" if family.type == "counter" else "")] = Row(family.type, frozenset(labels))
    return found


def test_the_table_of_metrics_is_the_programs(metrics: Metrics) -> None:
    """Each metric with its type and its labels, and no row without a metric."""
    metrics.passed(report(statuses=(OLD,)), 1)
    assert documented() == exposed(metrics)


def test_every_row_has_a_unit_and_a_meaning() -> None:
    """But those of Prometheus's own, whose meaning is said once."""
    (table,) = re.findall(r"<!-- metrics.*?-->\n(.*?)<!-- /metrics -->", DOCS, re.DOTALL)
    for line in table.splitlines()[2:]:
        name, _, _, unit, meaning = [cell.strip() for cell in line[1:-1].split("|")]
        assert unit, name
        assert meaning or name.startswith("`process_"), name


def test_orphans_of_a_former_pull_secret_are_shown(metrics: Metrics) -> None:
    """It has no other series, for nothing of it is served; and nothing is shown twice where a name still is served."""
    former = tuple(Former(name=name, namespaces=Namespaces(names=("old",))) for name in ("old-pull", WORKERS))
    metrics.configured(config().model_copy(update={"prune": Prune(former=former)}), "other")
    metrics.passed(report(result(Kind.SECRET, State.ORPHAN, name="old-pull")), 0.1)
    assert scrape(metrics).value("rotator_objects", kind="Secret", pull_secret="old-pull", state="Orphan") == 1
    shown = [tuple(s.labels.values()) for f in families(metrics) for s in f.samples if s.name == "rotator_objects"]
    assert len(set(shown)) == len(shown)
    assert [labels for labels in shown if "old-pull" in labels] == [("Secret", "old-pull", "Orphan")]


def test_field_managers_that_a_tenant_invents_make_no_series_without_end(metrics: Metrics) -> None:
    """The first twenty have their own, the others share one; who has one keeps it."""
    change = result(Kind.SECRET, State.DRIFTED).change
    for number in range(1000):
        metrics.contested(change, [f"tenant-{number}"])
    metrics.contested(change, ["tenant-0"])
    metrics.contested(change, [])
    found = {
        sample.labels["manager"]: sample.value
        for family in families(metrics)
        for sample in family.samples
        if sample.name == "rotator_contested_objects_total" and sample.labels["kind"] == "Secret"
    }
    assert len(found) == 1 + MOST_RIVALS
    assert (found["tenant-0"], found["unknown"], found["other"]) == (2, 1, 1001 - MOST_RIVALS)
