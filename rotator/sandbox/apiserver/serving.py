"""A permitted request for a resource: parameters and body in, answer out."""

from collections.abc import Callable
from typing import Any

from rotator.sandbox.apiserver import answers, patch, protobuf, route, validation
from rotator.sandbox.apiserver.bodies import Place
from rotator.sandbox.apiserver.objects import Object, dig, metadata
from rotator.sandbox.apiserver.preconditions import Preconditions
from rotator.sandbox.apiserver.reading import Reading
from rotator.sandbox.apiserver.route import Call
from rotator.sandbox.apiserver.status import (
    bad_request,
    forbidden_field,
    invalid_options,
    required,
    unsupported_patch,
)
from rotator.sandbox.apiserver.verbs import Verbs, Write
from rotator.sandbox.server import Request, Response

BODY_TYPES = ("application/json", "application/yaml", protobuf.MEDIA_TYPE)


class Serving:
    """Carries out requests."""

    def __init__(self, reading: Reading, verbs: Verbs) -> None:
        self._reading = reading
        self._verbs = verbs

    def serve(self, request: Request, call: Call, authorize_create: Callable[[], None]) -> Response:
        """The answer. Raises a StatusError."""
        answers.form(request)  # what cannot be answered is not carried out
        match call.verb:
            case "list":
                return self._reading.list(request, call)
            case "watch":
                return self._reading.watch(request, call)
            case "patch":
                return self._patch(request, call.place, authorize_create)
            case "delete":
                return self._delete(request, call.place)
        return _shaped(request, *self._plain(request, call))

    def _plain(self, request: Request, call: Call) -> tuple[int, Object]:
        """Status and object for the verbs that take and give whole objects."""
        if call.verb == "get":
            return 200, self._reading.get(request, call.place)
        body = _object(answers.body(request, BODY_TYPES))
        if call.verb == "create":
            return 201, self._verbs.create(call.place, body, _write(request, "CreateOptions"))
        obj, created = self._verbs.update(call.place, body, _write(request, "UpdateOptions"))
        return (201 if created else 200), obj

    def _patch(self, request: Request, place: Place, authorize_create: Callable[[], None]) -> Response:
        media_type = answers.content_type(request)
        if media_type not in patch.PATCH_TYPES:
            raise unsupported_patch()
        body = answers.body(request, patch.PATCH_TYPES)
        if media_type != patch.APPLY_PATCH:
            if route.value(request, "force"):
                problem = "may not be specified for non-apply patch"
                raise invalid_options([forbidden_field("force", problem)], "PatchOptions")
            write = _write(request, "PatchOptions")
            return _shaped(
                request, 200, self._verbs.patch(place, lambda obj: patch.patched(obj, media_type, body), write)
            )
        if not route.value(request, "fieldManager"):
            raise invalid_options([required("fieldManager", "is required for apply patch")], "PatchOptions")
        obj, created = self._verbs.apply(place, _object(body), _write(request, "PatchOptions", authorize_create))
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


def _shaped(request: Request, status: int, obj: Object) -> Response:
    return answers.of_object(status, answers.shaped(obj, answers.form(request)))


def _object(body: Any) -> Object:  # noqa: ANN401  (any JSON value)
    if not isinstance(body, dict):
        msg = "the body of the request is not an object"
        raise bad_request(msg)
    return body


def _write(request: Request, options: str, authorize_create: Callable[[], None] = lambda: None) -> Write:
    """Who writes: the fieldManager, or else what stands before the first slash of the User-Agent."""
    if causes := validation.field_manager(route.value(request, "fieldManager")):
        raise invalid_options(causes, options)
    agent = request.headers.get("User-Agent", "").partition("/")[0]
    return Write(
        manager=route.value(request, "fieldManager") or agent[: validation.MAX_FIELD_MANAGER] or "unknown",
        dry_run=_is_dry_run(request),
        force=route.is_true(request, "force"),
        authorize_create=authorize_create,
    )


def _is_dry_run(request: Request) -> bool:
    return route.value(request, "dryRun") == "All"
