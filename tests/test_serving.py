"""The server of the two ports: its pages, its manners, and that no client holds it up."""

import http.client
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from rotator.errors import AddressUnusable
from rotator.serving import Address, Answer, Server, parse_address
from tests.scraping import LOOPBACK, SECONDS
from tests.waiting import PATIENCE, eventually

LONG = timedelta(seconds=PATIENCE)
"""The limit of connections that no test waits for."""


def greet(_headers: Mapping[str, str]) -> Answer:
    """A page."""
    return Answer(200, b"hello\n")


def fail(_headers: Mapping[str, str]) -> Answer:
    """A page with a defect, whose words are nobody's business."""
    msg = "hunter2"
    raise ZeroDivisionError(msg)


PAGES = {"/hello": greet, "/broken": fail}


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on a free port."""
    with Server("test", LOOPBACK, PAGES, limit=LONG, most=4) as running:
        yield running


def asked(server: Server, method: str, path: str) -> tuple[int, bytes, Mapping[str, str]]:
    """Status, body and headers of one request."""
    with closing(http.client.HTTPConnection(server.address.host, server.address.port, timeout=SECONDS)) as client:
        client.request(method, path)
        answer = client.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())


def connected(server: Server, first_bytes: bytes = b"") -> socket.socket:
    """A client that sends this and then nothing more."""
    client = socket.create_connection((server.address.host, server.address.port), timeout=SECONDS)
    client.sendall(first_bytes)
    return client


def is_ended(client: socket.socket) -> bool:
    """Wait until the server has ended this connection; it sent nothing on it."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def client_threads() -> int:
    """How many threads serve a client of ours."""
    return sum(thread.name == "test client" for thread in threading.enumerate())


def test_a_page_is_served_by_its_path(server: Server) -> None:
    """Whatever the query says."""
    for path in ("/hello", "/hello?verbose"):
        assert asked(server, "GET", path)[:2] == (200, b"hello\n")


def test_head_has_no_body(server: Server) -> None:
    """But its length; read to the end, since a client of HTTP leaves unread what HEAD may not have."""
    with (
        closing(connected(server, b"HEAD /hello HTTP/1.1\r\n\r\n")) as client,
        closing(client.makefile("rb")) as reader,
    ):
        head, _, body = reader.read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nContent-Length: 6\r\n" in head
    assert body == b""


@pytest.mark.parametrize("path", ["/", "/hello/", "/hell", "/../hello"])
def test_any_other_path_is_not_found(server: Server, path: str) -> None:
    """404, without repeating what was asked."""
    assert asked(server, "GET", path)[:2] == (404, b"404 Not Found\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_any_other_method_is_refused(server: Server, method: str) -> None:
    """405, and what would be allowed."""
    status, body, headers = asked(server, method, "/hello")
    assert (status, body, headers["Allow"]) == (405, b"405 Method Not Allowed\n", "GET, HEAD")


@pytest.mark.parametrize(
    "request_line",
    [b"<script>\r\n\r\n", b"GET /hello HTTP/9.9\r\n\r\n", b"GET /" + 70_000 * b"x", b"\x16\x03\x01\r\n\r\n"],
)
def test_garbage_is_answered_in_two_words(server: Server, request_line: bytes) -> None:
    """A status that says so, and nothing of what came; the server goes on."""
    with closing(connected(server, request_line)) as client, closing(client.makefile("rb")) as reader:
        try:
            answer = reader.read()
        except ConnectionResetError:  # it had not read all of it
            answer = b""
    assert b"script" not in answer
    assert b"Python" not in answer
    assert asked(server, "GET", "/hello")[0] == 200


def test_a_defect_in_a_page_shows_the_client_nothing(server: Server) -> None:
    """500 without a trace; the log says which class and where, but not the words."""
    with capture_logs() as logs:
        status, body, _ = asked(server, "GET", "/broken")
    assert (status, body) == (500, b"500 Internal Server Error\n")
    (event,) = logs
    assert (event["event"], event["path"], event["reason"]) == ("page.failed", "/broken", "ZeroDivisionError")
    assert "hunter2" not in str(logs)


def test_answers_name_no_version(server: Server) -> None:
    """Of us or of Python."""
    assert asked(server, "GET", "/hello")[2]["Server"] == "rotator"


def test_silent_clients_do_not_hold_up_the_others(server: Server) -> None:
    """As many as may come say nothing, or half a request: the next one is served at once, and the oldest has to go."""
    with ExitStack() as stack:
        clients = [
            stack.enter_context(closing(connected(server, start)))
            for start in (b"", b"GET /hel", b"GET /hello HTTP/1.1\r\nHost: x\r\n", b"")
        ]
        eventually(lambda: client_threads() == 4, "each has a thread")
        began = time.monotonic()
        assert asked(server, "GET", "/hello")[0] == 200
        assert time.monotonic() - began < LONG.total_seconds() / 2
        assert is_ended(clients[0])


def test_there_are_so_many_threads_at_most(server: Server) -> None:
    """A hundred silent clients have four of them."""
    with ExitStack() as stack:
        most = 0
        for _ in range(100):
            stack.enter_context(closing(connected(server)))
            most = max(most, client_threads())
        eventually(lambda: client_threads() == 4, "the last ones have theirs")
        assert most <= 4


def test_pages_that_hang_take_no_more_threads_either() -> None:
    """While as many as may come wait for a page, one more is refused; afterwards all is well."""
    done = threading.Event()

    def hang(_headers: Mapping[str, str]) -> Answer:
        assert done.wait(PATIENCE)
        return Answer(200, b"")

    with Server("test", LOOPBACK, {"/hang": hang, "/hello": greet}, limit=LONG, most=2) as server, ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(closing(connected(server, b"GET /hang HTTP/1.1\r\n\r\n")))
        eventually(lambda: client_threads() == 2, "both are asked for")
        with closing(connected(server)) as refused:
            assert is_ended(refused)
        assert client_threads() == 2
        done.set()
        eventually(lambda: client_threads() == 0, "both are answered")
        assert asked(server, "GET", "/hello")[0] == 200


@pytest.mark.parametrize("drips", [False, True])
def test_a_connection_has_its_time(drips: bool) -> None:
    """Whether it says nothing or one byte after the other: it is ended, though a limit between bytes never comes."""
    with Server("test", LOOPBACK, PAGES, limit=timedelta(seconds=0.3)) as server:
        with closing(connected(server, b"GET /hello HTTP/1.1\r\n")) as client:
            client.settimeout(0.02 if drips else SECONDS)
            until = time.monotonic() + PATIENCE
            ended = False
            while not ended and time.monotonic() < until:
                try:
                    if drips:
                        client.sendall(b"x")
                    ended = is_ended(client)
                except TimeoutError:
                    continue
                except OSError:
                    ended = True
            assert ended
        eventually(lambda: client_threads() == 0, "its thread has ended")


def test_a_client_that_does_not_read_has_its_time_too() -> None:
    """The answer is larger than what the sockets hold, and nobody takes it."""
    pages = {"/large": lambda _headers: Answer(200, bytes(50_000_000))}
    with (
        Server("test", LOOPBACK, pages, limit=timedelta(seconds=0.3)) as server,
        closing(connected(server, b"GET /large HTTP/1.1\r\n\r\n")),
    ):
        eventually(lambda: client_threads() == 1, "it is served")
        eventually(lambda: client_threads() == 0, "it is given up")


def test_a_stop_waits_for_no_client() -> None:
    """Silent ones are ended, and the port is free again at once."""
    server = Server("test", LOOPBACK, PAGES, limit=LONG)
    server.start()
    with closing(connected(server)) as client:
        eventually(lambda: client_threads() == 1, "it is served")
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < LONG.total_seconds() / 2
        assert is_ended(client)
    assert not [thread for thread in threading.enumerate() if thread.name in {"test client", "serve test"}]
    with Server("test", server.address, PAGES) as again:
        assert asked(again, "GET", "/hello")[0] == 200


def test_one_that_never_started_can_be_stopped() -> None:
    """A start that failed needs no special care; neither does a second stop."""
    Server("test", LOOPBACK, PAGES).stop()
    with Server("test", LOOPBACK, PAGES) as server:
        server.stop()


def test_the_real_port_is_logged() -> None:
    """With port 0 the system chooses one; the log says which, under the server's name."""
    with capture_logs() as logs, Server("health", LOOPBACK, PAGES) as server:
        pass
    assert server.address.port != 0
    assert logs == [{"event": "health.listening", "address": f"127.0.0.1:{server.address.port}", "log_level": "info"}]


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
@pytest.mark.parametrize(("listens", "client"), [("[::1]:0", "::1"), ("[::]:0", "::1"), ("[::]:0", "127.0.0.1")])
def test_ipv6_is_served(listens: str, client: str) -> None:
    """Its own loopback; and all addresses together are those of IPv4, too."""
    address = parse_address(listens)
    assert address
    with Server("test", address, PAGES) as server:
        connection = http.client.HTTPConnection(client, server.address.port, timeout=SECONDS)
        with closing(connection):
            connection.request("GET", "/hello")
            assert connection.getresponse().status == 200


def test_where_a_kernel_has_no_ipv6_all_of_ipv4_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default is for Pods of either family, and of both."""
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    address = parse_address("[::]:0")
    assert address
    with Server("test", address, PAGES) as server:
        assert str(server.address) == f"0.0.0.0:{server.address.port}"
        connection = http.client.HTTPConnection("127.0.0.1", server.address.port, timeout=SECONDS)
        with closing(connection):
            connection.request("GET", "/hello")
            assert connection.getresponse().status == 200


def test_an_address_in_use_is_one_line(server: Server) -> None:
    """It names the port and what to do, and the program ends with 2."""
    with pytest.raises(AddressUnusable) as caught:
        Server("metrics", server.address, PAGES).start()
    found = str(caught.value)
    assert found == f"metrics: {server.address} is in use; end what listens there, or choose another port"
    assert caught.value.exit_code == 2


def test_an_address_of_another_machine_is_one_line() -> None:
    """192.0.2.0/24 is nobody's (RFC 5737)."""
    with pytest.raises(AddressUnusable, match=r"^health: 192.0.2.1:0 is no address of this machine; write \[::\] for"):
        Server("health", Address("192.0.2.1", 0), PAGES).start()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:8081", Address("0.0.0.0", 8081)),  # noqa: S104
        ("127.0.0.1:0", Address("127.0.0.1", 0)),
        ("[::]:8080", Address("::", 8080)),
        ("[0:0::1]:65535", Address("::1", 65535)),
    ],
)
def test_an_address_is_parsed(text: str, address: Address) -> None:
    """IPv4, IPv6 in brackets, and the port."""
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


def test_off_is_no_address() -> None:
    """And no error."""
    assert parse_address("off") is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "8080", ":8080", "localhost:8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1"),
        *("256.0.0.1:80", "::1:8080", "[::1]", "[1.2.3.4]:x", "[:::]:80", "127.0.0.1:80\n", "127.0.0.1:\uff18", "OFF"),
    ],
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    """One line, and the program ends with 2."""
    with pytest.raises(AddressUnusable, match=r"is no address to listen on; write one as 0\.0\.0\.0:8080") as caught:
        parse_address(text)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
