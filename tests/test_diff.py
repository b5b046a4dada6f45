"""The diff of a pass that wrote nothing: what becomes of which object, why, and the sum of it."""

from collections.abc import Mapping
from datetime import timedelta

from rotator.diff import Diff, Sign, diff
from rotator.errors import Forbidden, MintRefused
from rotator.model import Action, Change, Kind, State, Subject
from rotator.rotation import Outcome, RegistryStatus, Report, Result
from tests import build
from tests.build import ECR, GAR, NOW, SECRET

NO_SECRETS: Mapping[str, timedelta] = {}
NEEDS = {ECR: "prod", GAR: "images"}


def change(namespace: str, state: State, action: Action, **fields: object) -> Change:
    """A Secret's change; of a ServiceAccount where it is one of a reference."""
    account = action in {Action.ATTACH, Action.DETACH}
    kind, name = (Kind.SERVICE_ACCOUNT, "workers") if account else (Kind.SECRET, SECRET)
    return Change(Subject(kind, namespace, name), SECRET, state, "is so", action, **fields)  # type: ignore[arg-type]


def planned(namespace: str, state: State, action: Action, *entries: str) -> Result:
    """Something that would be done, with the hosts that would be set."""
    needs = NEEDS if action in {Action.CREATE, Action.UPDATE} else {}
    return Result(change(namespace, state, action, needs=needs), Outcome.PLANNED, entries=entries)


def of(
    *results: Result, registries: tuple[RegistryStatus, ...] = (), secrets: Mapping[str, timedelta] = NO_SECRETS
) -> Diff:
    """The diff; in each of these namespaces stands a Secret whose ECR entry was issued so long ago."""
    records = [
        build.secret({ECR: ("prod", build.credential(issued=NOW - age))}, namespace=namespace)
        for namespace, age in secrets.items()
    ]
    return diff(Report(results, registries, build.snapshot(*records)), build.config(), NOW)


def test_a_secret_that_comes() -> None:
    """Each host that it gets is named; one without a credential is said to be left out."""
    (step,) = of(planned("a", State.MISSING, Action.CREATE, ECR)).changes
    assert (step.sign, step.what, step.namespaces) == (Sign.ADD, f"Secret {SECRET}", ("a",))
    assert [(entry.sign, entry.host, entry.registry) for entry in step.entries] == [
        (Sign.ADD, ECR, "prod"),
        (Sign.CANNOT, GAR, "images"),
    ]


def test_each_entry_says_why_it_is_written() -> None:
    """In one Secret one may be due and another missing."""
    (step,) = of(planned("a", State.INCOMPLETE, Action.UPDATE, ECR, GAR), secrets={"a": timedelta(hours=7)}).changes
    assert [(entry.sign, entry.reason) for entry in step.entries] == [
        (Sign.CHANGE, "due for renewal"),
        (Sign.ADD, "not there yet"),
    ]
    (step,) = of(planned("a", State.EXPIRED, Action.UPDATE, ECR, GAR), secrets={"a": timedelta(hours=13)}).changes
    assert step.entries[0].reason == "expired"


def test_what_is_due_without_a_newer_credential_is_kept() -> None:
    """That is no failure; as an entry beside one that is written, and as a Secret."""
    (step,) = of(planned("a", State.INCOMPLETE, Action.UPDATE, GAR), secrets={"a": timedelta(hours=7)}).changes
    assert (step.entries[0].sign, step.entries[0].reason) == (
        Sign.NOTICE,
        "due, and kept until there is a newer credential",
    )
    found = of(Result(change("a", State.DUE, Action.UPDATE, needs=NEEDS), Outcome.WAITING))
    assert (found.changes, found.impossible, len(found.notices)) == ((), (), 1)
    assert found.summary == "Plan: 1 kept until there is a newer credential"


def test_what_is_alike_is_one_step() -> None:
    """Whatever lies between; what differs in an entry's reason is another."""
    ages = {"a": timedelta(hours=7), "b": timedelta(hours=13), "c": timedelta(hours=8)}
    found = of(*(planned(name, State.DUE, Action.UPDATE, ECR) for name in ages), secrets=ages)
    assert [step.namespaces for step in found.changes] == [("a", "c"), ("b",)]


def test_references_and_what_goes() -> None:
    """A reference is named as one; what is pruned has a minus."""
    found = of(
        planned("a", State.REFERENCE_MISSING, Action.ATTACH),
        planned("b", State.ORPHAN, Action.DETACH),
        planned("b", State.ORPHAN, Action.REMOVE),
    )
    reference = f"reference to {SECRET} on ServiceAccount workers"
    assert [(step.sign, step.what) for step in found.changes] == [
        (Sign.ADD, reference),
        (Sign.REMOVE, reference),
        (Sign.REMOVE, f"Secret {SECRET}"),
    ]
    assert found.summary == "Plan: 1 reference to attach, 1 reference to detach, 1 Secret to remove"


def test_what_cannot_be_done_says_why_and_what_to_do() -> None:
    """A Secret that is not ours, one without a credential, and the registry that gives none."""
    refused = MintRefused("registry 'prod': no", hint="ask")
    found = of(
        Result(change("a", State.FOREIGN, Action.NOTHING), Outcome.NOTHING),
        Result(change("b", State.MISSING, Action.CREATE, needs=NEEDS), Outcome.BLOCKED),
        registries=(RegistryStatus("prod", "ecr", (ECR,), error=refused),),
    )
    assert [(step.what, step.reason) for step in found.impossible] == [
        ("registry prod", "registry 'prod': no; ask"),
        (f"Secret {SECRET}", "Foreign, is so"),
        (f"Secret {SECRET}", "Missing, is so; there is no credential to write"),
    ]
    assert found.summary == "Plan: 3 cannot be done"


def test_an_error_names_its_namespace_where_it_is_one_and_none_where_they_are_many() -> None:
    """Whoever reads it can grant the rule; ten thousand of them are one step."""
    results = [
        Result(
            change(place, State.MISSING, Action.CREATE), Outcome.FAILED, Forbidden(f"secrets in {place}", hint="grant")
        )
        for place in ("team-a", "team-b")
    ]
    assert of(results[0]).impossible[0].reason == "Missing, is so: secrets in team-a; grant"
    assert of(*results).impossible[0].reason == "Missing, is so: secrets in *; grant"


def test_the_sum_of_it() -> None:
    """In one order, with one credential per registry that was minted."""
    found = of(
        planned("a", State.REFERENCE_MISSING, Action.ATTACH),
        planned("a", State.MISSING, Action.CREATE, ECR, GAR),
        planned("b", State.DUE, Action.UPDATE, ECR, GAR),
        Result(change("c", State.FOREIGN, Action.NOTHING), Outcome.NOTHING),
        registries=(RegistryStatus("prod", "ecr", (ECR,), minted=True, credential=build.credential()),),
        secrets={"b": timedelta(hours=7)},
    )
    assert found.summary == ("Plan: 2 Secrets to write, 1 reference to attach, 1 credential to mint, 1 cannot be done")


def test_where_nothing_is_to_be_done_it_says_what_is_in_order() -> None:
    """An absent ServiceAccount is worth a notice, and does not count."""
    absent = Subject(Kind.SERVICE_ACCOUNT, "a", "other")
    found = of(
        Result(change("a", State.UP_TO_DATE, Action.NOTHING), Outcome.NOTHING),
        Result(Change(Subject(Kind.SERVICE_ACCOUNT, "a", "workers"), SECRET, State.REFERENCED, ""), Outcome.NOTHING),
        Result(Change(absent, SECRET, State.SERVICE_ACCOUNT_MISSING, "not yet"), Outcome.NOTHING),
    )
    assert found.summary == "Plan: nothing to do, 1 Secret and 1 reference are in order"
    assert [step.what for step in found.notices] == ["ServiceAccount other"]
