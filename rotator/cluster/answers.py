"""What the API server answers, as structs that name just the fields used, and from those our records.

msgspec skips every other field without building it: 50,000 ServiceAccounts cost 0.08 s, typed models 1.95 s (measured).
"""

import base64
import binascii
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from rotator import leadership
from rotator.keyring import PullSecretData
from rotator.model import (
    DATA_KEY,
    LEGACY_DATA_KEY,
    NOTHING,
    NamespaceRecord,
    SecretRecord,
    SecretText,
    ServiceAccountRecord,
)

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
NOT_TEXT = SecretText("\ufffd")
"""Stands for data that is no UTF-8 text: no JSON begins so, and it can be hashed and compared like any other."""

T = TypeVar("T")


class Shared:
    """Equal parts as one object: 10,000 Secrets hold the same after a rotation, and are labelled and noted alike."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._mappings: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}
        self._secrets: dict[SecretText, SecretText] = {}
        self._last_data, self._last_text = b"", SecretText("")

    def mapping(self, found: Mapping[str, str] | None) -> Mapping[str, str]:
        """Labels or annotations: the first that were equal to these."""
        if not found:
            return NOTHING
        key = tuple(found.items())
        if key not in self._mappings:
            self._mappings[key] = {name: self._texts.setdefault(text, text) for name, text in key}
        return self._mappings[key]

    def secret(self, data: msgspec.Raw) -> SecretText | None:
        """What the data says: the first text that was equal. After the same data again it is not even decoded."""
        encoded = bytes(data)
        if encoded == self._last_data:
            return self._last_text
        text = _text(encoded)
        if text is not None:
            text = self._secrets.setdefault(text, text)
            self._last_data, self._last_text = encoded, text
        return text


class Metadata(msgspec.Struct, rename="camel"):
    """Of any object."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    deletion_timestamp: str | None = None


class Owned(msgspec.Struct, rename="camel"):
    """One entry of `managedFields`: which fields a manager owns, since when."""

    manager: str = ""
    time: str = ""
    subresource: str = ""
    fields: dict[str, Any] = msgspec.field(default_factory=dict, name="fieldsV1")


class OwnedMetadata(msgspec.Struct, rename="camel"):
    """Of an object, as far as it tells who owns what."""

    uid: str = ""
    resource_version: str = ""
    managed_fields: list[Owned] | None = None


class OwnedObject(msgspec.Struct):
    """Any object's metadata alone."""

    metadata: OwnedMetadata

    def managers(self, paths: Sequence[Sequence[str]], ours: str) -> tuple[str, ...]:
        """Who else owns one of the fields: the one that took it last first. A path's parts are as in `fieldsV1`."""
        others = [owned for owned in self.metadata.managed_fields or () if owned.manager != ours]
        found = [owned for owned in others if any(_has(owned.fields, path) for path in paths)]
        newest = sorted(found, key=lambda owned: owned.time, reverse=True)  # all in UTC and whole seconds
        return tuple(dict.fromkeys(owned.manager for owned in newest))


def _has(fields: Mapping[str, Any], path: Sequence[str]) -> bool:
    """Whether the path is in the set of fields, which is a tree."""
    inner: object = fields
    for part in path:
        if not isinstance(inner, Mapping) or part not in inner:
            return False
        inner = inner[part]
    return True


class UserInfo(msgspec.Struct):
    """Of a SelfSubjectReview."""

    username: str = ""
    uid: str = ""


class ReviewStatus(msgspec.Struct, rename="camel"):
    """Of a SelfSubjectReview."""

    user_info: UserInfo


class SelfSubjectReview(msgspec.Struct):
    """Who the API server takes us for."""

    status: ReviewStatus


class AccessStatus(msgspec.Struct):
    """Of an access review."""

    allowed: bool


class AccessReview(msgspec.Struct):
    """Whether somebody may do something."""

    status: AccessStatus


class NamespaceStatus(msgspec.Struct):
    """Of a Namespace."""

    phase: str = ""


class Namespace(msgspec.Struct):
    """A Namespace."""

    metadata: Metadata
    status: NamespaceStatus | None = None

    def record(self) -> NamespaceRecord:
        """What the plan needs of it."""
        terminating = self.metadata.deletion_timestamp is not None
        terminating = terminating or (self.status is not None and self.status.phase == "Terminating")
        labels = {key: sys.intern(text) for key, text in (self.metadata.labels or {}).items()}  # its name among them
        return NamespaceRecord(sys.intern(self.metadata.name), labels, terminating)


class Reference(msgspec.Struct):
    """An item of `imagePullSecrets`."""

    name: str = ""


class PodSpec(msgspec.Struct, rename="camel"):
    """Of a Pod, what decides how it pulls."""

    image_pull_secrets: list[Reference] | None = None


class Pod(msgspec.Struct):
    """A Pod after admission."""

    metadata: Metadata
    spec: PodSpec


class Secret(msgspec.Struct):
    """A Secret. Its repr names it and shows nothing of it."""

    metadata: Metadata
    type: str = ""
    immutable: bool | None = None
    data: dict[str, msgspec.Raw] | None = None  # undecoded, and so never shown; only one key is read

    def __repr__(self) -> str:
        return f"Secret({self.metadata.namespace}/{self.metadata.name})"

    def legacy_text(self) -> SecretText | None:
        """What a Secret of the old type kubernetes.io/dockercfg holds."""
        data = self.data or {}
        return _text(data[LEGACY_DATA_KEY]) if LEGACY_DATA_KEY in data else None

    def for_keyring(self, shared: Shared) -> PullSecretData:
        """What a kubelet reads of it."""
        data = self.data or {}
        texts = {key: shared.secret(data[key]) for key in (DATA_KEY, LEGACY_DATA_KEY) if key in data}
        found = {key: text.reveal() for key, text in texts.items() if text is not None}
        return PullSecretData(sys.intern(self.metadata.name), sys.intern(self.type), found)

    def record(self, shared: Shared) -> SecretRecord:
        """What the plan needs of it. What equals something in `shared` becomes that."""
        data = self.data or {}
        # What `kubectl apply` was given is kept in an annotation, the data in base64 among it: a record that prints its
        # annotations must not carry that. Server-side apply leaves it in the cluster, for it is not ours.
        noted = self.metadata.annotations or {}
        noted.pop(LAST_APPLIED, None)
        return SecretRecord(
            namespace=sys.intern(self.metadata.namespace),  # each namespace's name stands in several records
            name=sys.intern(self.metadata.name),
            uid=self.metadata.uid,
            resource_version=self.metadata.resource_version,
            type=sys.intern(self.type),
            immutable=bool(self.immutable),
            labels=shared.mapping(self.metadata.labels),
            annotations=shared.mapping(noted),
            text=shared.secret(data[DATA_KEY]) if DATA_KEY in data else None,
            has_more=bool(data.keys() - {DATA_KEY}),
        )


class ServiceAccount(msgspec.Struct, rename="camel"):
    """A ServiceAccount."""

    metadata: Metadata
    image_pull_secrets: list[Reference] | None = None

    def record(self) -> ServiceAccountRecord:
        """What the plan needs of it."""
        references = self.image_pull_secrets
        return ServiceAccountRecord(
            namespace=sys.intern(self.metadata.namespace),  # each namespace's name stands in several records
            name=sys.intern(self.metadata.name),
            uid=self.metadata.uid,
            resource_version=self.metadata.resource_version,
            labels=self.metadata.labels or NOTHING,
            pull_secrets=None if references is None else tuple(sys.intern(reference.name) for reference in references),
        )


class LeaseSpec(msgspec.Struct, rename="camel"):
    """Of a Lease: who holds it."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class Lease(msgspec.Struct):
    """A Lease."""

    metadata: Metadata
    spec: LeaseSpec | None = None

    def record(self) -> leadership.Record:
        """What leadership needs of it."""
        spec = self.spec or LeaseSpec()
        return leadership.Record(
            holder=spec.holder_identity or "",
            seconds=spec.lease_duration_seconds or 0,
            acquired=spec.acquire_time or "",
            renewed=spec.renew_time or "",
            transitions=spec.lease_transitions or 0,
        )


class ListMetadata(msgspec.Struct):
    """Of a page; `token` asks for the next one, and is empty in the last."""

    token: str = msgspec.field(default="", name="continue")


class Page(msgspec.Struct, Generic[T]):
    """A page of a list."""

    metadata: ListMetadata
    items: list[T] | None = None


class Version(msgspec.Struct, rename="camel"):
    """The answer to GET /version, which only a Kubernetes API server gives like this."""

    git_version: str


class Cause(msgspec.Struct):
    """One cause in a Status."""

    reason: str = ""
    message: str = ""
    field: str = ""


class Details(msgspec.Struct):
    """Of a Status."""

    causes: list[Cause] | None = None


class Status(msgspec.Struct):
    """The API server's words for a failure."""

    message: str = ""
    reason: str = ""
    details: Details | None = None
    metadata: ListMetadata | None = None

    @property
    def causes(self) -> list[Cause]:
        """Its causes, if it names any."""
        return (self.details.causes if self.details else None) or []


def status(body: bytes) -> Status:
    """The Status in the body of a failure; an empty one where a proxy or load balancer answered in its own words."""
    try:
        return msgspec.json.decode(body, type=Status)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Status()


def _text(data: bytes | msgspec.Raw) -> SecretText | None:
    """The decoded data. A kubelet reads invalid UTF-8 with replacements, but it could not be written back the same."""
    try:
        encoded = msgspec.json.decode(data, type=str | None)
        return None if encoded is None else SecretText(base64.b64decode(encoded, validate=True).decode())
    except (msgspec.DecodeError, binascii.Error, UnicodeDecodeError):
        return NOT_TEXT
