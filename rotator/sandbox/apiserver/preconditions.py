"""What must hold before a write: versions, uids, and what a delete asks for."""

from dataclasses import dataclass

from rotator.sandbox.apiserver.bodies import Place
from rotator.sandbox.apiserver.objects import Object, metadata
from rotator.sandbox.apiserver.resources import NAMESPACES
from rotator.sandbox.apiserver.status import conflict, conflict_of_kind, unexplained, unversioned


@dataclass(frozen=True, slots=True)
class Preconditions:
    """What must hold for a delete; empty: anything."""

    uid: str = ""
    resource_version: str = ""


def check_version(place: Place, live: Object, new: Object) -> None:
    """The resourceVersion of an update is optional for most kinds. Raises a StatusError (409, 422)."""
    version = metadata(new).get("resourceVersion")
    version = None if version == "0" else version
    if not version and not place.resource.unconditional_update:
        raise unversioned(place.resource, place.name)
    if version and not version.isdecimal():
        # strconv's error is no API error, so it is a 500 without a reason.
        msg = f'strconv.ParseUint: parsing "{version}": invalid syntax'
        raise unexplained(msg)
    if version and version != metadata(live)["resourceVersion"]:
        raise conflict(place.resource, place.name)


def check_uid(place: Place, live: Object, new: Object) -> None:
    """A PUT's uid is a precondition of the storage; a PATCH's is an immutable field (validation)."""
    wanted, there = metadata(new).get("uid"), metadata(live).get("uid", "")
    if wanted and wanted != there:
        problem = f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {there}"
        key = f"/registry/{place.resource.name}/{place.key}"
        code = f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: "
        raise conflict(place.resource, place.name, code + problem)


def check_absent_uid(place: Place, new: Object) -> None:
    """An apply with a uid does not create. Raises a StatusError (409)."""
    if uid := metadata(new).get("uid"):
        problem = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        raise conflict(place.resource, place.name, problem)


def check_deletable(place: Place, live: Object, preconditions: Preconditions) -> None:
    """Raises a StatusError (409). Only namespaces word it differently: their storage checks for itself."""
    checks = (
        ("UID", preconditions.uid, metadata(live)["uid"], "deleted and then recreated"),
        ("ResourceVersion", preconditions.resource_version, metadata(live)["resourceVersion"], "modified"),
    )
    for what, wanted, there, guess in checks:
        if not wanted or wanted == there:
            continue
        if place.resource is NAMESPACES:  # apiserver/pkg/storage/interfaces.go
            problem = f"Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {there}"
            raise conflict(place.resource, place.name, problem)
        # apiserver/pkg/registry/rest/delete.go
        problem = f"the {what} in the precondition ({wanted}) does not match the {what} in record ({there}). "
        raise conflict_of_kind(place.resource, place.name, f"{problem}The object might have been {guess}")
