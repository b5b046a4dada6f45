"""The checks about rotator itself, as pure functions: what each of them says of what was found."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from rotator import screens
from rotator.config import Config, parse
from rotator.doctor import CHECKS, Diagnosis, Finding, Result, judged, rights
from rotator.doctor.clocks import ahead
from rotator.doctor.diagnosis import Symptom
from rotator.doctor.evidence import Evidence
from rotator.doctor.ourselves import Ourselves
from rotator.errors import IdentityMissing, RotatorError, ServerFailed
from rotator.leadership import Record, micro_time, released
from rotator.model import NamespaceRecord, ServiceAccountRecord, Snapshot
from rotator.plan import plan
from rotator.rbac import Subject

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HEAD = "registries:\n  - {name: prod, ecr: {hosts: [123456789012.dkr.ecr.eu-west-1.amazonaws.com]}}\n"


def config(namespaces: str = "{names: [team-a]}", accounts: str = "{names: [workers]}", more: str = "") -> Config:
    """A configuration with one pull secret."""
    words = f"name: pull, registries: [prod], namespaces: {namespaces}, serviceAccounts: {accounts}"
    return parse(f"{HEAD}pullSecrets:\n  - {{{words}}}\n{more}", "config.yaml")


def found(check: str, ours: Ourselves, *, more: str = "") -> Finding:
    """What the check says of this."""
    (chosen,) = (each for each in CHECKS if each.name == check)
    return judged(chosen, Evidence(config(more=more), NOW, ourselves=ours))


def only(finding: Finding) -> Symptom:
    """Its one symptom."""
    (symptom,) = finding.symptoms
    return symptom


def test_a_fact_is_shown_beneath_what_is_well() -> None:
    """The screen keeps the description of a check that is ok, and tells its facts without a result before them."""
    diagnosis = Diagnosis((found("lease-held", Ourselves(lease=held(timedelta(seconds=2)))),))
    console = Console(file=io.StringIO(), width=80)
    console.print(screens.diagnosis_screen(diagnosis))
    assert isinstance(console.file, io.StringIO)
    first, second, *_ = console.file.getvalue().splitlines()
    assert first.split(maxsplit=2) == ["✓", "lease-held", "a rotator runs, and leads"]
    assert second.strip() == "rotator-1_3f holds it, and renewed it at 2026-03-01T11:59:58Z"
    assert diagnosis.exit_code == 0
    (symptom,) = diagnosis.record()["findings"][0]["symptoms"]
    assert symptom["result"] == "ok"


def test_what_is_to_be_done_about_several_stands_once() -> None:
    """Beneath the last of them; in JSON each has it."""
    ours = Ourselves(rights=dict.fromkeys(rights.needed(config(), Subject()), False))
    finding = found("permissions-fit", ours)
    console = Console(file=io.StringIO(), width=200)
    console.print(screens.diagnosis_screen(Diagnosis((finding,))))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert len([symptom for symptom in finding.symptoms if symptom.result is Result.PROBLEM]) > 2
    assert shown.count("-> rotator rbac") == 1
    assert all(symptom.hint for symptom in finding.symptoms[1:])


# The Lease -----------------------------------------------------------------------------------------------------------


def held(ago: timedelta) -> Record:
    """A Lease that somebody renewed so long ago."""
    return Record("rotator-1_3f", 15, micro_time(NOW - timedelta(days=1)), micro_time(NOW - ago))


LEASES = [
    (held(timedelta(seconds=2)), Result.OK, "rotator-1_3f holds it, and renewed it at 2026-03-01T11:59:58Z"),
    (held(timedelta(seconds=-20)), Result.OK, "rotator-1_3f holds it, and renewed it at 2026-03-01T12:00:20Z"),
    (held(timedelta(seconds=45)), Result.OK, "rotator-1_3f holds it, and renewed it at 2026-03-01T11:59:15Z"),
    (
        held(timedelta(seconds=46)),
        Result.PROBLEM,
        "rotator-1_3f held it last, and renewed it at 2026-03-01T11:59:14Z, 46 s ago",
    ),
    (released(held(timedelta()), NOW), Result.PROBLEM, "nobody holds it: its last holder gave it back"),
    (Record("rotator-1_3f", 15, "", "yesterday"), Result.PROBLEM, "does not say when it was renewed"),
    (Record("rotator-1_3f", 15, "", "2026-03-01T12:00:00"), Result.PROBLEM, "does not say when it was renewed"),
    (None, Result.WARNING, "there is none: rotator does not run, or runs as a CronJob"),
]


@pytest.mark.parametrize(("lease", "result", "words"), LEASES)
def test_who_leads(lease: Record | None, result: Result, words: str) -> None:
    """A holder that renewed just now is a fact; none at all a warning; one that is silent a problem."""
    symptom = only(found("lease-held", Ourselves(lease=lease)))
    assert symptom.result is result
    assert words in symptom.message
    assert bool(symptom.hint) is (result is not Result.OK)


def test_the_lease_is_where_the_configuration_says() -> None:
    """Or else beside rotator; and who wants no election is asked for none."""
    assert found("lease-held", Ourselves(Subject("here", "r"))).symptoms[0].objects[0].namespace == "here"
    other = "leaderElection: {namespace: there, name: mine}\n"
    (lease,) = found("lease-held", Ourselves(), more=other).symptoms[0].objects
    assert (lease.namespace, lease.name) == ("there", "mine")
    assert found("lease-held", Ourselves(), more="leaderElection: {enabled: false}\n").result is Result.OK


# Clocks --------------------------------------------------------------------------------------------------------------

CLOCKS = [
    (timedelta(seconds=30), None, ""),
    (timedelta(seconds=31), Result.WARNING, "31 s ahead of ours"),
    (timedelta(seconds=-31), Result.WARNING, "31 s behind ours"),
    (timedelta(minutes=5), Result.WARNING, "300 s ahead of ours"),
    (timedelta(minutes=-5, seconds=-1), Result.PROBLEM, "301 s behind ours"),
    (ServerFailed("it refused the connection"), Result.WARNING, "not looked at: it refused the connection"),
    (None, Result.OK, "does not tell its time"),
]


@pytest.mark.parametrize(("clock", "result", "words"), CLOCKS)
def test_clocks(clock: timedelta | RotatorError | None, result: Result | None, words: str) -> None:
    """Over half a minute is a warning, over five a problem; a server that gives no answer was not looked at."""
    symptoms = found("clocks-agree", Ourselves(clocks={"the API server": clock})).symptoms
    assert [symptom.result for symptom in symptoms] == ([result] if result else [])
    assert all(words in symptom.message for symptom in symptoms)


SECOND = timedelta(seconds=1)
TIMES = [
    ("the same second", NOW, NOW + SECOND / 2, NOW + SECOND / 2, timedelta()),
    ("it ticked while the answer was on its way", NOW, NOW + SECOND / 2, NOW + 3 * SECOND, timedelta()),
    ("ahead", NOW + timedelta(seconds=60), NOW, NOW + SECOND, timedelta(seconds=59)),
    ("behind", NOW - timedelta(seconds=60), NOW, NOW + SECOND, timedelta(seconds=-59)),
    ("an answer that took long proves little", NOW + timedelta(seconds=60), NOW, NOW + 55 * SECOND, 5 * SECOND),
]


@pytest.mark.parametrize(("date", "before", "after", "expected"), [row[1:] for row in TIMES], ids=[r[0] for r in TIMES])
def test_how_far_a_clock_is_ahead(date: datetime, before: datetime, after: datetime, expected: timedelta) -> None:
    """At least: a date in whole seconds was true at some moment between the question and its answer."""
    assert ahead(date, before, after) == expected


# Clouds --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("here", [True, False])
def test_an_identity_that_is_missing(*, here: bool) -> None:
    """The error's own hint; and where a person asks from a machine of theirs, how to ask where rotator runs."""
    error = IdentityMissing("registry 'prod': no AWS identity was found", hint="give the Pod one")
    ours = Ourselves(here=here, identities={"prod": error}, mints={"prod": error})
    for check in ("cloud-identities", "credentials-minted"):
        symptom = only(found(check, ours))
        assert (symptom.result, symptom.message) == (Result.PROBLEM, error.message)
        assert symptom.hint.startswith("give the Pod one")
        assert ("kubectl exec -n rotator deploy/rotator" in symptom.hint) is not here


# The configuration and the cluster -----------------------------------------------------------------------------------


def account(namespace: str, name: str, **labels: str) -> ServiceAccountRecord:
    """A ServiceAccount."""
    return ServiceAccountRecord(namespace, name, "u", "1", labels)


THERE = Snapshot(
    {
        name: NamespaceRecord(name, {"pull": "private"} if name == "team-a" else {})
        for name in ("team-a", "team-b", "x")
    },
    {},
    {(place, name): account(place, name, app="ci") for place, name in (("team-a", "workers"), ("team-b", "workers"))},
)
SILENT = [
    config("{names: [team-a]}"),
    config('{names: ["team-*"], exclude: [team-b]}'),
    config('{names: ["team-*"], labels: pull=private}'),
    config('{names: ["team-*"]}', '{names: ["work*"]}'),
    config('{names: ["team-*"]}', "{labels: app=ci}"),
    config("{names: [team-a, team-c], exclude: [team-c]}"),
]
MEANT = [
    (config('{names: ["team-*", "app-*"]}'), "no namespace matches app-*"),
    (config('{names: ["team-*"], exclude: ["legacy-*"]}'), "exclude legacy-* leaves no namespace out"),
    (config('{names: ["team-*"], exclude: [x]}'), "exclude x leaves no namespace out"),
    (config('{names: ["team-*"], labels: pull=nothing}'), "none of 2 namespaces has labels that pull=nothing selects"),
    (config("{names: [team-a, team-c]}"), "means a Namespace that does not exist"),
    (config('{names: ["team-*"]}', '{names: ["job-*", workers]}'), "no ServiceAccount matches job-*"),
    (config('{names: ["team-*"]}', "{labels: app=web}"), "no ServiceAccount has labels that app=web selects"),
    (config("{names: [x]}", "{names: [workers]}"), "means a ServiceAccount workers that does not exist there"),
    (config("{names: [x]}", "{names: [ghosts]}"), "means a ServiceAccount ghosts that does not exist anywhere"),
]


def matched(meant: Config, there: Snapshot = THERE) -> Finding:
    """What the check says of that configuration on this cluster."""
    (check,) = (each for each in CHECKS if each.name == "configuration-matches")
    return judged(check, Evidence(meant, NOW, there, plan(there, meant, {}, NOW).changes))


@pytest.mark.parametrize("meant", SILENT)
def test_a_configuration_that_means_what_is_there(meant: Config) -> None:
    """Silence, also where a name is listed and excluded."""
    assert matched(meant).symptoms == ()


@pytest.mark.parametrize(("meant", "words"), MEANT, ids=[words for _, words in MEANT])
def test_a_part_of_the_configuration_that_means_nothing(meant: Config, words: str) -> None:
    """One warning, that names the pull secret and the part."""
    symptom = only(matched(meant))
    assert symptom.result is Result.WARNING
    assert symptom.message.startswith("pull secret pull")
    assert words in symptom.message


def test_one_namespace_alone_says_nothing_of_patterns() -> None:
    """Who looks into one namespace sees no other, and concludes nothing from that."""
    alone = Snapshot({"x": THERE.namespaces["x"]}, {}, {}, (), "x")
    assert matched(config('{names: ["team-*"]}'), alone).symptoms == ()
