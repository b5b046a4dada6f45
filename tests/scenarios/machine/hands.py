"""Other people's hands on our objects: what they do to them, and by which way of writing."""

import base64
import json
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum

from rotator.sandbox.apiserver import StatusError, Store
from tests.apiclient import MERGE_PATCH, Answer, Client
from tests.scenarios.machine.reading import BROKEN, LABEL, NOTES, Object, text_of

OTHERS_TEXT = '{"credsStore":"","auths":{"ghcr.io":{"auth":"YTpi","email":"x@y.example"}},"currentContext":""}'


class Way(StrEnum):
    """How somebody writes an object that exists."""

    PUT = "put"
    MERGE = "merge patch"
    APPLY = "server-side apply"


def path_of(resource: str, namespace: str, name: str) -> str:
    """Where an object is."""
    return f"/api/v1/namespaces/{namespace}/{resource}/{name}"


def write(client: Client, resource: str, old: Object, new: Object, way: Way) -> Answer:
    """Make `new` of `old`; an apply states what it wants and, as ever, leaves alone what it does not mention."""
    path = path_of(resource, old["metadata"]["namespace"], old["metadata"]["name"])
    match way:
        case Way.PUT:
            return client.put(path, new)
        case Way.MERGE:
            return client.patch(path, _difference(old, new), MERGE_PATCH)
        case Way.APPLY:
            return client.apply(path, _stated(new), manager="gitops", force="true")


def _difference(old: Object, new: Object) -> Object:
    """The merge patch from one to the other (RFC 7386)."""
    patch: Object = dict.fromkeys(old.keys() - new.keys())
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict):
            patch[key] = _difference(old[key], value)
        elif value != old.get(key):
            patch[key] = value
    return patch


def _stated(obj: Object) -> Object:
    kept = {key: value for key, value in obj["metadata"].items() if key in {"name", "labels", "annotations"}}
    return {**obj, "metadata": kept}


# Secrets -------------------------------------------------------------------------------------------------------------

SecretEdit = Callable[[Object, str], None]
"""Alters the Secret; the host says which of our entries is meant."""


def set_text(secret: Object, text: str) -> None:
    """Write something else there."""
    secret["data"] = {**secret.get("data", {}), ".dockerconfigjson": base64.b64encode(text.encode()).decode()}


def _document(secret: Object) -> Object:
    document: Object = json.loads(text_of(secret))
    auths = document.get("auths")
    return document | {"auths": auths if isinstance(auths, dict) else {}}


def _on_auths(change: Callable[[Object, str], Object]) -> SecretEdit:
    def edit(secret: Object, host: str) -> None:
        document = _document(secret)
        set_text(secret, json.dumps(document | {"auths": change(document["auths"], host)}, indent=1))

    return edit


def _on_meta(change: Callable[[Object, str], Object]) -> SecretEdit:
    def edit(secret: Object, host: str) -> None:
        secret["metadata"] |= change(secret["metadata"], host)

    return edit


def _without(mapping: Object | None, *keys: str) -> Object:
    return {key: value for key, value in (mapping or {}).items() if key not in keys}


def _plant_a_note(meta: Object, host: str) -> Object:
    annotations = meta.get("annotations") or {}
    try:
        notes = json.loads(annotations[NOTES])
        notes[host]["issuedAt"] = "2099-01-01T00:00:00Z"
    except (KeyError, ValueError):
        return {}
    return {"annotations": {**annotations, NOTES: json.dumps(notes)}}


def _add_a_data_key(secret: Object, _host: str) -> None:
    secret["data"] = {**secret["data"], "README": base64.b64encode(b"ask the team").decode()}


def _add_a_member(secret: Object, _host: str) -> None:
    set_text(secret, json.dumps({"credsStore": "", **json.loads(text_of(secret))}))


SECRET_EDITS: dict[str, SecretEdit] = {
    "adds a foreign entry": _on_auths(lambda auths, _: {"ghcr.io": {"auth": "YTpi"}, **auths}),
    "adds an entry for a path": _on_auths(lambda auths, host: {**auths, f"{host}/team": {"auth": "dTpw"}}),
    "removes the foreign entries": _on_auths(lambda auths, host: {key: auths[key] for key in auths if key == host}),
    "changes our entry": _on_auths(lambda auths, host: {**auths, host: {"auth": "QVdTOndyb25n"}}),
    "adds to our entry": _on_auths(lambda auths, host: {**auths, host: {**auths.get(host, {}), "email": "x@y.z"}}),
    "breaks our entry": _on_auths(lambda auths, host: {**auths, host: dict(BROKEN)}),
    "removes our entry": _on_auths(_without),
    "adds a second key": _on_auths(lambda auths, host: {f"https://{host}/v1/": {"auth": "YTpi"}, **auths}),
    "turns the order around": _on_auths(lambda auths, _: dict(reversed(auths.items()))),
    "breaks a neighbour": _on_auths(lambda auths, _: {**auths, "quay.io": dict(BROKEN)}),
    "empties the entries": _on_auths(lambda _auths, _: {}),
    "empties the text": lambda secret, _: set_text(secret, "{}"),
    "writes nonsense": lambda secret, _: set_text(secret, '{"auths":[]}'),
    "adds a member to the text": _add_a_member,
    "adds a data key": _add_a_data_key,
    "removes the labels": _on_meta(lambda _meta, _: {"labels": {}}),
    "removes our annotations": _on_meta(lambda meta, _: {"annotations": _without(meta.get("annotations"), NOTES)}),
    "removes every mark of ours": _on_meta(lambda _meta, _: {"labels": {}, "annotations": {}}),
    "adds a label and an annotation": _on_meta(
        lambda meta, _: {
            "labels": {**(meta.get("labels") or {}), "team": "a"},
            "annotations": {**(meta.get("annotations") or {}), "note": "keep"},
        }
    ),
    "garbles the notes": _on_meta(lambda meta, _: {"annotations": {**(meta.get("annotations") or {}), NOTES: "no"}}),
    "plants a note from the future": _on_meta(_plant_a_note),
    "makes it immutable": lambda secret, _: secret.update(immutable=True),
}


PLANTS: dict[str, Object] = {
    "a foreign one": {},
    "one of another type": {"type": "Opaque"},
    "an immutable one": {"immutable": True},
    "an immutable one with our label": {"immutable": True, "labels": {LABEL: "worker-pull"}},
    "one of another type with our label": {"type": "Opaque", "labels": {LABEL: "worker-pull"}},
    "an empty one": {"data": {".dockerconfigjson": "{}"}},
}
"""Secrets that somebody else makes under the name of ours: arguments of `Store.put_secret` beside the usual ones."""


# References ----------------------------------------------------------------------------------------------------------

References = list[dict[str, str]]
ReferenceEdit = Callable[[References], References | None]
"""From the list of a ServiceAccount's pull secrets to another; None: no list at all."""

REFERENCE_EDITS: dict[str, ReferenceEdit] = {
    "replaces the list": lambda _: [{"name": "docker-hub"}],
    "empties the list": lambda _: [],
    "removes the list": lambda _: None,
    "turns the list around": lambda names: names[::-1],
    "adds a reference": lambda names: [*names, {"name": "quay"}],
    "puts a reference first": lambda names: [{"name": "ghcr"}, *names],
    "removes our references": lambda names: [name for name in names if not name["name"].endswith("-pull")],
}


def edit_references(account: Object, edit: str) -> None:
    """Apply one of the edits to a ServiceAccount."""
    edited = REFERENCE_EDITS[edit](account.pop("imagePullSecrets", None) or [])
    if edited is not None:
        account["imagePullSecrets"] = edited


# Namespaces ----------------------------------------------------------------------------------------------------------


def delete_namespace(store: Store, name: str, *, linger: bool = False) -> None:
    """Delete it with all that is in it; or it stays Terminating for the time being."""
    store.hold_terminating = linger
    with suppress(StatusError):  # it may be under way already
        store.delete_namespace(name)
    store.hold_terminating = False
