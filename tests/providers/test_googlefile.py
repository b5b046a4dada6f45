"""A Google credentials file is used only when every address in it is Google's, or a metadata service's."""

import json
from pathlib import Path
from typing import Any

import pytest

from rotator.providers import googlefile

TARGET = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/pull@p.iam.gserviceaccount.com"
KEY = {"type": "service_account", "token_uri": "https://oauth2.googleapis.com/token"}
FEDERATED = {
    "type": "external_account",
    "token_url": "https://sts.googleapis.com/v1/token",
    "service_account_impersonation_url": f"{TARGET}:generateAccessToken",
    "credential_source": {"file": "/var/run/token"},
}
AZURE_SOURCE = {
    "url": "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=x",
    "headers": {"Metadata": "True"},
    "format": {"type": "json", "subject_token_field_name": "access_token"},
}
AWS_SOURCE = {
    "environment_id": "aws1",
    "region_url": "http://169.254.169.254/latest/meta-data/placement/availability-zone",
    "url": "http://169.254.169.254/latest/meta-data/iam/security-credentials",
    "imdsv2_session_token_url": "http://169.254.169.254/latest/api/token",
    "regional_cred_verification_url": (
        "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"
    ),
}
IMPERSONATED = {
    "type": "impersonated_service_account",
    "service_account_impersonation_url": f"{TARGET}:generateAccessToken",
    "source_credentials": {"type": "authorized_user"},
}


@pytest.mark.parametrize(
    "content",
    [
        KEY,
        KEY | {"universe_domain": "googleapis.com"},
        {"type": "authorized_user", "refresh_token": "x"},
        IMPERSONATED,
        IMPERSONATED | {"source_credentials": KEY},
        FEDERATED,
        FEDERATED | {"token_url": "https://sts.mtls.googleapis.com/v1/token"},
        FEDERATED | {"token_url": "https://sts.europe-west1.rep.googleapis.com/v1/token"},
        FEDERATED | {"token_url": "https://sts-internal.p.googleapis.com/v1/token"},
        FEDERATED | {"service_account_impersonation_url": None},
        FEDERATED | {"credential_source": AZURE_SOURCE},
        FEDERATED | {"credential_source": AWS_SOURCE},
        FEDERATED | {"credential_source": AWS_SOURCE | {"url": "http://[fd00:ec2::254]/latest/meta-data/"}},
    ],
)
def test_files_as_google_writes_them_are_fit(content: dict[str, Any]) -> None:
    """Each documented form passes."""
    assert list(googlefile.problems(content)) == []


ADDRESSES = (
    "http://sts.googleapis.com/v1/token",
    "https://sts.googleapis.com.evil.example/v1/token",
    "https://evil.example/v1/token",
    "https://evil.example/https://sts.googleapis.com/v1/token",
    "https://evil.example#https://sts.googleapis.com/v1/token",
    "https://sts.googleapis.com@evil.example/v1/token",
    "https://evil.example\\@sts.googleapis.com/v1/token",
    "https://sts-googleapis.com/v1/token",
    "https://stsXgoogleapis.com/v1/token",
    "https://sts.googleapis.com:8443/v1/token",
    "https://sts.googleapis.com/v1/token\n",
    "https://sts.googleapis.com/v1/token?x=y",
    " https://sts.googleapis.com/v1/token",
    "https://storage.googleapis.com/bucket/v1/token",
    "file:///etc/passwd",
    "",
    None,
    ["https://sts.googleapis.com/v1/token"],
    {"url": "https://sts.googleapis.com/v1/token"},
)


@pytest.mark.parametrize("address", ADDRESSES, ids=repr)
@pytest.mark.parametrize(
    ("content", "field"),
    [(FEDERATED, "token_url"), (KEY, "token_uri"), (IMPERSONATED, "service_account_impersonation_url")],
)
def test_no_address_but_googles_own_is_fit(content: dict[str, Any], field: str, address: object) -> None:
    """Nothing that resembles Google's address passes for it, and the problem names the field, not the value."""
    problems = list(googlefile.problems(content | {field: address}))
    assert [problem.split()[0] for problem in problems] == [field]
    assert "evil" not in " ".join(problems)


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({}, "type"),
        ({"type": "gdch_service_account"}, "type"),
        ({"type": ["service_account"]}, "type"),
        (KEY | {"universe_domain": "evil.example"}, "universe_domain"),
        (FEDERATED | {"universe_domain": "evil.example"}, "universe_domain"),
        (
            FEDERATED | {"service_account_impersonation_url": f"{TARGET}/../x:generateAccessToken"},
            "service_account_imp",
        ),
        (FEDERATED | {"credential_source": None}, "credential_source"),
        (FEDERATED | {"credential_source": {}}, "credential_source"),
        (FEDERATED | {"credential_source": {"executable": {"command": "/bin/sh"}}}, "credential_source.executable"),
        (FEDERATED | {"credential_source": {"file": "/t", "executable": {}}}, "credential_source.executable"),
        (FEDERATED | {"credential_source": {"file": ["/t"]}}, "credential_source.file"),
        (FEDERATED | {"credential_source": {"file": "/t", "url": "http://evil.example/"}}, "credential_source"),
        (FEDERATED | {"credential_source": {"certificate": {}}}, "credential_source"),
        (FEDERATED | {"credential_source": {"url": "http://169.254.169.254@evil.example/"}}, "credential_source"),
        (FEDERATED | {"credential_source": {"url": "http://127.0.0.1/"}}, "credential_source"),
        (FEDERATED | {"credential_source": {"url": "https://evil.example/"}}, "credential_source"),
        (FEDERATED | {"credential_source": AWS_SOURCE | {"url": "http://evil.example/"}}, "credential_source.url"),
        (FEDERATED | {"credential_source": AWS_SOURCE | {"region_url": 7}}, "credential_source.region_url"),
        (
            FEDERATED | {"credential_source": AWS_SOURCE | {"imdsv2_session_token_url": "http://evil.example/"}},
            "credential_source.imdsv2",
        ),
        (
            FEDERATED | {"credential_source": AWS_SOURCE | {"regional_cred_verification_url": "https://evil.example"}},
            "credential_source.regional",
        ),
        (IMPERSONATED | {"source_credentials": None}, "source_credentials"),
        (IMPERSONATED | {"source_credentials": FEDERATED}, "source_credentials"),
        (
            IMPERSONATED | {"source_credentials": KEY | {"token_uri": "https://evil.example/"}},
            "source_credentials: token_uri",
        ),
        (
            IMPERSONATED | {"source_credentials": KEY | {"universe_domain": "evil.example"}},
            "source_credentials: universe",
        ),
    ],
)
def test_each_misfit_is_named(content: dict[str, Any], field: str) -> None:
    """A wrong kind, another universe, a program, or an address of somebody else is found before its use."""
    problems = list(googlefile.problems(content))
    assert len(problems) == 1
    assert problems[0].startswith(field)


@pytest.mark.parametrize(
    "text", ["", "no json", "[]", '"text"', "null", "[" * 100_000, '{"type": "service_account"', json.dumps([KEY])]
)
def test_what_is_no_json_object_is_unfit(tmp_path: Path, text: str) -> None:
    """The file is read in bounds, and its text is not repeated."""
    file = tmp_path / "credentials.json"
    file.write_text(text)
    with pytest.raises(googlefile.Unfit) as caught:
        googlefile.read(file)
    assert str(caught.value) in {"it is not JSON", "it is not a JSON object"}


def test_an_endless_file_is_not_read_to_its_end() -> None:
    """A device in the file's place costs a megabyte, not the memory of the node."""
    with pytest.raises(googlefile.Unfit):
        googlefile.read(Path("/dev/zero"))
