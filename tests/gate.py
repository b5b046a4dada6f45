"""A gate in front of an API server, emulated or real: one client's way to it, on which anything may happen."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlencode

import urllib3
import yaml

from rotator.sandbox.authority import Authority
from rotator.sandbox.server import LOOPBACK, Request, Response, Server

Forward = Callable[[Request], Response]
Fault = Callable[[Request, Forward], Response]

ASKED = ("Authorization", "Accept", "Content-Type", "User-Agent")
ANSWERED = ("Content-Type", "Retry-After")


class Gate:
    """Forwards each request, or lets `fault` decide what becomes of it. A context manager.

    Watches are forwarded as they come. With the authority of the server behind it the gate speaks TLS, too, under one
    of its own.
    """

    def __init__(self, url: str, ca_file: Path | None = None) -> None:
        self.fault: Fault | None = None
        self.count = 0
        """Requests so far."""
        self._url = url
        self._pool = urllib3.PoolManager(maxsize=32, retries=False, ca_certs=str(ca_file) if ca_file else None)
        self._authority = Authority() if ca_file else None
        self._server = Server(self._answer, tls=self._authority.context(LOOPBACK) if self._authority else None)
        self._streams: set[urllib3.BaseHTTPResponse] = set()
        self._silent: set[urllib3.BaseHTTPResponse] = set()

    @property
    def url(self) -> str:
        """Where the client goes."""
        return self._server.url

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        self._pool.clear()

    def open(self) -> None:
        """Listen."""
        self._server.start()

    def close(self) -> None:
        """Refuse connections, and end those that there are."""
        self._server.stopping.set()  # before the watches end, so that nobody opens another one meanwhile
        self.cut()
        self._server.stop()

    def cut(self) -> None:
        """End every watch that is open now."""
        for stream in tuple(self._streams):
            # It may have come to its end meanwhile: then urllib3 says so in any of these ways.
            with suppress(OSError, RuntimeError, TypeError, ValueError):
                stream.shutdown()

    def silence(self) -> None:
        """Every watch that is open now stays open and brings nothing more."""
        self._silent |= self._streams

    @contextmanager
    def leading(self, kubeconfig: Path) -> Iterator[None]:
        """Whoever reads this kubeconfig comes through here, meanwhile."""
        direct = kubeconfig.read_text()
        content = yaml.safe_load(direct)
        cluster = {"server": self.url}
        if self._authority:
            cluster["certificate-authority"] = str(self._authority.write(kubeconfig.with_name("gate.pem")))
        content["clusters"][0]["cluster"] = cluster
        kubeconfig.write_text(yaml.safe_dump(content))
        yield
        kubeconfig.write_text(direct)

    def _answer(self, request: Request) -> Response:
        self.count += 1
        fault = self.fault
        return fault(request, self._forward) if fault else self._forward(request)

    def _forward(self, request: Request) -> Response:
        is_watch = "watch" in request.query
        answer = self._pool.request(
            request.method,
            f"{self._url}{quote(request.path)}?{urlencode(request.query, doseq=True)}",
            body=request.body or None,
            headers={name: request.headers[name] for name in ASKED if name in request.headers},
            timeout=urllib3.Timeout(connect=20, read=None if is_watch else 20),
            preload_content=not is_watch,
        )
        headers = {name: answer.headers[name] for name in ANSWERED if name in answer.headers}
        if is_watch:
            return Response(answer.status, headers=headers, chunks=self._relay(request, answer))
        return Response(answer.status, answer.data, headers)

    def _relay(self, request: Request, stream: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        """What a watch brings, as it comes; where it breaks off, our connection does, too. A silent one has no end."""
        self._streams.add(stream)
        try:
            while not self._server.stopping.is_set() and (chunk := stream.read1(65536, decode_content=False)):
                if stream not in self._silent:
                    yield chunk
            if stream in self._silent:
                hang(request, self._forward)
        except (urllib3.exceptions.HTTPError, ValueError) as error:  # the TLS layer's, after a shutdown
            raise ConnectionAbortedError from error
        finally:
            self._streams.discard(stream)
            self._silent.discard(stream)
            stream.close()


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
