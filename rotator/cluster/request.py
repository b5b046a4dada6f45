"""The requests that rotator makes of the API server: path, body, and the RBAC rule that each one needs."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import quote, urlencode

import msgspec

from rotator.annotations import stamp
from rotator.events import Event, Series, name_of, shown
from rotator.model import (
    DATA_KEY,
    FIELD_MANAGER,
    SECRET_TYPE,
    DesiredSecret,
    Kind,
    SecretRecord,
    ServiceAccountRecord,
    Subject,
)
from rotator.rbac import GROUPS, Right
from rotator.scopes import Scope

JSON = "application/json"
METADATA = f"{JSON};as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
# The answer to a write would repeat the whole Secret; its metadata is some 400 bytes (facts: seen on a real server).
METADATA_ONLY = f"{METADATA},{JSON}"
APPLY_PATCH = "application/apply-patch+yaml"  # JSON is YAML, and the only apply type that every supported version takes
JSON_PATCH = "application/json-patch+json"

LEASES = "leases.coordination.k8s.io"
NAMESPACED = frozenset(
    {
        *("secrets", "serviceaccounts", "events", "pods", LEASES),
        *("deployments.apps", "statefulsets.apps", "daemonsets.apps", "jobs.batch", "cronjobs.batch"),
    }
)
RESOURCES = {Kind.SECRET: "secrets", Kind.SERVICE_ACCOUNT: "serviceaccounts"}


@dataclass(frozen=True, slots=True)
class Request:
    """One request, and what it asks of RBAC. All of ours may be sent twice without harm.

    Reads and server-side apply are idempotent; a JSON Patch tests the resourceVersion, a Lease's update carries it, and
    a delete names both version and UID.
    `namespace` None: cluster-wide.
    """

    verbs: tuple[str, ...]
    resource: str
    path: str
    namespace: str | None = None
    name: str | None = None
    method: str = "GET"
    query: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)  # of a write; it may hold a Secret
    content_type: str = ""
    accept: str = JSON

    @property
    def target(self) -> str:
        """Path and query."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    @property
    def rule(self) -> str:
        """The RBAC rule that allows it, in words."""
        name = f" named {self.name}" if self.name else ""
        return f"verbs [{', '.join(self.verbs)}] on {self.resource}{name}{self._place}"

    def page(self, limit: int, token: str) -> "Request":
        """The same list, one page of it: the first, or the one after the page that gave the token."""
        following = (("continue", token),) if token else ()
        return replace(self, query=(*self.query, ("limit", str(limit)), *following))

    def __str__(self) -> str:
        name = f" {self.name}" if self.name else ""
        return f"{self.verbs[0]} {self.resource}{name}{self._place}"

    @property
    def _place(self) -> str:
        if self.resource not in NAMESPACED:
            return ""
        return f" in namespace {self.namespace}" if self.namespace else " in all namespaces"


def version() -> Request:
    """The server's version, which every authenticated user may read."""
    return Request(("get",), "/version", "/version")


def get_namespace(name: str) -> Request:
    """One Namespace."""
    return Request(("get",), "namespaces", f"/api/v1/namespaces/{quote(name, safe='')}", name=name)


def list_namespaces(labels: str | None) -> Request:
    """All Namespaces, or those that the selector chooses."""
    return Request(("list",), "namespaces", "/api/v1/namespaces", query=_selectors(None, labels))


def list_workloads(resource: str, prefix: str, namespace: str | None) -> Request:
    """Pods, or what makes them, of one namespace or of all; `prefix` is their API group's."""
    place = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    return Request(("list",), _with_group(resource, prefix), f"{prefix}{place}/{resource}", namespace)


def list_secrets_of_type(kind: str, namespace: str | None) -> Request:
    """The Secrets of one type: no field selector of RBAC's narrows that, so it takes the right to list them all."""
    return replace(list_all("secrets", namespace), query=(("fieldSelector", f"type={kind}"),))


def get(resource: str, namespace: str, name: str) -> Request:
    """One object in a namespace."""
    return Request(("get",), resource, _path(resource, namespace, name), namespace, name)


def get_metadata(subject: Subject) -> Request:
    """One object in a namespace without its content: UID, version, and who owns which fields."""
    return replace(get(RESOURCES[subject.kind], subject.namespace, subject.name), accept=METADATA)


def list_all(resource: str, namespace: str | None, name: str | None = None, labels: str | None = None) -> Request:
    """Objects of one namespace, or of all of them. With a name, RBAC by `resourceNames` allows the list too."""
    path = _path(resource, namespace)
    return Request(("list",), resource, path, namespace, name, query=_selectors(name, labels))


def position(scope: Scope) -> Request:
    """A list of one object at most, for the resourceVersion that the collection has now."""
    whole = list_all(scope.resource, scope.namespace, scope.name, scope.labels)
    return replace(whole.page(1, ""), accept=JSON if _is_watched_whole(scope) else METADATA_LIST)


def watch(scope: Scope, version: str, seconds: int) -> Request:
    """What changes in the collection after this resourceVersion, for so long, with bookmarks."""
    terms = (("watch", "true"), ("resourceVersion", version), ("allowWatchBookmarks", "true"))
    return Request(
        ("watch",),
        scope.resource,
        _path(scope.resource, scope.namespace),
        scope.namespace,
        scope.name,
        query=(*_selectors(scope.name, scope.labels), *terms, ("timeoutSeconds", str(seconds))),
        accept=JSON if _is_watched_whole(scope) else METADATA,
    )


def _is_watched_whole(scope: Scope) -> bool:
    """The metadata alone lacks imagePullSecrets; of a Secret nothing else may travel, whatever the server can do."""
    return scope.resource == "serviceaccounts"


def apply_secret(desired: DesiredSecret, *, force: bool) -> Request:
    """Server-side apply: creates or updates the Secret, and owns what it names, in one request."""
    return Request(
        ("patch", "create"),
        "secrets",
        _path("secrets", desired.namespace, desired.name),
        desired.namespace,
        desired.name,
        method="PATCH",
        query=(("fieldManager", FIELD_MANAGER), ("force", "true" if force else "false")),
        body=_encode(_manifest(desired)),
        content_type=APPLY_PATCH,
        accept=METADATA_ONLY,
    )


def attach(account: ServiceAccountRecord, names: Sequence[str]) -> Request:
    """A JSON Patch that appends references and leaves the others where they are.

    A strategic merge would replace the atomic list, and server-side apply would claim it whole. The test of the
    resourceVersion makes a stale patch fail (422), also where the list came into being or was removed meanwhile.
    """
    items = [{"name": name} for name in names]
    additions: list[dict[str, object]]
    if account.pull_secrets:
        additions = [{"op": "add", "path": "/imagePullSecrets/-", "value": item} for item in items]
    else:
        additions = [{"op": "add", "path": "/imagePullSecrets", "value": items}]
    return _json_patch(account, additions)


def detach(account: ServiceAccountRecord, name: str) -> Request:
    """A JSON Patch that takes each reference to this name out, the last first, and leaves the others where they are.

    As in `attach`, the test of the resourceVersion makes a stale patch fail (422); the indexes hold for that version.
    """
    places = [place for place, found in enumerate(account.pull_secrets or ()) if found == name]
    steps: list[dict[str, object]] = []
    for place in reversed(places):
        path = f"/imagePullSecrets/{place}"
        steps += ({"op": "test", "path": path, "value": {"name": name}}, {"op": "remove", "path": path})
    return _json_patch(account, steps)


def _json_patch(account: ServiceAccountRecord, steps: Sequence[Mapping[str, object]]) -> Request:
    unchanged = {"op": "test", "path": "/metadata/resourceVersion", "value": account.resource_version}
    return Request(
        ("patch",),
        "serviceaccounts",
        _path("serviceaccounts", account.namespace, account.name),
        account.namespace,
        account.name,
        method="PATCH",
        query=(("fieldManager", FIELD_MANAGER),),
        body=_encode([unchanged, *steps]),
        content_type=JSON_PATCH,
        accept=METADATA_ONLY,
    )


def apply_event(event: Event, subject: Subject, series: Series, instance: str) -> Request:
    """Server-side apply of an Event beside its object: made at first, counted up later, in one request.

    Without an eventTime it is one of the older kind, whose `count` and times every kubectl shows. An Event about an
    object must be in that object's namespace; its name follows from the object, so no rule can name it.
    """
    name = name_of(event, subject)
    return Request(
        ("create", "patch"),
        "events",
        _path("events", subject.namespace, name),
        subject.namespace,
        method="PATCH",
        query=(("fieldManager", FIELD_MANAGER), ("force", "true")),
        body=_encode(_event(event, subject, series, instance, name)),
        content_type=APPLY_PATCH,
        accept=METADATA_ONLY,
    )


def whoami() -> Request:
    """Who the API server takes us for, which every authenticated user may ask (system:basic-user)."""
    path, kind = "/apis/authentication.k8s.io/v1/selfsubjectreviews", "SelfSubjectReview"
    return Request(
        ("create",),
        "selfsubjectreviews.authentication.k8s.io",
        path,
        method="POST",
        body=_encode({"apiVersion": "authentication.k8s.io/v1", "kind": kind}),
        content_type=JSON,
    )


def may_i(right: Right) -> Request:
    """Whether we may, which every authenticated user may ask (system:basic-user)."""
    return _access_review("SelfSubjectAccessReview", right, {})


def may_account(right: Right, namespace: str, name: str) -> Request:
    """Whether a ServiceAccount may: as its user, and in the groups that its tokens are in."""
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    user = f"system:serviceaccount:{namespace}:{name}"
    return _access_review("SubjectAccessReview", right, {"user": user, "groups": groups})


def _access_review(kind: str, right: Right, who: Mapping[str, object]) -> Request:
    """An attribute that is left out, or empty, is every name, or every namespace."""
    resource, _, subresource = right.resource.partition("/")
    asked = {
        "verb": right.verb,
        "group": GROUPS.get(resource, ""),
        "resource": resource,
        "subresource": subresource,
        "namespace": right.namespace or "",
        "name": right.name or "",
    }
    group = "authorization.k8s.io"
    spec = {**who, "resourceAttributes": {name: value for name, value in asked.items() if value}}
    return Request(
        ("create",),
        f"{kind.lower()}s.{group}",
        f"/apis/{group}/v1/{kind.lower()}s",
        method="POST",
        body=_encode({"apiVersion": f"{group}/v1", "kind": kind, "spec": spec}),
        content_type=JSON,
    )


def delete_secret(record: SecretRecord) -> Request:
    """Delete just this Secret, as it was read: another of its name, or a changed one, is a conflict (409)."""
    preconditions = {"uid": record.uid, "resourceVersion": record.resource_version}
    return Request(
        ("delete",),
        "secrets",
        _path("secrets", record.namespace, record.name),
        record.namespace,
        record.name,
        method="DELETE",
        body=_encode({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions}),
        content_type=JSON,
        accept=METADATA_ONLY,  # one with a finalizer is only marked, and would come back whole
    )


def get_lease(namespace: str, name: str) -> Request:
    """One Lease; the rule is the whole one that leadership needs, for who lacks a part lacks it all."""
    return Request(("get", "create", "update"), LEASES, _lease_path(namespace, name), namespace, name)


def put_lease(namespace: str, name: str, content: Mapping[str, object]) -> Request:
    """Write a Lease as a whole, what was read of others' fields included.

    The resourceVersion in it must be that of the Lease (409), and the uid too: without that, a PUT of a Lease that was
    deleted meanwhile creates it. Content without both creates the Lease and changes none (422); unlike a POST it
    carries the name, so RBAC can limit `create` to that (all seen on a real server).
    """
    return Request(
        ("update", "create", "get"),
        LEASES,
        _lease_path(namespace, name),
        namespace,
        name,
        method="PUT",
        query=(("fieldManager", FIELD_MANAGER),),
        body=_encode(content),
        content_type=JSON,
    )


def _lease_path(namespace: str, name: str) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{quote(namespace, safe='')}/leases/{quote(name, safe='')}"


def _with_group(resource: str, prefix: str) -> str:
    """As RBAC errors and kubectl name it: deployments.apps, and pods of the core."""
    group = prefix.removeprefix("/apis/").partition("/")[0]
    return f"{resource}.{group}" if prefix.startswith("/apis/") else resource


def _path(resource: str, namespace: str | None, name: str | None = None) -> str:
    place = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    return f"/api/v1{place}/{resource}" + (f"/{quote(name, safe='')}" if name else "")


def _selectors(name: str | None, labels: str | None) -> tuple[tuple[str, str], ...]:
    by_name = (("fieldSelector", f"metadata.name={name}"),) if name else ()
    by_labels = (("labelSelector", labels),) if labels else ()
    return by_name + by_labels


def _manifest(desired: DesiredSecret) -> dict[str, object]:
    preconditions = {"uid": desired.uid, "resourceVersion": desired.resource_version}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": desired.name,
            "namespace": desired.namespace,
            **{key: value for key, value in preconditions.items() if value is not None},
            "labels": dict(desired.labels),
            "annotations": dict(desired.annotations),
        },
        "type": SECRET_TYPE,
        "data": {DATA_KEY: base64.b64encode(desired.text.reveal().encode()).decode()},
    }


def _event(event: Event, subject: Subject, series: Series, instance: str, name: str) -> dict[str, object]:
    known = {"uid": event.uid, "resourceVersion": event.resource_version}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": subject.namespace},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": str(subject.kind),
            "namespace": subject.namespace,
            "name": subject.name,
            **{key: value for key, value in known.items() if value},
        },
        "type": str(event.reason.type),
        "reason": str(event.reason),
        "message": shown(event.message),
        "count": series.count,
        "firstTimestamp": stamp(series.first),
        "lastTimestamp": stamp(series.last),
        "source": {"component": FIELD_MANAGER},
        "reportingComponent": FIELD_MANAGER,
        "reportingInstance": instance,
    }


def _encode(content: object) -> bytes:
    return msgspec.json.encode(content)
