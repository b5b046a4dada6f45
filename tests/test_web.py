"""One request on the wire: what is sent, what is not, and what comes of a peer that misbehaves."""

import socket
import socketserver
import ssl
import threading
import time
import traceback
from base64 import b64encode
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest
from urllib3 import HTTPHeaderDict

from rotator import __version__
from rotator.deadline import MOST_ABANDONED
from rotator.model import SecretText
from rotator.sandbox.authority import Authority
from rotator.sandbox.server import Request, Response, Server
from rotator.web import LONGEST_BODY, Answer, WebError, WebTimeout, WebUnreachable, request

PASSWORD = SecretText("hunter2-hunter2")
BASIC = "Basic " + b64encode(b"AWS:hunter2-hunter2").decode()
LONG = timedelta(seconds=30)
SHORT = timedelta(milliseconds=300)


class Peer:
    """A TLS server that keeps what it got and answers what the test sets."""

    def __init__(self, authority: Authority) -> None:
        self.requests: list[Request] = []
        self.response = Response()
        self.hanging = False
        self.server = Server(self._answer, tls=authority.context("localhost"))

    @property
    def url(self) -> str:
        """Its address by name, as the certificate has it."""
        return f"https://localhost:{self.server.port}/path?query=1"

    def _answer(self, got: Request) -> Response:
        self.requests.append(got)
        while self.hanging and not got.gone():
            time.sleep(0.01)
        return self.response


@pytest.fixture(scope="module")
def authority() -> Authority:
    """The private CA of the peers."""
    return Authority()


@pytest.fixture
def peer(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    """A peer that is trusted, reached without a proxy."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.write(tmp_path / "ca.pem")))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    peer = Peer(authority)
    with peer.server:
        yield peer


def test_plain(peer: Peer) -> None:
    """Status, headers and body arrive; sent are our User-Agent, the query, and no credential."""
    peer.response = Response(418, b"short and stout", {"X-Pot": "tea"})
    answer = request("GET", peer.url, headers={"Accept": "text/plain"}, timeout=LONG)
    assert (answer.status, answer.headers["x-POT"], answer.body) == (418, "tea", b"short and stout")
    (got,) = peer.requests
    assert (got.method, got.path, got.query) == ("GET", "/path", {"query": ["1"]})
    assert got.headers["User-Agent"] == f"rotator/{__version__}"
    assert got.headers["Accept"] == "text/plain"
    assert "Authorization" not in got.headers


def test_basic(peer: Peer) -> None:
    """`auth` is sent as Basic."""
    request("GET", peer.url, auth=("AWS", PASSWORD), timeout=LONG)
    assert peer.requests[0].headers["Authorization"] == BASIC


def test_bearer(peer: Peer) -> None:
    """`bearer` is sent as Bearer, and HEAD has no body to wait for."""
    peer.response = Response(200, b"", {"Content-Length": "5"})
    assert request("HEAD", peer.url, bearer=PASSWORD, timeout=LONG).body == b""
    assert peer.requests[0].headers["Authorization"] == "Bearer hunter2-hunter2"


def test_form(peer: Peer) -> None:
    """`data` is sent as a form."""
    request("POST", peer.url, data={"grant_type": "access_token", "x": "a&b"}, timeout=LONG)
    (got,) = peer.requests
    assert got.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert got.body == b"grant_type=access_token&x=a%26b"


def test_header_of_several_lines(peer: Peer) -> None:
    """Each line of a header can be had by itself."""
    peer.response = Response(401, headers={"WWW-Authenticate": "Basic realm=a\r\nWWW-Authenticate: Bearer realm=b"})
    answer = request("GET", peer.url, timeout=LONG)
    assert answer.header_values("www-authenticate") == ("Basic realm=a", "Bearer realm=b")
    assert answer.header_values("absent") == ()


def test_no_redirect(peer: Peer) -> None:
    """A redirect is an answer, even to the same host: the credential goes nowhere that the caller did not name."""
    peer.response = Response(307, headers={"Location": peer.url})
    assert request("GET", peer.url, auth=("AWS", PASSWORD), timeout=LONG).status == 307
    assert len(peer.requests) == 1


def test_no_retry(peer: Peer) -> None:
    """A server that asks for patience is not asked again: when to do so is the caller's decision."""
    peer.response = Response(503, headers={"Retry-After": "0"})
    assert request("GET", peer.url, timeout=LONG).status == 503
    assert len(peer.requests) == 1


@pytest.mark.parametrize("bearer", [None, PASSWORD])
def test_no_netrc(peer: Peer, bearer: SecretText | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A .netrc adds no Authorization header and replaces none."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine localhost login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    request("GET", peer.url, bearer=bearer, timeout=LONG)
    assert peer.requests[0].headers.get("Authorization") == (bearer and f"Bearer {bearer.reveal()}")


def test_body_is_bounded(peer: Peer) -> None:
    """A body without end is read up to the bound."""
    peer.response = Response(chunks=iter(lambda: b"x" * 65536, b""))
    assert len(request("GET", peer.url, timeout=LONG).body) == LONGEST_BODY


def test_body_is_read_as_sent(peer: Peer) -> None:
    """Nothing is unpacked: a small body cannot become a large one."""
    peer.response = Response(200, b"no gzip at all", {"Content-Encoding": "gzip"})
    assert request("GET", peer.url, timeout=LONG).body == b"no gzip at all"


def test_answer_prints_its_status_only() -> None:
    """A server may echo what it was sent, so neither body nor headers print."""
    answer = Answer(200, HTTPHeaderDict({"X-Echo": "hunter2"}), b"hunter2")
    assert repr(answer) == "Answer(status=200)"


def _assert_unused(peer: Peer, error: BaseException, words: str) -> None:
    assert type(error) is WebError
    assert words in str(error)
    assert not peer.requests


@pytest.mark.parametrize(
    "credential", [{"auth": ("AWS", PASSWORD)}, {"bearer": PASSWORD}, {"data": {"access_token": "x"}}], ids=str
)
def test_https_only(peer: Peer, credential: dict[str, object]) -> None:
    """Nothing that carries a credential is sent over plain http."""
    with pytest.raises(WebError) as caught:
        request("POST", f"http://localhost:{peer.server.port}/", timeout=LONG, **credential)  # type: ignore[arg-type]
    _assert_unused(peer, caught.value, "over https only")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://user:hunter2@localhost/", "localhost: a user name"),
        ("ftp://localhost/", "https only"),
        ("localhost/", "https only"),
        ("https://[x/", "not a URL"),
        ("https://a..b/", "malformed"),
        ("https://localhost:99999/", "malformed"),
        ("https:///path", "malformed"),
    ],
)
def test_unusable_address(peer: Peer, url: str, words: str) -> None:
    """An address that cannot or must not be asked is refused, and its user name and password are not shown."""
    with pytest.raises(WebError) as caught:
        request("GET", url, timeout=LONG)
    _assert_unused(peer, caught.value, words)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("bearer", ["hunter2\nX-Evil: 1", "hunter2€"])
def test_malformed_header(peer: Peer, bearer: str) -> None:
    """A value that is no header's is not sent, and shown neither in the message nor in the traceback."""
    with pytest.raises(WebError) as caught:
        request("GET", peer.url, bearer=SecretText(bearer), timeout=LONG)
    _assert_unused(peer, caught.value, "malformed")
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_hung(peer: Peer) -> None:
    """A peer that never answers is a WebTimeout, which is retryable; the message names the host, not the query."""
    peer.hanging = True
    with pytest.raises(WebTimeout) as caught:
        request("GET", peer.url, timeout=SHORT)
    assert str(caught.value) == f"localhost:{peer.server.port}: no complete answer within 0.3 s"
    assert caught.value.retryable


def _drip() -> Iterator[bytes]:
    while True:
        time.sleep(0.02)
        yield b"x"


def test_dripping(peer: Peer) -> None:
    """A peer that sends a byte at a time for ever is a WebTimeout too, and its thread and connection end soon after."""
    peer.response = Response(chunks=_drip())
    with pytest.raises(WebTimeout):
        request("GET", peer.url, timeout=SHORT)
    _await_end_of_requests(f"localhost:{peer.server.port}")


class DrippingHeaders(socketserver.BaseRequestHandler):
    """A header line without end, a byte at a time, until the test is over."""

    def handle(self) -> None:
        """Drip until told to stop."""
        self.request.sendall(b"HTTP/1.1 200 OK\r\nX-Drip: ")
        assert isinstance(self.server, DrippingServer)
        while not self.server.over.wait(0.02):
            self.request.sendall(b"x")


class DrippingServer(socketserver.ThreadingTCPServer):
    """Drips on every connection until `over`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), DrippingHeaders)
        self.over = threading.Event()


def test_dripping_headers() -> None:
    """Where a peer drips its headers, its threads hang; when there are too many, no other is begun until they end."""
    with DrippingServer() as server:
        place = f"127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        late = [_message_of_timeout(f"http://{place}/") for _ in range(MOST_ABANDONED)]
        assert late == [f"{place}: no complete answer within 0.3 s"] * MOST_ABANDONED
        assert "4 earlier calls still hang" in _message_of_timeout(f"http://{place}/")
        server.over.set()
        _await_end_of_requests(place)
        server.shutdown()


def _message_of_timeout(url: str) -> str:
    with pytest.raises(WebTimeout) as caught:
        request("GET", url, timeout=SHORT)
    return str(caught.value)


def _await_end_of_requests(place: str) -> None:
    for thread in threading.enumerate():
        if thread.name == f"request to {place}":
            thread.join(30)
            assert not thread.is_alive()


def _cut() -> Iterator[bytes]:
    yield b"half of"
    raise ConnectionResetError


def test_cut_off(peer: Peer) -> None:
    """Half an answer is none."""
    peer.response = Response(chunks=_cut())
    with pytest.raises(WebUnreachable, match="the connection failed or was lost"):
        request("GET", peer.url, timeout=LONG)


def test_certificate_not_trusted(peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate of an unknown CA is named as such, and nothing is sent."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(Authority().write(tmp_path / "other.pem")))
    with pytest.raises(WebUnreachable, match="certificate not trusted"):
        request("GET", peer.url, auth=("AWS", PASSWORD), timeout=LONG)
    assert not peer.requests


def test_certificate_of_another_host(peer: Peer) -> None:
    """A trusted certificate for another name is not trusted for this one."""
    with pytest.raises(WebUnreachable, match="certificate not trusted"):
        request("GET", f"https://127.0.0.1:{peer.server.port}/", timeout=LONG)


def test_no_ca_bundle(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CA bundle that does not exist is named: it is the operator's own setting."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(WebUnreachable, match=r"REQUESTS_CA_BUNDLE .* names /nowhere/ca\.pem, which does not exist"):
        request("GET", peer.url, timeout=LONG)


def test_connection_refused(peer: Peer) -> None:
    """A port where nobody listens is named as such, and so is the host."""
    url = peer.url
    peer.server.stop()
    with pytest.raises(WebUnreachable, match=rf"^localhost:{peer.server.port}: connection refused$"):
        request("GET", url, timeout=LONG)


def test_name_not_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that no resolver knows is named as such. (The resolver is the one peer that loopback has none of.)"""

    def unknown(*_: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(WebUnreachable, match=r"^registry\.test: name not resolved$"):
        request("GET", "https://registry.test/", timeout=LONG)


@pytest.fixture
def proxy(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An HTTP proxy that answers for registry.test, by HTTPS_PROXY."""

    def tunnel(host: str) -> ssl.SSLContext | None:
        return authority.context(host) if host == "registry.test" else None

    with Server(lambda got: Response(200, f"proxied {got.host}".encode()), tunnel=tunnel) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        yield proxy


@pytest.mark.usefixtures("peer", "proxy")
def test_proxy() -> None:
    """HTTPS_PROXY is honoured."""
    assert request("GET", "https://registry.test/", timeout=LONG).body == b"proxied registry.test"


@pytest.mark.usefixtures("peer", "proxy")
def test_proxy_that_refuses() -> None:
    """A proxy that makes no connection is named as the part that failed."""
    with pytest.raises(WebUnreachable, match=r"^other\.test: the proxy gave no connection"):
        request("GET", "https://other.test/", timeout=LONG)


@pytest.mark.usefixtures("proxy")
def test_no_proxy(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_PROXY is honoured."""
    monkeypatch.setenv("NO_PROXY", "localhost")
    assert request("GET", peer.url, timeout=LONG).status == 200
    assert len(peer.requests) == 1
