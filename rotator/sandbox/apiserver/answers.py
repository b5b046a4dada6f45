"""Bodies in and out: decoding by Content-Type, and the form that the Accept header asks for."""

import base64
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec
import yaml

from rotator.sandbox.apiserver import protobuf
from rotator.sandbox.apiserver.faults import TooManyRequests
from rotator.sandbox.apiserver.objects import Object
from rotator.sandbox.apiserver.resources import Resource
from rotator.sandbox.apiserver.status import StatusError, bad_request, expired, not_acceptable
from rotator.sandbox.server import Request, Response

JSON = {"Content-Type": "application/json"}
TEXT = {"Content-Type": "text/plain; charset=utf-8"}
NO_VERSION = -1  # in a continue token: go on with what there is now
MAX_BODY = 3 * 1024 * 1024  # apiserver/pkg/server/config.go, MaxRequestBodyBytes

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Form(StrEnum):
    """How much of an object the client wants."""

    WHOLE = "whole"
    PARTIAL = "PartialObjectMetadata"
    PARTIAL_LIST = "PartialObjectMetadataList"


def form(request: Request) -> Form:
    """The first form of the Accept header that is served. Tables are not: kubectl then takes the whole objects.

    Raises a StatusError (406).
    """
    for clause in request.headers.get("Accept", "*/*").split(","):
        media_type, *parameters = (part.strip() for part in clause.split(";"))
        wanted = dict(parameter.partition("=")[::2] for parameter in parameters)
        if media_type not in {"application/json", "application/*", "*/*"}:
            continue
        if "as" not in wanted:
            return Form.WHOLE
        if (
            wanted.get("g") == "meta.k8s.io"
            and wanted.get("v") == "v1"
            and wanted["as"] in {Form.PARTIAL, Form.PARTIAL_LIST}
        ):
            return Form(wanted["as"])
    msg = "only the following media types are accepted: application/json"
    raise not_acceptable(msg)


def shaped(obj: Object, wanted: Form) -> Object:
    """One object in this form. Raises a StatusError (406)."""
    if wanted is Form.WHOLE:
        return obj
    if wanted is Form.PARTIAL:
        return partial(obj)
    msg = "you requested PartialObjectMetadataList, but the requested object is not a list"
    raise not_acceptable(msg)


def partial(obj: Object) -> Object:
    """Only the metadata."""
    return {"kind": Form.PARTIAL.value, "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def shaped_list(resource: Resource, items: list[Object], meta: Object, wanted: Form) -> Object:
    """A list in this form; items of built-in kinds do not repeat their kind. Raises a StatusError (406)."""
    if wanted is Form.PARTIAL:
        msg = "you requested PartialObjectMetadata, but the requested object is a list"
        raise not_acceptable(msg)
    if wanted is Form.PARTIAL_LIST:
        kind, version = Form.PARTIAL_LIST.value, "meta.k8s.io/v1"
        shown = [partial(item) for item in items]
    else:
        kind, version = f"{resource.kind}List", resource.api_version
        shown = [{name: item[name] for name in item if name not in {"kind", "apiVersion"}} for item in items]
    return {"kind": kind, "apiVersion": version, "metadata": meta, "items": shown}


def body(request: Request, media_types: tuple[str, ...]) -> Any:  # noqa: ANN401  (any JSON value)
    """The decoded body. Raises a StatusError (400, 413, 415)."""
    media_type = content_type(request) or media_types[0]
    if media_type not in media_types:
        message = "the body of the request was in an unknown format - accepted media types include: "
        raise StatusError(415, "UnsupportedMediaType", message + ", ".join(media_types))
    if len(request.body) > MAX_BODY:
        raise StatusError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {MAX_BODY}")
    if media_type == protobuf.MEDIA_TYPE:
        return _decoded_protobuf(request.body)
    try:
        return _decode(request.body)
    except msgspec.DecodeError as error:
        if not media_type.endswith("yaml"):
            msg = f"error decoding JSON: {error}"
            raise bad_request(msg) from error
    return _decoded_yaml(request.body)


def content_type(request: Request) -> str:
    """The body's media type without parameters."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip()


def _decoded_protobuf(message: bytes) -> Object:
    try:
        return protobuf.decoded(message)
    except ValueError as error:
        raise bad_request(str(error)) from error


def _decoded_yaml(text: bytes) -> Any:  # noqa: ANN401  (any JSON value)
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        # The text of a YAML error quotes the document.
        msg = f"error decoding YAML: {type(error).__name__}"
        raise bad_request(msg) from error


def of_object(status: int, obj: object) -> Response:
    """An answer in JSON."""
    return Response(status, encode(obj), dict(JSON))


def of_text(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in plain text: some of the server's own are no Status."""
    return Response(status, text.encode(), TEXT | dict(headers or {}))


def of_error(error: StatusError) -> Response:
    """A failure."""
    wait = error.status.get("details", {}).get("retryAfterSeconds")
    response = of_object(error.code, error.status)
    response.headers |= {"Retry-After": str(wait)} if wait else {}
    return response


def of_throttling(error: TooManyRequests) -> Response:
    """429."""
    return of_text(429, f"{error}\n", {"Retry-After": str(error.retry_after)})


def continue_token(version: int, start: str) -> str:
    """An opaque token for the page that begins at this key, as of this version."""
    return base64.urlsafe_b64encode(encode([version, start])).decode().rstrip("=")


def continued(token: str) -> tuple[int, str]:
    """Version and first key of a page. Raises a StatusError (400)."""
    try:
        padded = token + "=" * (-len(token) % 4)
        version, start = msgspec.json.decode(base64.urlsafe_b64decode(padded), type=tuple[int, str])
    except ValueError as error:
        msg = "continue key is not valid"
        raise bad_request(msg) from error
    return version, start


def continue_expired(start: str) -> StatusError:
    """410 for a token that is older than the history, with one to go on regardless of changes in between.

    apiserver/pkg/storage/etcd3/errors.go.
    """
    error = expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
        "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
        "modified, or deleted between the time the first chunk was returned and now may show up in the list."
    )
    error.status["metadata"] = {"continue": continue_token(NO_VERSION, start)}
    return error
