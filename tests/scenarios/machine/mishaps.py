"""What may go wrong within a pass, and the witness that sees each of its writes."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from rotator.rotation import Rotation
from rotator.sandbox.apiserver import Call, StatusError, Store
from rotator.sandbox.apiserver.faults import TooManyRequests
from rotator.sandbox.apiserver.status import forbidden, internal
from tests.outside import ECR, GAR
from tests.scenarios.machine.hands import OTHERS_TEXT, SECRET_EDITS, delete_namespace, edit_references
from tests.scenarios.machine.reading import Object, references
from tests.scenarios.machine.seen import Write
from tests.scenarios.machine.setting import ACCOUNTS_OF, Key

Deed = Callable[[Store, Rotation, Call], None]
"""Done just before the call is carried out; what it raises is the API server's answer."""


def _edit(store: Store, _: Rotation, call: Call) -> None:
    def change(obj: Object) -> None:
        if call.place.resource.name == "secrets":
            SECRET_EDITS["adds a foreign entry"](obj, ECR)
            SECRET_EDITS["changes our entry"](obj, GAR)
        else:
            edit_references(obj, "adds a reference")

    with suppress(StatusError):  # it may not exist yet
        store.change(call.place.resource.name, call.place.namespace, call.place.name, change)


def _delete(store: Store, _: Rotation, call: Call) -> None:
    with suppress(StatusError):
        store.delete(call.place.resource.name, call.place.namespace, call.place.name)


def _replace(store: Store, rotation: Rotation, call: Call) -> None:
    _delete(store, rotation, call)
    if call.place.resource.name == "secrets":
        store.put_secret(call.place.namespace, call.place.name, {".dockerconfigjson": OTHERS_TEXT})
    else:
        store.create_service_account(call.place.namespace, call.place.name, ["docker-hub"])


def _fail(_store: Store, _rotation: Rotation, _call: Call) -> None:
    problem = "etcdserver: request timed out"
    raise internal(problem)


def _throttle(_store: Store, _rotation: Rotation, _call: Call) -> None:
    raise TooManyRequests(0)


def _forbid(_store: Store, _rotation: Rotation, call: Call) -> None:
    raise forbidden(call.place.resource, call.place.name, "because a policy says so")


def _stop(_store: Store, rotation: Rotation, _call: Call) -> None:
    rotation.stop()


RIVALS: dict[str, Deed] = {
    "edits it": _edit,
    "deletes it": _delete,
    "replaces it": _replace,
    "deletes the namespace": lambda store, _, call: delete_namespace(store, call.place.namespace),
    "begins to delete the namespace": lambda store, _, call: delete_namespace(store, call.place.namespace, linger=True),
}
PASSING: dict[str, Deed] = {"the server fails": _fail, "the server is busy": _throttle}
"""What the next try of the same request gets over: nothing may be left undone for that."""

TROUBLES: dict[str, Deed] = {**PASSING, "the server forbids it": _forbid, "the process is stopped": _stop}


@dataclass(frozen=True)
class Mishap:
    """Something that happens when rotator is about to write to this resource in this namespace, so many times."""

    what: str
    namespace: str
    resource: str
    times: int = 1


class Witness:
    """Sees each write of a pass, and brings about its mishap. The pass writes one object after the other."""

    def __init__(self, store: Store, rotation: Rotation, mishap: Mishap | None) -> None:
        self.writes: list[Write] = []
        self.unreferenced: list[str] = []
        self.happened = 0
        self.mishap = mishap
        self._store = store
        self._rotation = rotation
        self._pending: tuple[str, Key, Object | None] | None = None

    def __call__(self, call: Call) -> None:
        """Before a request is carried out."""
        if call.verb in {"get", "list"}:
            return
        self.settle()
        resource, key = call.place.resource.name, (call.place.namespace, call.place.name)
        if self.mishap and self._strikes(self.mishap, resource, key[0]):
            self.happened += 1
            {**RIVALS, **TROUBLES}[self.mishap.what](self._store, self._rotation, call)
        elif resource == "secrets" and not self.disturbed:
            self._look_for_references(*key)
        self._pending = resource, key, self._store.get(resource, *key)

    def settle(self) -> None:
        """Look what became of the last write."""
        if self._pending is not None:
            resource, key, before = self._pending
            self.writes.append(Write(resource, key, before, self._store.get(resource, *key)))
            self._pending = None

    @property
    def disturbed(self) -> set[str]:
        """The namespaces in which something happened that a pass need not get over."""
        mishap = self.mishap
        return {mishap.namespace} if mishap and self.happened and mishap.what not in PASSING else set()

    def _strikes(self, mishap: Mishap, resource: str, namespace: str) -> bool:
        return (mishap.resource, mishap.namespace) == (resource, namespace) and self.happened < mishap.times

    def _look_for_references(self, namespace: str, name: str) -> None:
        for account in ACCOUNTS_OF.get(name, ()):
            found = self._store.get("serviceaccounts", namespace, account)
            if found is not None and name not in references(found):
                self.unreferenced.append(f"{namespace}/{name} before its reference from {account}")
