"""The loopback server: what it hands to a handler, and that it comes and goes without a trace."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import requests

from rotator.sandbox.authority import Authority
from rotator.sandbox.server import LOOPBACK, Headers, Request, Response, Server


def echo(request: Request) -> Response:
    """What the handler saw, as JSON."""
    seen = {"method": request.method, "host": request.host, "path": request.path, "query": dict(request.query)}
    return Response.of_json(200, seen | {"body": request.body.decode(), "mark": request.headers.get("X-MARK")})


def await_that(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; fail after five seconds."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.005)


def test_a_request_arrives_whole() -> None:
    """Method, host, decoded path, every query value, headers in any case and the body reach the handler."""
    with Server(echo) as server:
        seen = requests.put(f"{server.url}/a%20b?x=1&x=2&y=", data="text", headers={"x-mark": "m"}, timeout=5).json()
    assert seen == {
        "method": "PUT",
        "host": LOOPBACK,
        "path": "/a b",
        "query": {"x": ["1", "2"], "y": [""]},
        "body": "text",
        "mark": "m",
    }


def test_an_absolute_target_overrules_the_host_header() -> None:
    """A client of a proxy names the host in the request line, and that one counts (RFC 9112, 3.2.2)."""
    with Server(echo) as server, socket.create_connection((LOOPBACK, server.port)) as client:
        client.sendall(b"GET http://asked.example/path HTTP/1.1\r\nHost: other.example\r\n\r\n")
        assert b'"asked.example"' in client.recv(4096)


def test_headers_are_found_in_any_case() -> None:
    """A header is found whatever the case in which it was sent or is asked for."""
    assert Headers({"WWW-Authenticate": "Basic"})["www-authenticate"] == "Basic"


def test_a_connection_is_kept_for_the_next_request() -> None:
    """A second request on the same connection is answered too."""
    with Server(echo) as server, socket.create_connection((LOOPBACK, server.port)) as client:
        for _ in range(2):
            client.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")


def test_chunks_arrive_as_they_are_yielded() -> None:
    """The first chunk is readable while the handler still waits to yield the second."""
    read = threading.Event()

    def chunks() -> Iterator[bytes]:
        yield b"one\n"
        assert read.wait(5)
        yield b"two\n"

    with (
        Server(lambda _: Response(chunks=chunks())) as server,
        requests.get(server.url, stream=True, timeout=5) as answer,
    ):
        lines = answer.iter_lines(chunk_size=1)
        assert next(lines) == b"one"
        read.set()
        assert list(lines) == [b"two"]


def test_tls_is_trusted_by_a_client_with_the_authority() -> None:
    """A strict client (Python 3.13's default flags) that trusts the authority accepts the certificate."""
    authority = Authority()
    client = ssl.create_default_context(cadata=authority.ca_pem.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    with (
        Server(echo, tls=authority.context("some.host.example")) as server,
        socket.create_connection((LOOPBACK, server.port)) as raw,
        client.wrap_socket(raw, server_hostname="some.host.example") as secured,
    ):
        secured.sendall(b"GET / HTTP/1.1\r\nHost: some.host.example\r\n\r\n")
        assert b'"some.host.example"' in secured.recv(4096)


def test_a_client_without_the_authority_distrusts_it() -> None:
    """The certificate of a private authority is worth nothing to a client that does not know it."""
    with Server(echo, tls=Authority().context(LOOPBACK)) as server, pytest.raises(requests.exceptions.SSLError):
        requests.get(server.url, timeout=5)


@pytest.mark.parametrize("secured", [False, True], ids=["plain", "tls"])
def test_stop_ends_every_connection_and_leaves_no_thread(secured: bool) -> None:
    """An idle client, a client whose answer never ends and one whose answer never comes are all cut off."""
    threads = set(threading.enumerate())
    waiting = threading.Semaphore(0)
    authority = Authority()

    def silent(request: Request) -> Iterator[bytes]:
        waiting.release()
        yield b"head"
        await_that(request.gone)

    def handler(request: Request) -> Response:
        if request.path == "/hung":
            waiting.release()
            await_that(request.gone)
        return Response(chunks=silent(request)) if request.path == "/watch" else Response()

    server = Server(handler, tls=authority.context(LOOPBACK) if secured else None)
    server.start()
    clients = [_connect(server, authority) for _ in range(3)]
    for client, path in zip(clients, ("/idle", "/watch", "/hung"), strict=True):
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}\r\n\r\n".encode())
    assert waiting.acquire(timeout=5)
    assert waiting.acquire(timeout=5)
    server.stop()
    assert set(threading.enumerate()) == threads
    for client in clients:
        with client, suppress(ConnectionError):
            while client.recv(4096):  # a connection left open would end in TimeoutError
                pass


def _connect(server: Server, authority: Authority) -> socket.socket:
    raw = socket.create_connection((LOOPBACK, server.port), timeout=5)
    if not server.tls:
        return raw
    return ssl.create_default_context(cadata=authority.ca_pem.decode()).wrap_socket(raw, server_hostname=LOOPBACK)


def test_start_after_stop_listens_on_the_same_port() -> None:
    """A server that went away comes back where its clients look for it."""
    server = Server(echo)
    with server:
        first = server.url
        assert requests.get(first, timeout=5).ok
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(first, timeout=5)
    with server:
        assert server.url == first
        assert requests.get(first, timeout=5).ok


def test_a_handler_learns_that_its_client_left() -> None:
    """gone() turns true when the client hangs up, and the iterator of chunks is closed."""
    closed = threading.Event()

    def chunks(request: Request) -> Iterator[bytes]:
        try:
            yield b"head"
            await_that(request.gone)
        finally:
            closed.set()

    with Server(lambda request: Response(chunks=chunks(request))) as server:
        with socket.create_connection((LOOPBACK, server.port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            assert client.recv(4096)
        assert closed.wait(5)


def test_nonsense_ends_the_connection() -> None:
    """What is no request line is answered with a closed connection, and the server lives on."""
    with Server(echo) as server:
        with socket.create_connection((LOOPBACK, server.port)) as client:
            client.sendall(b"nonsense\r\n")
            assert client.recv(4096) == b""
        assert requests.get(server.url, timeout=5).ok
