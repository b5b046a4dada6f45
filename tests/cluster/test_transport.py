"""One request on its way: retries, time limits, lost connections, proxies, credentials."""

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from kubernetes.client.configuration import Configuration

from rotator import __version__
from rotator.cluster.client import Cluster
from rotator.cluster.login import log_in
from rotator.cluster.transport import COSTLY, header_value, pause_before_retry
from rotator.errors import ClusterError, ClusterUnusable, Forbidden, NotLeading, ServerFailed, Throttled
from rotator.model import ServiceAccountRecord
from rotator.sandbox.authority import Authority
from rotator.sandbox.server import LOOPBACK, Request, Response, Server
from tests.cluster.conftest import TOKEN, Connect, WriteKubeconfig
from tests.cluster.servers import (
    EMPTY_LIST,
    Scripted,
    cut_short,
    drip_body,
    drip_headers,
    raw_server,
    reset,
    say_nothing,
)

ACCOUNT = ServiceAccountRecord("team-a", "workers", "u", "7")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again(kubeconfig: WriteKubeconfig, connect: Connect, status: int) -> None:
    """A list, and a JSON Patch that tests the resourceVersion, come through after a failure that passes."""
    script = Scripted(Response(status), EMPTY_LIST, Response(status), Response.of_json(200, {}))
    with Server(script) as server:
        cluster = connect(kubeconfig(server.url))
        assert list(cluster.namespaces()) == []
        cluster.attach(ACCOUNT, ["x"])
    assert [request.method for request in script.seen] == ["GET", "GET", "PATCH", "PATCH"]
    assert script.seen[2].body == script.seen[3].body


@pytest.mark.parametrize("status", [400, 403, 404, 409, 410, 422, 501])
def test_any_other_failure_is_not_tried_again(kubeconfig: WriteKubeconfig, connect: Connect, status: int) -> None:
    """Another try would give the same answer, or needs another look at the object first."""
    script = Scripted(Response(status))
    with Server(script) as server, pytest.raises(ClusterError):
        connect(kubeconfig(server.url)).attach(ACCOUNT, ["x"])
    assert len(script.seen) == 1


def test_who_loses_the_lead_between_two_tries_sends_no_other(kubeconfig: WriteKubeconfig) -> None:
    """The lead is asked for before each try; a read needs none."""
    leads = iter([True, False])
    script = Scripted(Response(503), EMPTY_LIST)
    with Server(script) as server:
        cluster = Cluster.connect(kubeconfig(server.url), may_write=lambda: next(leads))
        with closing(cluster):
            with pytest.raises(NotLeading):
                cluster.attach(ACCOUNT, ["x"])
            assert list(cluster.namespaces()) == []
    assert [request.method for request in script.seen] == ["PATCH", "GET"]


def test_after_the_end_no_write_is_begun(kubeconfig: WriteKubeconfig, connect: Connect) -> None:
    """Whoever still holds the cluster then is a pass that was left behind."""
    script = Scripted(Response.of_json(200, {}))
    with Server(script) as server:
        cluster = connect(kubeconfig(server.url))
        cluster.close()
        with pytest.raises(NotLeading):
            cluster.attach(ACCOUNT, ["x"])
    assert script.seen == []


def test_three_tries_are_all(kubeconfig: WriteKubeconfig, connect: Connect) -> None:
    """A server that goes on failing is asked three times, not for ever."""
    script = Scripted(Response(503))
    with Server(script) as server, pytest.raises(ServerFailed):
        connect(kubeconfig(server.url)).namespace("a")
    assert len(script.seen) == 3


def test_retry_after_is_honoured(kubeconfig: WriteKubeconfig, connect: Connect) -> None:
    """The next try comes no sooner than the server asks for."""
    times: list[float] = []
    script = Scripted(Response(429, headers={"Retry-After": "1"}), EMPTY_LIST)

    def handler(request: Request) -> Response:
        times.append(time.monotonic())
        return script(request)

    with Server(handler) as server:
        list(connect(kubeconfig(server.url)).namespaces())
    assert times[1] - times[0] >= 1


def test_a_retry_after_beyond_the_deadline_is_left_to_the_caller(kubeconfig: WriteKubeconfig, connect: Connect) -> None:
    """The call ends at once, with the server's own figure; nobody sleeps for an hour in it."""
    script = Scripted(Response(429, headers={"Retry-After": "3600"}))
    with Server(script) as server, pytest.raises(Throttled) as caught:
        connect(kubeconfig(server.url)).namespace("a")
    assert caught.value.retry_after == timedelta(hours=1)
    assert len(script.seen) == 1


@pytest.mark.parametrize(
    ("error", "tries", "pause"),
    [
        (ServerFailed("x", status=503), 1, timedelta(seconds=0.25)),
        (ServerFailed("x", status=503), 2, timedelta(seconds=1)),
        (ServerFailed("x", status=503), 3, None),
        (ServerFailed("lost"), 1, timedelta(seconds=0.25)),
        (ServerFailed("x", status=503, retry_after=timedelta(seconds=9)), 1, timedelta(seconds=9)),
        (Throttled("x", status=429, retry_after=timedelta(seconds=2)), 2, timedelta(seconds=2)),
        (Forbidden("x", status=403), 1, None),
    ],
)
def test_the_retry_policy(error: ClusterError, tries: int, pause: timedelta | None) -> None:
    """Three tries, longer pauses, the server's figure first, and only for what may pass."""
    assert pause_before_retry(error, tries) == pause


@pytest.mark.timeout(30)
@pytest.mark.parametrize("script", [say_nothing, drip_headers, drip_body])
@pytest.mark.parametrize("secured", [False, True])
def test_no_server_is_slow_enough_to_hold_a_call(
    kubeconfig: WriteKubeconfig,
    connect: Connect,
    tmp_path: Path,
    script: Callable[[socket.socket], None],
    secured: bool,
) -> None:
    """Silence and drips end at the time limit, also in the headers and under TLS (invariant 12)."""
    authority = Authority()
    ca = {"certificate-authority": str(authority.write(tmp_path / "ca.pem"))}
    with raw_server(script, authority.context(LOOPBACK) if secured else None) as port:
        path = kubeconfig(f"{'https' if secured else 'http'}://{LOOPBACK}:{port}", cluster=ca)
        with pytest.raises(ServerFailed, match="no complete answer in time"):
            connect(path, timeout=0.3, deadline=0.8).namespace("a")


@pytest.mark.timeout(30)
def test_a_tls_handshake_is_bounded_too(kubeconfig: WriteKubeconfig, connect: Connect) -> None:
    """A peer that accepts the connection and never shakes hands is given up."""
    with raw_server(say_nothing) as port, pytest.raises(ServerFailed, match="no complete answer in time"):
        connect(kubeconfig(f"https://{LOOPBACK}:{port}"), timeout=0.3, deadline=0.8).namespace("a")


@pytest.mark.parametrize("script", [reset, cut_short, lambda connection: connection.recv(65536)])
def test_a_lost_connection_is_tried_again(
    kubeconfig: WriteKubeconfig, connect: Connect, script: Callable[[socket.socket], None]
) -> None:
    """Reset, closed or cut short: the call is tried three times, and then says what happened and where."""
    connections: list[socket.socket] = []

    def counted(connection: socket.socket) -> None:
        connections.append(connection)
        script(connection)

    with raw_server(counted) as port, pytest.raises(ServerFailed, match=f"{port}: it dropped the connection"):
        connect(kubeconfig(f"http://{LOOPBACK}:{port}")).namespace("a")
    assert len(connections) == 3


def test_a_refused_connection_says_so(kubeconfig: WriteKubeconfig, connect: Connect) -> None:
    """Host, port and kind of the failure are in the message."""
    with Server(Scripted(EMPTY_LIST)) as server:
        path = kubeconfig(server.url)
    with pytest.raises(ServerFailed, match=rf"get namespaces a: {LOOPBACK}:{server.port}: it refused the connection"):
        connect(path).namespace("a")


def test_a_name_that_is_not_resolved_says_so(kubeconfig: WriteKubeconfig, connect: Connect) -> None:
    """A wrong host in the kubeconfig is told apart from a server that is down."""
    with pytest.raises(ServerFailed, match=r"api\.invalid: its name is not resolved"):
        connect(kubeconfig("http://api.invalid")).namespace("a")


def test_a_restarted_server_is_found_again(kubeconfig: WriteKubeconfig, connect: Connect) -> None:
    """A kept connection that died meanwhile is no failure."""
    with Server(Scripted(EMPTY_LIST)) as server:
        cluster = connect(kubeconfig(server.url))
        assert list(cluster.namespaces()) == []
        server.stop()
        server.start()
        assert list(cluster.namespaces()) == []


def test_the_next_request_on_a_connection_has_its_own_time(kubeconfig: WriteKubeconfig, connect: Connect) -> None:
    """The little time that one answer left over is not the next one's limit."""
    slow = threading.Event()

    def handler(_: Request) -> Response:
        slow.wait(0.4)
        return EMPTY_LIST

    with Server(handler) as server:
        cluster = connect(kubeconfig(server.url), timeout=0.6, deadline=0.6)
        for _ in range(3):
            assert list(cluster.namespaces()) == []


def test_who_we_are_is_in_every_request(kubeconfig: WriteKubeconfig, connect: Connect) -> None:
    """The User-Agent names rotator and its version; the token goes in the header."""
    script = Scripted(EMPTY_LIST)
    with Server(script) as server:
        list(connect(kubeconfig(server.url)).namespaces())
    assert script.seen[0].headers["user-agent"] == f"rotator/{__version__}"
    assert script.seen[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_a_redirect_is_not_followed(kubeconfig: WriteKubeconfig, connect: Connect) -> None:
    """An API server sends none; whoever does would get our token."""
    elsewhere = Scripted(EMPTY_LIST)
    with Server(elsewhere) as thief:
        moved = Scripted(Response(307, headers={"Location": thief.url}))
        with Server(moved) as server, pytest.raises(ClusterError, match="307"):
            connect(kubeconfig(server.url)).namespace("a")
    assert elsewhere.seen == []


@pytest.mark.parametrize("token", ["tok-1\n", "tok-1 \r\n"])
def test_a_newline_around_the_token_is_dropped(token: str) -> None:
    """Token files end with a newline when people write them; a header must not."""
    assert header_value(f"Bearer {token}") == "Bearer tok-1"


@pytest.mark.parametrize("token", ["tok\n1", "tök", "tok\x00"])
def test_a_token_that_no_header_can_carry_is_not_shown(token: str) -> None:
    """http.client would put the token into its error; ours does not."""
    with pytest.raises(ClusterUnusable) as caught:
        header_value(token)
    assert "tok\n" not in str(caught.value)
    assert "tök" not in str(caught.value)


def test_a_replaced_credential_is_read_again(kubeconfig: WriteKubeconfig, connect: Connect, tmp_path: Path) -> None:
    """After a 401 the kubeconfig and its token file are read once more, and the call goes on with the new token."""
    token = tmp_path / "token"
    token.write_text("old\n")

    def handler(request: Request) -> Response:
        return EMPTY_LIST if request.headers.get("authorization") == "Bearer new" else Response(401)

    with Server(handler) as server:
        cluster = connect(kubeconfig(server.url, user={"tokenFile": str(token)}))
        with pytest.raises(ClusterUnusable, match="does not know who we are"):
            list(cluster.namespaces())
        token.write_text("new\n")
        assert list(cluster.namespaces()) == []


def test_a_costly_log_in_is_not_repeated_for_each_refusal(kubeconfig: WriteKubeconfig) -> None:
    """Every credential is refused, and getting one takes a while: of ten calls after that none runs it again."""
    logins = list[int]()

    def slow() -> Configuration:
        logins.append(1)
        threading.Event().wait(COSTLY + 0.1)
        return log_in(path, None)

    with Server(lambda _: Response(401)) as server:
        path = kubeconfig(server.url, user={"token": "old"})
        with closing(Cluster(slow)) as cluster:
            for _ in range(10):
                with pytest.raises(ClusterUnusable, match="does not know who we are"):
                    cluster.namespace("a")
    assert len(logins) == 2


def test_sixteen_threads_share_one_client(kubeconfig: WriteKubeconfig) -> None:
    """Requests of many threads do not mix, and a credential that was refused to all of them is replaced once."""

    def handler(request: Request) -> Response:
        if request.headers["authorization"] == "Bearer old":
            refused.wait()
            return Response(401)
        return Response.of_json(200, {"metadata": {"name": request.path.rpartition("/")[2]}})

    def counted() -> Configuration:
        logins.append(1)
        return log_in(path, None)

    refused, logins = threading.Barrier(16, timeout=20), list[int]()
    with Server(handler) as server:
        path = kubeconfig(server.url, user={"token": "old"})
        with closing(Cluster(counted)) as cluster:
            kubeconfig(server.url, user={"token": "new"})
            with ThreadPoolExecutor(16) as pool:
                names = [f"n{number}" for number in range(200)]
                assert [record.name for record in pool.map(cluster.namespace, names)] == names
    assert len(logins) == 2


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_a_proxy_url_is_used_with_its_user(kubeconfig: WriteKubeconfig, connect: Connect, scheme: str) -> None:
    """The kubeconfig's proxy-url is the way to the server, and its user goes to the proxy as kubectl sends it."""
    proxy = Scripted(EMPTY_LIST)
    with Server(proxy) as server:
        way = {"proxy-url": f"{scheme}me:pw@{LOOPBACK}:{server.port}"}
        list(connect(kubeconfig("http://api.example", cluster=way)).namespaces())
    assert proxy.seen[0].host == "api.example"
    assert proxy.seen[0].headers["proxy-authorization"] == "Basic bWU6cHc="


def test_no_proxy_is_respected(kubeconfig: WriteKubeconfig, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY is the way to every server but those in NO_PROXY."""
    proxy, api = Scripted(Response(418)), Scripted(EMPTY_LIST)
    with Server(proxy) as proxy_server, Server(api) as server:
        monkeypatch.setenv("http_proxy", proxy_server.url)
        with pytest.raises(ClusterError, match="418"):
            list(connect(kubeconfig(server.url)).namespaces())
        monkeypatch.setenv("no_proxy", f"example.com,{LOOPBACK}")
        assert list(connect(kubeconfig(server.url)).namespaces()) == []


def test_a_proxy_that_is_down_says_so(
    kubeconfig: WriteKubeconfig, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message blames the proxy, not the API server, and shows no proxy password."""
    with Server(Scripted(EMPTY_LIST)) as server:
        port = server.port
    monkeypatch.setenv("https_proxy", f"http://me:hunter2@{LOOPBACK}:{port}")
    with pytest.raises(ServerFailed, match="the proxy on the way") as caught:
        connect(kubeconfig("https://api.example")).namespace("a")
    assert "hunter2" not in str(caught.value)


def test_closing_ends_the_wait_for_another_try(kubeconfig: WriteKubeconfig, connect: Connect) -> None:
    """A daemon that stops does not sit out a Retry-After."""
    script = Scripted(Response(429, headers={"Retry-After": "60"}))
    with Server(script) as server:
        cluster = connect(kubeconfig(server.url), deadline=100)
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(cluster.namespace, "a")
            while not script.seen:
                time.sleep(0.005)
            cluster.close()
            with pytest.raises(Throttled):
                call.result(timeout=20)


def test_no_credential_is_in_any_error(kubeconfig: WriteKubeconfig, connect: Connect) -> None:
    """Neither our errors nor the chain behind them hold the token."""
    with raw_server(reset) as port, pytest.raises(ServerFailed) as caught:
        connect(kubeconfig(f"http://{LOOPBACK}:{port}")).namespace("a")
    error: BaseException | None = caught.value
    while error is not None:
        assert TOKEN not in f"{error!r} {error}"
        error = error.__cause__ or error.__context__
