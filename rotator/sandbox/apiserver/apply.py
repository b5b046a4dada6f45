"""Field management: server-side apply, and who owns what after any other write.

The steps are those of structured-merge-diff (merge/update.go) for objects of one version: merge the configuration over
the live object, take out what this manager applied last time and no longer does, then settle with the other managers.
"""

from collections.abc import Mapping
from typing import Any

from rotator.sandbox.apiserver.fields import (
    Comparison,
    Fields,
    Manager,
    Owners,
    Path,
    applied_fields,
    compare,
    decode,
    encode,
)
from rotator.sandbox.apiserver.objects import Object, clone, dig, metadata, with_metadata
from rotator.sandbox.apiserver.status import Cause, StatusError, apply_conflict

BEFORE_FIRST_APPLY = "before-first-apply"


def apply(live: Object, config: Object, manager: Manager, now: str, *, force: bool) -> Object:
    """The object after this manager applied `config`, with its owners. Raises a StatusError (409) for conflicts."""
    owners = decode(live)
    stated = applied_fields(config)
    fields = {**owners.fields, manager: stated}
    claimed = frozenset().union(*fields.values())
    merged = _pruned(_merged(live, config), owners.fields.get(manager, frozenset()) - claimed, claimed)
    difference = compare(live, merged)
    if not force:
        _refuse_conflicts(fields, difference, manager)
    settled = _settled(fields, difference, manager)
    times = {**owners.times, manager: now} if difference.written or difference.removed else owners.times
    return _owned(merged, Owners(settled, times))


def tracked(blank: Object, live: Object, api_version: str, now: str) -> Object:
    """The live object as an apply finds it: what is there and was nobody's belongs to one manager of a fixed name."""
    if decode(live).fields:
        return live
    return updated(blank, live, Manager(BEFORE_FIRST_APPLY, "Update", api_version), now)


def updated(live: Object, new: Object, manager: Manager, now: str) -> Object:
    """`new` with its owners after this manager wrote it over `live` by any verb but apply; a create has a blank `live`.

    Owners are kept from the create on or from the first apply on. Such is a ServiceAccount that began without a list:
    nobody owns what is patched into it (managedfields/internal/skipnonapplied.go).
    """
    owners = Owners() if _resets_owners(new) else decode(new)
    if not owners.fields and not _resets_owners(new):
        owners = decode(live)
    if metadata(live).get("uid") and not owners.fields:
        return _owned(new, owners)
    difference = compare(live, new)
    fields = _settled(owners.fields, difference, manager)
    mine = (fields.get(manager, frozenset()) | difference.written) - difference.removed
    times = {**owners.times, manager: now} if difference.written else owners.times
    return _owned(new, Owners({**fields, manager: mine}, times))


def same_but_times(old: Object, new: Object) -> bool:
    """Is the new object the old one but for the times of managedFields? Then it is not written."""
    return _timeless(old) == _timeless(new)


def _timeless(obj: Object) -> Object:
    entries = [entry | {"time": ""} for entry in metadata(obj).get("managedFields") or ()]
    entries.sort(key=lambda entry: (entry["operation"], entry["manager"], entry["apiVersion"]))
    return with_metadata(obj, managedFields=entries)


def _resets_owners(obj: Object) -> bool:
    """An empty list, or one empty entry, asks for a new start (managedfields/internal/fieldmanager.go)."""
    return metadata(obj).get("managedFields") in ([], [{}])


def _owned(obj: Object, owners: Owners) -> Object:
    return with_metadata(obj, managedFields=encode(owners) or None)


def _merged(live: Any, config: Any) -> Any:  # noqa: ANN401  (any JSON value)
    if isinstance(live, dict) and isinstance(config, dict):
        return live | {name: _merged(live.get(name), value) for name, value in config.items()}
    return config


def _pruned(obj: Object, dropped: Fields, claimed: Fields) -> Object:
    """The object without these fields, and without the maps that only held them and that nobody claims."""
    if not dropped:
        return obj
    pruned = clone(obj)
    for path in dropped:
        _remove(pruned, path, claimed)
    return pruned


def _remove(obj: Object, path: Path, claimed: Fields) -> None:
    """Remove one field, and then its parent if that is empty now and unclaimed; a map that others filled stays."""
    parent = dig(obj, *path[:-1])
    if not isinstance(parent, dict) or (isinstance(parent.get(path[-1]), dict) and parent[path[-1]]):
        return
    parent.pop(path[-1], None)
    if not parent and path[:-1] and path[:-1] not in claimed:
        _remove(obj, path[:-1], claimed)


def _settled(fields: Mapping[Manager, Fields], difference: Comparison, manager: Manager) -> dict[Manager, Fields]:
    """Every other manager loses what was written over or removed; one who owns nothing is forgotten."""
    settled = {
        owner: owned if owner == manager else owned - difference.written - difference.removed
        for owner, owned in fields.items()
    }
    return {owner: owned for owner, owned in settled.items() if owned or owner == manager}


def _refuse_conflicts(fields: Mapping[Manager, Fields], difference: Comparison, manager: Manager) -> None:
    conflicts = [
        (owner, path)
        for owner in sorted(fields)
        if owner != manager
        for path in sorted(fields[owner] & difference.written, key=_leaves_first)
    ]
    if conflicts:
        raise _conflict(conflicts)


def _conflict(conflicts: list[tuple[Manager, Path]]) -> StatusError:
    """The wording of managedfields/internal/conflict.go: one line for one conflict, a list by manager for more."""
    causes = [Cause("FieldManagerConflict", _dotted(path), f"conflict with {owner}") for owner, path in conflicts]
    if len(conflicts) == 1:
        owner, path = conflicts[0]
        return apply_conflict(f"Apply failed with 1 conflict: conflict with {owner}: {_dotted(path)}", causes)
    lines = []
    for owner in dict.fromkeys(owner for owner, _ in conflicts):
        lines.append(f"conflicts with {owner}:")
        lines += [f"- {_dotted(path)}" for other, path in conflicts if other == owner]
    return apply_conflict(f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines), causes)


def _leaves_first(path: Path) -> list[tuple[bool, str]]:
    """The order of a set of paths: at each level what ends there, then what goes on (fieldpath/set.go)."""
    return [(depth < len(path), name) for depth, name in enumerate(path, start=1)]


def _dotted(path: Path) -> str:
    return "".join(f".{name}" for name in path)
