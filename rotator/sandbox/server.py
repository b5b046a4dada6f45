"""A small HTTP/1.1 server on loopback: one thread per connection, answers from a plain function.

It is what every emulated server stands on, so it must start and stop as often as a test likes: `stop` ends all
connections and leaves no thread or socket, and `start` after it listens on the same port again.
"""

import json
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from types import TracebackType
from typing import BinaryIO, Self
from urllib.parse import parse_qs, unquote, urlsplit

LOOPBACK = "127.0.0.1"
REQUEST_LINE = 3  # method, target, version


class Headers(Mapping[str, str]):
    """Header fields by name, whatever the case of the name."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = {name.lower(): value for name, value in fields.items()}

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


@dataclass(frozen=True)
class Request:
    """One request. `host` has no port, `path` is decoded; `gone()` says that nobody waits for the answer any more."""

    method: str
    host: str
    path: str
    query: Mapping[str, list[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=lambda: Headers({}))
    body: bytes = b""
    gone: Callable[[], bool] = field(default=lambda: False, repr=False, compare=False)


@dataclass
class Response:
    """One answer: either `body`, or `chunks` that are sent as they come (a watch, a dripping server).

    An iterator of chunks that waits for something should look at the request's `gone()` now and then, and return.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    chunks: Iterator[bytes] | None = None

    @classmethod
    def of_json(cls, status: int, content: object) -> Self:
        """An answer in JSON."""
        return cls(status, json.dumps(content).encode(), {"Content-Type": "application/json"})


Handler = Callable[[Request], Response]
Tunnel = Callable[[str], ssl.SSLContext | None]
"""For a host named by CONNECT: the TLS settings to go on with, or None where there is no such host."""


class Server:
    """Serves `handler` on 127.0.0.1, with TLS if given; with `tunnel` it is an HTTP proxy that takes CONNECT too."""

    def __init__(self, handler: Handler, *, tls: ssl.SSLContext | None = None, tunnel: Tunnel | None = None) -> None:
        self.handler = handler
        self.tls = tls
        self.tunnel = tunnel
        self.stopping = threading.Event()
        self.port = 0
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self._lock = threading.Lock()
        self._connections: dict[threading.Thread, socket.socket] = {}

    @property
    def url(self) -> str:
        """The base address, without a slash at its end."""
        return f"{'https' if self.tls else 'http'}://{LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Listen: on a free port the first time, on the same one after a stop."""
        self.stopping.clear()
        self._listener = socket.create_server((LOOPBACK, self.port), backlog=128)
        self.port = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, args=(self._listener,), daemon=True)
        self._acceptor.start()

    def stop(self) -> None:
        """End every connection, whatever it is doing, and wait for its thread."""
        if self._listener is None or self._acceptor is None:
            return
        self.stopping.set()
        # accept() does not notice a close from another thread; a connection wakes it on every system.
        with suppress(OSError), socket.socket() as wake:
            wake.connect((LOOPBACK, self.port))
        self._acceptor.join()
        self._listener.close()
        self._listener = self._acceptor = None
        self._end_connections()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            if self.stopping.is_set():
                connection.close()
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            with self._lock:
                self._connections[thread] = connection
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            # A client may leave, or distrust the certificate, at any moment: that ends its connection, nothing else.
            with suppress(OSError):
                Connection(self, connection).serve()
        finally:
            with self._lock:
                del self._connections[threading.current_thread()]
            connection.close()

    def _end_connections(self) -> None:
        with self._lock:
            connections = dict(self._connections)
        for thread, connection in connections.items():
            # Again and again: a shutdown between two calls of the TLS layer was seen to go unnoticed.
            while thread.is_alive():
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                thread.join(timeout=0.1)


class Connection:
    """One client's connection: request after request until one side has had enough."""

    def __init__(self, server: Server, raw: socket.socket) -> None:
        self._server = server
        self._raw = raw
        self._socket = raw
        self._host = ""  # of a tunnel
        self._closing = ExitStack()

    def serve(self) -> None:
        """Answer until the client leaves or the server stops."""
        with self._closing:
            reader = self._secured(self._server.tls) if self._server.tls else self._reader()
            while (words := reader.readline().decode("latin-1").split()) and len(words) == REQUEST_LINE:
                method, target, _ = words
                headers = _read_headers(reader)
                if method == "CONNECT":
                    tls = self._tunnelled(target)
                    if tls is None:
                        return
                    reader = self._secured(tls)
                    continue
                self._answer(self._request(method, target, headers, reader))
                if headers.get("Connection", "").lower() == "close" or self._server.stopping.is_set():
                    return

    def _reader(self) -> BinaryIO:
        return self._closing.enter_context(self._socket.makefile("rb"))

    def _secured(self, tls: ssl.SSLContext) -> BinaryIO:
        """Go on with TLS, on a duplicate: wrapping takes the descriptor away, and `stop` needs the raw socket."""
        self._socket = self._closing.enter_context(closing(tls.wrap_socket(self._raw.dup(), server_side=True)))
        return self._reader()

    def _tunnelled(self, target: str) -> ssl.SSLContext | None:
        self._host = target.rpartition(":")[0].strip("[]")
        tls = self._server.tunnel(self._host) if self._server.tunnel else None
        status = HTTPStatus.OK if tls else HTTPStatus.BAD_GATEWAY
        self._socket.sendall(f"HTTP/1.1 {status.value} {status.phrase}\r\n\r\n".encode())
        return tls

    def _request(self, method: str, target: str, headers: Headers, reader: BinaryIO) -> Request:
        # A client of a proxy sends the whole address (RFC 9112, 3.2.2), which then overrules the Host header.
        parts = urlsplit(target)
        return Request(
            method=method,
            host=self._host or parts.hostname or headers.get("Host", "").partition(":")[0],
            path=unquote(parts.path),
            query=parse_qs(parts.query, keep_blank_values=True),
            headers=headers,
            body=reader.read(int(headers.get("Content-Length", "0"))),
            gone=self._gone,
        )

    def _gone(self) -> bool:
        """No client of ours sends its next request before the answer: whatever arrives meanwhile is its good-bye."""
        if self._server.stopping.is_set():
            return True
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def _answer(self, request: Request) -> None:
        response = self._server.handler(request)
        headers = {"Date": formatdate(usegmt=True), "Content-Length": str(len(response.body))} | response.headers
        if response.chunks is not None:
            headers = response.headers | {"Transfer-Encoding": "chunked"}
        body = b"" if request.method == "HEAD" else response.body
        self._socket.sendall(_head(response.status, headers) + body)
        if response.chunks is not None:
            self._send_chunks(response.chunks)

    def _send_chunks(self, chunks: Iterator[bytes]) -> None:
        try:
            for chunk in filter(None, chunks):
                self._socket.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        finally:
            if hasattr(chunks, "close"):
                chunks.close()  # a watch gives up its place at once, not when it is collected
        self._socket.sendall(b"0\r\n\r\n")


def _read_headers(reader: BinaryIO) -> Headers:
    fields: dict[str, str] = {}
    while line := reader.readline().strip():
        name, _, value = line.decode("latin-1").partition(":")
        fields[name] = ", ".join(filter(None, (fields.get(name), value.strip())))  # RFC 9110, 5.3: skopeo's Accept
    return Headers(fields)


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join((*lines, "", "")).encode("latin-1")
