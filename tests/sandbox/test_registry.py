"""The registries, spoken to as a container runtime does: the challenge, the token endpoint, a manifest."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]  # AWS ships no types
import pytest
import requests
from azure.identity import ClientSecretCredential
from google.auth import identity_pool
from google.auth.transport.requests import Request

from rotator.sandbox.faults import Fault
from rotator.sandbox.internet import Internet
from tests.sandbox.conftest import Clock

ECR_HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
PUBLIC_HOST = "public.ecr.aws"
GAR_HOST = "europe-west1-docker.pkg.dev"
ACR_HOST = "contoso.azurecr.io"
ACR_USER = "00000000-0000-0000-0000-000000000000"
Login = tuple[str, str]


def ecr_login(net: Internet, _directory: Path, service: str = "ecr", region: str = "eu-west-1") -> Login:
    """A registry password from ECR."""
    keys = net.aws.static_environment()
    session = boto3.Session(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"])
    data = session.client(service, region_name=region).get_authorization_token()["authorizationData"]
    token = (data[0] if isinstance(data, list) else data)["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    return user, password


def public_login(net: Internet, directory: Path) -> Login:
    """A registry password from ECR Public."""
    return ecr_login(net, directory, "ecr-public", "us-east-1")


def google_login(net: Internet, directory: Path) -> Login:
    """An access token by workload identity federation."""
    pool: Any = identity_pool.Credentials  # google-auth is typed in part only
    credentials = pool.from_file(net.google.external_account_file(directory), scopes=("cloud",))
    with requests.Session() as session:
        credentials.refresh(Request(session))
    return "oauth2accesstoken", credentials.token


def azure_login(net: Internet, _: Path, host: str = ACR_HOST) -> Login:
    """A refresh token by an application's secret and the exchange."""
    with ClientSecretCredential(net.azure.tenant_id, net.azure.client_id, net.azure.client_secret()) as credential:
        entra = credential.get_token("https://containerregistry.azure.net/.default").token
    form = {"grant_type": "access_token", "service": host, "access_token": entra}
    return ACR_USER, requests.post(f"https://{host}/oauth2/exchange", data=form, timeout=5).json()["refresh_token"]


HOSTS = [
    pytest.param(ECR_HOST, ecr_login, id="ecr"),
    pytest.param("123456789012.dkr-ecr.eu-west-1.on.aws", ecr_login, id="ecr-dual-stack"),
    pytest.param(PUBLIC_HOST, public_login, id="ecr-public"),
    pytest.param(GAR_HOST, google_login, id="gar"),
    pytest.param("eu.gcr.io", google_login, id="gcr"),
    pytest.param(ACR_HOST, azure_login, id="acr"),
]


def pull(host: str, login: Login, repository: str = "app") -> requests.Response:
    """What a container runtime does: ask, read the challenge, get a session token if it says so, ask again."""
    url = f"https://{host}/v2/{repository}/manifests/latest"
    challenge = requests.get(url, timeout=5).headers["WWW-Authenticate"]
    if challenge.startswith("Basic "):
        return requests.get(url, auth=login, timeout=5)
    parameters = dict(part.split("=", 1) for part in challenge.removeprefix("Bearer ").split(","))
    query = {"service": parameters.get("service", "").strip('"'), "scope": f"repository:{repository}:pull"}
    session = requests.get(parameters["realm"].strip('"'), params=query, auth=login, timeout=5)
    if not session.ok:
        return session
    content = session.json()
    token = content.get("token") or content["access_token"]
    return requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=5)


@pytest.mark.parametrize(("host", "log_in"), HOSTS)
def test_a_minted_token_pulls_until_it_expires(
    net: Internet, clock: Clock, tmp_path: Path, host: str, log_in: Callable[[Internet, Path], Login]
) -> None:
    """A token lives as long as its cloud said, by the cloud's clock, and not a moment longer."""
    net.aws.life = net.google.life = net.azure.life = timedelta(minutes=10)
    login = log_in(net, tmp_path)
    clock.ahead = timedelta(minutes=9)
    manifest = pull(host, login)
    assert (manifest.status_code, manifest.json()["schemaVersion"]) == (200, 2)
    clock.ahead = timedelta(minutes=10)
    assert pull(host, login).status_code == (403 if ".dkr" in host else 401)
    assert net.registries[host].pulls["ok"] == 1


@pytest.mark.parametrize(("host", "log_in"), HOSTS)
def test_a_revoked_token_pulls_nothing(
    net: Internet, tmp_path: Path, host: str, log_in: Callable[[Internet, Path], Login]
) -> None:
    """A token that was taken back is refused at once."""
    login = log_in(net, tmp_path)
    for cloud in (net.aws, net.google, net.azure):
        cloud.revoke(login[1])
    assert pull(host, login).status_code in {400, 401}


@pytest.mark.parametrize(("host", "log_in"), HOSTS)
def test_v2_answers_those_who_are_known(
    net: Internet, tmp_path: Path, host: str, log_in: Callable[[Internet, Path], Login]
) -> None:
    """GET /v2/ is 401 without a credential and 200 with one; HEAD of a manifest has its digest and no body."""
    login = log_in(net, tmp_path)
    assert requests.get(f"https://{host}/v2/", timeout=5).status_code == 401
    assert requests.get(f"https://{host}/v2/", auth=login, timeout=5).status_code == 200
    head = requests.head(f"https://{host}/v2/app/manifests/latest", auth=login, timeout=5)
    assert head.headers["Docker-Content-Digest"].startswith("sha256:")
    assert head.content == b""


@pytest.mark.parametrize(
    ("host", "challenge"),
    [
        (ECR_HOST, f'Basic realm="https://{ECR_HOST}/",service="ecr.amazonaws.com"'),
        (PUBLIC_HOST, 'Bearer realm="https://public.ecr.aws/token/",service="public.ecr.aws",scope="aws"'),
        (GAR_HOST, f'Bearer realm="https://{GAR_HOST}/v2/token"'),
        ("gcr.io", 'Bearer realm="https://gcr.io/v2/token",service=gcr.io'),
        (ACR_HOST, f'Bearer realm="https://{ACR_HOST}/oauth2/token",service="{ACR_HOST}"'),
    ],
)
@pytest.mark.usefixtures("net")
def test_each_kind_has_its_challenge(host: str, challenge: str) -> None:
    """The WWW-Authenticate header, to the letter."""
    assert requests.get(f"https://{host}/v2/", timeout=5).headers["WWW-Authenticate"] == challenge


def test_a_token_of_another_region_is_refused(net: Internet, tmp_path: Path) -> None:
    """ECR's tokens are regional, and those of ECR Public are for ECR Public."""
    assert pull(ECR_HOST, ecr_login(net, tmp_path, region="us-east-1")).status_code == 400
    assert pull(ECR_HOST, public_login(net, tmp_path)).status_code == 400


def test_a_token_of_another_registry_is_refused(net: Internet, tmp_path: Path) -> None:
    """An ACR token is for one registry, and good at that one's regional hosts."""
    login = azure_login(net, tmp_path)
    assert pull("fabrikam.azurecr.io", login).status_code == 401
    assert pull("contoso.westeurope.geo.azurecr.io", login).status_code == 200


def test_a_narrow_token_opens_one_repository(net: Internet, tmp_path: Path) -> None:
    """An ACR access token with a scope opens that repository alone."""
    form = {
        "grant_type": "refresh_token",
        "scope": "repository:app:pull",
        "refresh_token": azure_login(net, tmp_path)[1],
    }
    access = requests.post(f"https://{ACR_HOST}/oauth2/token", data=form, timeout=5).json()["access_token"]
    assert pull(ACR_HOST, (ACR_USER, access), "app").status_code == 200
    assert pull(ACR_HOST, (ACR_USER, access), "other").status_code == 401


def test_a_denied_repository_stays_closed(net: Internet, tmp_path: Path) -> None:
    """As on an ABAC registry: /v2/ opens and the token endpoint answers, but the pull is denied."""
    login = azure_login(net, tmp_path)
    net.registries[ACR_HOST].denied = {"secret"}
    assert requests.get(f"https://{ACR_HOST}/v2/", auth=login, timeout=5).status_code == 200
    denied = pull(ACR_HOST, login, "secret")
    assert (denied.status_code, denied.json()["errors"][0]["code"]) == (403, "DENIED")
    assert net.registries[ACR_HOST].pulls == {"refused": 1}


@pytest.mark.parametrize("password", ["guessed", "", "wrong user"])
def test_a_wrong_password_is_refused_and_noted(net: Internet, tmp_path: Path, password: str) -> None:
    """Unknown passwords, and known ones of the wrong user, open nothing; all that was shown is remembered."""
    login = ("nobody", ecr_login(net, tmp_path)[1]) if password == "wrong user" else ("AWS", password)
    assert pull(ECR_HOST, login).status_code == 400
    assert login[1] in net.secrets() | {""}


@pytest.mark.parametrize(
    ("fault", "status"),
    [(Fault.DOWN, 503), (Fault.THROTTLING, 429), (Fault.REFUSING, 403), (Fault.MALFORMED, 200), (Fault.ECHOING, 400)],
)
def test_faults_of_a_registry(net: Internet, tmp_path: Path, fault: Fault, status: int) -> None:
    """A registry's fault is its own: the cloud's token API and other registries go on."""
    login = ecr_login(net, tmp_path)
    net.registries[ECR_HOST].fault = fault
    assert requests.get(f"https://{ECR_HOST}/v2/", auth=login, timeout=5).status_code == status
    assert pull("210987654321.dkr.ecr.eu-west-1.amazonaws.com", ecr_login(net, tmp_path)).status_code == 200


def test_what_is_no_registry_has_none(net: Internet) -> None:
    """Only hosts of the three clouds have a registry."""
    for host in ("docker.io", "contoso.data.azurecr.io", f"{ECR_HOST}.evil.example", "evil.example"):
        with pytest.raises(KeyError):
            net.registries[host]
    assert net.proxy.unknown == set()


def test_a_refusal_is_worded_as_registries_do(net: Internet, clock: Clock, tmp_path: Path) -> None:
    """ECR's famous sentence, in the distribution specification's form."""
    login = ecr_login(net, tmp_path)
    clock.ahead = timedelta(hours=12)
    errors = json.loads(pull(ECR_HOST, login).content)["errors"]
    assert errors[0]["message"] == "Your authorization token has expired. Reauthenticate and try again."
