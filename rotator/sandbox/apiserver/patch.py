"""JSON Patch (RFC 6902), JSON merge patch (RFC 7386) and as much of strategic merge patch as kubectl needs."""

from typing import Any

from rotator.sandbox.apiserver.objects import Object, clone
from rotator.sandbox.apiserver.status import bad_request, patch_refused, patch_too_long

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
MAX_OPERATIONS = 10_000  # apiserver, handlers/patch.go
PATCH_TYPES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)


def patched(obj: Object, media_type: str, patch: Any) -> Object:  # noqa: ANN401  (any JSON value)
    """The object after this patch, which is no apply patch. Raises a StatusError (400, 422)."""
    if media_type == JSON_PATCH:
        return _json_patched(obj, patch)
    if not isinstance(patch, dict):
        msg = "Invalid JSON Patch"
        raise bad_request(msg)
    merged: Object = _merged(obj, patch) if media_type == MERGE_PATCH else _strategic(obj, patch)
    return merged


def _json_patched(obj: Object, patch: Any) -> Object:  # noqa: ANN401  (any JSON value)
    if not isinstance(patch, list) or not all(isinstance(step, dict) for step in patch):
        msg = "error decoding patch: json: cannot unmarshal into a JSON Patch"
        raise bad_request(msg)
    if len(patch) > MAX_OPERATIONS:
        raise patch_too_long(MAX_OPERATIONS, len(patch))
    root = {"": clone(obj)}  # so that the whole document, path "", has a parent as well
    for step in patch:
        _take(root, step)
    result = root[""]
    if not isinstance(result, dict):
        raise patch_refused()
    return result


def _take(root: Object, step: Object) -> None:
    """One operation. Any reason why it does not apply is the same 422 without a word."""
    try:
        parent, name = _parent(root, step["path"])
        match step["op"]:
            case "test":
                if _found(parent, name) != step.get("value"):
                    raise patch_refused()
            case "add":
                _add(parent, name, clone(step.get("value")))
            case "remove":
                del parent[_place(parent, name)]
            case "replace" if isinstance(parent, list):
                parent[_place(parent, name)] = clone(step.get("value"))
            case "replace":  # the Go library does not mind an absent name (evanphx/json-patch, partialDoc.get)
                parent[name] = clone(step.get("value"))
            case "copy":
                _add(parent, name, clone(_read(*_parent(root, step["from"]))))
            case "move":
                source, at = _parent(root, step["from"])
                moved = _read(source, at)
                del source[_place(source, at)]
                _add(parent, name, moved)
            case _:
                raise patch_refused()
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise patch_refused() from error


def _parent(root: Object, pointer: str) -> tuple[Any, str]:
    names = [name.replace("~1", "/").replace("~0", "~") for name in pointer.split("/")]
    if names[0]:
        raise KeyError(pointer)
    parent: Any = root
    for name in names[:-1]:
        parent = parent[_place(parent, name)]
    return parent, names[-1]


def _place(parent: Any, name: str) -> Any:  # noqa: ANN401  (a dict's key or a list's index)
    """Where `name` stands in its parent. Raises KeyError or IndexError where it does not."""
    if isinstance(parent, list):
        return _index(name, len(parent))
    if name not in parent:
        raise KeyError(name)
    return name


def _read(parent: Any, name: str) -> Any:  # noqa: ANN401  (any JSON value)
    return parent[_place(parent, name)]


def _found(parent: Any, name: str) -> Any:  # noqa: ANN401  (any JSON value)
    """What stands there, or None: a test for null holds where there is nothing."""
    try:
        return _read(parent, name)
    except (KeyError, IndexError):
        return None


def _add(parent: Any, name: str, value: Any) -> None:  # noqa: ANN401  (any JSON value)
    if not isinstance(parent, list):
        parent[name] = value
        return
    places = len(parent) + 1
    parent.insert(len(parent) if name == "-" else _index(name, places), value)


def _index(name: str, places: int) -> int:
    """The index of one of so many places; a negative one counts from the end, as the Go library has it."""
    index = int(name)
    if not -places <= index < places:
        raise IndexError(name)
    return index % places


def _merged(value: Any, patch: Any) -> Any:  # noqa: ANN401  (any JSON value)
    if not isinstance(patch, dict):
        return patch
    merged = dict(value) if isinstance(value, dict) else {}
    for name, change in patch.items():
        if change is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), change)
    return merged


def _strategic(value: Any, patch: Any) -> Any:  # noqa: ANN401  (any JSON value)
    """Maps merge, lists are replaced: right for `imagePullSecrets` of a ServiceAccount, which is atomic.

    Lists that the real server merges by key (containers, secrets of a ServiceAccount) are replaced, too.
    """
    if not isinstance(patch, dict):
        return patch
    directive = patch.get("$patch")
    if directive == "delete":
        return {}
    merged = dict(value) if isinstance(value, dict) and directive != "replace" else {}
    for name, change in patch.items():
        if name.startswith("$"):  # $patch, $setElementOrder/…, $retainKeys: orders of lists that are replaced here
            continue
        if change is None:
            merged.pop(name, None)
        else:
            merged[name] = _strategic(merged.get(name), change)
    return merged
