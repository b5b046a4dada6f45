"""Is this object allowed? The checks of kubernetes/pkg/apis/core/validation and apimachinery's api/validation.

Each function returns causes, none if all is well; the caller makes one 422 of them. No cause holds a Secret's value.
"""

import json
import re
from collections.abc import Iterator

from rotator.sandbox.apiserver.objects import Object, dig, metadata
from rotator.sandbox.apiserver.resources import EVENTS, LEASES, NAMESPACES, PODS, SECRETS, Resource
from rotator.sandbox.apiserver.status import Cause, forbidden_field, invalid_value, required, too_long
from rotator.sandbox.apiserver.typed import raw_bytes

MAX_SECRET_BYTES = 1024 * 1024
MAX_ANNOTATION_BYTES = 256 * 1024
MAX_LABEL = 63
MAX_NAME = 253
MAX_FIELD_MANAGER = 128
MAX_EVENT_MESSAGE = 1024

_LABEL_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL_NAME.pattern}(\.{_LABEL_NAME.pattern})*")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]+")

_SUBDOMAIN_PROBLEM = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_NAME_PROBLEM = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_LABEL_VALUE_PROBLEM = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_QUALIFIED_PROBLEM = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_DATA_KEY_PROBLEM = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_IMMUTABLE = "field is immutable"
_IMMUTABLE_WHEN_SET = "field is immutable when `immutable` is set"

# The types whose value under one key must be a JSON object (core/validation.go, ValidateSecret).
_JSON_KEYS = {"kubernetes.io/dockerconfigjson": ".dockerconfigjson", "kubernetes.io/dockercfg": ".dockercfg"}


def created(resource: Resource, obj: Object) -> list[Cause]:
    """What is wrong with a new object."""
    return [*_metadata(resource, obj), *_content(resource, obj)]


def field_manager(name: str) -> list[Cause]:
    """apimachinery, meta/v1/validation: ValidateFieldManager."""
    causes = [too_long("fieldManager", MAX_FIELD_MANAGER)] if len(name) > MAX_FIELD_MANAGER else []
    for index, character in enumerate(name):
        if not character.isprintable():
            problem = f"invalid character U+{ord(character):04X} (at position {index})"
            causes.append(invalid_value("fieldManager", json.dumps(name), problem))
    return causes


def changed(resource: Resource, old: Object, new: Object) -> list[Cause]:
    """What is wrong with an object in place of the old one."""
    causes = [*_kept(old, new), *_metadata(resource, new)]
    if resource is SECRETS:
        causes += _secret_change(old, new)
    return causes + list(_content(resource, new))


def _kept(old: Object, new: Object) -> Iterator[Cause]:
    """apimachinery, ValidateObjectMetaAccessorUpdate; name and namespace are compared with the URL before."""
    for name in ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
        if metadata(new).get(name) != metadata(old).get(name):
            yield invalid_value(f"metadata.{name}", json.dumps(metadata(new).get(name)), _IMMUTABLE)


def _metadata(resource: Resource, obj: Object) -> Iterator[Cause]:
    meta = metadata(obj)
    yield from _name(resource, meta.get("name", ""))
    for name, value in (meta.get("labels") or {}).items():
        yield from _qualified(name, "metadata.labels")
        yield from _label_value(value, "metadata.labels")
    annotations = meta.get("annotations") or {}
    for name in annotations:
        yield from _qualified(name.lower(), "metadata.annotations")
    if sum(len(name.encode()) + len(value.encode()) for name, value in annotations.items()) > MAX_ANNOTATION_BYTES:
        yield too_long("metadata.annotations", MAX_ANNOTATION_BYTES)


def _name(resource: Resource, name: str) -> Iterator[Cause]:
    if not name:
        yield required("metadata.name", "name or generateName is required")
    elif resource is NAMESPACES:
        if not _LABEL_NAME.fullmatch(name):
            problem = "must not contain dots" if _SUBDOMAIN.fullmatch(name) else _LABEL_NAME_PROBLEM
            yield invalid_value("metadata.name", json.dumps(name), problem)
        if len(name) > MAX_LABEL:
            yield invalid_value("metadata.name", json.dumps(name), f"must be no more than {MAX_LABEL} characters")
    else:
        if not _SUBDOMAIN.fullmatch(name):
            yield invalid_value("metadata.name", json.dumps(name), _SUBDOMAIN_PROBLEM)
        if len(name) > MAX_NAME:
            yield invalid_value("metadata.name", json.dumps(name), f"must be no more than {MAX_NAME} characters")


def _qualified(key: str, field: str) -> Iterator[Cause]:
    prefix, slash, name = key.rpartition("/")
    if slash and not _SUBDOMAIN.fullmatch(prefix):
        yield invalid_value(field, json.dumps(key), f"prefix part {_SUBDOMAIN_PROBLEM}")
    if not name:
        yield invalid_value(field, json.dumps(key), "name part must be non-empty")
    elif len(name) > MAX_LABEL:
        yield invalid_value(field, json.dumps(key), f"name part must be no more than {MAX_LABEL} bytes")
    if not _QUALIFIED.fullmatch(name):
        yield invalid_value(field, json.dumps(key), _QUALIFIED_PROBLEM)


def _label_value(value: str, field: str) -> Iterator[Cause]:
    if len(value) > MAX_LABEL:
        yield invalid_value(field, json.dumps(value), f"must be no more than {MAX_LABEL} bytes")
    if value and not _QUALIFIED.fullmatch(value):
        yield invalid_value(field, json.dumps(value), _LABEL_VALUE_PROBLEM)


def _content(resource: Resource, obj: Object) -> Iterator[Cause]:
    if resource is SECRETS:
        yield from _secret(obj)
    elif resource is LEASES:
        yield from _lease(obj)
    elif resource is EVENTS:
        yield from _event(obj)
    elif resource is PODS and not dig(obj, "spec", "containers"):
        yield required("spec.containers")


def _secret(obj: Object) -> Iterator[Cause]:
    data = obj.get("data") or {}
    values = {name: raw_bytes(value) for name, value in data.items()}
    for name in data:
        if not _DATA_KEY.fullmatch(name):
            yield invalid_value(f"data[{name}]", json.dumps(name), _DATA_KEY_PROBLEM)
    if sum(map(len, values.values())) > MAX_SECRET_BYTES:
        yield too_long("data", MAX_SECRET_BYTES)
    key = _JSON_KEYS.get(obj["type"])
    if key and key not in values:
        yield required(f"data[{key}]")
    elif key and not _is_json_object(values[key]):
        yield invalid_value(f"data[{key}]", '"<secret contents redacted>"', "invalid JSON object")


def _is_json_object(text: bytes) -> bool:
    """Go decodes into a map, so `null` is an object, too."""
    try:
        return isinstance(json.loads(text), dict | None)
    except ValueError:
        return False


def _secret_change(old: Object, new: Object) -> Iterator[Cause]:
    if new["type"] != old["type"]:
        yield invalid_value("type", json.dumps(new["type"]), _IMMUTABLE)
    if old.get("immutable"):
        if not new.get("immutable"):
            yield forbidden_field("immutable", _IMMUTABLE_WHEN_SET)
        if (new.get("data") or {}) != (old.get("data") or {}):
            yield forbidden_field("data", _IMMUTABLE_WHEN_SET)


def _lease(obj: Object) -> Iterator[Cause]:
    seconds, transitions = dig(obj, "spec", "leaseDurationSeconds"), dig(obj, "spec", "leaseTransitions")
    if seconds is not None and seconds <= 0:
        yield invalid_value("spec.leaseDurationSeconds", str(seconds), "must be greater than 0")
    if transitions is not None and transitions < 0:
        yield invalid_value("spec.leaseTransitions", str(transitions), "must be greater than or equal to 0")


def _event(obj: Object) -> Iterator[Cause]:
    """core/validation/events.go: an event about something without a namespace belongs into `default`.

    More is asked of one that has an eventTime, which marks it as one of the newer kind.
    """
    about = dig(obj, "involvedObject", "namespace") or ""
    home = metadata(obj).get("namespace")
    if about != home and (about or home not in {"default", "kube-system"}):
        yield invalid_value("involvedObject.namespace", json.dumps(about), "does not match event.namespace")
    if obj.get("eventTime"):
        yield from _newer_event(obj)


def _newer_event(obj: Object) -> Iterator[Cause]:
    component = obj["reportingComponent"]
    if not component:
        yield required("reportingComponent")
    yield from _qualified(component, "reportingComponent")
    for name in ("reportingInstance", "action", "reason"):
        if not obj.get(name):
            yield required(name)
    if len(obj.get("message") or "") > MAX_EVENT_MESSAGE:
        yield invalid_value("message", '""', f"can have at most {MAX_EVENT_MESSAGE} characters")
