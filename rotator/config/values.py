"""The values that a setting can have: durations, shares, names, ids. Each refuses in words that say what to write.

A refusal never repeats the value: somebody may have put a secret where a name belongs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from rotator import hosts, labels

Item = TypeVar("Item")

_DURATION = r"(?=[0-9])(?:([0-9]{1,4})h)?(?:([0-9]{1,5})m)?(?:([0-9]{1,6})s)?"
_PERCENT = r"([0-9]{1,3}(?:\.[0-9]{1,3})?)%"
_HOUR, _MINUTE, _SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


@dataclass(frozen=True)
class Form:
    """The form of a text: `pattern` must match all of it, `remedy` says what to write instead."""

    pattern: str
    remedy: str

    def check(self, text: str) -> str:
        """The text itself. Raises ValueError with the remedy."""
        if re.fullmatch(self.pattern, text) is None:
            raise ValueError(self.remedy)
        return text

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(schema) | {"pattern": f"^(?:{self.pattern})$"}


def within(low: timedelta, high: timedelta, because: str) -> AfterValidator:
    """A duration from `low` to `high`, both included."""
    refusal = f"must be from {duration_text(low)} to {duration_text(high)}, because {because}; write one of these"

    def check(value: timedelta) -> timedelta:
        if not low <= value <= high:
            raise ValueError(refusal)
        return value

    return AfterValidator(check)


def share_within(low: float, high: float, because: str) -> tuple[AfterValidator, WithJsonSchema]:
    """A share from `low` to `high`, both included, and its JSON Schema."""
    refusal = f"must be from {low:g} to {high:g} ({low:.0%} to {high:.0%}), because {because}; write one of these"

    def check(value: float) -> float:
        if not low <= value <= high:
            raise ValueError(refusal)
        return value

    number = {"type": "number", "minimum": low, "maximum": high}
    return AfterValidator(check), WithJsonSchema({"anyOf": [number, {"type": "string", "pattern": f"^{_PERCENT}$"}]})


def whole_within(low: int, high: int, because: str) -> tuple[BeforeValidator, WithJsonSchema]:
    """A whole number from `low` to `high`, both included, and its JSON Schema."""
    refusal = f"must be a whole number from {low} to {high}, because {because}; write one of these"

    def check(value: object) -> object:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(refusal)
        return value

    return BeforeValidator(check), WithJsonSchema({"type": "integer", "minimum": low, "maximum": high})


def duration_text(value: timedelta) -> str:
    """The duration as this file writes it: 90s is `1m30s`."""
    hours, rest = divmod(value, _HOUR)
    minutes, rest = divmod(rest, _MINUTE)
    parts = ((hours, "h"), (minutes, "m"), (rest // _SECOND, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    found = re.fullmatch(_DURATION, value) if isinstance(value, str) else None
    if found is None:
        msg = "must be a duration with its units; write for example 90s, 5m, 1h or 1h30m"
        raise ValueError(msg)
    hours, minutes, seconds = (int(count) for count in found.groups(default="0"))
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _share(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = re.fullmatch(_PERCENT, value)
    if found is None:
        msg = "must be a share; write a number as 0.1 or a percentage as 10%"
        raise ValueError(msg)
    return float(found[1]) / 100


def _file(value: object) -> Path:
    if isinstance(value, Path):
        return value
    # Relative to which directory? A daemon has none of its own. (And a secret pasted here by mistake is caught.)
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        msg = "must be the absolute path of a file; write it from the first / on, as in /var/run/secrets/azure/secret"
        raise ValueError(msg)
    return Path(value)


def _selector(text: str) -> str:
    if not labels.parse(text):
        msg = 'is an empty selector; write one such as "pull=private", or leave the key out'
        raise ValueError(msg)
    return text


def _exact_host(text: str) -> str:
    if not hosts.is_host(text):
        meant = hosts.spellings(text)
        msg = (
            f"must be host or host:port, in lower case and no pattern; write {meant[0] if meant else 'its exact name'}"
        )
        raise ValueError(msg)
    return text


def _some(items: tuple[Item, ...]) -> tuple[Item, ...]:
    if not items:
        msg = "is an empty list; list at least one, or leave an optional key out"
        raise ValueError(msg)
    first: dict[Item, int] = {}
    for number, item in enumerate(items):
        if first.setdefault(item, number) != number:
            msg = f"names one thing twice, as items {first[item]} and {number}, counted from 0; keep one of them"
            raise ValueError(msg)
    return items


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(duration_text),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION}$", "examples": ["90s", "5m", "1h30m"]}),
]
"""A length of time with its units: 90s, 5m, 1h, 1h30m."""

Share = Annotated[float, BeforeValidator(_share)]
"""A part of a whole: a number, or a percentage as text."""

File = Annotated[Path, BeforeValidator(_file), WithJsonSchema({"type": "string", "pattern": "^/"})]
"""The absolute path of a file, which is read when it is needed."""

Several = Annotated[
    tuple[Item, ...],
    Field(strict=False, json_schema_extra={"minItems": 1, "uniqueItems": True}),  # strict would refuse YAML's lists
    AfterValidator(_some),
]
"""A list of at least one item, all different."""

Selector = Annotated[str, AfterValidator(_selector)]
"""A Kubernetes label selector, equality or set based."""

ExactHost = Annotated[str, AfterValidator(_exact_host)]
"""One host, with its port where it has one; no pattern."""

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_GLOB = r"(?:[a-z0-9.*?-]|\[!?[a-z0-9.-]+\])+"
_GUID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_WORD = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"

Name = Annotated[
    str, Form(_LABEL, "must be a DNS label; write 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends")
]

# A Secret's name may be longer (RFC 1123 subdomain, 253), but this one is a label's value too, which ends at 63.
SecretName = Annotated[
    str,
    Form(
        rf"(?=[a-z0-9.-]{{1,63}}$){_LABEL}(?:\.{_LABEL})*",
        "must be a Secret's name; write 1 to 63 of a-z, 0-9, - and ., each part with a letter or digit at both ends",
    ),
]

NamespacePattern = Annotated[
    str,
    Form(
        rf"{_LABEL}|(?=.*[*?\[]){_GLOB.replace('.', '')}",
        'must be a namespace, or a pattern of some; write a-z, 0-9 and -, with *, ? or [abc], as in "team-*"',
    ),
]

AccountPattern = Annotated[
    str,
    Form(
        rf"{_LABEL}(?:\.{_LABEL})*|(?=.*[*?\[]){_GLOB}",
        'must be a ServiceAccount, or a pattern of some; write a-z, 0-9, - and ., with *, ? or [abc], or "*"',
    ),
]

Variable = Annotated[
    str,
    Form(
        r"[A-Za-z_][A-Za-z0-9_]{0,127}",
        "must be the name of an environment variable, not its value; write letters, digits and _, as in CLIENT_SECRET",
    ),
]

Guid = Annotated[str, Form(_GUID, "must be a GUID; write it as in 00000000-0000-0000-0000-000000000000")]

Tenant = Annotated[
    str,
    Form(
        rf"{_GUID}|(?=.{{1,253}}$){_WORD}(?:\.{_WORD})+",
        "must be a tenant; write its GUID, or its domain as in contoso.onmicrosoft.com",
    ),
]

ManagedIdentityId = Annotated[
    str,
    Form(
        rf"/subscriptions/{_GUID}/resource[gG]roups/[\w.()-]{{1,90}}/providers/Microsoft\.ManagedIdentity"
        r"/userAssignedIdentities/[\w-]{3,128}",
        "must be the resource id of a user-assigned identity; write it in full, as in /subscriptions/GUID/"
        "resourceGroups/GROUP/providers/Microsoft.ManagedIdentity/userAssignedIdentities/NAME",
    ),
]

GoogleAccount = Annotated[
    str,
    Form(
        rf"{_LABEL}@(?:{_LABEL}\.)+gserviceaccount\.com",
        "must be a Google service account's email; write it as in puller@my-project.iam.gserviceaccount.com",
    ),
]

# https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html, and IAM's limits of a role's path and name
RoleArn = Annotated[
    str,
    Form(
        r"arn:aws(?:-[a-z]+)*:iam::[0-9]{12}:role/(?:[!-~]{1,511}/)?[A-Za-z0-9_+=,.@-]{1,64}",
        "must be the ARN of an IAM role; write it as in arn:aws:iam::123456789012:role/puller",
    ),
]
ExternalId = Annotated[
    str,
    Form(r"[A-Za-z0-9_+=,.@:/-]{2,1224}", "must be an external id; write 2 to 1224 of letters, digits and _+=,.@:/-"),
]
SessionName = Annotated[
    str, Form(r"[A-Za-z0-9_+=,.@-]{2,64}", "must be a session's name; write 2 to 64 of letters, digits and _+=,.@-")
]
Region = Annotated[
    str, Form(r"[a-z]{2,}(?:-[a-z]+)+-[0-9]{1,2}", "must be an AWS region; write it as in eu-west-1 or us-gov-west-1")
]
Profile = Annotated[
    str,
    Form(r"[^\s\[\]](?:[^\[\]\n\r]{0,126}[^\s\[\]])?", "must be a profile of the AWS configuration; write its name"),
]

# https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
Repository = Annotated[
    str,
    Form(
        r"(?=.{1,255}$)[a-z0-9]+(?:(?:[.]|_{1,2}|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[.]|_{1,2}|-+)[a-z0-9]+)*)*",
        "must be a repository without host and tag, in lower case; write it as in team/worker",
    ),
]
Reference = Annotated[
    str,
    Form(
        r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}|sha256:[0-9a-f]{64}",
        "must be a tag or a digest; write it as in latest, or sha256: and 64 hexadecimal digits",
    ),
]
