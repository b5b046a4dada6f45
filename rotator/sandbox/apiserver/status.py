"""Failures as the API server words them: a `Status` object with code, reason, message and details.

The wording follows k8s.io/apimachinery/pkg/api/errors/errors.go and the places named at each function.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rotator.sandbox.apiserver.objects import Object
from rotator.sandbox.apiserver.resources import Resource

OPTIMISTIC_LOCK = "the object has been modified; please apply your changes to the latest version and try again"


class StatusError(Exception):
    """A request's failure; `status` is the object that the client gets. A reason is absent where Go gives none."""

    def __init__(self, code: int, reason: str, message: str, details: Object | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        self.status["message"] = message
        if reason:
            self.status["reason"] = reason
        if details is not None:
            self.status["details"] = details
        self.status["code"] = code


@dataclass(frozen=True, slots=True)
class Cause:
    """One field's problem. `reason` is machine-readable ("FieldValueInvalid"), `message` begins with its wording."""

    reason: str
    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def invalid_value(field: str, value: str, problem: str) -> Cause:
    """A value that is not allowed there."""
    return Cause("FieldValueInvalid", field, f"Invalid value: {value}: {problem}")


def required(field: str, problem: str = "") -> Cause:
    """A field that must be there."""
    return Cause("FieldValueRequired", field, "Required value" + (f": {problem}" if problem else ""))


def forbidden_field(field: str, problem: str) -> Cause:
    """A field that must not be there, or must not change."""
    return Cause("FieldValueForbidden", field, f"Forbidden: {problem}")


def unsupported_value(field: str, value: str, supported: Sequence[str]) -> Cause:
    """A value that is none of a few."""
    names = ", ".join(f'"{name}"' for name in supported)
    return Cause("FieldValueNotSupported", field, f'Unsupported value: "{value}": supported values: {names}')


def too_long(field: str, limit: int) -> Cause:
    """More bytes than allowed."""
    return Cause("FieldValueTooLong", field, f"Too long: may not be more than {limit} bytes")


def _details(resource: Resource, name: str, kind: str = "") -> Object:
    fields = {"name": name, "group": resource.group, "kind": kind or resource.name}
    return {field: value for field, value in fields.items() if value}


def not_found(resource: Resource, name: str) -> StatusError:
    """404 for one object."""
    return StatusError(404, "NotFound", f'{resource.qualified} "{name}" not found', _details(resource, name))


def no_such_path() -> StatusError:
    """404 for a resource that a known API group does not have."""
    return StatusError(404, "NotFound", "the server could not find the requested resource", {})


def no_such_method() -> StatusError:
    """405."""
    message = "the server does not allow this method on the requested resource"
    return StatusError(405, "MethodNotAllowed", message, {})


def already_exists(resource: Resource, name: str, *, deleting: bool = False) -> StatusError:
    """409 for a create, also while the object is being deleted."""
    message = "object is being deleted: " * deleting + f'{resource.qualified} "{name}" already exists'
    return StatusError(409, "AlreadyExists", message, _details(resource, name))


def conflict(resource: Resource, name: str, problem: str = OPTIMISTIC_LOCK) -> StatusError:
    """409 for a precondition that does not hold."""
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {problem}'
    return StatusError(409, "Conflict", message, _details(resource, name))


def conflict_of_kind(resource: Resource, name: str, problem: str) -> StatusError:
    """409 for a delete, which names the kind."""
    message = f'Operation cannot be fulfilled on {resource.qualified_kind} "{name}": {problem}'
    return StatusError(409, "Conflict", message, _details(resource, name, resource.kind))


def forbidden(resource: Resource, name: str, problem: str, causes: Sequence[Cause] = ()) -> StatusError:
    """403, from RBAC or admission. RBAC does not know a name when an object is posted."""
    subject = f'{resource.qualified} "{name}"' if name else resource.qualified
    details = _details(resource, name) | _causes(causes)
    return StatusError(403, "Forbidden", f"{subject} is forbidden: {problem}", details)


def invalid(resource: Resource, name: str, causes: Sequence[Cause]) -> StatusError:
    """422 for an object that does not validate."""
    message = _invalid(resource.qualified_kind, name, causes)
    return StatusError(422, "Invalid", message, _details(resource, name, resource.kind) | _causes(causes))


def unversioned(resource: Resource, name: str) -> StatusError:
    """422 for an update without the resourceVersion that its kind demands: here the kind is the resource's name."""
    cause = invalid_value("metadata.resourceVersion", "0", "must be specified for an update")
    return StatusError(
        422, "Invalid", _invalid(resource.qualified, name, [cause]), _details(resource, name) | _causes([cause])
    )


def invalid_options(causes: Sequence[Cause], kind: str) -> StatusError:
    """422 for query parameters (apimachinery, meta/v1/validation)."""
    details = {"group": "meta.k8s.io", "kind": kind} | _causes(causes)
    return StatusError(422, "Invalid", _invalid(f"{kind}.meta.k8s.io", "", causes), details)


def invalid_patch(problem: str) -> StatusError:
    """422 for a patch whose result is no object of this kind. The object itself is not repeated: it may be a Secret."""
    cause = invalid_value("patch", '"<contents omitted>"', problem)
    return StatusError(422, "Invalid", _invalid("", "", [cause]), _causes([cause]))


def unsupported_patch() -> StatusError:
    """415 for a patch of an unknown type."""
    return StatusError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})


def patch_too_long(limit: int, count: int) -> StatusError:
    """413 for a JSON Patch."""
    message = f"The allowed maximum operations in a JSON patch is {limit}, got {count}"
    return StatusError(413, "RequestEntityTooLarge", f"Request entity too large: {message}")


def patch_refused() -> StatusError:
    """422 for a JSON Patch that does not apply (apiserver, handlers/patch.go: the reason why is not told)."""
    return StatusError(422, "Invalid", "the server rejected our request due to an error in our request", {})


def bad_request(message: str) -> StatusError:
    """400."""
    return StatusError(400, "BadRequest", message)


def expired(message: str) -> StatusError:
    """410: the version or the continue token is older than the history."""
    return StatusError(410, "Expired", message)


def version_too_large(version: int, current: int) -> StatusError:
    """504: the version is still to come (apiserver/pkg/storage/errors.go)."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    message = f"Timeout: Too large resource version: {version}, current: {current}"
    return StatusError(504, "Timeout", message, {"causes": [cause], "retryAfterSeconds": 1})


def internal(message: str) -> StatusError:
    """500."""
    return StatusError(500, "InternalError", f"Internal error occurred: {message}", {"causes": [{"message": message}]})


def not_acceptable(message: str) -> StatusError:
    """406."""
    return StatusError(406, "NotAcceptable", message)


def unexplained(message: str) -> StatusError:
    """500 without a reason: what the server gives for a Go error that is no API error."""
    return StatusError(500, "", message)


def unauthorized() -> StatusError:
    """401."""
    return StatusError(401, "Unauthorized", "Unauthorized")


def apply_conflict(message: str, causes: Sequence[Cause]) -> StatusError:
    """409 for a server-side apply that would take fields from another manager."""
    return StatusError(409, "Conflict", message, _causes(causes))


def _invalid(kind: str, name: str, causes: Sequence[Cause]) -> str:
    problems = ", ".join(str(cause) for cause in causes)
    return f'{kind} "{name}" is invalid: {problems if len(causes) == 1 else f"[{problems}]"}'


def _causes(causes: Sequence[Cause]) -> Object:
    if not causes:
        return {}
    return {"causes": [{"reason": c.reason, "message": c.message, "field": c.field} for c in causes]}
