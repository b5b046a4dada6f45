"""The ceiling: a client that sends requests which were made before, and reads no more of an answer than its end.

Plain sockets, as many connections as rotator has workers, each with the next request as soon as it has its answer: with
these requests, so many in flight and this API server no client is faster.
"""

# ruff: noqa: TID251  (benchmarks are modules of no package, and measure time)

import re
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from rotator.cluster.request import Request

HEAD_END = b"\r\n\r\n"
LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n", re.IGNORECASE)
CHUNKED = b"\r\nTransfer-Encoding: chunked\r\n"
LAST_CHUNK = b"\r\n0\r\n\r\n"
CONTINUE = re.compile(rb'"continue":"([^"]+)"')
METADATA = 4096
"""Bytes in which a list's metadata end: they come before its items."""

CHUNK = 64 * 1024


class BareClient:
    """Connections of one user to one API server."""

    def __init__(self, url: str, token: str, ca_file: Path, connections: int) -> None:
        self._address = urlsplit(url)
        self._token = token
        context = ssl.create_default_context(cafile=str(ca_file))
        self._sockets = [self._connected(context) for _ in range(connections)]

    def close(self) -> None:
        """Close the connections."""
        for each in self._sockets:
            each.close()

    def serialised(self, request: Request) -> bytes:
        """The bytes of the request, with the headers that rotator sends."""
        headers = {
            "Host": self._address.netloc,
            "Accept-Encoding": "identity",
            "Content-Length": str(len(request.body)),
            "Accept": request.accept,
            "User-Agent": "bare/1.0",
            "Content-Type": request.content_type,
            "Authorization": f"Bearer {self._token}",
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{request.method} {request.target} HTTP/1.1\r\n{head}\r\n".encode() + request.body

    def send(self, batches: Iterable[Sequence[bytes]]) -> float:
        """Send each batch in its order, the batches side by side; seconds until all were answered.

        Raises RuntimeError where an answer is not 2xx.
        """
        waiting, failures = deque(batches), deque[str]()
        threads = [threading.Thread(target=self._work_off, args=(each, waiting, failures)) for each in self._sockets]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise RuntimeError(failures[0])
        return time.monotonic() - began

    def read(self, lists: Sequence[tuple[Request, int]]) -> float:
        """Read each list in pages of so many, one after the other; seconds until the last page came."""
        began = time.monotonic()
        for request, limit in lists:
            token = ""
            while True:
                page = _exchange(self._sockets[0], self.serialised(request.page(limit, token)))
                if not (following := CONTINUE.search(page, 0, METADATA)):
                    break
                token = following[1].decode()
        return time.monotonic() - began

    def _connected(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        host, port = self._address.hostname or "", self._address.port or 443
        plain = socket.create_connection((host, port), timeout=60)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return context.wrap_socket(plain, server_hostname=host)

    @staticmethod
    def _work_off(connection: ssl.SSLSocket, waiting: deque[Sequence[bytes]], failures: deque[str]) -> None:
        while not failures:
            try:
                batch = waiting.popleft()
            except IndexError:
                return
            for request in batch:
                answer = _exchange(connection, request)
                if answer[9:10] != b"2":
                    failures.append(answer.decode(errors="replace"))
                    return


def _exchange(connection: ssl.SSLSocket, request: bytes) -> bytes:
    connection.sendall(request)
    answer = bytearray()
    while (end := answer.find(HEAD_END)) < 0:
        answer += _received(connection)
    if CHUNKED in answer[: end + 2]:
        while not answer.endswith(LAST_CHUNK):
            answer += _received(connection)
        return bytes(answer)
    length = LENGTH.search(answer, 0, end + 2)
    whole = end + len(HEAD_END) + (int(length[1]) if length else 0)
    while len(answer) < whole:
        answer += _received(connection)
    return bytes(answer)


def _received(connection: ssl.SSLSocket) -> bytes:
    if not (chunk := connection.recv(CHUNK)):
        msg = "the API server closed the connection"
        raise RuntimeError(msg)
    return chunk
