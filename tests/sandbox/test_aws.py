"""AWS's emulation, spoken to by the real boto3 with production configuration."""

import base64
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]  # AWS ships no types
import pytest
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import (  # type: ignore[import-untyped]
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    ReadTimeoutError,
)

from rotator.sandbox.faults import NEARLY_SPENT_LIFE, Fault
from rotator.sandbox.internet import Internet, Node
from tests.sandbox.conftest import Clock

ONCE = Config(connect_timeout=2, read_timeout=0.5, retries={"mode": "standard", "total_max_attempts": 1})
Authorization = dict[str, Any]


def authorization(region: str = "eu-west-1", service: str = "ecr", config: Config = ONCE) -> Authorization:
    """What a fresh session gets from ECR, as the ambient identity."""
    client = boto3.Session().client(service, region_name=region, config=config)
    data = client.get_authorization_token()["authorizationData"]
    single: Authorization = data[0] if isinstance(data, list) else data
    return single


def use(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    """Give this process an identity."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def user(net: Internet, monkeypatch: pytest.MonkeyPatch) -> Internet:
    """The internet, with a user's static key in the environment."""
    use(monkeypatch, net.aws.static_environment())
    return net


def test_a_token_says_where_and_how_long(user: Internet) -> None:
    """User AWS, a password that the cloud knows, the region's registry, and twelve hours."""
    data = authorization()
    name, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    assert name == "AWS"
    assert user.aws.accepts(password)
    assert data["proxyEndpoint"] == "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com"
    left = data["expiresAt"] - datetime.now(UTC)
    assert timedelta(hours=11, minutes=59) < left <= timedelta(hours=12)


@pytest.mark.parametrize(
    ("region", "config", "endpoint"),
    [
        ("us-gov-west-1", ONCE, "us-gov-west-1.amazonaws.com"),
        ("cn-north-1", ONCE, "cn-north-1.amazonaws.com.cn"),
        ("eusc-de-east-1", ONCE, "eusc-de-east-1.amazonaws.eu"),
        ("us-east-1", ONCE.merge(Config(use_fips_endpoint=True)), "us-east-1.amazonaws.com"),
        ("us-east-1", ONCE.merge(Config(use_dualstack_endpoint=True)), "us-east-1.api.aws"),
        ("us-iso-east-1", ONCE, "us-iso-east-1.c2s.ic.gov"),
    ],
    ids=["gov", "china", "sovereign", "fips", "dual-stack", "iso"],
)
def test_every_partition_has_its_endpoint(user: Internet, region: str, config: Config, endpoint: str) -> None:
    """The host names that botocore resolves for other partitions, FIPS and dual stack are all served."""
    assert authorization(region, config=config)["proxyEndpoint"].endswith(endpoint)
    assert user.proxy.unknown == set()


def test_ecr_public_answers_with_a_single_object(user: Internet) -> None:
    """ECR Public lives in us-east-1 and gives its data as a dict, not as a list."""
    assert set(authorization("us-east-1", "ecr-public")) == {"authorizationToken", "expiresAt"}
    assert user.aws.calls == {"GetAuthorizationToken": 1}


def test_irsa_goes_through_the_regional_sts(net: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A projected token is traded for a session of the role, and the session for a registry token."""
    use(monkeypatch, net.aws.irsa_environment(tmp_path))
    authorization()
    assert net.aws.calls == {"AssumeRoleWithWebIdentity": 1, "GetAuthorizationToken": 1}


def test_an_unknown_projected_token_is_refused(net: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """STS trades only tokens of the cluster that it trusts."""
    variables = net.aws.irsa_environment(tmp_path)
    use(monkeypatch, variables)
    Path(variables["AWS_WEB_IDENTITY_TOKEN_FILE"]).write_text("planted")
    with pytest.raises(ClientError, match="InvalidIdentityToken"):
        authorization()


def test_pod_identity_answers_on_the_node(net: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The agent trades the projected token for credentials, without any proxy."""
    use(monkeypatch, net.aws.pod_identity_environment(tmp_path))
    authorization()
    assert net.aws.calls == {"PodIdentity": 1, "GetAuthorizationToken": 1}


def test_a_node_of_aws_has_instance_metadata(net: Internet) -> None:
    """IMDSv2 gives the node's role: token, role name, credentials."""
    net.node = Node.AWS
    authorization()
    assert net.aws.calls == {"InstanceMetadata": 3, "GetAuthorizationToken": 1}


def test_elsewhere_there_is_no_identity(net: Internet) -> None:
    """Without variables and off AWS, boto3 finds nothing."""
    with pytest.raises(NoCredentialsError):
        authorization()
    assert net.aws.calls == {}


def assume(external_id: str | None, region: str = "eu-west-1") -> dict[str, Any]:
    """Assume the pull role."""
    more = {"ExternalId": external_id} if external_id else {}
    sts = boto3.Session().client("sts", region_name=region, config=ONCE)
    arn = "arn:aws:iam::123456789012:role/pull"
    return dict(sts.assume_role(RoleArn=arn, RoleSessionName="rotator", **more))


def test_a_role_asks_for_its_external_id(user: Internet) -> None:
    """A role with an external id is assumed with it, and not without."""
    user.aws.roles[user.aws.pull_role] = "shared"
    assert assume("shared")["AssumedRoleUser"]["Arn"].endswith("assumed-role/pull/rotator")
    with pytest.raises(ClientError, match="AccessDenied"):
        assume("guessed")
    with pytest.raises(ClientError, match="AccessDenied"):
        assume(None)


@pytest.mark.usefixtures("user")
def test_a_session_ends(clock: Clock) -> None:
    """A session's key signs until its end, and is refused after it."""
    given = assume(None)["Credentials"]
    session = boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    ecr = session.client("ecr", region_name="eu-west-1", config=ONCE)
    assert ecr.get_authorization_token()["authorizationData"]
    clock.ahead = timedelta(hours=1)
    with pytest.raises(ClientError, match="ExpiredTokenException"):
        ecr.get_authorization_token()


def test_times_in_another_zone_are_the_same_times(user: Internet) -> None:
    """STS may write its times in any zone; the moment stays."""
    user.aws.zone = timezone(timedelta(hours=5, minutes=30))
    left = assume(None)["Credentials"]["Expiration"] - datetime.now(UTC)
    assert timedelta(minutes=59) < left <= timedelta(hours=1)


def test_a_key_of_nobody_is_refused(user: Internet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests signed with a key that was never issued get AWS's own words."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAXXXXXXXXXXXXXXXX")
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        authorization()
    assert user.aws.calls == {"GetAuthorizationToken": 1}


@pytest.mark.usefixtures("user")
def test_a_signature_for_another_region_is_refused() -> None:
    """A request must be signed for the region of its host."""
    url = "https://api.ecr.eu-west-1.amazonaws.com"
    client = boto3.Session().client("ecr", region_name="us-east-1", endpoint_url=url, config=ONCE)
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        client.get_authorization_token()


@pytest.mark.parametrize(
    ("fault", "error", "text"),
    [
        (Fault.HUNG, ReadTimeoutError, "Read timeout"),
        (Fault.REFUSING, ClientError, "AccessDeniedException"),
        (Fault.THROTTLING, ClientError, "ThrottlingException"),
        (Fault.DOWN, ClientError, "503"),
        (Fault.MALFORMED, KeyError, "authorizationData"),  # botocore takes HTML for an empty answer
        (Fault.ECHOING, ClientError, "AWS4-HMAC-SHA256"),
    ],
)
def test_faults_of_ecr(user: Internet, fault: Fault, error: type[Exception], text: str) -> None:
    """Each fault reaches the program as boto3 tells it."""
    user.aws.fault = fault
    with pytest.raises(error, match=text):
        authorization()
    user.aws.fault = None
    assert authorization()["authorizationToken"]


@pytest.mark.parametrize(
    ("fault", "text"), [(Fault.REFUSING, "AccessDenied"), (Fault.THROTTLING, "Throttling"), (Fault.ECHOING, "RoleArn=")]
)
def test_faults_of_sts(user: Internet, fault: Fault, text: str) -> None:
    """STS words its errors in XML, and only there if the fault is only there."""
    user.aws.fault, user.aws.fault_at = fault, "AssumeRole"
    with pytest.raises(ClientError, match=text):
        assume(None)
    assert authorization()["authorizationToken"]


def test_the_agent_knows_its_tokens(net: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The Pod Identity agent gives nothing for a token that it does not know."""
    variables = net.aws.pod_identity_environment(tmp_path)
    use(monkeypatch, variables)
    Path(variables["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]).write_text("planted")
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    with pytest.raises(CredentialRetrievalError, match="400"):
        boto3.Session().get_credentials()


def test_a_refusing_agent_is_no_identity(net: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The Pod Identity agent's refusal reaches the program, too."""
    use(monkeypatch, net.aws.pod_identity_environment(tmp_path))
    net.aws.fault = Fault.REFUSING
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    with pytest.raises(CredentialRetrievalError, match="403"):
        boto3.Session().get_credentials()


def test_a_nearly_spent_token_stays_until_it_expires(user: Internet, clock: Clock) -> None:
    """The same token again while it lives, with seconds left; then another."""
    user.aws.fault = Fault.NEARLY_SPENT
    first, second = authorization(), authorization()
    assert first["authorizationToken"] == second["authorizationToken"]
    assert first["expiresAt"] - datetime.now(UTC) <= NEARLY_SPENT_LIFE
    clock.ahead = NEARLY_SPENT_LIFE
    assert authorization()["authorizationToken"] != first["authorizationToken"]


def test_a_blank_token_is_empty(user: Internet) -> None:
    """A good answer with nothing in it."""
    user.aws.fault = Fault.BLANK
    assert authorization()["authorizationToken"] == ""


def test_life_is_what_the_sandbox_says(user: Internet) -> None:
    """A demonstration does not wait twelve hours."""
    user.aws.life = timedelta(seconds=20)
    assert authorization()["expiresAt"] - datetime.now(UTC) <= timedelta(seconds=20)


def test_every_secret_is_noted(user: Internet) -> None:
    """The key, the session, the token in both of its forms: a test can search for each of them."""
    token = authorization()["authorizationToken"]
    given = assume(None)["Credentials"]
    password = base64.b64decode(token).decode().removeprefix("AWS:")
    shown = {token, password, given["SecretAccessKey"], given["SessionToken"]}
    assert shown | {user.aws.static_environment()["AWS_SECRET_ACCESS_KEY"]} <= user.secrets()
