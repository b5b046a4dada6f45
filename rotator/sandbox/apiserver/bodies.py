"""Bodies of writes as objects in their place: decoding, and what the URL and the live object say besides."""

from dataclasses import dataclass

from rotator.sandbox.apiserver import typed
from rotator.sandbox.apiserver.objects import Object, dig, key_of, metadata, with_metadata
from rotator.sandbox.apiserver.resources import NAMESPACES, PODS, Resource
from rotator.sandbox.apiserver.status import bad_request, unexplained


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object is or shall be. `name` is empty when an object is posted."""

    resource: Resource
    namespace: str
    name: str

    @property
    def key(self) -> str:
        """Its key in the store."""
        return key_of(self.namespace, self.name)


def decoded(resource: Resource, body: Object) -> Object:
    """The body of a POST or PUT, with defaults. Raises a StatusError (400)."""
    try:
        return typed.defaulted(resource, typed.decoded(resource, body))
    except ValueError as error:
        what = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
        msg = f"{what}: {error}"
        raise bad_request(msg) from error


def stated(resource: Resource, config: Object) -> Object:
    """An apply configuration, as it is: an empty list is stated, too. Raises a StatusError (400, 500)."""
    if (config.get("apiVersion"), config.get("kind")) != (resource.api_version, resource.kind):
        version = config.get("apiVersion") or ""
        version = version if not version or "/" in version else f"/{version}"
        msg = f"invalid object type: {version or '/'}, Kind={config.get('kind') or ''}"
        raise bad_request(msg)
    if dig(config, "metadata", "managedFields") is not None:
        msg = "metadata.managedFields must be nil"
        raise bad_request(msg)
    if path := typed.undeclared(resource, config):
        # No API error in managedfields/internal/structuredmerge.go, so a 500 without a reason.
        msg = f"failed to create typed patch object ({_named(resource, config)}): {path}: field not declared in schema"
        raise unexplained(msg)
    return config


def converted(resource: Resource, config: Object, merged: Object) -> Object:
    """What an apply of `config` made, as an object of its kind with defaults. Raises a StatusError (500)."""
    try:
        return typed.defaulted(resource, typed.decoded(resource, merged))
    except ValueError as error:
        what = f"unable to convert unstructured object to {resource.type}: error decoding from json: {error}"
        msg = f"failed to convert new object ({_named(resource, config)}) to proper version: {what}"
        raise unexplained(msg) from error


def _named(resource: Resource, config: Object) -> str:
    namespace, name = dig(config, "metadata", "namespace"), dig(config, "metadata", "name")
    return f"{namespace or ''}/{name or ''}; {resource.type}"


def placed(place: Place, obj: Object) -> Object:
    """The object with the namespace of its URL; it must not say another one, nor another name."""
    name, namespace = metadata(obj).get("name", ""), metadata(obj).get("namespace", "")
    if place.resource.namespaced and namespace not in {"", place.namespace}:
        msg = "the namespace of the provided object does not match the namespace sent on the request"
        raise bad_request(msg)
    if place.name and not name:
        msg = f"the name of the object ({place.name} based on URL) was undeterminable: name must be provided"
        raise bad_request(msg)
    if place.name and name != place.name:
        msg = f"the name of the object ({name}) does not match the name on the URL ({place.name})"
        raise bad_request(msg)
    return with_metadata(obj, namespace=place.namespace or None)


def carried(place: Place, live: Object, new: Object) -> Object:
    """The new object with what a client may leave out, and what it cannot change by this path."""
    optional = ("uid", "deletionTimestamp", "deletionGracePeriodSeconds")
    kept = {name: metadata(live).get(name) for name in optional if not metadata(new).get(name)}
    new = with_metadata(new, creationTimestamp=metadata(live)["creationTimestamp"], **kept)
    if place.resource is NAMESPACES:
        return new | {"spec": live["spec"], "status": live["status"]}
    return new | {"status": live["status"]} if place.resource is PODS else new
