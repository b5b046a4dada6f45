"""The API server's certificate: trusted, or refused with a reason, and how strictly."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import trustme
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kubernetes.client.configuration import Configuration

from rotator.cluster.tls import verify_as_kubectl_does
from rotator.errors import ServerFailed
from rotator.sandbox.authority import Authority
from rotator.sandbox.server import LOOPBACK, Request, Response, Server
from tests.cluster.conftest import Connect, WriteKubeconfig
from tests.cluster.servers import EMPTY_LIST, Scripted, raw_server, speak_plainly


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """urllib3 as it is on Python 3.13 and newer: OpenSSL holds certificates to RFC 5280."""
    create = urllib3.util.ssl_.create_urllib3_context

    def stricter(*args: Any, **kwargs: Any) -> ssl.SSLContext:  # noqa: ANN401  (urllib3's own)
        context = create(*args, **kwargs)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    for module in (urllib3.util.ssl_, urllib3.connection):
        monkeypatch.setattr(module, "create_urllib3_context", stricter)


def one_namespace(_: Request) -> Response:
    """The same answer to everything."""
    return Response.of_json(200, {"metadata": {"name": "a"}})


def without_key_identifier(authority: trustme.CA, folder: Path) -> ssl.SSLContext:
    """A certificate as EKS has it: of the authority, for the host, and without an authority key identifier."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    signing = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kube-apiserver")]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(LOOPBACK))]), critical=False)
        .sign(signing, hashes.SHA256())
    )
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "serving.pem"
    path.write_bytes(plain + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@pytest.mark.usefixtures("strict")
def test_a_certificate_may_break_formal_rules(kubeconfig: WriteKubeconfig, connect: Connect, tmp_path: Path) -> None:
    """That of EKS has no authority key identifier: Python 3.13 would refuse what kubectl takes."""
    authority = trustme.CA()
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    with Server(one_namespace, tls=without_key_identifier(authority, tmp_path)) as server:
        with pytest.raises(urllib3.exceptions.SSLError, match="Missing Authority Key Identifier"):
            urllib3.PoolManager(ca_certs=str(ca), retries=False).request("GET", server.url)
        path = kubeconfig(server.url, cluster={"certificate-authority": str(ca)})
        assert connect(path).namespace("a").name == "a"


@pytest.mark.usefixtures("strict")
def test_that_is_not_insecure(kubeconfig: WriteKubeconfig, connect: Connect, tmp_path: Path) -> None:
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


def test_without_an_authority_the_systems_are_trusted() -> None:
    """The configuration names none."""
    manager = urllib3.PoolManager()
    verify_as_kubectl_does(manager, Configuration())
    context = manager.connection_pool_kw["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.get_ca_certs()


def test_a_kubeconfig_may_skip_verification(kubeconfig: WriteKubeconfig, connect: Connect) -> None:
    """`insecure-skip-tls-verify: true` is the user's word; urllib3 warns about it."""
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
