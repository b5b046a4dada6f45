"""Azure Container Registry: who asks, where a token goes, and what a failure says."""

import base64
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509 import load_pem_x509_certificate

from rotator.config import Registry
from rotator.errors import IdentityMissing, MalformedAnswer, MintRefused, MintThrottled
from rotator.providers import provider_for
from rotator.providers.acr import jwt_expiry
from rotator.sandbox.cloud import jwt
from rotator.sandbox.faults import Fault
from rotator.sandbox.internet import Internet, Node
from rotator.sandbox.server import Request, Response
from tests.providers.world import ACR_HOST, failure_of, registry, set_all, told

Identity = dict[str, str]


def acr_registry(*hosts: str, **source: Any) -> Registry:  # noqa: ANN401  (as in YAML)
    """A registry with this identity."""
    return registry("acr", {"hosts": list(hosts or [ACR_HOST]), **source})


def accepted(internet: Internet, registry: Registry) -> bool:
    """Mint, and ask the cloud whether it honours the token."""
    credential = provider_for(registry).mint()
    assert credential.username == "00000000-0000-0000-0000-000000000000"
    return internet.azure.accepts(credential.password.reveal()) is not None


def watch(internet: Internet, host: str) -> list[Request]:
    """The list of requests that grows with each one to this host."""
    seen: list[Request] = []
    handler = internet.azure.handler_for(host) or internet.registries.handler_for(host)
    assert handler is not None

    def note(request: Request) -> Response:
        seen.append(request)
        return handler(request)

    internet.hosts[host] = note
    return seen


@pytest.fixture
def workload(internet: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Identity:
    """What the webhook gives to a Pod, and the identity that uses it."""
    set_all(monkeypatch, internet.azure.workload_identity_environment(tmp_path))
    return {"type": "workload"}


def app(internet: Internet, kind: str, **more: str) -> Identity:
    """An application's identity."""
    return {"type": kind, "clientId": internet.azure.client_id, "tenantId": internet.azure.tenant_id, **more}


# Who asks


def test_workload_identity_may_be_spelled_out(
    internet: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, workload: Identity
) -> None:
    """clientId, tenantId and tokenFile stand in for the webhook's variables."""
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name)
    identity = workload | app(internet, "workload", tokenFile=str(tmp_path / "azure-token"))
    assert accepted(internet, acr_registry(identity=identity))


@pytest.mark.parametrize("chosen", [{}, {"clientId": "client_id"}, {"resourceId": "resource_id"}])
def test_a_managed_identity_may_be_chosen(internet: Internet, chosen: dict[str, str]) -> None:
    """The system's, or a user-assigned one by client id or by resource id."""
    internet.node = Node.AZURE
    identity = {"type": "managed"} | {name: getattr(internet.azure, field) for name, field in chosen.items()}
    assert accepted(internet, acr_registry(identity=identity))


def test_an_unassigned_managed_identity_is_refused_with_its_remedy(internet: Internet) -> None:
    """The metadata service knows no such identity: assign it."""
    internet.node = Node.AZURE
    stranger = "11111111-2222-3333-4444-555555555555"
    error = failure_of(acr_registry(identity={"type": "managed", "clientId": stranger}))
    assert type(error) is MintRefused
    assert "assign the identity" in error.hint


def test_a_secret_may_stand_in_the_environment(internet: Internet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named by secretEnv."""
    monkeypatch.setenv("PULL_SECRET", internet.azure.client_secret())
    assert accepted(internet, acr_registry(identity=app(internet, "clientSecret", secretEnv="PULL_SECRET")))


def test_a_rotated_secret_is_noticed(internet: Internet, tmp_path: Path) -> None:
    """The file is read at each mint, so that a new secret needs no restart."""
    file = tmp_path / "secret"
    file.write_text("expired-secret\r\n")
    provider = provider_for(acr_registry(identity=app(internet, "clientSecret", secretFile=str(file))))
    with pytest.raises(MintRefused) as caught:
        provider.mint()
    assert "AADSTS7000215, HTTP 401" in caught.value.message
    assert "expired-secret" not in told(caught.value)
    file.write_text(internet.azure.client_secret() + "\r\n")
    assert provider.mint()


def pem(internet: Internet, directory: Path) -> Identity:
    """A certificate and its key, as PEM."""
    return {"certificateFile": str(internet.azure.client_certificate_file(directory))}


def pfx(internet: Internet, directory: Path) -> Identity:
    """The same as PKCS#12 with a password, which ends with a newline as editors leave it."""
    text = internet.azure.client_certificate_file(directory).read_bytes()
    key: Any = serialization.load_pem_private_key(text, None)
    sealed = pkcs12.serialize_key_and_certificates(
        b"rotator", key, load_pem_x509_certificate(text), None, serialization.BestAvailableEncryption(b"hunter2")
    )
    (directory / "certificate.pfx").write_bytes(sealed)
    (directory / "password").write_text("hunter2\n")
    return {"certificateFile": str(directory / "certificate.pfx"), "passwordFile": str(directory / "password")}


@pytest.mark.parametrize("form", [pem, pfx])
def test_a_certificate_serves_in_both_forms(
    internet: Internet, tmp_path: Path, form: Callable[[Internet, Path], Identity]
) -> None:
    """PEM, and PKCS#12 with a password."""
    assert accepted(internet, acr_registry(identity=app(internet, "clientCertificate", **form(internet, tmp_path))))


def test_a_certificate_may_stand_in_the_environment(
    internet: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The variable with the PEM text is named by certificateEnv."""
    monkeypatch.setenv("PULL_CERTIFICATE", internet.azure.client_certificate_file(tmp_path).read_text())
    identity = app(internet, "clientCertificate", certificateEnv="PULL_CERTIFICATE")
    assert accepted(internet, acr_registry(identity=identity))


def test_the_default_chain_finds_an_application(internet: Internet, monkeypatch: pytest.MonkeyPatch) -> None:
    """AZURE_CLIENT_SECRET and its like, as azure-identity documents them."""
    secret = internet.azure.client_secret()
    ids = {"AZURE_CLIENT_ID": internet.azure.client_id, "AZURE_TENANT_ID": internet.azure.tenant_id}
    set_all(monkeypatch, ids | {"AZURE_CLIENT_SECRET": secret})
    assert accepted(internet, acr_registry())


@pytest.mark.usefixtures("workload")
def test_the_default_chain_finds_a_workload(internet: Internet) -> None:
    """What the webhook sets needs no configuration."""
    assert accepted(internet, acr_registry())


def test_the_default_chain_finds_the_node(internet: Internet) -> None:
    """The managed identity is the last resort."""
    internet.node = Node.AZURE
    assert accepted(internet, acr_registry())


# Clouds

CLOUDS = {
    "contoso.azurecr.io": "login.microsoftonline.com",
    "contoso.azurecr.cn": "login.chinacloudapi.cn",
    "contoso.azurecr.us": "login.microsoftonline.us",
    "contoso.westeurope.geo.azurecr.io": "login.microsoftonline.com",
    "contoso-abc123.azurecr.io": "login.microsoftonline.com",
}


@pytest.mark.parametrize(("host", "authority"), CLOUDS.items())
@pytest.mark.parametrize("audience", ["containerregistry", "arm"])
def test_the_host_decides_the_cloud(
    internet: Internet, monkeypatch: pytest.MonkeyPatch, host: str, authority: str, audience: str
) -> None:
    """Each cloud has its authority and its ARM audience; nobody else is asked."""
    monkeypatch.setenv("PULL_SECRET", internet.azure.client_secret())
    seen = watch(internet, authority)
    identity = app(internet, "clientSecret", secretEnv="PULL_SECRET")
    assert accepted(internet, acr_registry(host, identity=identity, audience=audience))
    assert seen
    assert internet.proxy.unknown == set()


def test_a_private_authority_is_honoured(internet: Internet, monkeypatch: pytest.MonkeyPatch) -> None:
    """AZURE_AUTHORITY_HOST names it, and Microsoft's own is not asked whether it exists."""
    handler = internet.azure.handler_for("login.microsoftonline.com")
    assert handler is not None
    internet.hosts["login.azs.example"] = lambda request: handler(replace(request, host="login.microsoftonline.com"))
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "https://login.azs.example/")
    monkeypatch.setenv("PULL_SECRET", internet.azure.client_secret())
    identity = app(internet, "clientSecret", secretEnv="PULL_SECRET")
    assert accepted(internet, acr_registry(identity=identity))
    assert internet.azure.calls["discovery"] == 1


def test_a_plain_http_authority_is_refused(
    internet: Internet, monkeypatch: pytest.MonkeyPatch, workload: Identity
) -> None:
    """A Pod's token is not sent in the clear."""
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "http://login.microsoftonline.com/")
    error = failure_of(acr_registry(identity=workload))
    assert type(error) is IdentityMissing
    assert "https" in error.hint
    assert internet.azure.calls == Counter()


def test_the_arm_audience_may_be_refused(internet: Internet, workload: Identity) -> None:
    """Where authentication-as-arm is disabled the registry says no, and only the default audience serves."""
    internet.azure.authentication_as_arm = False
    assert type(failure_of(acr_registry(identity=workload, audience="arm"))) is MintRefused
    assert accepted(internet, acr_registry(identity=workload))


# The exchange


def test_the_exchange_names_service_and_tenant(internet: Internet, workload: Identity) -> None:
    """The Entra token goes to the first host alone, with the tenant when it is known."""
    first, second = watch(internet, ACR_HOST), watch(internet, "contoso.westeurope.geo.azurecr.io")
    provider_for(acr_registry(ACR_HOST, "contoso.westeurope.geo.azurecr.io", identity=workload)).mint()
    assert [request.path for request in first] == ["/oauth2/exchange"]
    assert f"service={ACR_HOST}".encode() in first[0].body
    assert f"tenant={internet.azure.tenant_id}".encode() in first[0].body
    assert second == []


def test_an_unknown_tenant_is_left_out(internet: Internet) -> None:
    """A managed identity needs no tenant to be named."""
    internet.node = Node.AZURE
    seen = watch(internet, ACR_HOST)
    provider_for(acr_registry(identity={"type": "managed"})).mint()
    assert b"tenant=" not in seen[0].body


def test_a_refused_exchange_names_the_role(internet: Internet, workload: Identity) -> None:
    """The registry knows who asks and says no: a role is missing, or the tenant is another."""
    internet.azure.fault, internet.azure.fault_at = Fault.REFUSING, "exchange"
    error = failure_of(acr_registry(identity=workload))
    assert error.message == "registry 'prod': contoso.azurecr.io refused oauth2/exchange (UNAUTHORIZED, HTTP 401)"
    assert "AcrPull" in error.hint
    assert "Container Registry Repository Reader" in error.hint


@pytest.mark.parametrize("where", ["token", "exchange"])
def test_throttling_tells_how_long_to_wait(internet: Internet, workload: Identity, where: str) -> None:
    """Retry-After is kept, whoever sent it."""
    internet.azure.fault, internet.azure.fault_at = Fault.THROTTLING, where
    error = failure_of(acr_registry(identity=workload))
    assert type(error) is MintThrottled
    assert error.retry_after == timedelta(seconds=2)


def test_a_redirected_exchange_is_not_followed(internet: Internet, workload: Identity) -> None:
    """The Entra token stays with the host that was configured."""
    location = {"Location": "https://evil.example/oauth2/exchange"}
    internet.hosts[ACR_HOST] = lambda _: Response(307, b"", location)
    assert type(failure_of(acr_registry(identity=workload))) is MalformedAnswer
    assert internet.proxy.unknown == set()


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        None,
        {"refresh_token": None},
        {"refresh_token": ""},
        {"refresh_token": 7},
        {"refresh_token": "opaque"},
        {"refresh_token": "a.b"},
        {"refresh_token": "a.b.c"},
        {"refresh_token": "a.!!!.c"},
        {"access_token": "a.b.c"},
    ],
)
def test_an_exchange_without_a_usable_token_is_malformed(
    internet: Internet, workload: Identity, answer: object
) -> None:
    """No half of an answer becomes a credential."""
    internet.hosts[ACR_HOST] = lambda _: Response.of_json(200, answer)
    assert type(failure_of(acr_registry(identity=workload))) is MalformedAnswer


def test_a_narrowed_credential_is_for_one_repository(internet: Internet, workload: Identity) -> None:
    """The cloud's book says what the token is good for, and it lives some 75 minutes."""
    credential = provider_for(acr_registry(identity=workload, repository="team/app")).mint()
    token = internet.azure.accepts(credential.password.reveal())
    assert token is not None
    assert token.subject == "repository:team/app:pull"
    assert credential.life <= timedelta(minutes=75)


# What a failure says


@pytest.mark.parametrize("kind", ["default", "workload"])
@pytest.mark.usefixtures("internet")
def test_no_identity_is_told(kind: str) -> None:
    """Without any identity the hint says how to give the Pod one."""
    error = failure_of(acr_registry(identity={"type": kind}))
    assert not error.retryable
    assert "workload" in error.hint


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_an_absent_secret_is_told(internet: Internet, tmp_path: Path, content: str | None) -> None:
    """A missing or empty file is a matter for a person; Entra is not asked with nothing."""
    file = tmp_path / "secret"
    if content is not None:
        file.write_text(content)
    error = failure_of(acr_registry(identity=app(internet, "clientSecret", secretFile=str(file))))
    assert type(error) is IdentityMissing
    assert internet.azure.calls == Counter()


@pytest.mark.parametrize("text", ["no certificate", "-----BEGIN CERTIFICATE-----\nhunter2\n-----END CERTIFICATE-----"])
def test_an_unusable_certificate_is_told_without_its_content(internet: Internet, tmp_path: Path, text: str) -> None:
    """Neither PEM nor PKCS#12, or without its key."""
    file = tmp_path / "certificate.pem"
    file.write_text(text)
    error = failure_of(acr_registry(identity=app(internet, "clientCertificate", certificateFile=str(file))))
    assert type(error) is IdentityMissing
    assert "hunter2" not in told(error)


def test_a_wrong_password_is_told_without_it(internet: Internet, tmp_path: Path) -> None:
    """The certificate does not open, and nothing is asked."""
    identity = app(internet, "clientCertificate", **pfx(internet, tmp_path))
    (tmp_path / "password").write_text("wrong-hunter")
    error = failure_of(acr_registry(identity=identity))
    assert type(error) is IdentityMissing
    assert "wrong-hunter" not in told(error)


# JWTs


def test_the_expiry_of_a_jwt_is_read() -> None:
    """`exp` is seconds since 1970, in UTC."""
    assert jwt_expiry(jwt({"exp": 1_800_000_000})) == datetime(2027, 1, 15, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    "claims", [{}, [], None, 7, {"exp": None}, {"exp": "1800000000"}, {"exp": True}, {"exp": 1.5}, {"exp": 10**30}]
)
def test_claims_without_an_expiry_are_refused(claims: object) -> None:
    """What does not say when it ends cannot be renewed in time."""
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    with pytest.raises(ValueError):  # noqa: PT011  (whatever it says, it is not shown)
        jwt_expiry(f"e30.{body}.sig")


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b.c", "a.!.c", "\u00e9.\u00e9.\u00e9", "a." + "A" * 100_000 + ".c", "a.b.c.d"]
)
def test_what_is_no_jwt_is_refused(token: str) -> None:
    """Three parts, base64, JSON, of a bounded length."""
    with pytest.raises(ValueError):  # noqa: PT011  (whatever it says, it is not shown)
        jwt_expiry(token)


def test_claims_without_a_bottom_are_refused() -> None:
    """JSON that nests deeper than Python reads is no claim."""
    body = base64.urlsafe_b64encode(b"[" * 40_000).decode()
    with pytest.raises(ValueError):  # noqa: PT011  (whatever it says, it is not shown)
        jwt_expiry(f"e30.{body}.sig")
