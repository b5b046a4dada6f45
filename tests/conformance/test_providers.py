"""What every provider must do, whatever its cloud does: the real SDKs against the sandbox's clouds."""

import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Never

import pytest

from rotator.deadline import MOST_ABANDONED
from rotator.errors import (
    CloudUnavailable,
    CredentialSpent,
    MalformedAnswer,
    MintError,
    MintRefused,
    MintThrottled,
    MintTimedOut,
)
from rotator.model import whole_seconds
from rotator.providers import provider_for
from rotator.sandbox.faults import NEARLY_SPENT_LIFE, Fault
from rotator.sandbox.internet import Internet
from rotator.sandbox.server import Request, Response
from tests.conformance.identities import IDENTITIES, KINDS, Identity, Minted
from tests.providers.world import failure_of, set_all, told

ROUNDING = timedelta(seconds=3)  # clouds tell whole seconds, SDKs add them to their own now, and we round down

pytestmark = pytest.mark.usefixtures("internet")


@pytest.fixture(params=IDENTITIES, ids=lambda identity: identity.__name__)
def minted(
    request: pytest.FixtureRequest,
    internet: Internet,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Minted:
    """Each way to mint, in its Pod."""
    return in_its_pod(request.param, internet, monkeypatch, tmp_path)


@pytest.fixture(params=KINDS, ids=lambda identity: identity.__name__)
def of_kind(
    request: pytest.FixtureRequest,
    internet: Internet,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Minted:
    """One way to mint of each cloud, in its Pod."""
    return in_its_pod(request.param, internet, monkeypatch, tmp_path)


def in_its_pod(identity: Identity, net: Internet, monkeypatch: pytest.MonkeyPatch, directory: Path) -> Minted:
    """That way to mint, with the variables of its Pod."""
    minted = identity(net, directory)
    set_all(monkeypatch, minted.environment)
    return minted


def test_a_good_answer_is_a_credential(minted: Minted, internet: Internet) -> None:
    """The credential is what the cloud issued, and true about its life, to a few seconds."""
    before = whole_seconds(datetime.now(UTC))
    credential = provider_for(minted.registry()).mint()
    token = minted.token(internet, credential)
    assert token is not None
    assert timedelta(seconds=-1) < token.expires_at - credential.expires_at < ROUNDING
    assert before <= credential.issued_at <= datetime.now(UTC)


def test_one_mint_is_one_call_of_each_kind(minted: Minted, internet: Internet) -> None:
    """A mint asks for one token, without a probe or a second try; the cloud counts."""
    provider_for(minted.registry()).mint()
    calls = minted.cloud(internet).calls - Counter(discovery=1)  # MSAL asks the authority for its addresses
    assert calls == Counter(minted.calls)


def test_the_cloud_tells_who_we_are(minted: Minted, internet: Internet) -> None:
    """By the same chain of identities as a mint; it is a name of one line, and no secret stands in it."""
    said = provider_for(minted.registry()).identity()
    assert minted.who in said
    assert said.isprintable()
    assert [secret for secret in internet.secrets() if secret in said] == []
    assert "exchange" not in internet.azure.calls, "an Entra token tells it, and no registry is asked"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.REFUSING, MintRefused),
        (Fault.DOWN, CloudUnavailable),
        (Fault.MALFORMED, MalformedAnswer),
        (Fault.ECHOING, MintRefused),
        (Fault.HUNG, MintTimedOut),
    ],
)
def test_a_cloud_that_does_not_tell_who_we_are(
    of_kind: Minted, internet: Internet, fault: Fault, kind: type[MintError]
) -> None:
    """It fails as a mint does: in time, with the same errors, and without any secret in them."""
    of_kind.cloud(internet).fault = fault
    with pytest.raises(MintError) as caught:
        provider_for(of_kind.registry(deadline="1s" if fault is Fault.HUNG else "20s")).identity()
    assert type(caught.value) is kind, caught.value
    assert [secret for secret in internet.secrets() if secret in told(caught.value)] == []


def test_each_mint_gives_a_new_credential(minted: Minted, internet: Internet) -> None:
    """Nothing that an SDK keeps stands for a mint, except what a metadata server itself keeps."""
    provider = provider_for(minted.registry())
    first, second = provider.mint(), provider.mint()
    assert (first.password != second.password) or minted.calls == {"metadata": 1}
    assert minted.token(internet, second)


def test_a_slow_answer_is_awaited(of_kind: Minted, internet: Internet) -> None:
    """An answer a second late is good."""
    of_kind.cloud(internet).fault = Fault.SLOW
    assert of_kind.token(internet, provider_for(of_kind.registry()).mint())


@pytest.mark.parametrize("fault", [Fault.HUNG, Fault.DRIPPING])
def test_no_peer_holds_a_mint_beyond_its_deadline(minted: Minted, internet: Internet, fault: Fault) -> None:
    """A peer that is silent, or sends a byte at a time, costs the deadline and a retryable error."""
    minted.cloud(internet).fault = fault
    begun = time.monotonic()
    error = failure_of(minted.registry(deadline="1s"))
    assert type(error) is MintTimedOut
    assert error.retryable
    assert time.monotonic() - begun < 15  # the SDKs' own limits are 30 s to 20 minutes


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.REFUSING, MintRefused),
        (Fault.THROTTLING, MintThrottled),
        (Fault.DOWN, CloudUnavailable),
        (Fault.MALFORMED, MalformedAnswer),
        (Fault.ECHOING, MintRefused),
    ],
)
def test_a_failure_is_told_as_what_it_is(
    minted: Minted,
    internet: Internet,
    fault: Fault,
    kind: type[MintError],
) -> None:
    """The class says whether to try again; the message is one line that names the registry."""
    minted.cloud(internet).fault = fault
    error = failure_of(minted.registry())
    assert type(error) is kind, error
    assert error.retryable is (kind is not MintRefused)
    assert error.message.startswith("registry 'prod': ")
    assert "\n" not in str(error)


@pytest.mark.parametrize("fault", [Fault.THROTTLING, Fault.DOWN])
def test_a_failure_is_not_repeated_by_an_sdk(minted: Minted, internet: Internet, fault: Fault) -> None:
    """When to try again is ours to say: botocore may ask twice, and nobody more often."""
    minted.cloud(internet).fault = fault
    failure_of(minted.registry())
    assert max(minted.cloud(internet).calls.values()) <= 2


def test_a_failure_says_what_to_do(of_kind: Minted, internet: Internet) -> None:
    """Whoever is refused reads a remedy, with the status for the cloud's support."""
    of_kind.cloud(internet).fault = Fault.REFUSING
    error = failure_of(of_kind.registry())
    assert error.hint
    assert f"HTTP {error.status}" in error.message


def test_a_blank_token_is_no_credential(of_kind: Minted, internet: Internet) -> None:
    """An empty token in a 200 never becomes a credential."""
    of_kind.cloud(internet).fault = Fault.BLANK
    assert isinstance(failure_of(of_kind.registry()), MalformedAnswer | MintRefused)


@pytest.mark.parametrize("fault", [None, Fault.REFUSING, Fault.MALFORMED, Fault.ECHOING, Fault.BLANK])
def test_no_secret_is_told(
    minted: Minted,
    internet: Internet,
    fault: Fault | None,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Neither an error of ours nor our log holds a secret that a cloud issued, was shown or echoed."""
    minted.cloud(internet).fault = fault
    with caplog.at_level(logging.DEBUG, logger="rotator"):
        try:
            said = repr(provider_for(minted.registry(deadline="1s")).mint())
        except MintError as error:
            said = told(error)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("rotator")]
    text = "\n".join([said, *ours, *capfd.readouterr()])
    assert internet.secrets()
    assert [secret for secret in internet.secrets() if secret in text] == []


def test_a_nearly_spent_token_is_used_for_what_is_left(minted: Minted, internet: Internet) -> None:
    """A token with seconds to live is a credential with seconds to live, not a fresh one."""
    minted.cloud(internet).fault = Fault.NEARLY_SPENT
    assert timedelta() < provider_for(minted.registry()).mint().life <= NEARLY_SPENT_LIFE


def test_a_spent_token_is_refused(of_kind: Minted) -> None:
    """A token that is past its expiry by our clock is not published, and may be asked for again."""
    late = datetime.now(UTC) + timedelta(days=2)
    with pytest.raises(CredentialSpent) as caught:
        provider_for(of_kind.registry(), clock=lambda: late).mint()
    assert caught.value.retryable


@pytest.fixture(params=["Asia/Kolkata", "America/St_Johns"])
def elsewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process in another time zone."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
def test_zones_change_nothing(minted: Minted, internet: Internet) -> None:
    """Expiry is the same in every zone of this machine and of the cloud."""
    minted.cloud(internet).zone = timezone(timedelta(hours=9))
    credential = provider_for(minted.registry()).mint()
    token = minted.token(internet, credential)
    assert token is not None
    assert timedelta(seconds=-1) < token.expires_at - credential.expires_at < ROUNDING
    assert credential.expires_at.tzinfo is UTC


def test_no_connection_is_retryable(minted: Minted, internet: Internet) -> None:
    """With the way out closed (connection refused) a mint fails at once, and may be tried again."""
    internet.proxy.server.stop()
    error = failure_of(minted.registry())
    assert type(error) is CloudUnavailable, error
    assert error.retryable


def test_an_unknown_name_is_retryable(of_kind: Minted, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that does not resolve is an outage of the network, not of the configuration."""

    def unresolved(*_: object, **__: object) -> Never:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with monkeypatch.context() as patch:
        for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
            patch.delenv(name)
        patch.setattr(socket, "getaddrinfo", unresolved)
        error = failure_of(of_kind.registry())
    assert type(error) is CloudUnavailable, error


@pytest.mark.parametrize("begun", [False, True])
def test_a_lost_connection_is_retryable(of_kind: Minted, internet: Internet, *, begun: bool) -> None:
    """A cloud that hangs up, before its answer or in the midst of it, is an outage."""

    def drops() -> Iterator[bytes]:
        yield b"{"
        raise ConnectionResetError

    def hang_up(_: Request) -> Response:
        if begun:
            return Response(chunks=drops())
        raise ConnectionResetError

    for host in ("api.ecr.eu-west-1.amazonaws.com", "oauth2.googleapis.com", "login.microsoftonline.com"):
        internet.hosts[host] = hang_up
    error = failure_of(of_kind.registry())
    assert type(error) is CloudUnavailable, error


def test_a_failure_leaves_nothing_behind(minted: Minted, internet: Internet) -> None:
    """The mint after a failure asks the cloud anew: no SDK remembers the refusal."""
    provider = provider_for(minted.registry())
    minted.cloud(internet).fault = Fault.THROTTLING
    with pytest.raises(MintThrottled):
        provider.mint()
    minted.cloud(internet).fault = None
    assert minted.token(internet, provider.mint())


def test_many_hosts_are_one_call(internet: Internet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty hosts of one registry cost one call."""
    set_all(monkeypatch, internet.aws.static_environment())
    hosts = [f"{account:012}.dkr.ecr.eu-west-1.amazonaws.com" for account in range(20)]
    provider_for(Minted("ecr", {"hosts": hosts}, {}, {}, "").registry()).mint()
    assert internet.aws.calls == Counter(GetAuthorizationToken=1)


def test_threads_do_not_pile_up(of_kind: Minted, internet: Internet) -> None:
    """Mints against a hung cloud leave a bounded number of threads, and none once the cloud lets go."""
    of_kind.cloud(internet).fault = Fault.HUNG
    provider = provider_for(of_kind.registry(deadline="1s"))
    for _ in range(MOST_ABANDONED + 2):
        with pytest.raises(MintTimedOut):
            provider.mint()
    assert len(mints()) <= MOST_ABANDONED
    of_kind.cloud(internet).fault = None
    for thread in mints():
        thread.join(20)
    assert mints() == []


def mints() -> list[threading.Thread]:
    """The threads in which mints still run."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("mint of ")]
