"""Who we are, as a cloud tells it: names of the forms that clouds give, and nothing else that may stand there."""

import json
from pathlib import Path

import pytest

from rotator.config import Registry
from rotator.errors import IdentityMissing, MalformedAnswer, MintError
from rotator.providers import provider_for
from rotator.sandbox.aws import STS_NAMESPACE
from rotator.sandbox.internet import Internet, Node
from rotator.sandbox.server import Response
from tests.providers.world import ACR_HOST, ECR_HOST, GAR_HOST, registry, set_all

ECR = registry("ecr", {"hosts": [ECR_HOST]})
GAR = registry("gar", {"hosts": [GAR_HOST]})
ACR = registry("acr", {"hosts": [ACR_HOST], "identity": {"type": "workload"}})


def failure(asked: Registry) -> MintError:
    """Why nobody knows who we are."""
    with pytest.raises(MintError) as caught:
        provider_for(asked).identity()
    return caught.value


def answer_of_sts(internet: Internet, arn: str) -> None:
    """Let STS say this."""
    result = f"<GetCallerIdentityResult><Arn>{arn}</Arn></GetCallerIdentityResult>"
    text = f'<GetCallerIdentityResponse xmlns="{STS_NAMESPACE}">{result}</GetCallerIdentityResponse>'
    internet.hosts["sts.eu-west-1.amazonaws.com"] = lambda _: Response(200, text.encode())


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:iam::123456789012:user/division/rotator",
        "arn:aws:sts::123456789012:assumed-role/rotator/botocore-session-1700000000",
        "arn:aws-us-gov:sts::123456789012:assumed-role/a+b=c,d.e@f_g-h/i",
        "arn:aws-cn:iam::123456789012:root",
    ],
)
def test_an_arn(internet: Internet, monkeypatch: pytest.MonkeyPatch, arn: str) -> None:
    """Users, sessions of roles and the account itself, of every partition."""
    set_all(monkeypatch, internet.aws.static_environment())
    answer_of_sts(internet, arn)
    assert provider_for(ECR).identity() == arn


@pytest.mark.parametrize("text", ["", "s3cret", "arn:aws:iam::1:user/x", "arn:aws:iam::123456789012:user/a b"])
def test_what_is_no_arn(internet: Internet, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """It is not told, for it might be anything."""
    set_all(monkeypatch, internet.aws.static_environment())
    answer_of_sts(internet, text)
    error = failure(ECR)
    assert isinstance(error, MalformedAnswer)
    assert not text or text not in str(error)


@pytest.mark.usefixtures("internet")
def test_no_aws_identity() -> None:
    """The same error, and the same hint, as that of a mint."""
    error = failure(ECR)
    assert isinstance(error, IdentityMissing)
    assert "give the Pod an AWS identity" in error.hint


def test_a_pod_of_gke_without_a_service_account_of_google(internet: Internet) -> None:
    """Its metadata server tells the cluster's pool."""
    internet.node = Node.GOOGLE
    internet.google.account = "images-project.svc.id.goog"
    assert provider_for(GAR).identity() == "images-project.svc.id.goog"


def test_a_federation_that_impersonates(internet: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The service account that its file leads to, for which Google gave a token."""
    file = internet.google.external_account_file(tmp_path, impersonate=True)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    assert provider_for(GAR).identity() == internet.google.pull_account
    assert internet.google.calls["generateAccessToken"] == 1


def test_what_is_no_account(internet: Internet) -> None:
    """A metadata server's nonsense is not told."""
    internet.node = Node.GOOGLE
    internet.google.account = "ya29.token-or-whatever"
    error = failure(GAR)
    assert isinstance(error, MalformedAnswer)
    assert "ya29" not in str(error)


def test_an_application_of_azure(internet: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Client, object and tenant, from the claims of the token that Entra gave."""
    set_all(monkeypatch, internet.azure.workload_identity_environment(tmp_path))
    azure = internet.azure
    said = f"client {azure.client_id}, object {azure.object_id}, tenant {azure.tenant_id}"
    assert provider_for(ACR).identity() == said


def test_claims_that_are_no_names(internet: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They are not told either."""
    set_all(monkeypatch, internet.azure.workload_identity_environment(tmp_path))
    internet.azure.object_id = json.dumps({"secret": "s3cret"})
    error = failure(ACR)
    assert isinstance(error, MalformedAnswer)
    assert "s3cret" not in str(error)
