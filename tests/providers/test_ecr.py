"""Amazon ECR: who asks, which endpoint, and what a failure says."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rotator.config import Registry
from rotator.errors import (
    CloudUnavailable,
    IdentityMissing,
    MalformedAnswer,
    MintError,
    MintRefused,
    MintThrottled,
    MintTimedOut,
)
from rotator.providers import ecr, provider_for
from rotator.sandbox.faults import Fault
from rotator.sandbox.internet import Internet, Node
from rotator.sandbox.server import Request, Response
from tests.providers.world import ECR_HOST, failure_of, registry, set_all


def ecr_registry(*hosts: str, deadline: str = "20s", **source: Any) -> Registry:  # noqa: ANN401  (as in YAML)
    """A registry of these hosts."""
    return registry("ecr", {"hosts": list(hosts or [ECR_HOST]), **source}, deadline=deadline)


@pytest.fixture
def keys(internet: Internet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's keys in the environment."""
    set_all(monkeypatch, internet.aws.static_environment())


def subject_of(internet: Internet, registry: Registry) -> str:
    """Mint, and say whom the token speaks for."""
    token = internet.aws.accepts(provider_for(registry).mint().password.reveal())
    assert token is not None
    return token.subject


# Which endpoint

ENDPOINTS = {
    "123456789012.dkr.ecr.eu-west-1.amazonaws.com": "api.ecr.eu-west-1.amazonaws.com",
    "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com": "api.ecr-fips.us-gov-west-1.amazonaws.com",
    "123456789012.dkr-ecr.us-east-1.on.aws": "ecr.us-east-1.api.aws",
    "123456789012.dkr-ecr-fips.us-east-1.on.aws": "ecr-fips.us-east-1.api.aws",
    "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn": "api.ecr.cn-north-1.amazonaws.com.cn",
    "123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn": "ecr.cn-north-1.api.amazonwebservices.com.cn",
    "123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov": "api.ecr.us-iso-east-1.c2s.ic.gov",
    "123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu": "api.ecr.eusc-de-east-1.amazonaws.eu",
    "public.ecr.aws": "api.ecr-public.us-east-1.amazonaws.com",
}


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(("host", "endpoint"), ENDPOINTS.items())
def test_the_host_decides_the_endpoint(
    internet: Internet, monkeypatch: pytest.MonkeyPatch, host: str, endpoint: str
) -> None:
    """Region, partition, FIPS and dual-stack follow the host, wherever the Pod itself runs."""
    monkeypatch.setenv("AWS_REGION", "ap-south-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-south-1")
    asked = watch(internet, endpoint)
    provider_for(ecr_registry(host)).mint()
    assert asked == [endpoint]
    assert internet.proxy.unknown == set()


def watch(internet: Internet, host: str) -> list[str]:
    """The list of requests' hosts that grows with each request to this host."""
    asked: list[str] = []
    handler = internet.aws.handler_for(host)
    assert handler is not None

    def note(request: Request) -> Response:
        asked.append(request.host)
        return handler(request)

    internet.hosts[host] = note
    return asked


@pytest.mark.usefixtures("keys")
def test_a_plain_host_among_dual_stack_ones_keeps_the_plain_endpoint(internet: Internet) -> None:
    """A VPC endpoint's private name is the plain one, so dual-stack is asked only when every host is."""
    asked = watch(internet, "api.ecr.us-east-1.amazonaws.com")
    plain, dual = "123456789012.dkr.ecr.us-east-1.amazonaws.com", "123456789012.dkr-ecr.us-east-1.on.aws"
    provider_for(ecr_registry(plain, dual)).mint()
    assert len(asked) == 1


@pytest.mark.usefixtures("keys")
def test_a_role_is_assumed_in_the_hosts_region(internet: Internet) -> None:
    """STS is asked regionally: a global one would be another continent, or another partition."""
    asked = watch(internet, "sts.cn-north-1.amazonaws.com.cn")
    host = "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"
    internet.aws.roles["arn:aws-cn:iam::123456789012:role/pull"] = None
    provider_for(ecr_registry(host, assumeRole={"arn": "arn:aws-cn:iam::123456789012:role/pull"})).mint()
    assert len(asked) == 1


# Who asks


def profile(internet: Internet, directory: Path) -> tuple[dict[str, str], dict[str, object]]:
    """A profile of the configuration file."""
    keys = internet.aws.static_environment()
    file = directory / "config"
    lines = (f"{name.lower()} = {value}" for name, value in keys.items())
    file.write_text("\n".join(["[profile pull]", *lines]))
    return {"AWS_CONFIG_FILE": str(file)}, {"profile": "pull"}


def pod_identity(internet: Internet, directory: Path) -> tuple[dict[str, str], dict[str, object]]:
    """EKS Pod Identity's agent."""
    return internet.aws.pod_identity_environment(directory), {}


def irsa(internet: Internet, directory: Path) -> tuple[dict[str, str], dict[str, object]]:
    """IAM roles for ServiceAccounts."""
    return internet.aws.irsa_environment(directory), {}


def node(internet: Internet, _: Path) -> tuple[dict[str, str], dict[str, object]]:
    """The instance metadata service."""
    internet.node = Node.AWS
    return {}, {}


@pytest.mark.parametrize(
    ("identity", "subject"),
    [
        (profile, "user/rotator"),
        (pod_identity, "assumed-role/rotator/node"),
        (irsa, "assumed-role/rotator/"),
        (node, "assumed-role/rotator/node"),
    ],
)
def test_every_identity_of_the_chain_serves(
    internet: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, identity: type, subject: str
) -> None:
    """The default chain is boto3's own, and a profile may be named."""
    environment, source = identity(internet, tmp_path)
    set_all(monkeypatch, environment)
    assert subject in subject_of(internet, ecr_registry(**source))


@pytest.mark.usefixtures("keys")
def test_the_assumed_role_asks(internet: Internet) -> None:
    """The token speaks for the role, under the session name that CloudTrail shows."""
    role = {"arn": internet.aws.pull_role, "sessionName": "cluster-7"}
    assert subject_of(internet, ecr_registry(assumeRole=role)).endswith("assumed-role/pull/cluster-7")


@pytest.mark.usefixtures("keys")
def test_a_wrong_external_id_is_refused_with_its_remedy(internet: Internet) -> None:
    """The message names STS and the action, the hint the trust policy."""
    internet.aws.roles[internet.aws.pull_role] = "contract-7"
    error = failure_of(ecr_registry(assumeRole={"arn": internet.aws.pull_role, "externalId": "contract-8"}))
    assert type(error) is MintRefused
    assert error.message == "registry 'prod': STS refused AssumeRole (ClientError AccessDenied, HTTP 403)"
    assert "external id" in error.hint


def test_a_projected_token_is_read_again(internet: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The kubelet rotates the token's file; the next request to STS sends what stands there then."""
    internet.aws.life = timedelta(seconds=60)  # of the role's keys too: botocore renews them at every mint
    set_all(monkeypatch, internet.aws.irsa_environment(tmp_path))
    provider = provider_for(ecr_registry())
    provider.mint()
    token = tmp_path / "irsa-token"
    good = token.read_text()
    token.write_text("revoked")
    with pytest.raises(MintRefused):
        provider.mint()
    token.write_text(good)
    assert provider.mint()


@pytest.mark.usefixtures("keys")
def test_keys_that_were_mended_are_noticed(internet: Internet, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure the identity is read afresh, though boto3 itself reads keys just once."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANOBODY")
    provider = provider_for(ecr_registry())
    with pytest.raises(MintRefused) as caught:
        provider.mint()
    assert "UnrecognizedClientException" in caught.value.message
    assert "renew the AWS keys" in caught.value.hint
    set_all(monkeypatch, internet.aws.static_environment())
    assert provider.mint()


@pytest.mark.usefixtures("keys")
def test_registries_of_a_pod_share_one_session_and_none_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session costs 11 MiB: beside a mint under way regions do not have one each, and after the last it is gone."""
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    under_way = ecr._shared(None, "eu-west-1")  # noqa: SLF001  (no public face shows it, here and below)
    for region in ("eu-west-1", "us-east-1"):
        provider_for(ecr_registry(f"123456789012.dkr.ecr.{region}.amazonaws.com")).mint()
    assert list(ecr._sessions.values()) == [under_way]  # noqa: SLF001
    del under_way
    assert not ecr._sessions  # noqa: SLF001


@pytest.mark.usefixtures("keys")
def test_registries_mint_side_by_side(internet: Internet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that begin at once on one new session do not disturb each other."""
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    regions = ("eu-west-1", "eu-west-2", "us-east-1", "us-east-2", "ap-south-1", "sa-east-1")
    registries = [ecr_registry(f"123456789012.dkr.ecr.{region}.amazonaws.com") for region in regions]
    with ThreadPoolExecutor(len(regions)) as pool:
        minted = list(pool.map(lambda registry: provider_for(registry).mint(), registries))
    audiences = [internet.aws.accepts(credential.password.reveal()) for credential in minted]
    assert [token and token.audience for token in audiences] == list(regions)


def test_a_hung_agent_holds_no_later_mint(internet: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A mint that was abandoned keeps its session's locks; the next one does not wait for them."""
    set_all(monkeypatch, internet.aws.pod_identity_environment(tmp_path))
    internet.aws.fault, internet.aws.fault_at = Fault.DRIPPING, "PodIdentity"
    provider = provider_for(ecr_registry(deadline="1s"))
    with pytest.raises(MintTimedOut):
        provider.mint()
    set_all(monkeypatch, internet.aws.static_environment())
    assert provider.mint()


# What a failure says


def test_no_identity_is_told_with_the_ways_to_have_one(internet: Internet) -> None:
    """Without any identity nothing is asked, and the hint lists what would be one."""
    error = failure_of(ecr_registry())
    assert type(error) is IdentityMissing
    assert "IRSA" in error.hint
    assert internet.aws.calls == Counter()


@pytest.mark.parametrize(
    ("environment", "source", "said"),
    [
        ({}, {"profile": "absent"}, "profile does not exist"),
        (
            {
                "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/rotator",
                "AWS_WEB_IDENTITY_TOKEN_FILE": "/nonexistent/token",
            },
            {},
            "cannot be read",
        ),
        ({"AWS_ACCESS_KEY_ID": "AKIAHALF"}, {}, "configuration cannot be used"),
    ],
)
@pytest.mark.usefixtures("internet")
def test_a_wrong_configuration_is_no_outage(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], source: dict[str, Any], said: str
) -> None:
    """What only a person can mend is not tried again and again."""
    set_all(monkeypatch, environment)
    error = failure_of(ecr_registry(**source))
    assert type(error) is IdentityMissing
    assert said in error.message
    assert not error.retryable


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.REFUSING, MintRefused),
        (Fault.THROTTLING, MintThrottled),
        (Fault.DOWN, CloudUnavailable),
        (Fault.HUNG, MintTimedOut),
    ],
)
def test_a_failing_pod_identity_agent_is_told_as_what_it_is(
    internet: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: Fault, kind: type[MintError]
) -> None:
    """The agent's status decides, not botocore's one class for all of them."""
    set_all(monkeypatch, internet.aws.pod_identity_environment(tmp_path))
    internet.aws.fault = fault
    error = failure_of(ecr_registry(deadline="1s" if fault is Fault.HUNG else "20s"))
    assert type(error) is kind, error


def test_an_absent_pod_identity_agent_is_an_outage(
    internet: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The agent restarts with its node: connection refused is worth another try."""
    set_all(monkeypatch, internet.aws.pod_identity_environment(tmp_path))
    internet.aws.agent.stop()
    error = failure_of(ecr_registry())
    assert type(error) is CloudUnavailable
    assert "Pod Identity" in error.hint


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"authorizationData": []},
        {"authorizationData": [{"expiresAt": 4102444800}]},
        {"authorizationData": [{"authorizationToken": "QVdTOng=", "expiresAt": "tomorrow"}]},
        {"authorizationData": [{"authorizationToken": "QVdTOng="}]},
        {"authorizationData": [{"authorizationToken": "%%%", "expiresAt": 4102444800}]},
        {"authorizationData": [{"authorizationToken": "QVdTOg==", "expiresAt": 4102444800}]},
        {"authorizationData": [{"authorizationToken": "OnBhc3N3b3Jk", "expiresAt": 4102444800}]},
        {"authorizationData": [{"authorizationToken": "QVdTOnR3bwpsaW5lcw==", "expiresAt": 4102444800}]},
        {"authorizationData": [{"authorizationToken": "/w==", "expiresAt": 4102444800}]},
        {"authorizationData": {"authorizationToken": 7, "expiresAt": 4102444800}},
    ],
)
def test_an_answer_without_a_usable_token_is_malformed(internet: Internet, answer: object) -> None:
    """No half of an answer becomes a credential: missing, empty, not base64, not ASCII, of two lines."""
    internet.hosts["api.ecr.eu-west-1.amazonaws.com"] = lambda _: Response.of_json(200, answer)
    assert type(failure_of(ecr_registry())) is MalformedAnswer


@pytest.mark.usefixtures("keys")
def test_an_unbelievable_life_is_cut(internet: Internet) -> None:
    """An expiry in 2100 (milliseconds, a wrong clock) would never be renewed, so a day is the most that is believed."""
    token = {"authorizationToken": "QVdTOnRva2Vu", "expiresAt": 4102444800}
    internet.hosts["api.ecr.eu-west-1.amazonaws.com"] = lambda _: Response.of_json(200, {"authorizationData": [token]})
    assert provider_for(ecr_registry()).mint().life == timedelta(days=1)


@pytest.mark.usefixtures("keys")
def test_an_unknown_code_is_not_told(internet: Internet) -> None:
    """A server may echo a secret as its error's code."""
    internet.hosts["api.ecr.eu-west-1.amazonaws.com"] = lambda _: Response.of_json(400, {"__type": "HunterTwo"})
    error = failure_of(ecr_registry())
    assert (error.code, error.status) == ("", 400)
    assert "HunterTwo" not in str(error)


@pytest.mark.usefixtures("keys")
def test_a_mirror_is_served_by_the_region_that_is_named() -> None:
    """A host of nobody's form says no region, so ecr.region does."""
    mirror = Registry.model_validate(
        {
            "name": "prod",
            "ecr": {"hosts": ["ecr.mirror.example"], "region": "eu-west-1"},
            "allowHosts": ["ecr.mirror.example"],
        }
    )
    assert provider_for(mirror).mint()
