"""The bounded connections, apart from what the transport makes of them."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import urllib3

from rotator.cluster.bounded import Answer, BoundedPool, bound
from rotator.sandbox.server import LOOPBACK, Request, Response, Server
from tests.cluster.servers import raw_server

SECONDS = 30.0


@contextmanager
def bounded() -> Iterator[urllib3.PoolManager]:
    """A manager of bounded connections."""
    manager = urllib3.PoolManager()
    bound(manager)
    yield manager
    manager.clear()


@pytest.mark.parametrize("length", [0, 1, 100_000, 1_000_000])
def test_an_answer_of_any_length_arrives_whole(length: int) -> None:
    """Every byte comes through, sent as one body and sent in chunks."""
    body = b"\xfe" * length

    def handler(request: Request) -> Response:
        if request.path == "/chunked":
            return Response(200, chunks=iter([body[: length // 3], body[length // 3 :]]))
        return Response(200, body)

    with Server(handler) as server, bounded() as manager:
        for path in ("/", "/chunked", "/"):
            assert manager.request("GET", server.url + path, timeout=SECONDS).data == body


def test_a_kept_connection_has_its_time_limit_back() -> None:
    """What one answer left of its time does not bound the sending of the next request."""
    with Server(lambda _: Response(200, b"x")) as server, bounded() as manager:
        manager.request("GET", server.url, timeout=SECONDS)
        kept = manager.connection_from_url(server.url).pool
        assert kept is not None
        connection = kept.get()
        assert connection.sock.gettimeout() == SECONDS
        connection.close()


def test_without_a_time_limit_there_is_none() -> None:
    """A watch, which watches over itself, is not cut off."""
    with Server(lambda _: Response(200, b"x")) as server, bounded() as manager:
        assert manager.request("GET", server.url, timeout=None).data == b"x"


# The short way -------------------------------------------------------------------------------------------------------

GREETING = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@contextmanager
def opened(answers: Sequence[bytes | None]) -> Iterator[BoundedPool]:
    """A pool with one open connection, on which a greeting came; what the server sends next (None: it just waits).

    After its last answer it ends the connection without a word.
    """
    waiting = threading.Event()

    def serve(connection: socket.socket) -> None:
        for answer in (GREETING, *answers):
            connection.recv(65536)
            if answer is None:
                waiting.wait(SECONDS)
            else:
                connection.sendall(answer)

    with raw_server(serve) as port, bounded() as manager:
        pool = manager.connection_from_url(f"http://{LOOPBACK}:{port}")
        assert isinstance(pool, BoundedPool)
        try:
            assert pool.urlopen("GET", "/", timeout=SECONDS).data == b"hi"
            yield pool
        finally:
            waiting.set()


def asked(pool: BoundedPool, seconds: float = SECONDS) -> Answer | None:
    """One short exchange."""
    return pool.exchange("GET", "/again", b"", {"Accept": "text/plain"}, seconds)


def test_without_an_open_connection_there_is_no_short_way() -> None:
    """The long one opens it, with all that belongs to that."""
    with Server(lambda _: Response(200, b"x")) as server, bounded() as manager:
        pool = manager.connection_from_url(server.url)
        assert isinstance(pool, BoundedPool)
        assert asked(pool) is None
        pool.urlopen("GET", "/", timeout=SECONDS)
        assert asked(pool) is not None
        assert pool.num_connections == 1


def test_a_short_exchange_says_all_that_a_long_one_does() -> None:
    """Method, target, headers and body arrive; status, headers and body come back."""
    seen: list[Request] = []

    def handler(request: Request) -> Response:
        seen.append(request)
        return Response(201, b"made", {"Retry-After": "7"})

    with Server(handler) as server, bounded() as manager:
        pool = manager.connection_from_url(server.url)
        assert isinstance(pool, BoundedPool)
        pool.urlopen("GET", "/", timeout=SECONDS)
        answer = pool.exchange("PATCH", "/a%20b?c=d", b"\xfebody", {"Authorization": "Bearer x"}, SECONDS)
    assert answer is not None
    assert (answer.status, answer.headers.get("Retry-After"), answer.data) == (201, "7", b"made")
    (_, request) = seen
    assert (request.method, request.path, request.query, request.body) == ("PATCH", "/a b", {"c": ["d"]}, b"\xfebody")
    assert (request.headers["Authorization"], request.host) == ("Bearer x", LOOPBACK)


def test_a_connection_that_was_ended_meanwhile_is_no_failure() -> None:
    """Servers end idle connections; the next request asks for a new one, and waits for no retry."""
    with opened([]) as pool:
        assert asked(pool) is None
        assert asked(pool) is None


def test_an_answer_that_is_late_ends_the_connection() -> None:
    """What comes of it later must not be taken for the answer to another request."""
    with opened([None]) as pool:
        with pytest.raises(urllib3.exceptions.ReadTimeoutError):
            asked(pool, seconds=0.2)
        assert asked(pool) is None


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhi", b"SSH-2.0-OpenSSH_9.6\r\n"])
def test_an_answer_that_breaks_off_or_is_none_ends_the_connection(answer: bytes) -> None:
    """As an error of urllib3's, which is worded as any other."""
    with opened([answer]) as pool:
        with pytest.raises(urllib3.exceptions.ProtocolError):
            asked(pool)
        assert asked(pool) is None


def test_a_connection_that_the_server_announces_to_end_is_not_used_again() -> None:
    """Connection: close."""
    with opened([GREETING.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")]) as pool:
        answer = asked(pool)
        assert answer is not None
        assert answer.data == b"hi"
        assert asked(pool) is None


def test_a_pool_that_was_closed_says_so() -> None:
    """Whoever closed it meanwhile has another one."""
    with opened([]) as pool:
        pool.close()
        with pytest.raises(urllib3.exceptions.ClosedPoolError):
            asked(pool)
