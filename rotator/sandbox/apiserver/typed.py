"""From JSON to an object of its kind, as decoding into Go's types and encoding again would leave it.

Unknown fields are dropped, so are nulls and empty lists and maps that Go omits, `stringData` moves into `data`, times
get their one form. What does not decode is a ValueError, whose text the caller words as fits the verb.
"""

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import Any

from rotator.sandbox.apiserver.objects import Object, clone, dig
from rotator.sandbox.apiserver.resources import NAMESPACES, PODS, SECRETS, Resource

# meta/v1/types.go; `managedFields` may be an empty list in a request (see apply.py), so it is not in _OMITTED.
_METADATA = frozenset(
    (
        "name",
        "generateName",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "labels",
        "annotations",
        "ownerReferences",
        "finalizers",
        "managedFields",
    )
)
_OMITTED = frozenset(("labels", "annotations", "ownerReferences", "finalizers", "data", "imagePullSecrets", "secrets"))
_TEXT_MAPS = (("metadata", "labels"), ("metadata", "annotations"), ("data",), ("stringData",))
_MICRO_TIMES = (("spec", "acquireTime"), ("spec", "renewTime"), ("eventTime",))
# Go's layout "2006-01-02T15:04:05.000000Z07:00" (meta/v1/micro_time.go) takes exactly six digits.
_MICRO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(?:Z|[+-]\d\d:\d\d)")


def decoded(resource: Resource, body: Object) -> Object:
    """The object of this resource's kind that the JSON means. Raises ValueError."""
    _check_shape(resource, body)
    obj = {name: _without_nothings(body[name]) for name in resource.fields if body.get(name) is not None}
    meta = {name: _without_nothings(value) for name, value in (body.get("metadata") or {}).items() if name in _METADATA}
    obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta} | obj
    if resource is SECRETS:
        _merge_string_data(obj, body.get("stringData") or {})
    _write_micro_times(obj)
    return omitted(obj)


def omitted(obj: Object) -> Object:
    """The object without the empty lists and maps that Go's encoding omits."""
    meta = {name: value for name, value in obj["metadata"].items() if value or name not in _OMITTED}
    return {name: value for name, value in obj.items() if value or name not in _OMITTED} | {"metadata": meta}


def defaulted(resource: Resource, obj: Object) -> Object:
    """The object with the defaults of its kind (pkg/apis/core/v1/defaults.go)."""
    if resource is SECRETS:
        return obj | {"type": obj.get("type") or "Opaque"}
    if resource is NAMESPACES:
        meta = obj["metadata"]
        labels = (meta.get("labels") or {}) | {"kubernetes.io/metadata.name": meta.get("name", "")}
        status = {"phase": dig(obj, "status", "phase") or "Active"}
        return obj | {"metadata": meta | {"labels": labels}, "status": status}
    if resource is PODS:
        spec = {"restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler"}
        return obj | {"spec": spec | (obj.get("spec") or {})}
    return obj


def _check_shape(resource: Resource, body: Object) -> None:
    kind, version = body.get("kind") or resource.kind, body.get("apiVersion") or resource.api_version
    if (kind, version) != (resource.kind, resource.api_version):
        msg = f"{kind} in version {version!r} is not the {resource.kind} that is expected here"
        raise ValueError(msg)
    if not isinstance(body.get("metadata") or {}, dict):
        msg = "metadata is not an object"
        raise ValueError(msg)  # noqa: TRY004  (a document's fault, as all others here)
    for path in _TEXT_MAPS:
        _check_texts(dig(body, *path), ".".join(path))
    if resource is SECRETS:
        for value in (body.get("data") or {}).values():
            raw_bytes(value or "")


def _check_texts(value: Any, path: str) -> None:  # noqa: ANN401  (any JSON value)
    texts = value if isinstance(value, dict) else {"": value}
    if value is not None and not all(isinstance(text, str | None) for text in texts.values()):
        msg = f"json: cannot unmarshal into Go struct field {path} of type string"
        raise ValueError(msg)
    if value is not None and not isinstance(value, dict):
        msg = f"json: cannot unmarshal into Go struct field {path} of type map[string]string"
        raise ValueError(msg)


def raw_bytes(text: str) -> bytes:
    """What a value of a Secret's `data` means. Raises ValueError without the value in it."""
    try:
        return base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)  # Go skips line ends
    except binascii.Error:
        msg = "illegal base64 data"
        raise ValueError(msg) from None


def _without_nothings(value: Any) -> Any:  # noqa: ANN401  (any JSON value)
    """The value without nulls and empty lists below it: nearly all lists of core/v1 are omitted when empty."""
    if isinstance(value, dict):
        return {name: _without_nothings(item) for name, item in value.items() if item is not None and item != []}
    return clone(value)


def _merge_string_data(obj: Object, texts: Object) -> None:
    encoded = {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}
    if encoded:
        obj["data"] = (obj.get("data") or {}) | encoded


def _write_micro_times(obj: Object) -> None:
    for *parents, name in _MICRO_TIMES:
        holder = dig(obj, *parents)
        if isinstance(holder, dict) and name in holder:
            holder[name] = micro_time(holder[name])


def micro_time(text: str) -> str:
    """The time in the only form that a MicroTime has: UTC, six digits. Raises ValueError for any other form."""
    if not isinstance(text, str) or not _MICRO.fullmatch(text):
        msg = f'parsing time "{text}" as "2006-01-02T15:04:05.000000Z07:00": cannot parse'
        raise ValueError(msg)
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
