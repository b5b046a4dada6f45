"""What can be wrong with a cloud or a registry: one switch on its emulation, thrown and taken back at run time."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from rotator.sandbox.server import Handler, Request, Response

SLOWNESS = timedelta(seconds=1)
DRIP = timedelta(seconds=0.5)  # between two bytes: faster than a read timeout, slower in all than any deadline
NEARLY_SPENT_LIFE = timedelta(seconds=5)
POLL_S = 0.02


class Fault(StrEnum):
    """One way to be wrong."""

    SLOW = "slow"  # the good answer, a second late
    HUNG = "hung"  # takes the request and stays silent until the fault is taken back
    DRIPPING = "dripping"  # the good answer, byte by byte
    REFUSING = "refusing"  # the endpoint's own words for "no"
    THROTTLING = "throttling"  # the endpoint's own words for "too many requests"
    DOWN = "down"  # 503
    MALFORMED = "malformed"  # 200 with a page of HTML, as a captive portal answers
    ECHOING = "echoing"  # an error that repeats the request with its secrets, as careless proxies do
    NEARLY_SPENT = "nearly spent"  # the same token with seconds left, until it expires
    BLANK = "blank"  # 200 with an empty token


class Refusal(Exception):
    """A handler's "no", which `answer` words as the endpoint does. `challenge`: its WWW-Authenticate header."""

    def __init__(self, status: int, code: str, message: str, *, challenge: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.challenge = challenge


@dataclass(frozen=True)
class Wording:
    """How one endpoint says no: the form of its errors, and its own refusal, throttling and Retry-After in seconds."""

    form: Callable[[Refusal], Response]
    refusal: Refusal
    throttling: Refusal
    retry_after: int | None = None


def answer(
    fault: Fault | None, request: Request, good: Handler, wording: Wording, mended: Callable[[], bool]
) -> Response:
    """The good answer, as the fault lets it through. `mended` says that the fault was taken back."""
    if fault is Fault.SLOW:
        _wait(SLOWNESS, request.gone)
    if fault is Fault.HUNG:
        _wait(timedelta.max, lambda: mended() or request.gone())
    response = _wrong(fault, request, wording) or _good(request, good, wording)
    return _dripping(response, request) if fault is Fault.DRIPPING else response


def _wrong(fault: Fault | None, request: Request, wording: Wording) -> Response | None:
    match fault:
        case Fault.REFUSING:
            return wording.form(wording.refusal)
        case Fault.THROTTLING:
            return _throttling(wording)
        case Fault.DOWN:
            return Response(503, b"Service Unavailable", {"Content-Type": "text/plain"})
        case Fault.MALFORMED:
            return Response(200, b"<html><body>Please log in</body></html>", {"Content-Type": "text/html"})
        case Fault.ECHOING:
            return wording.form(Refusal(400, "invalid_request", _echo(request)))
    return None


def _good(request: Request, good: Handler, wording: Wording) -> Response:
    try:
        return good(request)
    except Refusal as refusal:
        return wording.form(refusal)


def _throttling(wording: Wording) -> Response:
    response = wording.form(wording.throttling)
    if wording.retry_after is not None:
        response.headers["Retry-After"] = str(wording.retry_after)
    return response


def _echo(request: Request) -> str:
    headers = "\n".join(f"{name}: {value}" for name, value in request.headers.items())
    return f"{request.method} {request.path}\n{headers}\n\n{request.body.decode(errors='replace')}"


def _dripping(response: Response, request: Request) -> Response:
    def drops() -> Iterator[bytes]:
        for byte in response.body:
            yield bytes([byte])
            _wait(DRIP, request.gone)
            if request.gone():
                return

    return Response(response.status, headers=response.headers, chunks=drops())


def _wait(longest: timedelta, over: Callable[[], bool]) -> None:
    deadline = time.monotonic() + longest.total_seconds()
    while time.monotonic() < deadline and not over():
        time.sleep(POLL_S)
