"""The emulated cluster from behind: what demo and tests do to it without a request."""

import base64
from collections.abc import Callable, Iterable, Mapping

from rotator.sandbox.apiserver.bodies import Place
from rotator.sandbox.apiserver.etcd import Etcd
from rotator.sandbox.apiserver.objects import Object, clone, key_of
from rotator.sandbox.apiserver.preconditions import Preconditions
from rotator.sandbox.apiserver.resources import BY_NAME, NAMESPACES, PODS, SECRETS, SERVICE_ACCOUNTS
from rotator.sandbox.apiserver.verbs import Verbs, Write

CREATOR = "kubectl-create"


class Store:
    """Helpers over the verbs, with the same checks and admission: a refusal is a StatusError.

    What is returned is a copy. Resources are named as in paths: "secrets", "serviceaccounts".
    """

    def __init__(self, etcd: Etcd, verbs: Verbs) -> None:
        self._etcd = etcd
        self._verbs = verbs

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        """The object, or None; a Namespace or other object without a namespace is in ""."""
        return clone(self._etcd.get(resource, key_of(namespace, name)))

    def list(self, resource: str, namespace: str | None = None) -> list[Object]:
        """All objects of a namespace, or of all."""
        prefix = f"{namespace}/" if namespace else ""
        return [clone(obj) for _, obj in self._etcd.scan(resource, lambda _: True, prefix=prefix)]

    def create(self, resource: str, namespace: str, obj: Object, manager: str = CREATOR) -> Object:
        """Create any object; its name is in its metadata."""
        return clone(self._verbs.create(Place(BY_NAME[resource], namespace, ""), obj, Write(manager)))

    def change(
        self, resource: str, namespace: str, name: str, change: Callable[[Object], None], manager: str = "kubectl-edit"
    ) -> Object:
        """Edit an object by hand: `change` alters a copy, which is then written."""

        def edited(obj: Object) -> Object:
            copy = clone(obj)
            change(copy)
            return copy

        return clone(self._verbs.patch(Place(BY_NAME[resource], namespace, name), edited, Write(manager)))

    def delete(self, resource: str, namespace: str, name: str) -> None:
        """Delete an object."""
        self._verbs.delete(Place(BY_NAME[resource], namespace, name), Preconditions())

    def create_namespace(self, name: str, labels: Mapping[str, str] | None = None) -> Object:
        """A Namespace, with its ServiceAccount `default`."""
        return self.create(NAMESPACES.name, "", {"metadata": {"name": name, "labels": dict(labels or {})}})

    def delete_namespace(self, name: str) -> None:
        """Delete a Namespace and all in it; it stays Terminating while `hold_terminating` is set."""
        self.delete(NAMESPACES.name, "", name)

    @property
    def hold_terminating(self) -> bool:
        """Do deleted namespaces stay Terminating until `finish_namespace`?"""
        return self._verbs.hold_terminating

    @hold_terminating.setter
    def hold_terminating(self, hold: bool) -> None:
        self._verbs.hold_terminating = hold

    def finish_namespace(self, name: str) -> None:
        """Remove a namespace that stayed Terminating, and all in it."""
        self._verbs.finish_namespace(name)

    def create_service_account(self, namespace: str, name: str, pull_secrets: Iterable[str] = ()) -> Object:
        """A ServiceAccount."""
        return self.create(
            SERVICE_ACCOUNTS.name,
            namespace,
            {"metadata": {"name": name}, "imagePullSecrets": _references(pull_secrets)},
        )

    def create_pod(
        self,
        namespace: str,
        name: str,
        image: str,
        service_account: str = "default",
        pull_secrets: Iterable[str] = (),
    ) -> Object:
        """A Pod of one container, as admission leaves it."""
        spec = {
            "serviceAccountName": service_account,
            "imagePullSecrets": _references(pull_secrets),
            "containers": [{"name": "main", "image": image}],
        }
        return self.create(PODS.name, namespace, {"metadata": {"name": name}, "spec": spec})

    def set_pod_phase(self, namespace: str, name: str, phase: str) -> Object:
        """What the kubelet reports: Pending, Running, Succeeded or Failed."""
        key = key_of(namespace, name)
        with self._etcd.lock:
            pod = self._verbs.get(Place(PODS, namespace, name))
            return clone(self._etcd.put(PODS.name, key, pod | {"status": {"phase": phase}}))

    def put_secret(  # noqa: PLR0913, PLR0917  (a Secret has that many properties, and most calls name two)
        self,
        namespace: str,
        name: str,
        data: Mapping[str, str | bytes],
        type: str = "kubernetes.io/dockerconfigjson",  # noqa: A002  (the field's name)
        manager: str = "kubectl",
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        immutable: bool = False,
    ) -> Object:
        """Create or overwrite a Secret, as `manager` by hand. `data` is what the values mean, not base64."""
        meta = {"name": name, "labels": dict(labels or {}), "annotations": dict(annotations or {})}
        body: Object = {"metadata": meta, "type": type, "data": {key: _encoded(value) for key, value in data.items()}}
        if immutable:
            body["immutable"] = True
        place, write = Place(SECRETS, namespace, name), Write(manager)
        with self._etcd.lock:
            if self._etcd.get(SECRETS.name, place.key) is None:
                return clone(self._verbs.create(place, body, write))
            return clone(self._verbs.update(place, body, write)[0])

    def compact(self) -> None:
        """Forget the history: every resourceVersion and continue token so far answers 410 from now on."""
        self._etcd.compact()


def _references(names: Iterable[str]) -> list[Object]:
    return [{"name": name} for name in names]


def _encoded(value: str | bytes) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()
