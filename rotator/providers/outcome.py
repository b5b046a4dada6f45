"""What comes out of a mint: a credential, or one of our errors, whatever the SDK did.

Of an SDK's error only class, code and HTTP status are told. Even the code is told only if it is a known one: it comes
from the server, and a server may echo a secret in any field of its answer.
"""

import re
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypeVar

from rotator.annotations import LONGEST_LIFE
from rotator.config import Registry
from rotator.deadline import DeadlineExceeded, within
from rotator.errors import (
    CloudUnavailable,
    CredentialSpent,
    MalformedAnswer,
    MintError,
    MintRefused,
    MintThrottled,
    MintTimedOut,
)
from rotator.model import Credential, SecretText, whole_seconds

T = TypeVar("T")

LONGEST_PATIENCE = timedelta(hours=1)
"""The most that a Retry-After is believed."""

LONGEST_NAME = 500
"""Characters of an identity; an ARN with the longest role and session has some 150."""

_TOO_MANY = 429
_BAD_REQUEST = 400
_SERVER_ERROR = 500
_TIME_OUT = frozenset({408, 504})


@dataclass(frozen=True, slots=True)
class Evidence:
    """What may be told of an SDK's error; prints as `ClientError AccessDenied, HTTP 403`."""

    sdk_class: str = ""
    code: str = ""
    status: int | None = None
    retry_after: timedelta | None = None

    def __str__(self) -> str:
        status = f"HTTP {self.status}" if self.status else ""
        return ", ".join(filter(None, (" ".join(filter(None, (self.sdk_class, self.code))), status)))


NOTHING = Evidence()


def mint(registry: Registry, ask: Callable[[], T], wanted: str = "credential") -> T:
    """What `ask` returns, within the registry's deadline. Raises a MintError, and nothing else."""
    try:
        return within(registry.deadline, ask, name=f"mint of registry {registry.name!r}")
    except MintError:
        raise
    except DeadlineExceeded as error:
        seconds = registry.deadline.total_seconds()
        raise failure(
            MintTimedOut,
            registry,
            f"no {wanted} within {seconds:g} s",
            hint="check the route, the proxy and the firewall to the cloud",
        ) from error
    except Exception as error:
        raise unexpected(registry, error) from error


def failure(
    kind: type[MintError], registry: Registry, what: str, evidence: Evidence = NOTHING, *, hint: str = ""
) -> MintError:
    """An error of this kind: one line that says which registry and what, with the evidence in parentheses."""
    told = f" ({evidence})" if str(evidence) else ""
    return kind(
        f"registry {registry.name!r}: {what}{told}",
        hint=_PASSING.get(kind, hint) if evidence.status else hint,
        sdk_class=evidence.sdk_class,
        code=evidence.code,
        status=evidence.status,
        retry_after=evidence.retry_after,
    )


_OUTAGE = "it is tried again by itself; if it lasts, look at the cloud's status page"
# When the cloud itself says that it cannot now, advice about the identity would send people the wrong way.
_PASSING: dict[type[MintError], str] = {
    CloudUnavailable: _OUTAGE,
    MintThrottled: "it is tried again by itself; if it lasts, see who else uses up this identity's quota",
    MalformedAnswer: "see what answers in the cloud's place: a proxy, or a captive portal",
}


def unexpected(registry: Registry, error: BaseException) -> MintError:
    """An error that no row of ours foresees."""
    hint = "please report this with the error's class"
    return failure(MintError, registry, "the SDK failed in an unexpected way", of(error), hint=hint)


def of(error: BaseException) -> Evidence:
    """The class of an error, and nothing of its text."""
    return Evidence(type(error).__name__)


def kind_of(status: int) -> type[MintError]:
    """What an HTTP status that is no success means for a mint."""
    if status == _TOO_MANY:
        return MintThrottled
    if status in _TIME_OUT:
        return MintTimedOut
    if status >= _SERVER_ERROR:
        return CloudUnavailable
    return MintRefused if status >= _BAD_REQUEST else MalformedAnswer


def verb(kind: type[MintError]) -> str:
    """What the cloud did, for a message: `STS refused AssumeRole`."""
    return _VERBS.get(kind, "failed at")


_VERBS = {
    MintRefused: "refused",
    MintThrottled: "throttled",
    MintTimedOut: "gave no answer in time to",
    CloudUnavailable: "was unavailable for",
    MalformedAnswer: "answered nonsense to",
}


def known(code: object, codes: AbstractSet[str]) -> str:
    """The code if it is one of these, else nothing."""
    return code if isinstance(code, str) and code in codes else ""


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """The time that a Retry-After header asks for: seconds or a date (RFC 9110, 10.2.3), at most an hour."""
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", value):
        return min(timedelta(seconds=int(value)), LONGEST_PATIENCE)
    try:
        until = parsedate_to_datetime(value)
        return min(max(until - now, timedelta()), LONGEST_PATIENCE)
    except (ValueError, TypeError):  # no date, or one without a zone
        return None


def identity(registry: Registry, told: object, form: str) -> str:
    """Who the cloud says that we are, if it is a name of this form: another text might be anything, a secret even."""
    if not isinstance(told, str) or len(told) > LONGEST_NAME or not re.fullmatch(form, told, re.ASCII):
        raise failure(MalformedAnswer, registry, "the cloud's answer does not say who we are")
    return told


def credential(
    registry: Registry, username: object, password: object, expires_at: datetime, now: datetime
) -> Credential:
    """The credential that a cloud's answer holds, `now` being its issue. Raises CredentialSpent, MalformedAnswer."""
    if whole_seconds(expires_at) <= whole_seconds(now):
        raise failure(
            CredentialSpent,
            registry,
            "the credential had no life left when it arrived",
            hint="compare the clock of this node with the cloud's",
        )
    try:
        if not isinstance(username, str) or not isinstance(password, str):
            raise TypeError  # noqa: TRY301  (the handler below words it, as for every other misfit)
        return Credential(username, SecretText(password), now, min(expires_at, now + LONGEST_LIFE))
    except (TypeError, ValueError) as error:
        raise failure(MalformedAnswer, registry, "the cloud's answer holds no usable token") from error
