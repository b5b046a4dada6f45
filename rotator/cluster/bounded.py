"""Connection pools whose time limit holds for a whole answer, not only between two of its bytes.

urllib3 and http.client start their read timeout anew with each recv(), so a server that drips one byte at a time, in
the headers already, is never late. Here the timeout that a connection has when its answer begins bounds the answer.
A thread that waits would do the same, for 100 µs more per request (measured, 2 cores).

A new connection is worth such a thread: no time limit of a socket bounds the resolver, which may hang for minutes.

`exchange` is the short way for an answer that is read whole, over a connection that is open: the request goes out in
one piece, and http.client reads the answer. urllib3's own way makes some fifteen system calls of it, each of which lets
go of the interpreter that a fan-out's threads wait for: it took twice the processor time (measured, 2 cores).
"""

import http.client
import io
import queue
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, cast

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ClosedPoolError, ConnectTimeoutError, ProtocolError, ReadTimeoutError

from rotator.deadline import DeadlineExceeded, within

if TYPE_CHECKING:
    from urllib3._base_connection import BaseHTTPConnection

SPARE = timedelta(seconds=0.2)
"""Beyond the time limit of a connect, so that the socket's own comes first where it holds."""


def bound(manager: PoolManager) -> None:
    """Let the manager, or proxy manager, make bounded connections only. Before its first request."""
    manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}


class _BoundedReader(io.RawIOBase):
    """Reads from the socket until the time is up; then TimeoutError, as any timeout of a socket."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._sock = sock
        self._until = until
        self._is_first = True
        self._raw = sock.makefile("rb", buffering=0)  # it keeps the socket open until the answer is read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]
        if self._is_first:  # then the socket's own limit is that of the whole answer
            self._is_first = False
            return self._raw.readinto(buffer)
        before = self._sock.gettimeout()
        left = self._until - monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        try:
            return self._raw.readinto(buffer)
        finally:
            self._sock.settimeout(before)  # the next request on this connection has its own

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Limited:
    """What http.client asks of a socket: a file to read from."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self._sock = sock
        self._until = monotonic() + seconds

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_BoundedReader(self._sock, self._until))


class _BoundedAnswer(http.client.HTTPResponse):
    def __init__(
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None, url: str | None = None
    ) -> None:
        seconds = sock.gettimeout()  # None: whoever sends the request watches over it
        read_from = sock if seconds is None else cast("socket.socket", _Limited(sock, seconds))
        super().__init__(read_from, debuglevel, method, url)


class _BoundedConnecting(HTTPConnection):
    response_class = _BoundedAnswer

    def _new_conn(self) -> socket.socket:
        seconds = self.timeout
        if not isinstance(seconds, (int, float)):  # None: whoever sends the request watches over it
            return super()._new_conn()
        try:
            return within(timedelta(seconds=seconds) + SPARE, super()._new_conn, name=f"connection to {self.host}")
        except DeadlineExceeded as error:
            msg = "neither its name was resolved nor a connection made in time"
            raise ConnectTimeoutError(self, msg) from error


class _HttpConnection(_BoundedConnecting):
    pass


class _HttpsConnection(_BoundedConnecting, HTTPSConnection):
    pass


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was read whole."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class BoundedPool(HTTPConnectionPool):
    """Connections to one server."""

    def exchange(
        self, method: str, target: str, body: bytes, headers: Mapping[str, str], seconds: float
    ) -> Answer | None:
        """The answer to a request that may be sent twice; None: no open connection had one, so ask for a new one.

        Raises urllib3's ReadTimeoutError and ProtocolError, and ClosedPoolError.
        """
        connection = self._at_hand()
        if connection is None:
            return None
        try:
            return _exchanged(connection, _message(method, target, self._host, body, headers), seconds)
        except (ConnectionError, ssl.SSLEOFError):
            return None  # the server closed it while it was idle
        except TimeoutError as error:
            raise ReadTimeoutError(self, target, "not answered in time") from error
        except (OSError, http.client.HTTPException) as error:
            msg = "the answer broke off"
            raise ProtocolError(msg, error) from error
        finally:
            self._put_conn(connection)

    def _at_hand(self) -> "BaseHTTPConnection | None":
        """An open one, or one that was: to ask the socket first is a system call, and the request shows it as well."""
        if self.pool is None:
            raise ClosedPoolError(self, "closed")
        with suppress(queue.Empty):
            connection: BaseHTTPConnection | None = self.pool.get(block=False)
            if connection is not None and not connection.is_closed and self.proxy is None:
                return connection
            self._put_conn(connection)
        return None

    @property
    def _host(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        return f"{name}:{self.port}" if self.port else name


def _message(method: str, target: str, host: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """The whole request; whoever gives the headers has seen to it that none of them breaks its line."""
    length = {"Content-Length": str(len(body))} if body else {}
    fields = {"Host": host, "Accept-Encoding": "identity", **length, **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("ascii") + body


def _exchanged(connection: "BaseHTTPConnection", message: bytes, seconds: float) -> Answer:
    sock = cast("socket.socket", getattr(connection, "sock", None))
    try:
        if sock.gettimeout() != seconds:
            sock.settimeout(seconds)
        sock.sendall(message)
        with _BoundedAnswer(sock) as answer:
            answer.begin()
            data = answer.read()
    except BaseException:
        connection.close()
        raise
    if answer.will_close:
        connection.close()
    return Answer(answer.status, cast("Mapping[str, str]", answer.headers), data)


class _HttpPool(BoundedPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool, BoundedPool):
    ConnectionCls = _HttpsConnection
