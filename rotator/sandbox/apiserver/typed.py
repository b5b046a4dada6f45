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
from rotator.sandbox.apiserver.resources import EVENTS, LEASES, NAMESPACES, PODS, SECRETS, Resource

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
_MICRO_TIMES = (("spec", "acquireTime"), ("spec", "renewTime"), ("eventTime",), ("series", "lastObservedTime"))
_TIMES = (("firstTimestamp",), ("lastTimestamp",))
_NUMBERS = (("spec", "leaseDurationSeconds"), ("spec", "leaseTransitions"), ("count",), ("series", "count"))
_TEXTS = (("spec", "holderIdentity"), ("reason",), ("message",), ("type",))
_REFERENCES = (("imagePullSecrets",), ("spec", "imagePullSecrets"))
# What Go's encoding never leaves out: structs that are no pointers, and texts and times without `omitempty`.
_BLANKS: dict[Resource, Object] = {
    LEASES: {"spec": {}},
    NAMESPACES: {"spec": {}, "status": {}},
    PODS: {"spec": {}, "status": {}},
    EVENTS: {
        "involvedObject": {},
        "source": {},
        "firstTimestamp": None,
        "lastTimestamp": None,
        "eventTime": None,
        "reportingComponent": "",
        "reportingInstance": "",
    },
}
# Go's layout "2006-01-02T15:04:05.000000Z07:00" (meta/v1/micro_time.go) takes exactly six digits.
_MICRO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(?:Z|[+-]\d\d:\d\d)")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")


def blank(resource: Resource) -> Object:
    """An object of this kind of which nothing is stated."""
    return {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": {}} | _BLANKS.get(resource, {})


def decoded(resource: Resource, body: Object) -> Object:
    """The object of this resource's kind that the JSON means. Raises ValueError."""
    _check_shape(resource, body)
    obj = {name: _kept(name, body[name]) for name in resource.fields if body.get(name) is not None}
    meta = {name: _kept(name, value) for name, value in (body.get("metadata") or {}).items() if name in _METADATA}
    obj = blank(resource) | {"metadata": {name: value for name, value in meta.items() if value is not None}} | obj
    if resource is SECRETS:
        _merge_string_data(obj, body.get("stringData") or {})
    _write_times(obj)
    return omitted(obj)


def undeclared(resource: Resource, body: Object) -> str | None:
    """The path of a field that this kind does not have, looked for at the top and in the metadata."""
    known = {"kind", "apiVersion", "metadata", *resource.fields} | ({"stringData"} if resource is SECRETS else set())
    paths = [f".{name}" for name in body if name not in known]
    paths += [f".metadata.{name}" for name in body.get("metadata") or {} if name not in _METADATA]
    return paths[0] if paths else None


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
    _check_types(body)
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


def _check_types(body: Object) -> None:
    wanted = ((int, _NUMBERS, "int32"), (str, _TEXTS, "string"))
    wrong = [(path, name) for kind, paths, name in wanted for path in paths if not _is_a(kind, dig(body, *path))]
    wrong += [(path, "[]v1.LocalObjectReference") for path in _REFERENCES if not _are_references(dig(body, *path))]
    for path, name in wrong:
        msg = f"json: cannot unmarshal into Go struct field {'.'.join(path)} of type {name}"
        raise ValueError(msg)


def _is_a(kind: type, value: object) -> bool:
    return value is None or type(value) is kind


def _are_references(value: Any) -> bool:  # noqa: ANN401  (any JSON value)
    if not isinstance(value, list):
        return value is None
    return all(isinstance(item, dict) and _is_a(str, item.get("name")) for item in value)


def raw_bytes(text: str) -> bytes:
    """What a value of a Secret's `data` means. Raises ValueError without the value in it."""
    try:
        return base64.b64decode(_in_one_line(text), validate=True)
    except binascii.Error:
        msg = "illegal base64 data"
        raise ValueError(msg) from None


def _in_one_line(text: str) -> str:
    """Go skips line ends when it decodes, and writes none."""
    return text.replace("\n", "").replace("\r", "")


def _kept(name: str, value: Any) -> Any:  # noqa: ANN401  (any JSON value)
    """What Go keeps of a field's value: no nulls but in maps of texts, where they are empty texts."""
    if name == "data" and isinstance(value, dict):
        return {key: _in_one_line(text or "") for key, text in value.items()}
    if name in {"labels", "annotations"} and isinstance(value, dict):
        return {key: text or "" for key, text in value.items()}
    if name == "imagePullSecrets":
        return [{"name": item["name"]} if item.get("name") else {} for item in value]
    return _without_nothings(value)


def _without_nothings(value: Any) -> Any:  # noqa: ANN401  (any JSON value)
    """The value without nulls and empty lists below it: nearly all lists of core/v1 are omitted when empty."""
    if isinstance(value, dict):
        return {name: _without_nothings(item) for name, item in value.items() if item is not None and item != []}
    return clone(value)


def _merge_string_data(obj: Object, texts: Object) -> None:
    encoded = {name: base64.b64encode((text or "").encode()).decode() for name, text in texts.items()}
    if encoded:
        obj["data"] = (obj.get("data") or {}) | encoded


def _write_times(obj: Object) -> None:
    for paths, form in ((_MICRO_TIMES, micro_time), (_TIMES, _time)):
        for *parents, name in paths:
            holder = dig(obj, *parents)
            if isinstance(holder, dict) and holder.get(name) is not None:
                holder[name] = form(holder[name])


def micro_time(text: str) -> str:
    """The time in the only form that a MicroTime has: UTC, six digits. Raises ValueError for any other form."""
    if not isinstance(text, str) or not _MICRO.fullmatch(text):
        msg = f'parsing time "{text}" as "2006-01-02T15:04:05.000000Z07:00": cannot parse'
        raise ValueError(msg)
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _time(text: str) -> str:
    """The time in whole seconds of UTC, from any form of RFC 3339. Raises ValueError."""
    if not isinstance(text, str) or not _RFC3339.fullmatch(text):
        msg = f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse'
        raise ValueError(msg)
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
