"""A gate in front of the emulated API server: one client's way to it, on which anything may happen."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import urllib3

from rotator.sandbox.server import Request, Response, Server

Forward = Callable[[Request], Response]
Fault = Callable[[Request, Forward], Response]


class Gate:
    """Forwards each request, or lets `fault` decide what becomes of it. A context manager."""

    def __init__(self, url: str) -> None:
        self.fault: Fault | None = None
        self.count = 0
        """Requests so far."""
        self._url = url
        self._pool = urllib3.PoolManager(maxsize=16, retries=False)
        self._server = Server(self._answer)

    @property
    def url(self) -> str:
        """Where the client goes."""
        return self._server.url

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.stop()
        self._pool.clear()

    def _answer(self, request: Request) -> Response:
        self.count += 1
        fault = self.fault
        return fault(request, self._forward) if fault else self._forward(request)

    def _forward(self, request: Request) -> Response:
        query = "&".join(f"{name}={value}" for name, values in request.query.items() for value in values)
        kept = {name: request.headers[name] for name in ("Authorization", "Content-Type") if name in request.headers}
        answer = self._pool.request(
            request.method, f"{self._url}{request.path}?{query}", body=request.body or None, headers=kept, timeout=20
        )
        return Response(answer.status, answer.data, {"Content-Type": answer.headers.get("Content-Type", "")})


def _wait(seconds: float, over: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not over():
        threading.Event().wait(0.01)


def hang(request: Request, _: Forward) -> Response:
    """Silence, until the client leaves."""
    _wait(60, request.gone)
    raise ConnectionAbortedError


def lose_the_answer(request: Request, forward: Forward) -> Response:
    """What is asked for is done, and nobody hears of it."""
    forward(request)
    return hang(request, forward)


def come_late(request: Request, forward: Forward) -> Response:
    """The request arrives when its client has long given up."""
    _wait(60, request.gone)
    _wait(0.3, lambda: False)
    return forward(request)


def cut(_: Request, __: Forward) -> Response:
    """The connection ends without an answer."""
    raise ConnectionAbortedError


def garbage(_: Request, __: Forward) -> Response:
    """What a captive portal says."""
    return Response(200, b"<html>Please log in</html>", {"Content-Type": "text/html"})


def another_object(_: Request, __: Forward) -> Response:
    """JSON, but no Lease of ours."""
    return Response.of_json(200, {"metadata": {"name": "x"}, "spec": {"holderIdentity": "x"}})


def answering(status: int) -> Fault:
    """This status to everything."""

    def answer(_: Request, __: Forward) -> Response:
        return Response.of_json(status, {"kind": "Status", "status": "Failure", "message": "as the test wants it"})

    answer.__name__ = f"answering_{status}"
    return answer


FAULTS: tuple[Fault, ...] = (
    hang,
    lose_the_answer,
    come_late,
    cut,
    garbage,
    another_object,
    *map(answering, (401, 403, 404, 409, 422, 429, 500, 503)),
)
