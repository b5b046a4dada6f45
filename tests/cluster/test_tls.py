"""The API server's certificate: trusted, or refused with a reason, and how strictly."""

import ssl
from pathlib import Path

import pytest
import urllib3
from kubernetes.client.configuration import Configuration

from rotator.cluster.tls import RELAXED_TLS, relax
from rotator.errors import ServerFailed
from rotator.sandbox.authority import Authority
from rotator.sandbox.server import LOOPBACK, Request, Response, Server
from tests.cluster.conftest import Connect, WriteKubeconfig
from tests.cluster.servers import EMPTY_LIST, Scripted, raw_server, speak_plainly


@pytest.fixture
def relaxed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch is on."""
    monkeypatch.setenv(RELAXED_TLS, "1")


def one_namespace(_: Request) -> Response:
    """The same answer to everything."""
    return Response.of_json(200, {"metadata": {"name": "a"}})


@pytest.mark.usefixtures("relaxed")
def test_relaxed_certificates_may_break_formal_rules() -> None:
    """The switch takes away just the strict flag that Python 3.13 sets by default."""
    manager = urllib3.PoolManager()
    relax(manager, Configuration())
    context = manager.connection_pool_kw["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.get_ca_certs()  # of the system: the configuration names none


@pytest.mark.parametrize("value", ["", "0", "no"])
def test_without_the_switch_python_decides(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """Nothing is changed unless the variable is 1."""
    monkeypatch.setenv(RELAXED_TLS, value)
    manager = urllib3.PoolManager()
    relax(manager, Configuration())
    assert "ssl_context" not in manager.connection_pool_kw


@pytest.mark.usefixtures("relaxed")
def test_relaxed_is_not_insecure(kubeconfig: WriteKubeconfig, connect: Connect, tmp_path: Path) -> None:
    """The cluster's authority is still demanded, and the host's name in the certificate."""
    authority = Authority()
    ca = {"certificate-authority": str(authority.write(tmp_path / "ca.pem"))}
    with Server(one_namespace, tls=authority.context(LOOPBACK)) as server:
        assert connect(kubeconfig(server.url, cluster=ca)).namespace("a").name == "a"
        with pytest.raises(ServerFailed, match="not trusted"):
            connect(kubeconfig(server.url)).namespace("a")
    other = authority.context("api.example")
    with Server(one_namespace, tls=other) as server, pytest.raises(ServerFailed, match="not trusted"):
        connect(kubeconfig(server.url, cluster=ca)).namespace("a")


@pytest.mark.parametrize("switch", ["0", "1"])
def test_a_kubeconfig_may_skip_verification(
    kubeconfig: WriteKubeconfig, connect: Connect, monkeypatch: pytest.MonkeyPatch, switch: str
) -> None:
    """`insecure-skip-tls-verify: true` is the user's word, with or without the switch; urllib3 warns about it."""
    monkeypatch.setenv(RELAXED_TLS, switch)
    insecure = {"insecure-skip-tls-verify": True}
    warned = pytest.warns(urllib3.exceptions.InsecureRequestWarning)
    with Server(one_namespace, tls=Authority().context(LOOPBACK)) as server, warned:
        assert connect(kubeconfig(server.url, cluster=insecure)).namespace("a").name == "a"


def test_tls_with_the_clusters_own_authority(kubeconfig: WriteKubeconfig, connect: Connect, tmp_path: Path) -> None:
    """A server whose certificate comes from the kubeconfig's authority is trusted."""
    authority = Authority()
    ca = {"certificate-authority": str(authority.write(tmp_path / "ca.pem"))}
    with Server(Scripted(EMPTY_LIST), tls=authority.context(LOOPBACK)) as server:
        assert list(connect(kubeconfig(server.url, cluster=ca)).namespaces()) == []


def test_a_certificate_that_is_not_trusted_says_so(kubeconfig: WriteKubeconfig, connect: Connect) -> None:
    """The message names the server and what is wrong with its certificate."""
    tls = Authority().context(LOOPBACK)
    with Server(Scripted(EMPTY_LIST), tls=tls) as server, pytest.raises(ServerFailed, match="not trusted") as caught:
        connect(kubeconfig(server.url)).namespace("a")
    assert f"{LOOPBACK}:{server.port}: its certificate is" in caught.value.message
    assert "certificate-authority" in caught.value.hint


def test_a_certificate_for_another_host_is_refused(
    kubeconfig: WriteKubeconfig, connect: Connect, tmp_path: Path
) -> None:
    """Trusting the authority is not enough: the certificate must be the server's; tls-server-name can say which."""
    authority = Authority()
    ca: dict[str, object] = {"certificate-authority": str(authority.write(tmp_path / "ca.pem"))}
    with Server(Scripted(EMPTY_LIST), tls=authority.context("api.example")) as server:
        with pytest.raises(ServerFailed, match="its certificate is not trusted"):
            connect(kubeconfig(server.url, cluster=ca)).namespace("a")
        path = kubeconfig(server.url, cluster=ca | {"tls-server-name": "api.example"})
        assert list(connect(path).namespaces()) == []


def test_plain_http_where_tls_is_expected_says_so(kubeconfig: WriteKubeconfig, connect: Connect) -> None:
    """https:// to a server that speaks http is a failed handshake, not a riddle."""
    with raw_server(speak_plainly) as port, pytest.raises(ServerFailed, match="TLS handshake failed"):
        connect(kubeconfig(f"https://{LOOPBACK}:{port}")).namespace("a")
