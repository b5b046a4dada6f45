"""Servers that are good, or wrong on purpose, below what the emulated API server can be told to do."""

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from rotator.sandbox.server import LOOPBACK, Request, Response

EMPTY_LIST = Response.of_json(200, {"metadata": {}, "items": []})


class Scripted:
    """A handler that gives one answer after the other, the last one for good, and keeps the requests."""

    def __init__(self, *answers: Response) -> None:
        self._answers = list(answers)
        self._lock = threading.Lock()
        self.seen: list[Request] = []

    def __call__(self, request: Request) -> Response:
        """The next answer."""
        with self._lock:
            self.seen.append(request)
            return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@contextmanager
def raw_server(script: Callable[[socket.socket], None], tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Runs the script on each connection, and gives the port; what a client does to it is of no interest."""
    listener = socket.create_server((LOOPBACK, 0))

    def serve(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            if tls:
                with tls.wrap_socket(connection, server_side=True) as wrapped:
                    script(wrapped)
            else:
                script(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()


def drip(connection: socket.socket, text: bytes) -> None:
    """Send a byte at a time, for ever, each well before any read timeout."""
    while True:
        for byte in text:
            connection.sendall(bytes([byte]))
            time.sleep(0.02)


def drip_headers(connection: socket.socket) -> None:
    """Never come to the end of the headers."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    drip(connection, b"x")


def drip_body(connection: socket.socket) -> None:
    """Never come to the end of the body."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    drip(connection, b" ")


def say_nothing(connection: socket.socket) -> None:
    """Take the request, and wait until the client leaves."""
    while connection.recv(65536):
        pass


def reset(connection: socket.socket) -> None:
    """Take the request and reset the connection."""
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def cut_short(connection: socket.socket) -> None:
    """Promise more than is sent."""
    connection.recv(65536)
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"items"')


def speak_plainly(connection: socket.socket) -> None:
    """Answer a TLS handshake as Go's server for plain HTTP does."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
