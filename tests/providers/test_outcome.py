"""What comes out of a mint, whatever went in."""

from datetime import UTC, datetime, timedelta

import pytest

from rotator.errors import (
    CloudUnavailable,
    MalformedAnswer,
    MintError,
    MintRefused,
    MintThrottled,
    MintTimedOut,
)
from rotator.model import Credential
from rotator.providers import outcome
from tests.providers.world import ECR_HOST, registry, told

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
REGISTRY = registry("ecr", {"hosts": [ECR_HOST]}, deadline="1s")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (204, MalformedAnswer),
        (302, MalformedAnswer),
        (400, MintRefused),
        (401, MintRefused),
        (403, MintRefused),
        (404, MintRefused),
        (408, MintTimedOut),
        (429, MintThrottled),
        (500, CloudUnavailable),
        (503, CloudUnavailable),
        (504, MintTimedOut),
    ],
)
def test_a_status_decides_whether_to_try_again(status: int, kind: type[MintError]) -> None:
    """What is no success is refused, throttled, late, an outage, or nonsense."""
    assert outcome.kind_of(status) is kind


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        (None, None),
        ("0", timedelta()),
        ("30", timedelta(seconds=30)),
        ("999999999", outcome.LONGEST_PATIENCE),
        ("99999999999999999999", None),
        ("Mon, 23 Nov 2026 12:01:00 GMT", timedelta(minutes=1)),
        ("Mon, 23 Nov 2026 11:00:00 GMT", timedelta()),
        ("Mon, 23 Nov 2026 12:01:00", None),
        ("-5", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, wait: timedelta | None) -> None:
    """Both forms of RFC 9110 are read, nothing else is, and no server makes us wait for more than an hour."""
    assert outcome.retry_after(value, NOW) == wait


@pytest.mark.parametrize(
    ("evidence", "text"),
    [
        (outcome.Evidence(), ""),
        (outcome.Evidence("ClientError"), "ClientError"),
        (outcome.Evidence("ClientError", "AccessDenied", 403), "ClientError AccessDenied, HTTP 403"),
        (outcome.Evidence(code="invalid_grant", status=400), "invalid_grant, HTTP 400"),
        (outcome.Evidence(status=503), "HTTP 503"),
    ],
)
def test_evidence_reads_as_words(evidence: outcome.Evidence, text: str) -> None:
    """Only what is known is said."""
    assert str(evidence) == text


@pytest.mark.parametrize("error", [RuntimeError("hunter2"), KeyError("hunter2"), AssertionError("hunter2")])
def test_an_unforeseen_error_becomes_ours(error: Exception) -> None:
    """Whatever an SDK raises is a MintError, told by its class alone."""

    def ask() -> Credential:
        raise error

    with pytest.raises(MintError) as caught:
        outcome.mint(REGISTRY, ask)
    assert type(error).__name__ in str(caught.value)
    assert "hunter2" not in told(caught.value)


@pytest.mark.parametrize("password", ["", "two words", "new\nline", "caf\u00e9", None, 7, b"bytes", ["list"]])
def test_an_unusable_token_is_malformed(password: object) -> None:
    """Nothing but printable ASCII becomes a password, and the error does not repeat it."""
    with pytest.raises(MalformedAnswer) as caught:
        outcome.credential(REGISTRY, "AWS", password, NOW + timedelta(hours=1), NOW)
    assert str(password or "absent") not in told(caught.value)
