"""Orphans: which Secrets are left over, and what keeps one from being removed."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from rotator import annotations, dockerconfig
from rotator.config import Config
from rotator.errors import Forbidden
from rotator.model import Action, Change, Gap, Kind, NamespaceRecord, SecretRecord, SecretText, Snapshot, State
from rotator.orphans import Orphans
from rotator.plan import plan
from tests.build import CONFIG, ECR, GAR, NOW, SECRET, account, config, credential, secret, snapshot

LIFE = timedelta(hours=12)
LEFT = "team-left"
PRUNING = CONFIG + "prune: {enabled: true}\n"
FORMER = (
    CONFIG + "prune: {enabled: true, former: [{name: old-pull, namespaces: {names: [team-a, 'team-*']}},"
    f" {{name: {SECRET}, namespaces: {{names: [{LEFT}]}}}}]}}\n"
)
ELSEWHERE = CONFIG.replace('[team-a, "shuffle*"]', '["taem-*"]')


def left(age: timedelta = LIFE, **fields: object) -> SecretRecord:
    """Our Secret in a namespace that is not covered, whose 12 h credentials were issued so long ago."""
    held = credential(issued=NOW - age)
    return secret({ECR: ("prod", held), GAR: ("images", held)}, namespace=LEFT, **fields)  # type: ignore[arg-type]


def with_text(record: SecretRecord, **more: object) -> SecretRecord:
    """The Secret with more in its text."""
    assert record.text is not None
    return replace(record, text=SecretText(json.dumps(json.loads(record.text.reveal()) | more)))


def with_entry(record: SecretRecord) -> SecretRecord:
    """The Secret with one more entry, which somebody else put there."""
    assert record.text is not None
    auths = json.loads(record.text.reveal())["auths"]
    return with_text(record, auths=auths | {"ghcr.io": {"auth": "YTpi"}})


def changed(record: SecretRecord) -> SecretRecord:
    """The Secret with another password in one of our entries."""
    return replace(record, text=dockerconfig.merge(record.text, {ECR: credential("planted")}))


def adopted(record: SecretRecord) -> SecretRecord:
    """The Secret as one of another tool's that we adopted."""
    return replace(record, labels={**record.labels, annotations.MANAGED_BY_LABEL: "Helm"})


def found(*records: SecretRecord | NamespaceRecord, places: tuple[str, ...] = ("team-a", LEFT)) -> Snapshot:
    """What was read."""
    return snapshot(*records, namespaces=places)


def judged(record: SecretRecord, settings: Config, seen: Snapshot | None = None) -> Change:
    """What becomes of it."""
    return Orphans(seen or found(record), settings, NOW).judge(record)


KEPT = {
    "prune is off": (left(), CONFIG, "let rotator do that (prune.enabled)"),
    "a credential still opens": (left(LIFE - timedelta(seconds=1)), PRUNING, "removed after 2026-11-23T12:00:01Z"),
    "only one of its credentials still opens": (
        secret(
            {ECR: ("prod", credential(life=timedelta(hours=1), issued=NOW - LIFE)), GAR: ("images", credential())},
            namespace=LEFT,
        ),
        PRUNING,
        "it is removed after",
    ),
    "it holds an entry of somebody else": (with_entry(left()), PRUNING, "1 of its 3 entries"),
    "somebody changed an entry": (changed(left()), PRUNING, "1 of its 2 entries"),
    "its notes claim a life that no credential has": (
        secret({ECR: ("prod", credential(life=timedelta(days=9999)))}, namespace=LEFT),
        PRUNING,
        "1 of its 1 entries",
    ),
    "it has settings beside its entries": (with_text(left(), credsStore="x"), PRUNING, "more than entries"),
    "it has other data keys": (left(has_more=True), PRUNING, "other data keys"),
    "it belongs to another tool": (adopted(left()), PRUNING, "does not say rotator"),
    "it has another type": (left(type="Opaque"), PRUNING, "not rotator's"),
    "it has no text": (replace(left(), text=None), PRUNING, "not rotator's"),
    "its text does not parse": (left(text=SecretText("{")), PRUNING, "cannot be parsed"),
    "its record is gone": (replace(left(), annotations={}), PRUNING, "2 of its 2 entries"),
    "it is empty and says nothing": (
        replace(left(text=SecretText('{"auths":{}}')), annotations={}),
        PRUNING,
        "says nothing of what rotator wrote",
    ),
    "its pull secret covers nothing at all": (left(), PRUNING.replace(CONFIG, ELSEWHERE), "no namespace at all"),
}


@pytest.mark.parametrize("case", KEPT)
def test_what_keeps_an_orphan(case: str) -> None:
    """It is reported with what to do, and stays; that is no failure."""
    record, text, words = KEPT[case]
    change = judged(record, config(text))
    assert (change.state, change.action, change.is_problem) == (State.ORPHAN, Action.NOTHING, False)
    assert words in change.message
    assert "\n" not in change.message


REMOVED = {
    "its last credential has just expired": (left(), PRUNING),
    "it is immutable, which matters to writers only": (left(immutable=True), PRUNING),
    "its pull secret covers nothing, and it is named as a former one": (left(), FORMER.replace(CONFIG, ELSEWHERE)),
    "its pull secret left the configuration": (replace(left(), name="old-pull"), FORMER),
}


@pytest.mark.parametrize("case", REMOVED)
def test_what_lets_an_orphan_go(case: str) -> None:
    """All that it holds is ours and opens nothing any more."""
    record, text = REMOVED[case]
    change = judged(record, config(text))
    assert (change.state, change.action) == (State.ORPHAN, Action.REMOVE)


def test_an_orphan_stays_while_its_service_accounts_cannot_be_read() -> None:
    """The references go first, and who may have one is not known; a gap elsewhere does not matter."""
    record = left()
    for place, action in ((LEFT, Action.NOTHING), ("*", Action.NOTHING), ("team-a", Action.REMOVE)):
        gap = Gap(Kind.SERVICE_ACCOUNT, place, "*", Forbidden("no"))
        assert judged(record, config(PRUNING), replace(found(record), gaps=(gap,))).action is action


@pytest.mark.parametrize(
    "seen",
    [
        found(replace(left(), namespace="team-a")),
        found(left(ours=False)),
        found(left(), places=("team-a",)),
        found(left(), NamespaceRecord(LEFT, terminating=True), places=("team-a",)),
        replace(found(left()), only=LEFT),
    ],
    ids=[
        "covered",
        "of somebody else",
        "in a namespace that was not read",
        "going anyway",
        "in a look at one namespace",
    ],
)
def test_what_is_no_orphan(seen: Snapshot) -> None:
    """Of these nothing is said, and nothing is done to them."""
    assert list(Orphans(seen, config(PRUNING), NOW).found()) == []
    assert [change for change in plan(seen, config(PRUNING), {}, NOW).changes if change.state is State.ORPHAN] == []


def test_a_namespace_that_lost_its_label_for_a_moment_loses_nothing() -> None:
    """What was renewed a moment ago is left over for at least the life that it has left."""
    text = CONFIG.replace("exclude: [shuffle-legacy]", "labels: pull=private") + "prune: {enabled: true}\n"
    record = secret({ECR: ("prod", credential())}, namespace="team-a")
    seen = found(record, NamespaceRecord("shuffle", {"pull": "private"}))
    (change,) = [change for change in plan(seen, config(text), {}, NOW).changes if change.state is State.ORPHAN]
    assert (change.subject.namespace, change.action) == ("team-a", Action.NOTHING)
    assert "removed after 2026-11-24T00:00:00Z" in change.message


def test_the_references_to_an_orphan_come_before_it() -> None:
    """Every ServiceAccount there that names it, whoever attached it, and no other."""
    seen = snapshot(
        left(),
        account("workers", namespace=LEFT, pull_secrets=("theirs", SECRET)),
        account("apps", namespace=LEFT, pull_secrets=("theirs",)),
        account("none", namespace=LEFT),
        account("workers", namespace="team-a", pull_secrets=(SECRET,)),
        namespaces=("team-a", LEFT),
    )
    for text, expected in ((PRUNING, [Action.DETACH, Action.REMOVE]), (CONFIG, [Action.NOTHING])):
        changes = [change for change in plan(seen, config(text), {}, NOW).changes if change.state is State.ORPHAN]
        assert [change.action for change in changes] == expected
        assert {change.subject.name for change in changes} <= {"workers", SECRET}
        assert {change.subject.namespace for change in changes} == {LEFT}


@pytest.mark.parametrize("text", [CONFIG, PRUNING])
def test_an_orphan_asks_for_no_credential(text: str) -> None:
    """However long it has expired."""
    config_of_none = text.replace('[team-a, "shuffle*"]', '["shuffle*"]')
    assert plan(found(left(LIFE * 2)), config(config_of_none), {}, NOW).mints == {}
