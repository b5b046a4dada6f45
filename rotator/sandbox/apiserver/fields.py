"""Who owns which field: sets of paths, their comparison, and `metadata.managedFields`.

A path is a tuple of names; a list is one leaf, so every list is owned as a whole. The real server knows lists with keys
as well (finalizers, ownerReferences, containers, secrets of a ServiceAccount); `imagePullSecrets` of a ServiceAccount
is such a whole there, too.
Sources: structured-merge-diff (typed/tofieldset.go, typed/compare.go, fieldpath/serialize.go) and apimachinery's
pkg/util/managedfields.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rotator.sandbox.apiserver.objects import Object, metadata

Path = tuple[str, ...]
Fields = frozenset[Path]

# managedfields/internal/stripmeta.go: fields that identify the object and belong to nobody.
_UNOWNED = frozenset(
    {("apiVersion",), ("kind",), ("metadata",)}
    | {
        ("metadata", name)
        for name in (
            "name",
            "namespace",
            "creationTimestamp",
            "selfLink",
            "uid",
            "generation",
            "managedFields",
            "resourceVersion",
        )
    }
)
# The status has its own endpoint, which is not served here: the strategies reset it in every other write.
_STATUS = "status"
# Maps that are owned as a whole: `structType=atomic` of an ObjectReference (core/v1/types.go).
_ATOMIC = frozenset({("involvedObject",), ("related",)})


class Manager(NamedTuple):
    """Who wrote, and how: the same name is two managers when it both applies and updates."""

    name: str
    operation: str
    api_version: str

    def __str__(self) -> str:
        """As a conflict names it (managedfields/internal/conflict.go)."""
        quoted = json.dumps(self.name, ensure_ascii=False)
        return f"{quoted} using {self.api_version}" if self.operation == "Update" else quoted


@dataclass(frozen=True, slots=True)
class Owners:
    """The fields of each manager, and when it last changed the object (RFC 3339), if it ever did."""

    fields: Mapping[Manager, Fields] = field(default_factory=dict)
    times: Mapping[Manager, str] = field(default_factory=dict)


def applied_fields(config: Object) -> Fields:
    """The fields that an apply configuration states: its leaves."""
    return _ownable(_leaves(config, ()))


def _ownable(paths: Iterable[Path]) -> Fields:
    return frozenset(path for path in paths if path not in _UNOWNED and path[:1] != (_STATUS,))


def _leaves(value: Any, path: Path) -> Iterator[Path]:  # noqa: ANN401  (any JSON value)
    if isinstance(value, dict) and value and path not in _ATOMIC:
        for name, item in value.items():
            yield from _leaves(item, (*path, name))
    else:
        yield path


def _nodes(value: Any, path: Path) -> Iterator[Path]:  # noqa: ANN401  (any JSON value)
    """The value's own path and every path below."""
    yield path
    if isinstance(value, dict) and path not in _ATOMIC:
        for name, item in value.items():
            yield from _nodes(item, (*path, name))


class Comparison(NamedTuple):
    """What differs between two objects. Maps that came or went as a whole count themselves, too."""

    written: Fields  # added or modified
    removed: Fields


def compare(old: Object, new: Object) -> Comparison:
    """What a write of `new` over `old` wrote and removed."""
    written: set[Path] = set()
    removed: set[Path] = set()
    _compare(old, new, (), written, removed)
    return Comparison(_ownable(written), _ownable(removed))


def _compare(old: Object, new: Object, path: Path, written: set[Path], removed: set[Path]) -> None:
    for name in old.keys() | new.keys():
        here = (*path, name)
        if here == ("metadata", "managedFields"):
            continue
        if name not in new:
            removed.update(_nodes(old[name], here))
        elif name not in old:
            written.update(_nodes(new[name], here))
        elif isinstance(old[name], dict) and isinstance(new[name], dict) and here not in _ATOMIC:
            _compare(old[name], new[name], here, written, removed)
        elif old[name] != new[name]:
            written.add(here)


def decode(obj: Object) -> Owners:
    """The owners that the object records."""
    entries = {
        Manager(entry.get("manager", ""), entry.get("operation", ""), entry.get("apiVersion", "")): entry
        for entry in metadata(obj).get("managedFields") or ()
    }
    return Owners(
        {manager: frozenset(_decoded(entry.get("fieldsV1") or {}, ())) for manager, entry in entries.items()},
        {manager: entry["time"] for manager, entry in entries.items() if "time" in entry},
    )


def encode(owners: Owners) -> list[Object]:
    """The owners as `managedFields`: those who apply first, then by time and name (managedfields.go)."""
    order = sorted(owners.fields, key=lambda manager: (manager.operation, owners.times.get(manager, ""), manager.name))
    return [_entry(manager, owners) for manager in order if owners.fields[manager]]


def _entry(manager: Manager, owners: Owners) -> Object:
    who = {"manager": manager.name, "operation": manager.operation, "apiVersion": manager.api_version}
    when = {"time": owners.times[manager]} if manager in owners.times else {}
    return who | when | {"fieldsType": "FieldsV1", "fieldsV1": _encoded(owners.fields[manager])}


def _decoded(tree: Object, path: Path) -> Iterator[Path]:
    for name, below in tree.items():
        if name == ".":
            yield path
        else:
            here = (*path, name.removeprefix("f:"))
            yield from _decoded(below, here) if below else (here,)


def _encoded(fields: Fields) -> Object:
    root: Object = {}
    for path in sorted(fields):
        node = root
        for name in path:
            node = node.setdefault(f"f:{name}", {})
    for path in fields:
        node = root
        for name in path:
            node = node[f"f:{name}"]
        if node:
            node["."] = {}
    return root
