"""What each verb does to the store: the order of checks is that of the generic registry.

Source: apiserver/pkg/registry/generic/registry/store.go (Create, Update, Delete) and endpoints/handlers/patch.go.
"""

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from rotator.sandbox.apiserver import apply, typed, validation
from rotator.sandbox.apiserver.admission import admitted, check_deletion
from rotator.sandbox.apiserver.bodies import Place, carried, converted, decoded, placed, stated
from rotator.sandbox.apiserver.etcd import Etcd
from rotator.sandbox.apiserver.fields import Manager
from rotator.sandbox.apiserver.objects import Object, dig, key_of, metadata, with_metadata
from rotator.sandbox.apiserver.preconditions import (
    Preconditions,
    check_absent_uid,
    check_deletable,
    check_uid,
    check_version,
)
from rotator.sandbox.apiserver.resources import NAMESPACES, SERVICE_ACCOUNTS, STORED, Resource
from rotator.sandbox.apiserver.status import (
    Cause,
    already_exists,
    invalid,
    invalid_patch,
    not_found,
    unexplained,
)

_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"  # apimachinery, util/rand: no vowels, no look-alikes


@dataclass(frozen=True, slots=True)
class Write:
    """Who writes, and how. `authorize_create` raises when an apply creates what its user may not create."""

    manager: str
    dry_run: bool = False
    force: bool = False
    authorize_create: Callable[[], None] = lambda: None


class Verbs:
    """The API's verbs over one store. Every failure is a StatusError.

    While `hold_terminating` is set, a deleted namespace stays Terminating until `finish_namespace`.
    """

    def __init__(self, etcd: Etcd, clock: Callable[[], datetime]) -> None:
        self.hold_terminating = False
        self._etcd = etcd
        self._clock = clock

    def get(self, place: Place) -> Object:
        """The object."""
        obj = self._etcd.get(place.resource.name, place.key)
        if obj is None:
            raise not_found(place.resource, place.name)
        return obj

    def create(self, place: Place, body: Object, write: Write) -> Object:
        """POST."""
        obj = decoded(place.resource, body)
        obj = placed(place, obj)
        if metadata(obj).get("resourceVersion"):
            # storage.ErrResourceVersionSetOnCreate is no API error, so it is a 500 without a reason.
            msg = "resourceVersion should not be set on objects to be created"
            raise unexplained(msg)
        with self._etcd.lock:
            return self._create(place, self._owned(typed.blank(place.resource), obj, place, write), write)

    def update(self, place: Place, body: Object, write: Write) -> tuple[Object, bool]:
        """PUT; true if it created the object."""
        new = placed(place, decoded(place.resource, body))
        with self._etcd.lock:
            live = self._etcd.get(place.resource.name, place.key)
            if live is None and place.resource.create_on_update:
                check_uid(place, {}, new)
                return self._create(place, self._owned(typed.blank(place.resource), new, place, write), write), True
            live = self.get(place)
            check_uid(place, live, new)
            return self._replace(place, live, new, write), False

    def patch(self, place: Place, change: Callable[[Object], Object], write: Write) -> Object:
        """PATCH, but for apply: `change` gives the object after the patch."""
        with self._etcd.lock:
            live = self.get(place)
            try:
                new = typed.defaulted(place.resource, typed.decoded(place.resource, change(live)))
            except ValueError as error:
                raise invalid_patch(str(error)) from error
            return self._replace(place, live, placed(place, new), write)

    def apply(self, place: Place, config: Object, write: Write) -> tuple[Object, bool]:
        """Server-side apply; true if it created the object."""
        config = stated(place.resource, config)
        manager = Manager(write.manager, "Apply", place.resource.api_version)
        with self._etcd.lock:
            live = self._etcd.get(place.resource.name, place.key)
            blank = typed.blank(place.resource)
            found = apply.tracked(blank, live, manager.api_version, self._now()) if live else blank
            merged = apply.apply(found, config, manager, self._now(), force=write.force)
            new = converted(place.resource, config, merged)
            if live is not None:
                return self._store(place, live, carried(place, live, placed(place, new)), write), False
            check_absent_uid(place, new)
            return self._create(place, with_metadata(placed(place, new), resourceVersion=None), write), True

    def delete(self, place: Place, preconditions: Preconditions, *, dry_run: bool = False) -> tuple[Object, bool]:
        """DELETE; true if the object is gone, false if it is only marked (finalizers, a namespace)."""
        check_deletion(place.resource, place.name)
        with self._etcd.lock:
            live = self.get(place)
            check_deletable(place, live, preconditions)
            if dry_run:
                return live, True
            if place.resource is NAMESPACES:
                return self._terminate(place, live), False
            if metadata(live).get("finalizers"):
                return self._mark(place, live), False
            return self._etcd.delete(place.resource.name, place.key), True

    def finish_namespace(self, name: str) -> None:
        """Remove a namespace and all that is in it, as the namespace controller does in the end."""
        with self._etcd.lock:
            for resource in STORED:
                if resource.namespaced:
                    for key, _ in self._etcd.scan(resource.name, lambda _: True, prefix=f"{name}/"):
                        self._etcd.delete(resource.name, key)
            self._etcd.delete(NAMESPACES.name, name)

    def _now(self) -> str:
        return self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _owned(self, live: Object, new: Object, place: Place, write: Write) -> Object:
        manager = Manager(write.manager, "Update", place.resource.api_version)
        return apply.updated(live, new, manager, self._now())

    def _create(self, place: Place, obj: Object, write: Write) -> Object:
        obj = self._identified(place.resource, admitted(self._etcd, place.resource, obj))
        _refuse(place.resource, obj, validation.created(place.resource, obj))
        write.authorize_create()
        name = metadata(obj)["name"]
        key = key_of(place.namespace, name)
        if live := self._etcd.get(place.resource.name, key):
            raise already_exists(place.resource, name, deleting="deletionTimestamp" in metadata(live))
        if write.dry_run:
            return obj
        stored = self._etcd.put(place.resource.name, key, obj)
        if place.resource is NAMESPACES:
            self._add_default_account(name)
        return stored

    def _identified(self, resource: Resource, obj: Object) -> Object:
        """With what only the server gives: uid, creationTimestamp and, where asked for, a generated name."""
        if resource is NAMESPACES:
            obj = obj | {"spec": {"finalizers": ["kubernetes"]}}
        prefix = metadata(obj).get("generateName")
        if prefix and not metadata(obj).get("name"):
            suffix = "".join(secrets.choice(_SUFFIX) for _ in range(5))
            obj = with_metadata(obj, name=prefix + suffix)
        system = {"uid": str(uuid.uuid4()), "creationTimestamp": self._now()}
        return with_metadata(obj, **system, deletionTimestamp=None, deletionGracePeriodSeconds=None)

    def _add_default_account(self, namespace: str) -> None:
        """As the ServiceAccount controller does for every namespace."""
        account = decoded(SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": namespace}})
        self._create(Place(SERVICE_ACCOUNTS, namespace, "default"), account, Write("kube-controller-manager"))

    def _replace(self, place: Place, live: Object, new: Object, write: Write) -> Object:
        new = carried(place, live, new)
        return self._store(place, live, self._owned(live, new, place, write), write)

    def _store(self, place: Place, live: Object, new: Object, write: Write) -> Object:
        check_version(place, live, new)
        new = with_metadata(new, resourceVersion=metadata(live)["resourceVersion"])
        _refuse(place.resource, new, validation.changed(place.resource, live, new))
        if apply.same_but_times(live, new):
            return live
        if write.dry_run:
            return new
        if metadata(live).get("deletionTimestamp") and not _is_kept(place, new):
            self._etcd.delete(place.resource.name, place.key)
            return new
        return self._etcd.put(place.resource.name, place.key, new)

    def _mark(self, place: Place, live: Object) -> Object:
        if metadata(live).get("deletionTimestamp"):
            return live
        marked = with_metadata(live, deletionTimestamp=self._now(), deletionGracePeriodSeconds=0)
        return self._etcd.put(place.resource.name, place.key, marked)

    def _terminate(self, place: Place, live: Object) -> Object:
        if metadata(live).get("deletionTimestamp"):
            return live
        marked = with_metadata(live, deletionTimestamp=self._now()) | {"status": {"phase": "Terminating"}}
        stored = self._etcd.put(place.resource.name, place.key, marked)
        if not self.hold_terminating:
            self.finish_namespace(place.name)
        return stored


def _is_kept(place: Place, new: Object) -> bool:
    """Does an object that is being deleted stay after this update?"""
    return place.resource is NAMESPACES or bool(metadata(new).get("finalizers"))


def _refuse(resource: Resource, obj: Object, causes: list[Cause]) -> None:
    if causes:
        raise invalid(resource, dig(obj, "metadata", "name") or "", causes)
