"""A small HTTP server for whoever watches over this process: the kubelet's probes, and Prometheus.

It gives a few pages to GET and HEAD. No client can hold it up: each connection has a thread, one request and a time
limit, there are so many of them at most, and when one more comes, the oldest has to go. So a probe is answered however
many clients dawdle, and nobody waits for them at the end.
"""

import errno
import gzip
import ipaddress
import os
import re
import selectors
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from time import monotonic
from typing import Self
from urllib.parse import urlsplit

import structlog

from rotator.errors import AddressUnusable
from rotator.logs import where

log = structlog.get_logger("rotator.serving")

LIMIT = timedelta(seconds=10)
"""The life of a connection: what these pages take is milliseconds."""

MOST = 16
"""Connections at a time, and threads: a kubelet and two Prometheus servers need three."""

PARTING = 1.0
"""Seconds that the threads of ended connections have to notice it: microseconds, unless the machine is busy, or a page
hangs."""

BREATH = 0.1
"""Seconds without a try after the system refused a connection: it has no descriptor left, and would say so again."""

PLAIN = "text/plain; charset=utf-8"

_REMEDIES = {
    errno.EADDRINUSE: ("is in use", "end what listens there, or choose another port"),
    errno.EADDRNOTAVAIL: (
        "is no address of this machine",
        "write [::] for all that it has, or 0.0.0.0 for those of IPv4",
    ),
    errno.EACCES: ("may not be used by this user", "choose a port from 1024 on"),
}
_FORM = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<four>[0-9.]+)):(?P<port>[0-9]{1,5})")
_LARGEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Address:
    """An IP address and a port to listen on; 0 means any port that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address | None:
    """The address that is written so: 0.0.0.0:8080, [::]:8080, or None for "off". Raises AddressUnusable."""
    if text == "off":
        return None
    try:
        found = _FORM.fullmatch(text)
        if found and int(found["port"]) <= _LARGEST_PORT:
            return Address(str(ipaddress.ip_address(found["six"] or found["four"])), int(found["port"]))
    except ValueError:
        pass
    msg = f"{text!r} is no address to listen on"
    raise AddressUnusable(msg, hint="write one as 0.0.0.0:8080, 127.0.0.1:8080 or [::]:8080, or off")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a page says."""

    status: int
    body: bytes
    content_type: str = PLAIN
    encoding: str = ""


def zipped(answer: Answer) -> Answer:
    """The same, compressed with gzip."""
    return replace(answer, body=gzip.compress(answer.body, compresslevel=1), encoding="gzip")


Page = Callable[[Mapping[str, str]], Answer]
"""Asked with the request's headers, their names in lower case, from a thread of its own."""


class Server:
    """Serves pages by their paths from `start` to `stop`, or as a context. `name` is what the log calls it.

    `address` has the real port once it has started.
    """

    def __init__(
        self, name: str, address: Address, pages: Mapping[str, Page], *, limit: timedelta = LIMIT, most: int = MOST
    ) -> None:
        self.address = address
        self._name = name
        self._pages = pages
        self._limit = limit.total_seconds()
        self._most = most
        self._connections: dict[threading.Thread, _Connection] = {}  # the oldest first
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"serve {name}", daemon=True)

    def start(self) -> None:
        """Listen. Raises AddressUnusable where that cannot be."""
        self._listener = self._listen()
        self._waker, self._woken = socket.socketpair()
        self.address = replace(self.address, port=self._listener.getsockname()[1])
        self._thread.start()
        event = f"{self._name}.listening"
        log.info(event, address=str(self.address))

    def stop(self) -> None:
        """Listen no more, and end every connection; returns soon, whatever a client does."""
        if self._thread.ident is None or self._stopping.is_set():
            return
        self._stopping.set()
        self._waker.send(b"!")
        self._thread.join()
        for connection in self._connections.values():
            connection.end()
        until = monotonic() + PARTING
        for thread in self._connections:
            thread.join(max(until - monotonic(), 0))
        for each in (self._listener, self._waker, self._woken):
            each.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _listen(self) -> socket.socket:
        both = self.address.host == "::" and socket.has_dualstack_ipv6()
        if self.address.host == "::" and not both:  # a kernel without IPv6
            self.address = replace(self.address, host=str(ipaddress.IPv4Address(0)))
        family = socket.AF_INET6 if ":" in self.address.host else socket.AF_INET
        try:
            listener = socket.create_server(
                (self.address.host, self.address.port), family=family, backlog=64, dualstack_ipv6=both
            )
        except OSError as error:
            number = error.errno or 0
            problem, remedy = _REMEDIES.get(number, (f"cannot be listened on ({os.strerror(number)})", ""))
            msg = f"{self._name}: {self.address} {problem}"
            raise AddressUnusable(msg, hint=remedy) from error
        listener.setblocking(False)
        return listener

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self._stopping.is_set():
                selector.select(self._until_the_next_end())
                self._end_the_late()
                self._accept()

    def _accept(self) -> None:
        try:
            taken, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:
            self._stopping.wait(BREATH)
            return
        try:
            self._serve(taken)
        except RuntimeError:  # the system gave no thread
            taken.close()

    def _serve(self, taken: socket.socket) -> None:
        if not self._has_room():
            taken.close()
            return
        connection = _Connection(taken, self._pages, monotonic() + self._limit)
        thread = threading.Thread(target=connection.serve, name=f"{self._name} client", daemon=True)
        thread.start()
        self._connections[thread] = connection

    def _has_room(self) -> bool:
        """Whether one more may come: the oldest has to go for it, but one that still works on its answer may stay."""
        living = self._living()
        if len(living) >= self._most:
            self._connections[living[0]].end()
            living[0].join(PARTING)
        return len(self._living()) < self._most

    def _living(self) -> list[threading.Thread]:
        self._connections = {thread: each for thread, each in self._connections.items() if thread.is_alive()}
        return list(self._connections)

    def _until_the_next_end(self) -> float | None:
        """Seconds; None: nobody is connected."""
        ends = [self._connections[thread].until for thread in self._living()]
        return max(min(ends) - monotonic(), 0.0) if ends else None

    def _end_the_late(self) -> None:
        for thread in self._living():
            connection = self._connections[thread]
            if connection.until <= monotonic():
                connection.end()
                connection.until += self._limit  # for one that works on its answer: or we would not rest until it has


class _Connection:
    """One client. It is ended from outside by `end`, after which whatever it reads or writes comes back at once."""

    def __init__(self, taken: socket.socket, pages: Mapping[str, Page], until: float) -> None:
        self.until = until
        self.pages = pages
        self._socket = taken

    def serve(self) -> None:
        """Answer one request."""
        with self._socket, suppress(OSError):  # the client has left, or was ended
            self._socket.setblocking(True)
            _Handler(self._socket, "", self)  # type: ignore[arg-type]  # it asks nothing of a server but the pages

    def end(self) -> None:
        """Let nobody wait any longer; from another thread."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """Reads one request and answers it. What the client sent is never repeated, and no defect of ours is shown."""

    protocol_version = "HTTP/1.1"
    server: "_Connection"  # type: ignore[assignment]

    def do_GET(self) -> None:
        """The page, or 404."""
        page = self.server.pages.get(urlsplit(self.path).path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._send(_asked(page, self.path, headers) if page else _bare(HTTPStatus.NOT_FOUND))

    do_HEAD = do_GET  # noqa: N815  (the name that http.server looks for)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """What is no request of ours, in two words; http.server would repeat what it got."""
        self._send(_bare(HTTPStatus.METHOD_NOT_ALLOWED if code == HTTPStatus.NOT_IMPLEMENTED else HTTPStatus(code)))

    def version_string(self) -> str:
        """What stands in the header Server: no version, which is nobody's business."""
        return "rotator"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """A probe every few seconds is no event."""

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        if answer.encoding:
            self.send_header("Content-Encoding", answer.encoding)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)


def _asked(page: Page, path: str, headers: Mapping[str, str]) -> Answer:
    try:
        return page(headers)
    except Exception as error:  # noqa: BLE001  (a defect in a page must not print a stack trace)
        log.error("page.failed", path=urlsplit(path).path, reason=type(error).__name__, message=where(error))  # noqa: TRY400
        return _bare(HTTPStatus.INTERNAL_SERVER_ERROR)


def _bare(status: HTTPStatus) -> Answer:
    return Answer(status, f"{status.value} {status.phrase}\n".encode())
