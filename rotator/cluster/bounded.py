"""Connection pools whose time limit holds for a whole answer, not only between two of its bytes.

urllib3 and http.client start their read timeout anew with each recv(), so a server that drips one byte at a time, in
the headers already, is never late. Here the timeout that a connection has when its answer begins bounds the answer.
A thread that waits would do the same, for 100 µs more per request (measured, 2 cores).

A new connection is worth such a thread: no time limit of a socket bounds the resolver, which may hang for minutes.
"""

import http.client
import io
import socket
from datetime import timedelta
from time import monotonic

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError

from rotator.deadline import DeadlineExceeded, within

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
        self._raw = sock.makefile("rb", buffering=0)  # it keeps the socket open until the answer is read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]
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


class _BoundedAnswer(http.client.HTTPResponse):
    def __init__(
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None, url: str | None = None
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        seconds = sock.gettimeout()
        if seconds is not None:  # None: whoever sends the request watches over it
            self.fp.close()
            self.fp = io.BufferedReader(_BoundedReader(sock, monotonic() + seconds))


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


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection
