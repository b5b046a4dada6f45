"""A permitted request for a resource: parameters and body in, answer out."""

from collections.abc import Callable, Iterator
from typing import Any

from rotator.sandbox.apiserver import answers, patch, protobuf, route
from rotator.sandbox.apiserver.answers import Form
from rotator.sandbox.apiserver.bodies import Place
from rotator.sandbox.apiserver.etcd import Compacted, Etcd
from rotator.sandbox.apiserver.objects import Object, dig, metadata
from rotator.sandbox.apiserver.preconditions import Preconditions
from rotator.sandbox.apiserver.route import Call
from rotator.sandbox.apiserver.status import bad_request, forbidden_field, invalid_options, not_acceptable, required
from rotator.sandbox.apiserver.verbs import Verbs, Write
from rotator.sandbox.apiserver.watch import Scope, Terms, stream
from rotator.sandbox.server import Request, Response

WATCH_SECONDS = 1800.0  # without timeoutSeconds: kube-apiserver --min-request-timeout
BODY_TYPES = ("application/json", "application/yaml", protobuf.MEDIA_TYPE)


class Serving:
    """Carries out requests. `bookmark_every`, in seconds, is for watches that begin from now on."""

    def __init__(self, etcd: Etcd, verbs: Verbs) -> None:
        self.bookmark_every = 60.0
        self.generation = 0  # watches that began in an earlier one end
        self._etcd = etcd
        self._verbs = verbs

    def serve(self, request: Request, call: Call, authorize_create: Callable[[], None]) -> Response:
        """The answer. Raises a StatusError."""
        match call.verb:
            case "list":
                return self._list(request, call)
            case "watch":
                return self._watch(request, call)
            case "patch":
                return self._patch(request, call.place, authorize_create)
            case "delete":
                return self._delete(request, call.place)
        return _shaped(request, *self._plain(request, call))

    def _plain(self, request: Request, call: Call) -> tuple[int, Object]:
        """Status and object for the verbs that take and give whole objects."""
        if call.verb == "get":
            return 200, self._verbs.get(call.place)
        body = _object(answers.body(request, BODY_TYPES))
        if call.verb == "create":
            return 201, self._verbs.create(call.place, body, _write(request))
        obj, created = self._verbs.update(call.place, body, _write(request))
        return (201 if created else 200), obj

    def _list(self, request: Request, call: Call) -> Response:
        limit, token = route.number(request, "limit"), route.value(request, "continue")
        at, start = answers.continued(token) if token else (answers.NO_VERSION, "")
        with self._etcd.lock:
            version = self._etcd.version if at == answers.NO_VERSION else at
            try:
                found = self._found(call, start, limit + 1 if limit else None, version)
            except Compacted:
                raise answers.continue_expired(start) from None
            meta: Object = {"resourceVersion": str(version)}
            if limit and len(found) > limit:
                key = found[limit][0]
                meta["continue"] = answers.continue_token(version, key)
                if not call.selection.tests:
                    meta["remainingItemCount"] = self._etcd.count(call.place.resource.name, _prefix(call.place), key)
        items = [obj for _, obj in (found[:limit] if limit else found)]
        wanted = answers.form(request)
        return answers.of_object(200, answers.shaped_list(call.place.resource, items, meta, wanted))

    def _found(self, call: Call, start: str, limit: int | None, version: int) -> list[tuple[str, Object]]:
        """The page's keys and objects; of one name by its index, so that no list by name scans."""
        resource, prefix = call.place.resource.name, _prefix(call.place)
        if call.selection.name and version == self._etcd.version:
            keys = [key for key in self._etcd.named(resource, call.selection.name) if key.startswith(prefix)]
            pairs = [(key, self._etcd.get(resource, key)) for key in keys if key >= start]
            return [(key, obj) for key, obj in pairs if obj is not None and call.selection.matches(obj)][:limit]
        at = None if version == self._etcd.version else version
        return self._etcd.scan(resource, call.selection.matches, prefix=prefix, start=start, limit=limit, at=at)

    def _watch(self, request: Request, call: Call) -> Response:
        wanted = answers.form(request)
        if wanted is Form.PARTIAL_LIST:
            msg = "you requested PartialObjectMetadataList, but the requested object is not a list"
            raise not_acceptable(msg)
        if route.value(request, "sendInitialEvents"):
            problem = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
            raise invalid_options([forbidden_field("sendInitialEvents", problem)], "ListOptions")
        scope = Scope(call.place.resource, call.place.namespace, call.selection)
        seconds = route.number(request, "timeoutSeconds") or WATCH_SECONDS
        bookmarks = self.bookmark_every if route.is_true(request, "allowWatchBookmarks") else None
        generation = self.generation
        terms = Terms(seconds, bookmarks, lambda: self.generation == generation and not request.gone())
        notices = stream(self._etcd, scope, route.number(request, "resourceVersion"), terms)
        return Response(200, headers=dict(answers.JSON), chunks=_lines(notices, wanted))

    def _patch(self, request: Request, place: Place, authorize_create: Callable[[], None]) -> Response:
        media_type = answers.content_type(request)
        body = answers.body(request, patch.PATCH_TYPES)
        if media_type != patch.APPLY_PATCH:
            if route.value(request, "force"):
                problem = "may not be specified for non-apply patch"
                raise invalid_options([forbidden_field("force", problem)], "PatchOptions")
            write = _write(request)
            return _shaped(
                request, 200, self._verbs.patch(place, lambda obj: patch.patched(obj, media_type, body), write)
            )
        if not route.value(request, "fieldManager"):
            raise invalid_options([required("fieldManager", "is required for apply patch")], "PatchOptions")
        obj, created = self._verbs.apply(place, _object(body), _write(request, authorize_create))
        return _shaped(request, 201 if created else 200, obj)

    def _delete(self, request: Request, place: Place) -> Response:
        options = _object(answers.body(request, BODY_TYPES)) if request.body else {}
        wanted = Preconditions(
            dig(options, "preconditions", "uid") or "", dig(options, "preconditions", "resourceVersion") or ""
        )
        dry_run = _is_dry_run(request) or bool(options.get("dryRun"))
        obj, gone = self._verbs.delete(place, wanted, dry_run=dry_run)
        if not gone or place.resource.returns_deleted:
            return _shaped(request, 200, obj)
        details = {"name": place.name, "group": place.resource.group, "kind": place.resource.name}
        details |= {"uid": metadata(obj)["uid"]}
        success = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        return answers.of_object(200, success | {"details": {name: text for name, text in details.items() if text}})


def _prefix(place: Place) -> str:
    return f"{place.namespace}/" if place.namespace else ""


def _lines(notices: Iterator[tuple[str, Object]], wanted: Form) -> Iterator[bytes]:
    for kind, obj in notices:
        shown = obj if kind == "ERROR" else answers.shaped(obj, wanted)
        yield answers.encode({"type": kind, "object": shown}) + b"\n"


def _shaped(request: Request, status: int, obj: Object) -> Response:
    return answers.of_object(status, answers.shaped(obj, answers.form(request)))


def _object(body: Any) -> Object:  # noqa: ANN401  (any JSON value)
    if not isinstance(body, dict):
        msg = "the body of the request is not an object"
        raise bad_request(msg)
    return body


def _write(request: Request, authorize_create: Callable[[], None] = lambda: None) -> Write:
    """Who writes: the fieldManager, or else what stands before the first slash of the User-Agent."""
    agent = request.headers.get("User-Agent", "").partition("/")[0]
    return Write(
        manager=route.value(request, "fieldManager") or agent[:128] or "unknown",
        dry_run=_is_dry_run(request),
        force=route.is_true(request, "force"),
        authorize_create=authorize_create,
    )


def _is_dry_run(request: Request) -> bool:
    return route.value(request, "dryRun") == "All"
