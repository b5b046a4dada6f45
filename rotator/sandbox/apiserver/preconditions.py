"""What must hold before a write: versions, uids, and what a delete asks for."""

from dataclasses import dataclass

from rotator.sandbox.apiserver.bodies import Place
from rotator.sandbox.apiserver.objects import Object, metadata
from rotator.sandbox.apiserver.status import conflict, unversioned


@dataclass(frozen=True, slots=True)
class Preconditions:
    """What must hold for a delete; empty: anything."""

    uid: str = ""
    resource_version: str = ""


def check_version(place: Place, live: Object, new: Object) -> None:
    """The resourceVersion of an update is optional for most kinds. Raises a StatusError (409, 422)."""
    version = metadata(new).get("resourceVersion")
    if not version and not place.resource.unconditional_update:
        raise unversioned(place.resource, place.name)
    if version and version != metadata(live)["resourceVersion"]:
        raise conflict(place.resource, place.name)


def check_uid(place: Place, live: Object, new: Object) -> None:
    """A PUT's uid is a precondition of the storage; a PATCH's is an immutable field (validation)."""
    wanted, there = metadata(new).get("uid"), metadata(live)["uid"]
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
    """apiserver/pkg/registry/rest/delete.go."""
    uid, version = metadata(live)["uid"], metadata(live)["resourceVersion"]
    if preconditions.uid and preconditions.uid != uid:
        problem = f"the UID in the precondition ({preconditions.uid}) does not match the UID in record ({uid}). "
        raise conflict(place.resource, place.name, problem + "The object might have been deleted and then recreated")
    if preconditions.resource_version and preconditions.resource_version != version:
        problem = f"the ResourceVersion in the precondition ({preconditions.resource_version}) does not match the "
        problem += f"ResourceVersion in record ({version}). The object might have been modified"
        raise conflict(place.resource, place.name, problem)
