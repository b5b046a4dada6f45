"""What one pass found and did: the same records serve logs, tables, JSON and the exit code."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, TypedDict

from rotator import annotations, renewal
from rotator.errors import ClusterUnusable, Conflict, Invalid, RotatorError
from rotator.jsonrecord import Time, told
from rotator.model import NOTICES, Action, Change, Credential, Kind, Snapshot, State


class Outcome(StrEnum):
    """What became of one change."""

    NOTHING = "nothing"  # there was nothing to do
    PLANNED = "planned"  # `check`: it would have been done
    WRITTEN = "written"  # the Secret was created or renewed
    ATTACHED = "attached"  # the reference was added
    DETACHED = "detached"  # the reference to an orphan was taken out
    REMOVED = "removed"  # the orphan was deleted
    WAITING = "waiting"  # left for later: no newer credential yet, while the published one is valid; or a stop
    BLOCKED = "blocked"  # no credential could be had for it; the Secret stays as it is
    GONE = "gone"  # deleted while we were at it
    FAILED = "failed"  # the API server did not take it


class ChangeRecord(TypedDict):
    """One object, for one pull secret: what was found, and what became of it."""

    kind: Annotated[Kind, told("the kind of the object")]
    namespace: Annotated[str, told("its namespace; of a Namespace its own name; *: all of them, which were not read")]
    name: Annotated[str, told("its name; *: all of the kind, which could not be read")]
    pullSecret: Annotated[str, told("the pull secret that it is about; empty where that is not known")]
    state: Annotated[State, told("what was found (see the states in the README)")]
    message: Annotated[str, told("the same for a person, with what to do about it")]
    hosts: Annotated[list[str], told("the hosts whose entries are to be written")]
    action: Annotated[Action, told("what was decided")]
    outcome: Annotated[Outcome, told("what became of it; planned: check would have had it done")]
    error: Annotated[str | None, told("why it failed")]


@dataclass(frozen=True, slots=True)
class Result:
    """One change and what became of it. `entries`: of a write that is only planned, the hosts that it would set."""

    change: Change
    outcome: Outcome
    error: RotatorError | None = None
    entries: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether somebody should look: counts towards exit code 1."""
        return self.outcome in {Outcome.FAILED, Outcome.BLOCKED} or self.change.is_problem

    def record(self) -> ChangeRecord:
        """The result as JSON."""
        change = self.change
        return {
            "kind": change.subject.kind,
            "namespace": change.subject.namespace,
            "name": change.subject.name,
            "pullSecret": change.pull_secret,
            "state": change.state,
            "message": change.message,
            "hosts": list(change.needs),
            "action": change.action,
            "outcome": self.outcome,
            "error": str(self.error) if self.error else None,
        }


def log_fields(change: Change) -> dict[str, str]:
    """The fixed keys of every log event about one object."""
    fields = {"namespace": change.subject.namespace, "pull_secret": change.pull_secret, "reason": str(change.state)}
    match change.subject.kind:
        case Kind.SECRET:
            return fields | {"secret": change.subject.name}
        case Kind.SERVICE_ACCOUNT:
            return fields | {"service_account": change.subject.name}
        case Kind.NAMESPACE:
            return fields


class RegistryRecord(TypedDict):
    """One registry after the pass."""

    name: Annotated[str, told("its name in the configuration")]
    kind: Annotated[str, told("ecr, gar, acr, ...")]
    hosts: Annotated[list[str], told("its hosts")]
    minted: Annotated[bool, told("whether a credential was minted in this pass, and may be published")]
    expiresAt: Annotated[Time | None, told("when the first credential that Pods use expires; null: none is published")]
    error: Annotated[str | None, told("why there is no new credential, and what to do about it")]
    nextAttemptAt: Annotated[Time | None, told("after a failure: when run would try again")]


@dataclass(frozen=True, slots=True)
class RegistryStatus:
    """One registry after the pass: the credential in hand, or why there is none.

    `minted` says whether it is new, `late` that its mint is still under way. Of what was published before the pass,
    `published_since` is the first issue, `published_until` the first expiry, `published_due` when the first was due.
    """

    name: str
    kind: str
    hosts: tuple[str, ...]
    minted: bool = False
    late: bool = False
    credential: Credential | None = None
    published_since: datetime | None = None
    published_due: datetime | None = None
    published_until: datetime | None = None
    error: RotatorError | None = None
    next_attempt_at: datetime | None = None

    @property
    def expires_at(self) -> datetime | None:
        """When what is published expires; of a credential that is just being published, its own expiry."""
        return self.credential.expires_at if self.minted and self.credential else self.published_until

    @property
    def issued_at(self) -> datetime | None:
        """When the oldest that is published was issued; of a credential that is just being published, its own issue."""
        return self.credential.issued_at if self.minted and self.credential else self.published_since

    def renewal_at(self, at: float) -> datetime | None:
        """When it is renewed next, jitter aside: the next try after a failure, else at the share `at` of its life."""
        if self.minted and self.credential:
            return renewal.due_at(self.credential.issued_at, self.credential.expires_at, at)
        return self.next_attempt_at or self.published_due

    def record(self) -> RegistryRecord:
        """The status as JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "hosts": list(self.hosts),
            "minted": self.minted,
            "expiresAt": annotations.stamp(self.expires_at) if self.expires_at else None,
            "error": str(self.error) if self.error else None,
            "nextAttemptAt": annotations.stamp(self.next_attempt_at) if self.next_attempt_at else None,
        }


class ReportRecord(TypedDict):
    """One pass: of once what was done, of check what would be."""

    exitCode: Annotated[
        int, told("0: all well, 1: something failed and the rest was done; whatever --detailed-exitcode")
    ]
    summary: Annotated[dict[Outcome, int], told("how many changes had each outcome")]
    registries: Annotated[list[RegistryRecord], told("every configured registry")]
    changes: Annotated[list[ChangeRecord], told("every object that the configuration means, also those in order")]


@dataclass(frozen=True, slots=True)
class Report:
    """The whole pass."""

    results: tuple[Result, ...]
    registries: tuple[RegistryStatus, ...]
    snapshot: Snapshot

    @property
    def exit_code(self) -> int:
        """0: all well; 1: something failed and the rest was done."""
        failed = any(result.failed for result in self.results) or any(status.error for status in self.registries)
        return 1 if failed else 0

    @property
    def has_changes(self) -> bool:
        """Of `check`: whether something would be written."""
        return any(result.outcome is Outcome.PLANNED for result in self.results)

    @property
    def retryable(self) -> bool:
        """Whether an API server's failure is worth another pass before the next sweep."""
        errors = [result.error for result in self.results] + [gap.error for gap in self.snapshot.gaps]
        # A 401 and an object that others kept changing may be over soon, though not within one call.
        passing = (ClusterUnusable, Conflict, Invalid)
        return any(error is not None and (error.retryable or isinstance(error, passing)) for error in errors)

    def counts(self) -> dict[Outcome, int]:
        """How many changes had each outcome."""
        return dict(Counter(result.outcome for result in self.results))

    def notable(self) -> list[Result]:
        """The results that a person wants to read: what was done, failed, or is worth a notice."""
        return [
            result
            for result in self.results
            if result.failed or result.change.action is not Action.NOTHING or result.change.state in NOTICES
        ]

    def record(self) -> ReportRecord:
        """The report as JSON."""
        return {
            "exitCode": self.exit_code,
            "summary": self.counts(),
            "registries": [status.record() for status in self.registries],
            "changes": [result.record() for result in self.results],
        }
