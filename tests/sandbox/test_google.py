"""Google's emulation, spoken to by the real google-auth with production configuration."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import google.auth
import pytest
import requests
from google.auth import compute_engine, identity_pool, impersonated_credentials
from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError
from google.auth.transport.requests import Request
from google.oauth2 import service_account

from rotator.sandbox.faults import NEARLY_SPENT_LIFE, Fault
from rotator.sandbox.google import LONGEST_LIFE
from rotator.sandbox.internet import Internet, Node
from tests.sandbox.conftest import Clock

# google-auth is typed in part only: its constructors and `refresh` are not.
Credentials = Any
KeyCredentials: Any = service_account.Credentials
FederatedCredentials: Any = identity_pool.Credentials
NodeCredentials: Any = compute_engine.Credentials
ImpersonatedCredentials: Any = impersonated_credentials.Credentials

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


def refreshed(credentials: Credentials) -> tuple[str, timedelta]:
    """A new access token and the life that is left to it, as google-auth sees it; half a second per call."""
    with requests.Session() as session:
        credentials.refresh(partial(Request(session), timeout=0.5))
    return credentials.token, credentials.expiry.replace(tzinfo=UTC) - datetime.now(UTC)


def key(net: Internet, directory: Path) -> Credentials:
    """A service account's key file."""
    return KeyCredentials.from_service_account_file(net.google.service_account_file(directory), scopes=SCOPES)


def federation(net: Internet, directory: Path) -> Credentials:
    """Workload identity federation from a file."""
    return FederatedCredentials.from_file(net.google.external_account_file(directory), scopes=SCOPES)


def federation_with_impersonation(net: Internet, directory: Path) -> Credentials:
    """Workload identity federation that ends as a service account."""
    file = net.google.external_account_file(directory, impersonate=True)
    return FederatedCredentials.from_file(file, scopes=SCOPES)


def node(net: Internet, _: Path) -> Credentials:
    """The node's metadata server."""
    net.node = Node.GOOGLE
    return NodeCredentials(scopes=SCOPES)


def impersonation(net: Internet, directory: Path, lifetime: int = 3600, target: str = "") -> Credentials:
    """The pull account, by way of the key."""
    return ImpersonatedCredentials(key(net, directory), target or net.google.pull_account, SCOPES, lifetime=lifetime)


@pytest.mark.parametrize(
    ("identity", "calls"),
    [
        (key, {"token": 1}),
        (federation, {"exchange": 1}),
        (federation_with_impersonation, {"exchange": 1, "generateAccessToken": 1}),
        (node, {"metadata": 1}),
        (impersonation, {"token": 1, "generateAccessToken": 1}),
    ],
)
def test_each_identity_gets_an_hour(
    net: Internet, tmp_path: Path, identity: Callable[[Internet, Path], Credentials], calls: dict[str, int]
) -> None:
    """A token that the cloud knows, good for an hour, with one call per step and no host that is unknown."""
    token, left = refreshed(identity(net, tmp_path))
    assert net.google.accepts(token)
    assert timedelta(minutes=59) < left <= timedelta(hours=1)
    assert net.google.calls == calls
    assert net.proxy.unknown == set()


def test_application_default_credentials_read_the_file(
    net: Internet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """GOOGLE_APPLICATION_CREDENTIALS leads to the file's identity."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(net.google.service_account_file(tmp_path)))
    credentials, project = google.auth.default(SCOPES)
    assert project == "images-project"
    assert net.google.accepts(refreshed(credentials)[0])


def test_a_node_is_found_by_default(net: Internet) -> None:
    """On a node of Google's the default chain pings the metadata server and asks it for the project."""
    net.node = Node.GOOGLE
    with requests.Session() as session:
        credentials, project = google.auth.default(request=Request(session))
    assert project == "images-project"
    assert net.google.accepts(refreshed(credentials)[0])


def test_impersonation_honours_the_lifetime(net: Internet, tmp_path: Path) -> None:
    """A shorter life is given as asked; a longer one only where the organisation's policy allows it."""
    assert refreshed(impersonation(net, tmp_path, lifetime=600))[1] <= timedelta(minutes=10)
    with pytest.raises(RefreshError, match="INVALID_ARGUMENT"):
        refreshed(impersonation(net, tmp_path, lifetime=7200))
    net.google.longest_life = LONGEST_LIFE
    assert refreshed(impersonation(net, tmp_path, lifetime=7200))[1] > timedelta(minutes=119)


def test_nobody_is_impersonated_who_does_not_exist(net: Internet, tmp_path: Path) -> None:
    """An unknown account is not found."""
    with pytest.raises(RefreshError, match="NOT_FOUND"):
        refreshed(impersonation(net, tmp_path, target="nobody@elsewhere.example"))


def test_a_revoked_token_impersonates_nobody(net: Internet, tmp_path: Path) -> None:
    """The bearer of the caller is checked."""
    credentials = impersonation(net, tmp_path)
    refreshed(credentials)
    net.google.revoke(credentials._source_credentials.token)  # noqa: SLF001  (google-auth names it nowhere else)
    with pytest.raises(RefreshError, match="UNAUTHENTICATED"):
        refreshed(credentials)


def test_an_unknown_subject_token_is_refused(net: Internet, tmp_path: Path) -> None:
    """The pool trusts only tokens of its cluster."""
    credentials = federation(net, tmp_path)
    (tmp_path / "google-token").write_text("planted")
    with pytest.raises(GoogleAuthError, match="invalid_grant"):
        refreshed(credentials)


def test_an_unknown_key_is_refused(net: Internet, tmp_path: Path) -> None:
    """A key that this project never made opens nothing."""
    stranger = Internet()
    with pytest.raises(RefreshError, match="invalid_grant"):
        refreshed(key(stranger, tmp_path))
    assert net.google.calls == {"token": 1}


def test_the_metadata_server_hands_out_part_spent_tokens(net: Internet, tmp_path: Path, clock: Clock) -> None:
    """The cached token comes again, older, until five minutes before its end; then a new one."""
    first, whole = refreshed(node(net, tmp_path))
    clock.ahead = timedelta(minutes=54)
    again, left = refreshed(NodeCredentials(scopes=SCOPES))
    assert again == first
    assert left < whole - timedelta(minutes=53)
    clock.ahead = timedelta(minutes=56)
    assert refreshed(NodeCredentials(scopes=SCOPES))[0] != first


@pytest.mark.parametrize(
    ("fault", "error", "text"),
    [
        (Fault.HUNG, TransportError, "Read timed out"),
        (Fault.REFUSING, RefreshError, "invalid_grant"),
        (Fault.THROTTLING, RefreshError, "rate_limit_exceeded"),
        (Fault.DOWN, RefreshError, "Service Unavailable"),
        (Fault.MALFORMED, TypeError, "string indices"),  # google-auth takes HTML for JSON
        (Fault.ECHOING, RefreshError, "assertion="),
    ],
)
def test_faults_of_the_token_endpoint(
    net: Internet, tmp_path: Path, fault: Fault, error: type[Exception], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each fault reaches the program as google-auth tells it."""
    credentials = key(net, tmp_path)
    net.google.fault = fault
    monkeypatch.setattr("google.auth._exponential_backoff.time.sleep", lambda _: None)
    with pytest.raises(error, match=text):
        refreshed(credentials)
    net.google.fault = None
    assert net.google.accepts(refreshed(credentials)[0])


def test_a_blank_token_is_taken_for_a_token(net: Internet, tmp_path: Path) -> None:
    """google-auth hands an empty token on; whoever uses it must look."""
    net.google.fault = Fault.BLANK
    assert refreshed(key(net, tmp_path))[0] == ""


def test_a_nearly_spent_token_stays_until_it_expires(net: Internet, tmp_path: Path, clock: Clock) -> None:
    """The same token again while it lives, with seconds left; then another."""
    net.google.fault = Fault.NEARLY_SPENT
    first, left = refreshed(key(net, tmp_path))
    assert left <= NEARLY_SPENT_LIFE
    assert refreshed(key(net, tmp_path))[0] == first
    clock.ahead = NEARLY_SPENT_LIFE
    assert refreshed(key(net, tmp_path))[0] != first


def test_every_secret_is_noted(net: Internet, tmp_path: Path) -> None:
    """The key, the projected token, the federated token and the final one: a test can search for each of them."""
    credentials = federation_with_impersonation(net, tmp_path)
    token, _ = refreshed(credentials)
    private_key = KeyCredentials.from_service_account_file(net.google.service_account_file(tmp_path))
    assert private_key.service_account_email == net.google.account
    assert {token, (tmp_path / "google-token").read_text()} <= net.secrets()
    assert any("PRIVATE KEY" in secret for secret in net.secrets())
