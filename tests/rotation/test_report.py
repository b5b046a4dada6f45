"""The report: what counts as a failure, what is worth a line, and what is worth another pass soon."""

import pytest

from rotator.errors import (
    ClusterError,
    ClusterUnusable,
    Conflict,
    Forbidden,
    Invalid,
    MintThrottled,
    RotatorError,
    ServerFailed,
    Throttled,
)
from rotator.model import FINE, NOTICES, PENDING, PROBLEMS, Action, Change, Gap, Kind, Snapshot, State, Subject
from rotator.rotation import Outcome, RegistryStatus, Report, Result
from tests.build import SECRET, snapshot


def result(state: State, outcome: Outcome = Outcome.NOTHING, error: RotatorError | None = None) -> Result:
    """What became of an object in this state: written where something was done."""
    action = Action.NOTHING if outcome is Outcome.NOTHING else Action.UPDATE
    return Result(Change(Subject(Kind.SECRET, "team-a", SECRET), SECRET, state, "is so", action), outcome, error)


def report(*results: Result, registries: tuple[RegistryStatus, ...] = (), found: Snapshot | None = None) -> Report:
    """A pass that came to this."""
    return Report(results, registries, found or snapshot())


FAILED = {
    Outcome.NOTHING: False,
    Outcome.PLANNED: False,
    Outcome.WRITTEN: False,
    Outcome.ATTACHED: False,
    Outcome.DETACHED: False,
    Outcome.REMOVED: False,
    Outcome.WAITING: False,
    Outcome.BLOCKED: True,
    Outcome.GONE: False,
    Outcome.FAILED: True,
}


@pytest.mark.parametrize("outcome", Outcome)
def test_what_was_not_done_and_should_have_been_is_exit_code_1(outcome: Outcome) -> None:
    """No credential for an absent entry, or an API server that did not take it; a valid entry may wait for another."""
    found = report(result(State.MISSING, outcome))
    assert (found.results[0].failed, found.exit_code) == (FAILED[outcome], int(FAILED[outcome]))


@pytest.mark.parametrize("state", State)
def test_each_state_is_fine_a_notice_or_for_somebody_to_mend(state: State) -> None:
    """With nothing done about it: a notice is a line and no failure, a problem is both, what is fine is neither."""
    found = report(result(state))
    mend = state in PROBLEMS | {State.REFERENCE_MISSING}
    assert found.exit_code == int(mend)
    assert bool(found.notable()) == (mend or state in NOTICES)
    assert state in FINE | PENDING | NOTICES | PROBLEMS | {State.REFERENCE_MISSING}


def test_what_was_done_is_worth_a_line() -> None:
    """And keeps its place among the results."""
    done, fine = result(State.DUE, Outcome.WRITTEN), result(State.UP_TO_DATE)
    assert report(fine, done).notable() == [done]


def test_a_registry_that_failed_is_exit_code_1_though_every_secret_is_valid() -> None:
    """Half of the life is left to mend it, and somebody should."""
    failed = RegistryStatus("prod", "ecr", ("a",), error=MintThrottled("slow down"))
    assert report(result(State.DUE, Outcome.WAITING), registries=(failed,)).exit_code == 1
    assert report(registries=(RegistryStatus("prod", "ecr", ("a",)),)).exit_code == 0


PASSING: dict[ClusterError, bool] = {
    Throttled("429"): True,
    ServerFailed("500"): True,
    Conflict("changed again and again"): True,
    ClusterUnusable("401"): True,
    Forbidden("403"): False,
    Invalid("422"): True,
}


@pytest.mark.parametrize("error", PASSING, ids=lambda error: error.reason)
def test_what_may_pass_by_itself_is_worth_another_pass_soon(error: ClusterError) -> None:
    """Whether a write met it or a read; a rule that is missing stays missing until somebody adds it."""
    written = report(result(State.DUE, Outcome.FAILED, error))
    gap = Gap(Kind.SECRET, "team-a", SECRET, error)
    read = report(result(State.UNREADABLE), found=Snapshot({}, {}, {}, (gap,)))
    assert (written.retryable, read.retryable) == (PASSING[error], PASSING[error])


def test_a_cloud_that_fails_is_no_reason_for_another_pass_over_the_cluster() -> None:
    """Its registry has an alarm of its own, with its own backoff."""
    failed = RegistryStatus("prod", "ecr", ("a",), error=MintThrottled("slow down"))
    assert not report(registries=(failed,)).retryable
