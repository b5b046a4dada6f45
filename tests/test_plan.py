"""The plan: every state, with its reason and a message that a stranger understands."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from rotator import annotations, dockerconfig
from rotator.errors import Forbidden
from rotator.model import (
    PENDING,
    STATES,
    Action,
    Change,
    Gap,
    Kind,
    NamespaceRecord,
    SecretRecord,
    SecretText,
    Snapshot,
    State,
)
from rotator.plan import judge_secret, plan
from tests.build import CONFIG, ECR, GAR, NOW, SECRET, account, config, credential, secret, snapshot

HOUR = timedelta(hours=1)
FRESH = {ECR: ("prod", credential("ecr-1")), GAR: ("images", credential("gar-1", username="oauth2accesstoken"))}


def aged(age: timedelta) -> SecretRecord:
    """Our Secret, whose 12 h credentials were issued so long ago."""
    return secret(
        {
            ECR: ("prod", credential("ecr-1", issued=NOW - age)),
            GAR: ("images", credential("gar-1", issued=NOW - age, username="oauth2accesstoken")),
        }
    )


def edited() -> SecretRecord:
    """Our Secret after somebody changed an entry by hand, its notes untouched."""
    record = secret(FRESH)
    text = dockerconfig.merge(record.text, {ECR: credential("planted")})
    return replace(record, text=text)


def respelled() -> SecretRecord:
    """Our Secret with a second key for the ECR host: a client that takes the first match may meet the stale one."""
    record = secret(FRESH)
    assert record.text is not None
    auths = json.loads(record.text.reveal())["auths"]
    doubled = {"auths": {f"https://{ECR}/v1/": {"auth": "YTpi"}, **auths}}
    return replace(record, text=SecretText(json.dumps(doubled)))


JUDGEMENTS = {
    "our entries are intact and young": (secret(FRESH), State.UP_TO_DATE, Action.NOTHING, "valid until 2026-11-24T00:"),
    "nothing is there": (None, State.MISSING, Action.CREATE, "does not exist yet"),
    "half of the life is over": (aged(7 * HOUR), State.DUE, Action.UPDATE, "is due for renewal"),
    "all of the life is over": (aged(13 * HOUR), State.EXPIRED, Action.UPDATE, "has expired"),
    "an entry was edited by hand": (edited(), State.DRIFTED, Action.UPDATE, "is not what rotator wrote there"),
    "a host has no entry yet": (
        secret({ECR: FRESH[ECR]}),
        State.INCOMPLETE,
        Action.UPDATE,
        f"has no entry for {GAR} yet",
    ),
    "the notes are gone": (
        replace(secret(FRESH), annotations={}),
        State.DRIFTED,
        Action.UPDATE,
        "is not what rotator wrote there",
    ),
    "somebody else made or replaced it": (secret(FRESH, ours=False), State.FOREIGN, Action.NOTHING, "set adopt: true"),
    "its type is Opaque": (
        secret(FRESH, type="Opaque"),
        State.WRONG_TYPE,
        Action.NOTHING,
        "its type is 'Opaque', not kubernetes.io/dockerconfigjson",
    ),
    "it is immutable": (secret(FRESH, immutable=True), State.IMMUTABLE, Action.NOTHING, "is immutable"),
    "its auths is a list": (
        secret(FRESH, text=SecretText('{"auths":[]}')),
        State.MALFORMED,
        Action.NOTHING,
        "which fails every pull of its Pods",
    ),
    "a foreign entry is broken": (
        secret(FRESH, text=SecretText('{"auths":{"ghcr.io":{"auth":"!!!"}}}')),
        State.MALFORMED,
        Action.NOTHING,
        "ghcr.io",
    ),
    "our own entry is broken": (
        secret(FRESH, text=SecretText(f'{{"auths":{{"{ECR}":{{"auth":"!!!"}}}}}}')),
        State.DRIFTED,
        Action.UPDATE,
        ECR,
    ),
    "a registry of another name wrote it": (
        secret(FRESH | {ECR: ("formerly", FRESH[ECR][1])}),
        State.DRIFTED,
        Action.UPDATE,
        f"the entry for {ECR} is not what rotator wrote there",
    ),
    "the host is spelled as a URL too": (respelled(), State.DRIFTED, Action.UPDATE, "is not what rotator wrote there"),
}


@pytest.mark.parametrize("case", JUDGEMENTS)
def test_judgement(case: str) -> None:
    """Each state of a Secret has its reason, its action and a message that says what is the matter."""
    record, state, action, message = JUDGEMENTS[case]
    settings = config()
    change = judge_secret(settings.pull_secrets[0], "team-a", record, settings, NOW)
    assert (change.state, change.action) == (state, action)
    assert message in change.message
    assert "\n" not in change.message


def test_secrets_of_one_pass_are_judged_each_by_its_own_content() -> None:
    """Equal ones share a verdict and none has another's: all cases of the table at once, each in two namespaces."""
    cases = {f"shuffle-{number}": case for number, case in enumerate([*JUDGEMENTS.values()] * 2)}
    records = [replace(case[0], namespace=place) for place, case in cases.items() if case[0]]
    decided = plan(snapshot(*records, namespaces=tuple(cases)), config(), {}, NOW).changes
    found = {change.subject.namespace: change for change in decided if change.subject.kind is Kind.SECRET}
    wanted = {place: (state, action) for place, (_, state, action, _) in cases.items()}
    assert {place: (change.state, change.action) for place, change in found.items()} == wanted
    assert all(case[3] in found[place].message for place, case in cases.items())


def test_every_state_is_documented_and_planned_somewhere() -> None:
    """The constants, their explanations and the table above stay together."""
    assert set(STATES) == set(State)
    elsewhere = {
        State.REFERENCED,
        State.REFERENCE_MISSING,
        State.SERVICE_ACCOUNT_MISSING,
        State.NAMESPACE_MISSING,
        State.TERMINATING,
        State.UNREADABLE,
        State.ORPHAN,
    }
    assert {state for _, state, _, _ in JUDGEMENTS.values()} | elsewhere == set(State)


def test_one_write_carries_every_registry_that_is_not_up_to_date() -> None:
    """A Secret with one edited and one due entry is written once, with both."""
    record = secret({ECR: ("prod", credential(issued=NOW - 7 * HOUR))})
    settings = config()
    change = judge_secret(settings.pull_secrets[0], "team-a", record, settings, NOW)
    assert change.needs == {ECR: "prod", GAR: "images"}


def test_adopt_takes_over_a_foreign_secret() -> None:
    """With `adopt: true` a Secret of somebody else's is merged into instead of reported."""
    settings = config(CONFIG + "    adopt: true\n")
    record = secret({}, ours=False, text=SecretText('{"auths":{"ghcr.io":{"auth":"YTpi"}}}'))
    change = judge_secret(settings.pull_secrets[0], "team-a", record, settings, NOW)
    assert (change.state, change.action) == (State.INCOMPLETE, Action.UPDATE)


def test_a_planted_note_delays_renewal_by_no_more_than_a_day() -> None:
    """A tenant who writes an expiry years away is not believed: the entry is written anew."""
    record = secret({host: (name, replace(c, expires_at=NOW + 9999 * HOUR)) for host, (name, c) in FRESH.items()})
    settings = config()
    assert judge_secret(settings.pull_secrets[0], "team-a", record, settings, NOW).state is State.DRIFTED


# The whole plan ------------------------------------------------------------------------------------------------------


def changes(found: Snapshot, text: str = CONFIG) -> dict[str, Change]:
    """The plan's changes by subject."""
    return {str(change.subject): change for change in plan(found, config(text), {}, NOW).changes}


def test_a_missing_reference_is_attached_and_the_secret_made() -> None:
    """A covered namespace with nothing in it gets the reference and the Secret, in this order."""
    found = plan(snapshot(account()), config(), {}, NOW).changes
    assert [change.action for change in found] == [Action.ATTACH, Action.CREATE]
    assert found[0].state is State.REFERENCE_MISSING


def test_a_reference_that_stands_is_left_alone() -> None:
    """Other references beside ours are no reason to touch the ServiceAccount."""
    found = changes(snapshot(secret(FRESH), account(pull_secrets=("other", SECRET))))
    change = found["ServiceAccount team-a/workers"]
    assert (change.state, change.action) == (State.REFERENCED, Action.NOTHING)


def test_verify_reports_a_missing_reference_and_attaches_nothing() -> None:
    """`mode: verify` is for clusters whose ServiceAccounts belong to GitOps: a person is told instead."""
    text = CONFIG.replace("names: [workers]", "names: [workers], mode: verify")
    change = changes(snapshot(secret(FRESH), account()), text)["ServiceAccount team-a/workers"]
    assert (change.state, change.action, change.is_problem) == (State.REFERENCE_MISSING, Action.NOTHING, True)
    assert "set mode: ensure" in change.message


def test_no_reference_is_attached_to_a_secret_that_is_not_ours_to_repair() -> None:
    """A malformed foreign Secret would break every pull of the ServiceAccount's Pods."""
    change = changes(snapshot(secret(FRESH, ours=False), account()))["ServiceAccount team-a/workers"]
    assert (change.action, change.is_problem) == (Action.NOTHING, True)
    assert "Foreign" in change.message


def test_a_named_service_account_that_does_not_exist_is_a_notice() -> None:
    """It may come later; the Secret is made all the same, so that it finds it."""
    found = changes(snapshot())
    assert found["ServiceAccount team-a/workers"].state is State.SERVICE_ACCOUNT_MISSING
    assert not found["ServiceAccount team-a/workers"].is_problem
    assert found[f"Secret team-a/{SECRET}"].action is Action.CREATE


def test_a_named_namespace_that_does_not_exist_is_a_notice() -> None:
    """It may come later, and is no failure until then."""
    found = changes(snapshot(namespaces=("shuffle",)))
    assert found["Namespace team-a"].state is State.NAMESPACE_MISSING
    assert not found["Namespace team-a"].is_problem


def test_a_named_namespace_that_is_excluded_is_not_missed() -> None:
    """Nobody means it, so it is not said to be served as soon as it exists."""
    excluding = CONFIG.replace("exclude: [shuffle-legacy]", "exclude: [team-a]")
    assert changes(snapshot(namespaces=()), excluding) == {}


def test_a_namespace_that_is_being_deleted_is_left_alone() -> None:
    """Nothing in it is read, written or called missing."""
    found = changes(snapshot(NamespaceRecord("team-a", terminating=True), account(), namespaces=()))
    assert {subject: change.state for subject, change in found.items()} == {"Namespace team-a": State.TERMINATING}


def test_an_excluded_namespace_is_not_touched() -> None:
    """`exclude` wins over the glob."""
    assert not [subject for subject in changes(snapshot(namespaces=("shuffle-legacy",))) if "shuffle-legacy" in subject]


def test_what_could_not_be_read_is_reported_and_not_taken_for_absent() -> None:
    """A 403 on our Secret must not become a create; the other namespace is still served."""
    found = snapshot(namespaces=("team-a", "shuffle"))
    gap = Gap(Kind.SECRET, "team-a", SECRET, Forbidden("may not get secrets", hint="grant get", status=403))
    by_subject = changes(replace(found, gaps=(gap,)))
    assert by_subject[f"Secret team-a/{SECRET}"].state is State.UNREADABLE
    assert "grant get" in by_subject[f"Secret team-a/{SECRET}"].message
    assert by_subject[f"Secret shuffle/{SECRET}"].action is Action.CREATE


UNREAD = {
    "all Namespaces": (Kind.NAMESPACE, "*", "*"),
    "the Namespace": (Kind.NAMESPACE, "team-a", "team-a"),
    "all Secrets of the name": (Kind.SECRET, "*", SECRET),
    "the Secret": (Kind.SECRET, "team-a", SECRET),
    "all ServiceAccounts": (Kind.SERVICE_ACCOUNT, "*", "*"),
    "all ServiceAccounts of the name": (Kind.SERVICE_ACCOUNT, "*", "workers"),
    "all ServiceAccounts of the namespace": (Kind.SERVICE_ACCOUNT, "team-a", "*"),
    "the ServiceAccount": (Kind.SERVICE_ACCOUNT, "team-a", "workers"),
}


@pytest.mark.parametrize("what", UNREAD)
def test_what_could_not_be_read_is_never_called_missing(what: str) -> None:
    """However wide the gap is: nothing is decided about what lies in it, and the gap itself is reported once."""
    kind, namespace, name = UNREAD[what]
    found = snapshot(namespaces=() if kind is Kind.NAMESPACE else ("team-a",))
    gap = Gap(kind, namespace, name, Forbidden("may not", status=403))
    decided = plan(replace(found, gaps=(gap,)), config(), {}, NOW).changes
    assert [change.state for change in decided if change.subject.kind is kind] == [State.UNREADABLE]


@pytest.mark.parametrize(
    ("gap", "subject"),
    [
        (Gap(Kind.NAMESPACE, "x", "x", Forbidden("may not")), "Namespace team-a"),
        (Gap(Kind.SERVICE_ACCOUNT, "x", "workers", Forbidden("may not")), "ServiceAccount shuffle/workers"),
        (Gap(Kind.SERVICE_ACCOUNT, "shuffle", "x", Forbidden("may not")), "ServiceAccount shuffle/workers"),
        (Gap(Kind.SECRET, "shuffle", "x", Forbidden("may not")), f"Secret shuffle/{SECRET}"),
    ],
)
def test_a_gap_elsewhere_hides_nothing(gap: Gap, subject: str) -> None:
    """What could be read and is not there is still called missing."""
    found = changes(replace(snapshot(namespaces=("shuffle",)), gaps=(gap,)))
    assert str(found[subject].state).endswith("Missing")


@pytest.mark.parametrize(("only", "missing"), [("shuffle", False), ("team-a", True), (None, True)])
def test_a_pass_over_one_namespace_calls_no_other_missing(only: str | None, missing: bool) -> None:
    """The others were not looked for; the one that was looked for may have gone."""
    found = changes(replace(snapshot(namespaces=("shuffle",)), only=only))
    assert ("Namespace team-a" in found) == missing


# Mints ---------------------------------------------------------------------------------------------------------------


def test_invariant_4_one_mint_per_registry_whatever_the_number_of_namespaces() -> None:
    """A hundred missing Secrets ask each cloud once, and the first of them is the reason that is told."""
    names = tuple(f"shuffle-{number}" for number in range(100))
    assert plan(snapshot(namespaces=names), config(), {}, NOW).mints == dict.fromkeys(
        ("images", "prod"), f"Secret shuffle-0/{SECRET} is Missing"
    )


def test_a_held_credential_that_is_not_due_serves_a_new_namespace() -> None:
    """A namespace that appears between two renewals costs no mint."""
    held = {"prod": credential(issued=NOW - HOUR), "images": credential(issued=NOW - HOUR)}
    assert plan(snapshot(), config(), held, NOW).mints == {}


def test_a_held_credential_that_is_due_is_minted_anew() -> None:
    """What is due is never handed to one more namespace."""
    held = {"prod": credential(issued=NOW - 7 * HOUR), "images": credential(issued=NOW - HOUR)}
    assert set(plan(snapshot(), config(), held, NOW).mints) == {"prod"}


def test_invariant_11_a_restart_mints_nothing_where_all_is_up_to_date() -> None:
    """With no memory but fresh Secrets in the cluster, no cloud is asked."""
    found = plan(snapshot(secret(FRESH), account(pull_secrets=(SECRET,))), config(), {}, NOW)
    assert found.mints == {}
    assert not [change for change in found.changes if change.state in PENDING]


def test_labels_say_whose_secret_it_is() -> None:
    """Losing the label but not the notes does not make our Secret foreign."""
    record = replace(secret(FRESH), labels={})
    settings = config()
    assert annotations.is_ours(record)
    assert judge_secret(settings.pull_secrets[0], "team-a", record, settings, NOW).state is State.UP_TO_DATE
