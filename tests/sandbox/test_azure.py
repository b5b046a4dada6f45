"""Azure's emulation, spoken to by the real azure-identity with production configuration."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.core.credentials import TokenCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.identity import (
    CertificateCredential,
    ClientSecretCredential,
    CredentialUnavailableError,
    DefaultAzureCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)

from rotator.sandbox.cloud import read_jwt
from rotator.sandbox.faults import NEARLY_SPENT_LIFE, Fault
from rotator.sandbox.internet import Internet, Node
from tests.sandbox.conftest import Clock

SCOPE = "https://containerregistry.azure.net/.default"
ONCE: dict[str, Any] = {"retry_total": 0, "retry_status": 0, "read_timeout": 0.5}
REGISTRY = "contoso.azurecr.io"


def workload(net: Internet, directory: Path) -> WorkloadIdentityCredential:
    """A Pod's federated token."""
    variables = net.azure.workload_identity_environment(directory)
    return WorkloadIdentityCredential(
        tenant_id=net.azure.tenant_id,
        client_id=net.azure.client_id,
        token_file_path=variables["AZURE_FEDERATED_TOKEN_FILE"],
        **ONCE,
    )


def secret(net: Internet, _: Path, authority: str = "login.microsoftonline.com") -> ClientSecretCredential:
    """An application's secret."""
    return ClientSecretCredential(
        net.azure.tenant_id, net.azure.client_id, net.azure.client_secret(), authority=authority, **ONCE
    )


def certificate(net: Internet, directory: Path) -> CertificateCredential:
    """An application's certificate."""
    file = net.azure.client_certificate_file(directory)
    return CertificateCredential(net.azure.tenant_id, net.azure.client_id, str(file), **ONCE)


def system(net: Internet, _: Path) -> ManagedIdentityCredential:
    """The node's own identity."""
    net.node = Node.AZURE
    return ManagedIdentityCredential(**ONCE)


def by_client(net: Internet, _: Path) -> ManagedIdentityCredential:
    """A user-assigned identity by its client id."""
    net.node = Node.AZURE
    return ManagedIdentityCredential(client_id=net.azure.client_id, **ONCE)


def by_resource(net: Internet, _: Path) -> ManagedIdentityCredential:
    """A user-assigned identity by its resource id."""
    net.node = Node.AZURE
    return ManagedIdentityCredential(identity_config={"resource_id": net.azure.resource_id}, **ONCE)


def post(host: str, path: str, **form: str) -> requests.Response:
    """Post a form to a host, as an unchanged program would."""
    return requests.post(f"https://{host}{path}", data=form, timeout=5)


def exchanged(entra_token: str, host: str = REGISTRY) -> requests.Response:
    """Trade an Entra token for a refresh token of the registry."""
    return post(host, "/oauth2/exchange", grant_type="access_token", service=host, access_token=entra_token)


@pytest.mark.parametrize("identity", [workload, secret, certificate, system, by_client, by_resource])
def test_each_identity_gets_to_the_registry(
    net: Internet, tmp_path: Path, identity: Callable[[Internet, Path], TokenCredential]
) -> None:
    """An Entra token for registries, then a refresh token whose JWT ends after three hours."""
    entra = identity(net, tmp_path).get_token(SCOPE)
    assert timedelta(hours=23) < datetime.fromtimestamp(entra.expires_on, UTC) - datetime.now(UTC)
    refresh = exchanged(entra.token).json()["refresh_token"]
    assert net.azure.accepts(refresh)
    left = datetime.fromtimestamp(float(str(read_jwt(refresh)[1]["exp"])), UTC) - datetime.now(UTC)
    assert timedelta(hours=2, minutes=59) < left <= timedelta(hours=3)
    assert net.azure.calls["exchange"] == 1
    assert net.proxy.unknown == set()


def test_the_default_chain_finds_workload_identity(
    net: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The webhook's variables are enough."""
    for name, value in net.azure.workload_identity_environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    with DefaultAzureCredential(**ONCE) as credential:
        assert net.azure.accepts(credential.get_token(SCOPE).token)


def test_off_azure_there_is_no_managed_identity(net: Internet) -> None:
    """A node of another cloud has none, and says so without a wait."""
    with ManagedIdentityCredential(**ONCE) as credential, pytest.raises(CredentialUnavailableError):
        credential.get_token(SCOPE)
    assert net.azure.calls == {}


def test_an_identity_of_somebody_else_is_not_found(net: Internet) -> None:
    """The node has just its own identities."""
    net.node = Node.AZURE
    credential = ManagedIdentityCredential(client_id="00000000-1111-2222-3333-444444444444", **ONCE)
    with credential, pytest.raises(CredentialUnavailableError, match="Identity not found"):
        credential.get_token(SCOPE)


@pytest.mark.parametrize(
    ("authority", "registry"),
    [
        ("login.microsoftonline.com", "contoso.azurecr.io"),
        ("login.chinacloudapi.cn", "contoso.azurecr.cn"),
        ("login.partner.microsoftonline.cn", "contoso.azurecr.cn"),
        ("login.microsoftonline.us", "contoso.azurecr.us"),
    ],
)
def test_each_cloud_has_its_authority(net: Internet, tmp_path: Path, authority: str, registry: str) -> None:
    """A token opens the registries of its own cloud and of no other."""
    token = secret(net, tmp_path, authority).get_token(SCOPE).token
    assert exchanged(token, registry).status_code == 200
    other = "contoso.azurecr.us" if registry.endswith("io") else "contoso.azurecr.io"
    assert exchanged(token, other).status_code == 401


def test_the_arm_audience_is_refused_where_it_is_disabled(net: Internet, tmp_path: Path) -> None:
    """authentication-as-arm decides about tokens for ARM; other audiences are always refused."""
    credential = secret(net, tmp_path)
    arm = credential.get_token("https://management.azure.com/.default").token
    assert exchanged(arm).status_code == 200
    net.azure.authentication_as_arm = False
    assert exchanged(arm).status_code == 401
    assert exchanged(credential.get_token("https://vault.azure.net/.default").token).status_code == 401


def test_an_unknown_tenant_is_named(net: Internet) -> None:
    """Discovery knows one tenant."""
    credential = ClientSecretCredential("elsewhere", net.azure.client_id, net.azure.client_secret(), **ONCE)
    with pytest.raises((ClientAuthenticationError, ValueError), match="Unable to get authority configuration"):
        credential.get_token(SCOPE)


@pytest.mark.parametrize(("client", "given", "code"), [("", "wrong", "AADSTS7000215"), ("other", "", "AADSTS700016")])
def test_a_wrong_secret_or_application_is_refused(net: Internet, client: str, given: str, code: str) -> None:
    """Entra names what is wrong by its code."""
    credential = ClientSecretCredential(
        net.azure.tenant_id, client or net.azure.client_id, given or net.azure.client_secret(), **ONCE
    )
    with pytest.raises(ClientAuthenticationError, match=code):
        credential.get_token(SCOPE)


def test_a_narrow_token_has_its_scope(net: Internet, tmp_path: Path) -> None:
    """POST /oauth2/token gives an access token for one repository, against a refresh token of this registry."""
    refresh = exchanged(secret(net, tmp_path).get_token(SCOPE).token).json()["refresh_token"]
    form = {"grant_type": "refresh_token", "scope": "repository:app:pull", "refresh_token": refresh}
    access = post(REGISTRY, "/oauth2/token", service=REGISTRY, **form).json()["access_token"]
    token = net.azure.accepts(access)
    assert token
    assert token.subject == "repository:app:pull"
    assert post("fabrikam.azurecr.io", "/oauth2/token", service="fabrikam.azurecr.io", **form).status_code == 401


@pytest.mark.parametrize(
    ("fault", "error", "text"),
    [
        (Fault.HUNG, ClientAuthenticationError, "Read timed out"),
        (Fault.REFUSING, ClientAuthenticationError, "AADSTS7000215"),
        (Fault.THROTTLING, ClientAuthenticationError, "AADSTS90055"),
        (Fault.DOWN, HttpResponseError, "503"),
        (Fault.MALFORMED, ClientAuthenticationError, "Expecting value"),
        (Fault.ECHOING, ClientAuthenticationError, "client_secret="),
    ],
)
def test_faults_of_entra(net: Internet, tmp_path: Path, fault: Fault, error: type[Exception], text: str) -> None:
    """Each fault of the token endpoint reaches the program as azure-identity tells it."""
    net.azure.fault, net.azure.fault_at = fault, "token"
    with pytest.raises(error, match=text):
        secret(net, tmp_path).get_token(SCOPE)
    net.azure.fault = None
    assert secret(net, tmp_path).get_token(SCOPE).token


def test_a_blank_token_is_taken_for_a_token(net: Internet, tmp_path: Path) -> None:
    """azure-identity hands an empty token on; whoever uses it must look."""
    net.azure.fault = Fault.BLANK
    assert secret(net, tmp_path).get_token(SCOPE).token == ""


def test_throttling_says_how_long(net: Internet, tmp_path: Path) -> None:
    """Azure's 429 carries a Retry-After."""
    token = secret(net, tmp_path).get_token(SCOPE).token
    net.azure.fault = Fault.THROTTLING
    assert (exchanged(token).status_code, exchanged(token).headers["Retry-After"]) == (429, "2")


def test_a_nearly_spent_token_stays_until_it_expires(net: Internet, tmp_path: Path, clock: Clock) -> None:
    """The exchange gives the same refresh token again while it lives, with seconds left; then another."""
    entra = secret(net, tmp_path).get_token(SCOPE).token
    net.azure.fault = Fault.NEARLY_SPENT
    first = exchanged(entra).json()["refresh_token"]
    assert float(str(read_jwt(first)[1]["exp"])) - datetime.now(UTC).timestamp() <= NEARLY_SPENT_LIFE.total_seconds()
    assert exchanged(entra).json()["refresh_token"] == first
    clock.ahead = NEARLY_SPENT_LIFE
    assert exchanged(entra).json()["refresh_token"] != first


def test_every_secret_is_noted(net: Internet) -> None:
    """Client secret, Entra token and refresh token: a test can search for each of them."""
    client_secret = net.azure.client_secret()
    entra = ClientSecretCredential(net.azure.tenant_id, net.azure.client_id, client_secret, **ONCE).get_token(SCOPE)
    assert {client_secret, entra.token, exchanged(entra.token).json()["refresh_token"]} <= net.secrets()
