"""The bounded connections, apart from what the transport makes of them."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import urllib3

from rotator.cluster.bounded import bound
from rotator.sandbox.server import Request, Response, Server

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
