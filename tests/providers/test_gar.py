"""Google Artifact Registry: who asks, whose answers are believed, and what a failure says."""

import json
import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rotator.config import Registry
from rotator.errors import IdentityMissing, MalformedAnswer, MintRefused, MintTimedOut
from rotator.providers import provider_for
from rotator.sandbox.faults import Fault
from rotator.sandbox.internet import Internet, Node
from rotator.sandbox.server import Request, Response
from tests.providers.world import GAR_HOST, failure_of, registry


def gar_registry(*, deadline: str = "20s", **source: Any) -> Registry:  # noqa: ANN401  (as in YAML)
    """A registry with this identity."""
    return registry("gar", {"hosts": [GAR_HOST], **source}, deadline=deadline)


def subject_of(internet: Internet, registry: Registry) -> str:
    """Mint, and say whom the token speaks for."""
    credential = provider_for(registry).mint()
    assert credential.username == "oauth2accesstoken"
    token = internet.google.accepts(credential.password.reveal())
    assert token is not None
    return token.subject


# Who asks


def test_the_variable_comes_first(internet: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """GOOGLE_APPLICATION_CREDENTIALS wins over gcloud's file and over the node."""
    internet.node = Node.GOOGLE
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(internet.google.external_account_file(tmp_path)))
    gcloud_file(internet, monkeypatch, tmp_path)
    assert subject_of(internet, gar_registry()).startswith("principal:")


def test_gclouds_file_comes_second(internet: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The file of `gcloud auth application-default login` wins over the node."""
    internet.node = Node.GOOGLE
    gcloud_file(internet, monkeypatch, tmp_path)
    assert subject_of(internet, gar_registry()) == internet.google.account
    assert internet.google.calls == Counter(token=1)


def gcloud_file(internet: Internet, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    """Put a key where gcloud keeps its application default credentials."""
    file = internet.google.service_account_file(directory)
    file.rename(directory / "application_default_credentials.json")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(directory))


def test_the_node_comes_last(internet: Internet) -> None:
    """Without a file the metadata server gives the token."""
    internet.node = Node.GOOGLE
    assert subject_of(internet, gar_registry()) == internet.google.account


def test_a_configured_file_comes_before_all(
    internet: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """gar.credentialsFile decides, whatever the environment says."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent/file.json")
    file = internet.google.service_account_file(tmp_path)
    assert subject_of(internet, gar_registry(credentialsFile=str(file))) == internet.google.account


def key(internet: Internet, directory: Path) -> str | None:
    """A service account's key."""
    return str(internet.google.service_account_file(directory))


def federation(internet: Internet, directory: Path) -> str | None:
    """Workload identity federation."""
    return str(internet.google.external_account_file(directory))


def node(internet: Internet, _: Path) -> str | None:
    """No file: the node's metadata server."""
    internet.node = Node.GOOGLE
    return None


@pytest.mark.parametrize("identity", [key, federation, node])
def test_every_identity_can_impersonate(
    internet: Internet, tmp_path: Path, identity: Callable[[Internet, Path], str | None]
) -> None:
    """The token speaks for the other account, with the life that was asked for."""
    internet.google.longest_life = timedelta(hours=12)
    file = identity(internet, tmp_path)
    wanted = {"serviceAccount": internet.google.pull_account, "lifetime": "12h"}
    source = {"credentialsFile": file} if file else {}
    credential = provider_for(gar_registry(impersonate=wanted, **source)).mint()
    token = internet.google.accepts(credential.password.reveal())
    assert token is not None
    assert token.subject == internet.google.pull_account
    assert timedelta(hours=12) - credential.life < timedelta(seconds=5)


def test_a_federation_file_may_impersonate_itself(internet: Internet, tmp_path: Path) -> None:
    """service_account_impersonation_url in the file is followed, when it is Google's."""
    file = internet.google.external_account_file(tmp_path, impersonate=True)
    assert subject_of(internet, gar_registry(credentialsFile=str(file))) == internet.google.pull_account


def test_delegates_are_named_in_order(internet: Internet, tmp_path: Path) -> None:
    """The chain of service accounts reaches Google as it was written."""
    seen: list[dict[str, Any]] = []
    handler = internet.google.handler_for("iamcredentials.googleapis.com")
    assert handler is not None
    internet.hosts["iamcredentials.googleapis.com"] = lambda request: (
        seen.append(json.loads(request.body)) or handler(request)  # type: ignore[func-returns-value]  # append, then answer
    )
    chain = ["first@p.iam.gserviceaccount.com", "second@p.iam.gserviceaccount.com"]
    wanted = {"serviceAccount": internet.google.pull_account, "delegates": chain, "lifetime": "5m"}
    provider_for(gar_registry(credentialsFile=key(internet, tmp_path), impersonate=wanted)).mint()
    assert [(body["delegates"], body["lifetime"]) for body in seen] == [(chain, "300s")]


def test_a_lifetime_beyond_the_policy_is_refused_with_its_remedy(internet: Internet, tmp_path: Path) -> None:
    """More than an hour needs the organisation's policy, and the hint names it."""
    wanted = {"serviceAccount": internet.google.pull_account, "lifetime": "12h"}
    error = failure_of(gar_registry(credentialsFile=key(internet, tmp_path), impersonate=wanted))
    assert type(error) is MintRefused
    assert "INVALID_ARGUMENT, HTTP 400" in error.message
    assert "allowServiceAccountCredentialLifetimeExtension" in error.hint


# A metadata server's token


def test_a_part_spent_token_counts_from_now(internet: Internet) -> None:
    """A cached token is issued when it arrives, and ends when it ends: what is left is its life."""
    internet.node = Node.GOOGLE
    fresh = provider_for(gar_registry()).mint()
    later = datetime.now(UTC) + timedelta(minutes=50)
    cached = provider_for(gar_registry(), clock=lambda: later).mint()
    assert cached.password == fresh.password
    assert abs(cached.expires_at - fresh.expires_at) < timedelta(seconds=3)
    assert cached.life < timedelta(minutes=10, seconds=3)


def test_a_node_without_an_account_says_so(internet: Internet) -> None:
    """The metadata server's 404 or 403 is a matter of identity, and the hint says which."""
    internet.node = Node.GOOGLE
    internet.google.fault = Fault.REFUSING
    error = failure_of(gar_registry())
    assert type(error) is MintRefused
    assert "Workload Identity Federation for GKE" in error.hint


# Files


@pytest.mark.parametrize(
    "change",
    [
        {"token_url": "https://evil.example/v1/token"},
        {"service_account_impersonation_url": "https://evil.example/x:generateAccessToken"},
        {"universe_domain": "evil.example"},
        {"credential_source": {"executable": {"command": "/bin/sh -c 'touch /tmp/evil'"}}},
        {"credential_source": {"url": "https://evil.example/token"}},
    ],
)
@pytest.mark.parametrize("by_variable", [False, True])
def test_an_evil_file_is_not_used(
    internet: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: dict[str, Any], *, by_variable: bool
) -> None:
    """Nothing is sent anywhere, and the error names the field; by whichever way the file was named."""
    file = internet.google.external_account_file(tmp_path)
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    error = failure_of(gar_registry() if by_variable else gar_registry(credentialsFile=str(file)))
    assert type(error) is IdentityMissing
    assert next(iter(change)) in error.message
    assert "evil" not in str(error)
    assert internet.proxy.unknown == set()
    assert internet.google.calls == Counter()


def test_an_evil_key_is_not_used(internet: Internet, tmp_path: Path) -> None:
    """A key's token_uri would get a signed assertion that Google honours."""
    file = internet.google.service_account_file(tmp_path)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"token_uri": "https://evil.example/token"}))
    error = failure_of(gar_registry(credentialsFile=str(file)))
    assert "token_uri" in error.message
    assert internet.proxy.unknown == set()


KEY_FORM = {"type": "service_account", "token_uri": "https://oauth2.googleapis.com/token"}
FEDERATION_FORM = {
    "type": "external_account",
    "token_url": "https://sts.googleapis.com/v1/token",
    "audience": "//iam.googleapis.com/projects/1",
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        json.dumps(KEY_FORM),
        json.dumps(KEY_FORM | {"client_email": "a@b", "private_key": "hunter2"}),
        json.dumps(FEDERATION_FORM | {"credential_source": {"file": "/nonexistent"}}),
        json.dumps(FEDERATION_FORM | {"credential_source": {"file": "/t", "format": 7}}),
        json.dumps({"type": "authorized_user"}),
    ],
)
def test_an_unusable_file_is_told_without_its_content(internet: Internet, tmp_path: Path, text: str) -> None:
    """A file that holds no identity is a matter for a person, and stays unquoted."""
    file = tmp_path / "credentials.json"
    file.write_text(text)
    error = failure_of(gar_registry(credentialsFile=str(file)))
    assert type(error) is IdentityMissing, error
    assert "hunter2" not in str(error)
    assert internet.google.calls == Counter()


@pytest.mark.usefixtures("internet")
def test_a_missing_file_is_told() -> None:
    """The hint names the two places that a file may be named in."""
    error = failure_of(gar_registry(credentialsFile="/nonexistent/credentials.json"))
    assert type(error) is IdentityMissing
    assert "gar.credentialsFile" in error.hint


@pytest.mark.usefixtures("internet")
def test_a_file_that_never_ends_costs_the_deadline(tmp_path: Path) -> None:
    """A pipe without a writer blocks whoever opens it; the mint still ends."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert type(failure_of(gar_registry(credentialsFile=str(pipe), deadline="1s"))) is MintTimedOut
    pipe.write_text("")  # let the thread go


def test_a_rotated_file_is_noticed(internet: Internet, tmp_path: Path) -> None:
    """The file is read at each mint."""
    file = internet.google.service_account_file(tmp_path)
    good = file.read_text()
    provider = provider_for(gar_registry(credentialsFile=str(file)))
    file.write_text("{}")
    with pytest.raises(IdentityMissing):
        provider.mint()
    file.write_text(good)
    assert provider.mint()


# Answers


@pytest.mark.parametrize(
    "answer",
    [
        {"access_token": "ya29.x"},
        {"access_token": "ya29.x", "expires_in": "soon"},
        {"access_token": "ya29.x", "expires_in": 1e300},
        {"access_token": "ya29.x", "expires_in": None},
        {"access_token": "ya29.x", "expires_in": [3600]},
        {"access_token": 7, "expires_in": 3600},
        {"access_token": None, "expires_in": 3600},
        {"access_token": "two words", "expires_in": 3600},
        {"expires_in": 3600},
        ["ya29.x", 3600],
        "ya29.x",
        None,
    ],
)
@pytest.mark.parametrize("host", ["oauth2.googleapis.com", "sts.googleapis.com"])
def test_an_answer_without_a_usable_token_is_malformed(
    internet: Internet, tmp_path: Path, host: str, answer: object
) -> None:
    """No half of an answer becomes a credential."""
    internet.hosts[host] = lambda _: Response.of_json(200, answer)
    source = key if host.startswith("oauth2") else federation
    assert type(failure_of(gar_registry(credentialsFile=source(internet, tmp_path)))) is MalformedAnswer


def test_a_redirect_is_not_followed(internet: Internet, tmp_path: Path) -> None:
    """An assertion goes to Google's address, and nowhere that an answer names."""
    location = {"Location": "https://evil.example/token"}
    internet.hosts["oauth2.googleapis.com"] = lambda _: Response(307, b"", location)
    error = failure_of(gar_registry(credentialsFile=key(internet, tmp_path)))
    assert type(error) is MalformedAnswer
    assert internet.proxy.unknown == set()


def test_a_netrc_changes_nothing(internet: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The Authorization header is google-auth's; left alone, requests would replace it by what a .netrc says."""
    (tmp_path / ".netrc").write_text("default login somebody password hunter2\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    seen: list[str] = []
    handler = internet.google.handler_for("iamcredentials.googleapis.com")
    assert handler is not None

    def note(request: Request) -> Response:
        seen.append(request.headers["Authorization"])
        return handler(request)

    internet.hosts["iamcredentials.googleapis.com"] = note
    wanted = {"serviceAccount": internet.google.pull_account}
    provider_for(gar_registry(credentialsFile=key(internet, tmp_path), impersonate=wanted)).mint()
    assert seen[0].startswith("Bearer ")


def test_an_unknown_code_is_not_told(internet: Internet, tmp_path: Path) -> None:
    """A server may echo a secret as its error's code."""
    internet.hosts["oauth2.googleapis.com"] = lambda _: Response.of_json(400, {"error": "hunter2"})
    error = failure_of(gar_registry(credentialsFile=key(internet, tmp_path)))
    assert error.code == ""
    assert "hunter2" not in str(error)
