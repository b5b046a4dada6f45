"""What the query of a read asks for, checked as apimachinery's meta/internalversion/validation does."""

from collections.abc import Iterator
from dataclasses import dataclass

from rotator.sandbox.apiserver import route
from rotator.sandbox.apiserver.status import (
    Cause,
    bad_request,
    forbidden_field,
    invalid_options,
    unexplained,
    unsupported_value,
)
from rotator.sandbox.server import Request

EXACT, NOT_OLDER = "Exact", "NotOlderThan"


@dataclass(frozen=True, slots=True)
class Options:
    """The query parameters of a list or watch; `initial` is None where sendInitialEvents is absent."""

    limit: int
    token: str
    version: str
    match: str
    seconds: int
    bookmarks: bool
    initial: bool | None


def of_list(request: Request) -> Options:
    """Raises a StatusError (400, 422)."""
    options = _read(request)
    _refuse(list(_list_problems(options)))
    if problem := _version_problem(options.version):
        msg = f"invalid resource version: {problem}"
        raise bad_request(msg)
    if options.token and int(options.version or 0):
        msg = "specifying resource version is not allowed when using continue"
        raise bad_request(msg)
    return options


def of_watch(request: Request) -> Options:
    """Raises a StatusError (400, 422, 500)."""
    options = _read(request)
    _refuse(list(_watch_problems(options)))
    version(request)
    return options


def version(request: Request) -> int:
    """The resourceVersion; 0 where it is absent. Raises a StatusError: a Go error that is no API error, hence 500."""
    text = route.value(request, "resourceVersion")
    if problem := _version_problem(text):
        raise unexplained(problem)
    return int(text or 0)


def _read(request: Request) -> Options:
    return Options(
        limit=max(0, _number(request, "limit")),
        token=route.value(request, "continue"),
        version=route.value(request, "resourceVersion"),
        match=route.value(request, "resourceVersionMatch"),
        seconds=_number(request, "timeoutSeconds"),
        bookmarks=route.is_true(request, "allowWatchBookmarks"),
        initial=route.is_true(request, "sendInitialEvents") if "sendInitialEvents" in request.query else None,
    )


def _number(request: Request, name: str) -> int:
    text = route.value(request, name) or "0"
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        msg = f'strconv.ParseInt: parsing "{text}": invalid syntax'
        raise bad_request(msg)
    return int(text)


def _version_problem(text: str) -> str:
    if not text or (text.isascii() and text.isdigit()):
        return ""
    return f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'


def _list_problems(options: Options) -> Iterator[Cause]:
    field = "resourceVersionMatch"
    if options.match and not options.version:
        yield forbidden_field(field, "resourceVersionMatch is forbidden unless resourceVersion is provided")
    if options.match and options.token:
        yield forbidden_field(field, "resourceVersionMatch is forbidden when continue is provided")
    yield from _match_problems(options)
    if options.match == EXACT and options.version == "0":
        yield forbidden_field(field, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
    if options.initial is not None:
        yield forbidden_field("sendInitialEvents", "sendInitialEvents is forbidden for list")


def _watch_problems(options: Options) -> Iterator[Cause]:
    field = "resourceVersionMatch"
    if options.initial is not None and options.match != NOT_OLDER:
        yield forbidden_field(field, f"sendInitialEvents requires setting resourceVersionMatch to {NOT_OLDER}")
    if options.match and options.initial is None:
        yield forbidden_field(field, f"{field} is forbidden for watch unless sendInitialEvents is provided")
    yield from _match_problems(options)


def _match_problems(options: Options) -> Iterator[Cause]:
    if options.match not in {"", EXACT, NOT_OLDER}:
        yield unsupported_value("resourceVersionMatch", options.match, (EXACT, NOT_OLDER, ""))


def _refuse(causes: list[Cause]) -> None:
    if causes:
        raise invalid_options(causes, "ListOptions")
