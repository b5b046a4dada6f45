"""The words of the design as types. No I/O, no clock; every time is aware UTC, in whole seconds."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Never

if TYPE_CHECKING:
    from rotator.errors import RotatorError

MASK = "***"
SECRET_TYPE = "kubernetes.io/dockerconfigjson"  # noqa: S105  (the name of a Secret type, no secret)
DATA_KEY = ".dockerconfigjson"
LEGACY_TYPE = "kubernetes.io/dockercfg"
LEGACY_DATA_KEY = ".dockercfg"
FIELD_MANAGER = "rotator"


NOTHING: Mapping[str, str] = MappingProxyType({})
"""One empty mapping for all: a sweep of a large cluster has tens of thousands of records and Changes without any."""


class SecretText:
    """A secret value that never prints itself: only `reveal()` gives it away, so a reader can search for its uses."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself."""
        return self._value

    def digest(self) -> str:
        """SHA-256 of the value, in hex: enough to tell that it changed, useless to whoever reads it."""
        return hashlib.sha256(self._value.encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretText) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return MASK

    def __reduce__(self) -> Never:
        msg = "a SecretText does not leave the process"
        raise TypeError(msg)


# Tokens are base64, JWT or opaque ASCII. Anything else (a newline from a file, a control character from a broken
# proxy) would make a Secret that no client can use, so it never becomes a Credential.
_PRINTABLE = frozenset(string.ascii_letters + string.digits + string.punctuation)


@dataclass(frozen=True, slots=True)
class Credential:
    """Username and password for the hosts of one registry, from `issued_at` until `expires_at`.

    `issued_at` is when we received it, so `expires_at - issued_at` is the life that was left then: a token from a
    metadata server's cache counts as old as it is. Raises ValueError for anything that must never be published.
    """

    username: str
    password: SecretText
    issued_at: datetime
    expires_at: datetime

    def __post_init__(self) -> None:
        if not self.username or ":" in self.username or not _PRINTABLE.issuperset(self.username):
            msg = "a credential's username must be printable ASCII without a colon"
            raise ValueError(msg)
        if not self.password or not _PRINTABLE.issuperset(self.password.reveal()):
            msg = "a credential's password must be printable ASCII without spaces"
            raise ValueError(msg)
        object.__setattr__(self, "issued_at", whole_seconds(self.issued_at))
        object.__setattr__(self, "expires_at", whole_seconds(self.expires_at))
        if self.expires_at <= self.issued_at:
            msg = "a credential's expiry must lie after its issue"
            raise ValueError(msg)

    @property
    def life(self) -> timedelta:
        """The life that was left when it arrived."""
        return self.expires_at - self.issued_at


def whole_seconds(moment: datetime) -> datetime:
    """The moment in UTC, rounded down: annotations hold seconds, and a time stored and read again must stay equal.

    Raises ValueError for a naive datetime, whose zone could only be guessed.
    """
    if moment.tzinfo is None:
        msg = f"{moment.isoformat()} has no time zone"
        raise ValueError(msg)
    return moment.astimezone(UTC).replace(microsecond=0)


class State(StrEnum):
    """What the plan found for one object. Each constant is a reason in logs, metrics and JSON; `STATES` explains it."""

    UP_TO_DATE = "UpToDate"
    MISSING = "Missing"
    INCOMPLETE = "Incomplete"
    DRIFTED = "Drifted"
    EXPIRED = "Expired"
    DUE = "Due"
    FOREIGN = "Foreign"
    WRONG_TYPE = "WrongType"
    IMMUTABLE = "Immutable"
    MALFORMED = "Malformed"
    REFERENCED = "Referenced"
    REFERENCE_MISSING = "ReferenceMissing"
    SERVICE_ACCOUNT_MISSING = "ServiceAccountMissing"
    NAMESPACE_MISSING = "NamespaceMissing"
    TERMINATING = "Terminating"
    UNREADABLE = "Unreadable"
    ORPHAN = "Orphan"


STATES: Mapping[State, str] = {
    State.UP_TO_DATE: "every entry is ours, intact and not yet due",
    State.MISSING: "the Secret does not exist and will be created",
    State.INCOMPLETE: "the Secret has no entry yet for a configured host",
    State.DRIFTED: "an entry of ours was changed or lost its record, and will be written anew",
    State.EXPIRED: "an entry of ours is past its expiry",
    State.DUE: "an entry of ours is due for renewal",
    State.FOREIGN: "somebody else made or replaced it; untouched unless the pull secret says adopt: true",
    State.WRONG_TYPE: "the Secret's type is not kubernetes.io/dockerconfigjson and cannot be changed; untouched",
    State.IMMUTABLE: "the Secret is immutable; untouched",
    State.MALFORMED: "the Secret's text cannot be parsed, so nothing in it could be kept; untouched",
    State.REFERENCED: "the ServiceAccount references the pull secret",
    State.REFERENCE_MISSING: "the ServiceAccount does not reference the pull secret",
    State.SERVICE_ACCOUNT_MISSING: "a ServiceAccount that is named in the configuration does not exist",
    State.NAMESPACE_MISSING: "a namespace that is named in the configuration does not exist",
    State.TERMINATING: "the namespace is being deleted and is left alone",
    State.UNREADABLE: "the object could not be read, so nothing was decided about it",
    State.ORPHAN: "ours, but no pull secret covers it any more; kept unless prune is enabled",
}

FINE = frozenset({State.UP_TO_DATE, State.REFERENCED, State.TERMINATING})
"""States that ask for nothing."""

PENDING = frozenset({State.MISSING, State.INCOMPLETE, State.DRIFTED, State.EXPIRED, State.DUE})
"""States that one write of ours puts right."""

NOTICES = frozenset({State.SERVICE_ACCOUNT_MISSING, State.NAMESPACE_MISSING, State.ORPHAN})
"""States worth a line, but no failure: an object may come later, and then it is served; or it is left over."""

PROBLEMS = frozenset({State.FOREIGN, State.WRONG_TYPE, State.IMMUTABLE, State.MALFORMED, State.UNREADABLE})
"""States that only a person can put right; so is ReferenceMissing where the configuration says `mode: verify`."""


class Kind(StrEnum):
    """The kind of object that a change is about."""

    NAMESPACE = "Namespace"
    SECRET = "Secret"  # noqa: S105  (a kind, no secret)
    SERVICE_ACCOUNT = "ServiceAccount"


class Action(StrEnum):
    """What the pass will do about a change."""

    NOTHING = "nothing"
    CREATE = "create"
    UPDATE = "update"
    ATTACH = "attach"
    DETACH = "detach"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Subject:
    """One object of the cluster. A namespace is its own namespace."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        place = "" if self.kind is Kind.NAMESPACE else f"{self.namespace}/"
        return f"{self.kind} {place}{self.name}"


@dataclass(frozen=True, slots=True)
class NamespaceRecord:
    """What the plan needs to know of a Namespace."""

    name: str
    labels: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    terminating: bool = False


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """What the plan needs to know of a Secret. `text` is the decoded `.dockerconfigjson`, None without that key.

    `has_more` says that there are other data keys.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    type: str = SECRET_TYPE
    immutable: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    text: SecretText | None = None
    has_more: bool = False


@dataclass(frozen=True, slots=True)
class ServiceAccountRecord:
    """What the plan needs to know of a ServiceAccount. `pull_secrets` is None where the list is absent."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    labels: Mapping[str, str] = field(default_factory=dict)
    pull_secrets: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """What could not be read: one object or all of a kind (`name` is "*"), in one namespace or in all ("*")."""

    kind: Kind
    namespace: str
    name: str
    error: RotatorError


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The cluster as it was read: namespaces by name, Secrets and ServiceAccounts by namespace and name.

    `only` is the one namespace that was read, None where all were.
    """

    namespaces: Mapping[str, NamespaceRecord]
    secrets: Mapping[tuple[str, str], SecretRecord]
    service_accounts: Mapping[tuple[str, str], ServiceAccountRecord]
    gaps: tuple[Gap, ...] = ()
    only: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What the plan decided about one object for one pull secret, and why.

    `needs` names the hosts whose entries the write is to set, each with its registry; `message` is for a stranger.
    """

    subject: Subject
    pull_secret: str
    state: State
    message: str
    action: Action = Action.NOTHING
    needs: Mapping[str, str] = field(default_factory=lambda: NOTHING)

    @property
    def is_problem(self) -> bool:
        """Whether only a person can put this right."""
        unattached = self.state is State.REFERENCE_MISSING and self.action is Action.NOTHING
        return self.state in PROBLEMS or unattached


@dataclass(frozen=True, slots=True)
class Plan:
    """Every change, and for each registry that must be asked for a credential the reason."""

    changes: tuple[Change, ...]
    mints: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Offer:
    """A credential that may be published for one host: where there is none, or for one that expires by `replaces`.

    What its registry accepted may replace anything; of what its registry said nothing, the probe's policy decides.
    """

    credential: Credential
    replaces: datetime


@dataclass(frozen=True, slots=True)
class DesiredSecret:
    """A pull secret as it is to be: what one server-side apply sends.

    `uid` and `resource_version` are preconditions, those of the record that `text` was merged from; both None: create.
    """

    namespace: str
    name: str
    text: SecretText
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    uid: str | None = None
    resource_version: str | None = None
