"""Which Events a pass gives, and how often."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from rotator.errors import Forbidden, MintRefused, MintThrottled, RotatorError, ServerFailed
from rotator.eventing import AGAIN, Eventing
from rotator.events import Event, Reason
from rotator.model import PROBLEMS, Action, Change, Kind, SecretRecord, ServiceAccountRecord, State, Subject
from rotator.rotation import Outcome, RegistryStatus, Report, Result
from tests.build import ECR, GAR, NOW, SECRET, account, credential, secret, snapshot

HOUR = timedelta(hours=1)
NEEDS = {ECR: "prod"}


class Teller:
    """Eventing with a clock that a test sets; what it told since it was looked at last."""

    def __init__(self) -> None:
        self.now = NOW
        self._told: list[Event] = []
        self.eventing = Eventing(self._told.append, self._clock)

    def _clock(self) -> datetime:
        return self.now

    def after(self, report: Report) -> list[Event]:
        """What a pass gives."""
        self.eventing.passed(report)
        return self.told()

    def told(self) -> list[Event]:
        """What was told since."""
        told, self._told[:] = list(self._told), []
        return told


@pytest.fixture
def teller() -> Teller:
    """A new process."""
    return Teller()


def of_secret(
    state: State, outcome: Outcome = Outcome.NOTHING, error: RotatorError | None = None, namespace: str = "team-a"
) -> Result:
    """What became of a Secret that was found in this state."""
    action = Action.NOTHING if outcome is Outcome.NOTHING else Action.UPDATE
    change = Change(Subject(Kind.SECRET, namespace, SECRET), SECRET, state, f"is {state}", action, NEEDS)
    return Result(change, outcome, error)


def of_account(action: Action = Action.NOTHING, outcome: Outcome = Outcome.NOTHING) -> Result:
    """What became of a ServiceAccount without our reference."""
    subject = Subject(Kind.SERVICE_ACCOUNT, "team-a", "workers")
    change = Change(subject, SECRET, State.REFERENCE_MISSING, "does not reference it", action)
    return Result(change, outcome)


def report(
    *results: Result, found: SecretRecord | ServiceAccountRecord | None = None, only: str | None = None
) -> Report:
    """A pass over everything, or over one namespace, that found this and came to that."""
    seen = snapshot(*([found] if found else []))
    return Report(results, (), replace(seen, only=only))


def reasons(events: list[Event]) -> list[Reason]:
    """Why they are."""
    return [event.reason for event in events]


def ours(registry: str = "prod") -> SecretRecord:
    """A Secret that we wrote."""
    return secret({ECR: (registry, credential())})


# Good news -----------------------------------------------------------------------------------------------------------


def test_an_attached_reference_is_told_beside_the_service_account(teller: Teller) -> None:
    """With its UID and version, and the name of the pull secret."""
    (event,) = teller.after(report(of_account(Action.ATTACH, Outcome.ATTACHED), found=account()))
    assert event == Event(
        Reason.ATTACHED,
        Subject(Kind.SERVICE_ACCOUNT, "team-a", "workers"),
        f"added {SECRET} to imagePullSecrets",
        SECRET,
        uid="uid-workers",
        resource_version="3",
    )


@pytest.mark.parametrize(
    ("state", "found"),
    [
        (State.MISSING, None),
        (State.DUE, ours()),
        (State.EXPIRED, ours()),
        (State.INCOMPLETE, secret({GAR: ("images", credential())})),
    ],
)
def test_a_roll_out_and_a_renewal_are_no_event(teller: Teller, state: State, found: SecretRecord | None) -> None:
    """However many Secrets are written: nobody did anything to them, and nobody has to know."""
    assert teller.after(report(of_secret(state, Outcome.WRITTEN), found=found)) == []


def test_a_secret_that_was_deleted_and_made_anew_is_healed(teller: Teller) -> None:
    """It was there in an earlier pass, which saw it or wrote it, and then it was missing."""
    written = report(of_secret(State.MISSING, Outcome.WRITTEN))
    assert teller.after(written) == []
    (event,) = teller.after(replace(written, snapshot=replace(written.snapshot, only="team-a")))
    assert (event.reason, event.subject) == (Reason.HEALED, Subject(Kind.SECRET, "team-a", SECRET))
    assert event.message == "it was deleted, and is there again"


def test_one_that_could_not_be_made_at_once_is_healed_later(teller: Teller) -> None:
    """The cloud was down meanwhile: a pass that could not write it does not forget that it was there."""
    teller.after(report(found=ours()))
    assert teller.after(report(of_secret(State.MISSING, Outcome.BLOCKED))) == []
    assert reasons(teller.after(report(of_secret(State.MISSING, Outcome.WRITTEN)))) == [Reason.HEALED]


def test_one_that_left_and_came_back_for_good_reasons_is_new(teller: Teller) -> None:
    """Its namespace was deleted, and made again later."""
    teller.after(report(found=ours()))
    teller.after(report())
    assert teller.after(report(of_secret(State.MISSING, Outcome.WRITTEN))) == []


@pytest.mark.parametrize("state", [State.DRIFTED, State.INCOMPLETE])
def test_an_entry_that_somebody_changed_or_removed_is_healed(teller: Teller, state: State) -> None:
    """What we noted about the entry is still there, so it was not just missing."""
    (event,) = teller.after(report(of_secret(state, Outcome.WRITTEN), found=ours()))
    assert event.reason is Reason.HEALED
    assert event.uid == "uid-team-a"


def test_notes_that_somebody_removed_are_healed(teller: Teller) -> None:
    """The label says that it is ours."""
    found = replace(ours(), annotations={})
    assert reasons(teller.after(report(of_secret(State.DRIFTED, Outcome.WRITTEN), found=found))) == [Reason.HEALED]


@pytest.mark.parametrize("found", [ours("renamed"), secret({ECR: ("prod", credential())}, ours=False)])
def test_a_change_of_the_configuration_and_an_adoption_heal_nothing(teller: Teller, found: SecretRecord) -> None:
    """Every Secret with such an entry is written anew, and that is no news."""
    assert teller.after(report(of_secret(State.DRIFTED, Outcome.WRITTEN), found=found)) == []


# Troubles ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", sorted(PROBLEMS))
def test_each_problem_of_a_secret_is_told_beside_it(teller: Teller, state: State) -> None:
    """With the plan's own words."""
    (event,) = teller.after(report(of_secret(state), found=ours()))
    assert event.reason is Reason[state.name]
    assert (event.message, event.uid) == (f"is {state}", "uid-team-a")


def test_a_reference_that_is_only_verified_is_told_beside_the_service_account(teller: Teller) -> None:
    """It is for a person to add."""
    assert reasons(teller.after(report(of_account()))) == [Reason.REFERENCE_MISSING]


def test_what_the_api_server_refuses_is_told_with_its_hint(teller: Teller) -> None:
    """In the words of the log."""
    error = Forbidden("patch secrets: forbidden", hint="grant it")
    (event,) = teller.after(report(of_secret(State.MISSING, Outcome.FAILED, error)))
    assert (event.reason, event.message) == (Reason.REFUSED, "patch secrets: forbidden; grant it")


@pytest.mark.parametrize("outcome", [Outcome.BLOCKED, Outcome.WAITING, Outcome.GONE, Outcome.PLANNED])
def test_what_waits_for_a_registry_is_not_told_in_each_namespace(teller: Teller, outcome: Outcome) -> None:
    """It is one trouble, and that registry's."""
    assert teller.after(report(of_secret(State.EXPIRED, outcome), found=ours())) == []


def test_what_could_not_be_read_at_all_has_no_object_to_stand_beside(teller: Teller) -> None:
    """A gap over all namespaces, and a Namespace."""
    everything = Change(Subject(Kind.SECRET, "*", "*"), "", State.UNREADABLE, "403")
    place = Change(Subject(Kind.NAMESPACE, "team-a", "team-a"), "", State.UNREADABLE, "403")
    assert teller.after(report(*(Result(change, Outcome.NOTHING) for change in (everything, place)))) == []


def test_a_trouble_is_told_once_and_again_after_a_while(teller: Teller) -> None:
    """Passes come every few minutes or more often; people are told when it appears, and every ten minutes."""
    trouble = report(of_secret(State.FOREIGN), found=ours())
    assert len(teller.after(trouble)) == 1
    teller.now += AGAIN - timedelta(seconds=1)
    assert teller.after(trouble) == []
    teller.now += timedelta(seconds=1)
    assert len(teller.after(trouble)) == 1
    assert teller.after(trouble) == []


def test_a_clock_that_is_set_back_silences_nothing(teller: Teller) -> None:
    """An hour back, and a trouble is not kept from people for that hour."""
    trouble = report(of_secret(State.FOREIGN))
    teller.after(trouble)
    teller.now -= HOUR
    assert len(teller.after(trouble)) == 1


def test_a_trouble_that_changes_or_comes_back_is_told_at_once(teller: Teller) -> None:
    """Another state is another trouble, and so is the same after it was gone."""
    foreign, immutable = report(of_secret(State.FOREIGN)), report(of_secret(State.IMMUTABLE))
    assert reasons(teller.after(foreign)) == [Reason.FOREIGN]
    assert reasons(teller.after(immutable)) == [Reason.IMMUTABLE]
    assert reasons(teller.after(foreign)) == [Reason.FOREIGN]


def test_an_error_whose_words_differ_is_the_same_trouble(teller: Teller) -> None:
    """A request id or a time in it must not make an Event of every pass."""
    first, second = (
        report(of_secret(State.MISSING, Outcome.FAILED, ServerFailed(words))) for words in ("500 (a)", "500 (b)")
    )
    assert len(teller.after(first)) == 1
    assert teller.after(second) == []


def test_a_pass_over_one_namespace_says_nothing_of_the_others(teller: Teller) -> None:
    """Their troubles last; that of the namespace itself is gone."""
    here, there = of_secret(State.FOREIGN), of_secret(State.FOREIGN, namespace="team-b")
    assert len(teller.after(report(here, there))) == 2
    assert teller.after(report(only="team-a")) == []
    told = teller.after(report(here, there))
    assert [event.subject.namespace for event in told if event.subject] == ["team-a"]


# Registries ----------------------------------------------------------------------------------------------------------

REFUSED = MintRefused("the cloud says no", hint="ask it")


def of_registry(until: datetime | None, error: RotatorError | None = REFUSED) -> Report:
    """A pass over everything in which a registry failed; its Secrets hold a credential of four hours until then."""
    records = []
    if until:
        held = credential(issued=until - 4 * HOUR, life=4 * HOUR)
        records = [secret({ECR: ("prod", held)}, namespace=f"team-{n}") for n in range(50)]
    status = RegistryStatus("prod", "ecr", (ECR,), published_until=until, error=error)
    return Report((), (status,), snapshot(*records))


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (2 * HOUR, []),
        (HOUR, []),
        (HOUR - timedelta(seconds=1), [Reason.CREDENTIAL_EXPIRING]),
        (timedelta(0), [Reason.CREDENTIAL_MISSING]),
        (-HOUR, [Reason.CREDENTIAL_MISSING]),
    ],
)
def test_a_registry_that_fails_is_told_when_a_quarter_of_the_life_is_left(
    teller: Teller, left: timedelta, expected: list[Reason]
) -> None:
    """Once, beside rotator itself, though fifty namespaces use it; before that there is time, and backoff."""
    told = teller.after(of_registry(NOW + left))
    assert reasons(told) == expected
    assert [(event.subject, event.detail) for event in told] == [(None, "prod")] * len(expected)


def test_a_registry_that_never_gave_a_credential_is_told(teller: Teller) -> None:
    """Nothing is published, so no Pod can pull."""
    (event,) = teller.after(of_registry(None))
    assert event.reason is Reason.CREDENTIAL_MISSING
    assert event.message == "registry prod: no Pod can pull with it: the cloud says no; ask it"


def test_a_registry_that_works_is_not_told(teller: Teller) -> None:
    """However little is left: it is renewed in this very pass."""
    assert teller.after(of_registry(NOW, error=None)) == []


def test_a_registrys_trouble_goes_on_through_passes_over_one_namespace(teller: Teller) -> None:
    """They do not see what is published elsewhere, so they neither tell it nor forget it; another error is told."""
    trouble = of_registry(NOW + timedelta(minutes=5))
    part = replace(trouble, snapshot=replace(trouble.snapshot, only="team-0"))
    assert teller.after(part) == []
    assert len(teller.after(trouble)) == 1
    assert teller.after(part) == []
    assert teller.after(trouble) == []
    assert len(teller.after(of_registry(NOW + timedelta(minutes=5), MintThrottled("slower")))) == 1


# Drift wars ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("managers", "begins"),
    [
        (("helm", "kubectl-edit"), "helm, kubectl-edit changes it back again and again"),
        ((), "somebody whom Kubernetes does not name (its audit log does) changes it back"),
    ],
)
def test_a_war_names_the_other_side(teller: Teller, managers: tuple[str, ...], begins: str) -> None:
    """The field managers, or where to look for them."""
    teller.eventing.contested(of_secret(State.DRIFTED).change, managers)
    (event,) = teller.told()
    assert (event.reason, event.detail) == (Reason.CONTESTED, SECRET)
    assert event.message.startswith(begins)
