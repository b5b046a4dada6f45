"""Kubernetes Events: what rotator says beside the objects concerned, where `kubectl describe` shows it. Pure.

`REASONS` is the table of all that it can say; docs/events.md is compared with it. An Event's name follows from the
object, the reason and the detail, so that a repetition counts one Event up instead of adding another.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rotator.logs import masked
from rotator.model import Subject

LONGEST_NAME = 253
LONGEST_MESSAGE = 1024
"""Characters that Kubernetes allows (events.k8s.io/v1, `note`; the core API is freer, and who reads is not)."""


class Type(StrEnum):
    """What kubectl sorts Events by: news, or something to look at."""

    NORMAL = "Normal"
    WARNING = "Warning"


class Reason(StrEnum):
    """Why there is an Event."""

    ATTACHED = "PullSecretAttached"
    HEALED = "PullSecretHealed"
    FOREIGN = "PullSecretForeign"
    WRONG_TYPE = "PullSecretWrongType"
    IMMUTABLE = "PullSecretImmutable"
    MALFORMED = "PullSecretMalformed"
    REFERENCE_MISSING = "PullSecretNotReferenced"
    REFUSED = "PullSecretChangeRefused"
    UNREADABLE = "PullSecretUnreadable"
    CONTESTED = "PullSecretContested"
    CREDENTIAL_EXPIRING = "RegistryCredentialExpiring"
    CREDENTIAL_MISSING = "RegistryCredentialMissing"

    @property
    def type(self) -> Type:
        """Normal or Warning."""
        return REASONS[self].type


@dataclass(frozen=True, slots=True)
class Meaning:
    """A row of the table: the type, the kinds of object that it stands beside, and what it tells."""

    type: Type
    beside: str
    text: str


_SECRET, _ACCOUNT, _EITHER = "Secret", "ServiceAccount", "Secret or ServiceAccount"
_OURS = "rotator's own ServiceAccount"

REASONS: Mapping[Reason, Meaning] = {
    Reason.ATTACHED: Meaning(Type.NORMAL, _ACCOUNT, "the reference to the pull secret was added"),
    Reason.HEALED: Meaning(
        Type.NORMAL,
        _SECRET,
        "it was deleted or changed by somebody else, and is whole again; no Event for a first roll-out or a renewal",
    ),
    Reason.FOREIGN: Meaning(Type.WARNING, _SECRET, "somebody else made or replaced it, and it is left untouched"),
    Reason.WRONG_TYPE: Meaning(
        Type.WARNING, _SECRET, "its type is not kubernetes.io/dockerconfigjson, and it is left untouched"
    ),
    Reason.IMMUTABLE: Meaning(Type.WARNING, _SECRET, "it is immutable and cannot be renewed"),
    Reason.MALFORMED: Meaning(Type.WARNING, _SECRET, "its text cannot be parsed, which fails every pull of its Pods"),
    Reason.REFERENCE_MISSING: Meaning(
        Type.WARNING,
        _ACCOUNT,
        "it does not reference the pull secret, and will not: mode is verify, or that Secret must be put right first",
    ),
    Reason.REFUSED: Meaning(Type.WARNING, _EITHER, "the API server did not take a change; the message says why"),
    Reason.UNREADABLE: Meaning(
        Type.WARNING, _EITHER, "the API server did not let rotator read it, so nothing was decided about it"
    ),
    Reason.CONTESTED: Meaning(
        Type.WARNING,
        _EITHER,
        "somebody changes it back again and again; the message names the field manager where Kubernetes knows it",
    ),
    Reason.CREDENTIAL_EXPIRING: Meaning(
        Type.WARNING,
        _OURS,
        "a registry's credential cannot be renewed, and less than a quarter of the life of what Pods use now is left",
    ),
    Reason.CREDENTIAL_MISSING: Meaning(
        Type.WARNING,
        _OURS,
        "a registry's credential cannot be had, and none that Pods could use is published any more, or yet",
    ),
}
"""Every reason. One Event for each object and reason, and for each pull secret or registry that it is about."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an object. `subject` None: to rotator itself, beside its own ServiceAccount.

    `detail` is the pull secret or registry, which tells two Events about one object apart. Without a `uid` the object
    is looked up before it is told.
    """

    reason: Reason
    subject: Subject | None
    message: str
    detail: str = ""
    uid: str = ""
    resource_version: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """How often an Event was told: `count` times, from `first` to `last`."""

    count: int
    first: datetime
    last: datetime


def name_of(event: Event, subject: Subject) -> str:
    """A name that no other Event has: the object's, the reason, and a digest of all that tells Events apart."""
    apart = f"{subject} {event.reason} {event.detail}"
    ending = f".{event.reason.lower()}.{hashlib.sha256(apart.encode()).hexdigest()[:10]}"
    return subject.name[: LONGEST_NAME - len(ending)].rstrip("-.") + ending


def shown(message: str) -> str:
    """The message, within what Kubernetes allows, and masked like a line of the log."""
    message = masked(message)
    return message if len(message) <= LONGEST_MESSAGE else message[: LONGEST_MESSAGE - 1] + "…"
