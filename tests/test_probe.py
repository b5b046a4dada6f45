"""What a registry says of a new credential, and who gets to see it."""

import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest

from rotator.config import Probe
from rotator.model import Credential, SecretText
from rotator.probe import ALWAYS, Finding, Verdict, probe, probe_as_anybody, replaces
from rotator.sandbox.authority import Authority
from rotator.sandbox.server import Request, Response, Server

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
PASSWORD = "hunter2-of-the-registry"
TOKEN = "token-of-the-registry"
CREDENTIAL = Credential("AWS", SecretText(PASSWORD), NOW, NOW + timedelta(hours=12))
ENCODED = b64encode(f"AWS:{PASSWORD}".encode()).decode()
BASIC = f"Basic {ENCODED}"
BEARER = f"Bearer {TOKEN}"
LONG = timedelta(seconds=30)
SHORT = timedelta(milliseconds=300)
REPOSITORY = Probe.model_validate({"repository": "team/app", "reference": "v1"})

Answerer = Callable[[Request], Response]


class Registry:
    """A registry on loopback. Tests replace its challenge, or one of its three answers."""

    def __init__(self, authority: Authority) -> None:
        self.requests: list[Request] = []
        self.challenge = 'Basic realm="registry",service="ecr.amazonaws.com"'
        self.anonymous: Answerer = self.pose
        self.shown: Answerer = lambda request: Response(
            200 if request.headers["Authorization"] in {BASIC, BEARER} else 401
        )
        self.token: Answerer = lambda _: Response.of_json(200, {"token": TOKEN})
        self.server = Server(self._answer, tls=authority.context("localhost", "127.0.0.1"))

    @property
    def host(self) -> str:
        """Its host, as the configuration would have it."""
        return f"localhost:{self.server.port}"

    @property
    def seen(self) -> list[tuple[str, str, str | None]]:
        """What was asked, and with which Authorization."""
        return [(got.method, got.path, got.headers.get("Authorization")) for got in self.requests]

    def bearer(self, realm: str = "https://{host}/token") -> None:
        """Pose a Bearer challenge; `{host}` stands for this registry."""
        self.challenge = f'Bearer realm="{realm.format(host=self.host)}",service=registry.test'

    def pose(self, _: Request) -> Response:
        """Ask for a credential."""
        return Response(401, headers={"WWW-Authenticate": self.challenge})

    def _answer(self, request: Request) -> Response:
        self.requests.append(request)
        if request.path == "/token":
            return self.token(request)
        return self.shown(request) if "Authorization" in request.headers else self.anonymous(request)


@pytest.fixture(scope="module")
def authority() -> Authority:
    """The private CA of all servers here."""
    return Authority()


@pytest.fixture(autouse=True)
def environment(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the servers, use no proxy, and have a .netrc at hand that would be wrong."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.write(tmp_path / "ca.pem")))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".netrc").write_text("default login somebody password else\n")
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def registry(authority: Authority) -> Iterator[Registry]:
    """A registry."""
    registry = Registry(authority)
    with registry.server:
        yield registry


other = registry  # another server, trusted by its certificate, which is no business of the registry's


def _probe(registry: Registry, settings: Probe | None = None, *allow_hosts: str, timeout: timedelta = LONG) -> Finding:
    return probe(CREDENTIAL, registry.host, settings or Probe(), allow_hosts, timeout)


def test_basic(registry: Registry) -> None:
    """A Basic challenge is answered with the credential, after a first request without it (ECR)."""
    finding = _probe(registry)
    assert finding == Finding(registry.host, Verdict.ACCEPTED, f"{registry.host} accepts the credential (200)", 200)
    assert registry.seen == [("GET", "/v2/", None), ("GET", "/v2/", BASIC)]


@pytest.mark.parametrize("name", ["token", "access_token"])
def test_bearer(registry: Registry, name: str) -> None:
    """A Bearer challenge: the realm gives a token for the credential, and the token is used (GAR, ACR)."""
    registry.bearer()
    registry.token = lambda _: Response.of_json(200, {name: TOKEN, "expires_in": 300})
    assert _probe(registry).verdict is Verdict.ACCEPTED
    assert registry.seen == [("GET", "/v2/", None), ("GET", "/token", BASIC), ("GET", "/v2/", BEARER)]
    assert registry.requests[1].query == {"service": ["registry.test"]}


def test_bearer_before_basic(registry: Registry) -> None:
    """Of several challenges the Bearer is answered, as containerd does, whatever their order or lines."""
    registry.bearer()
    registry.challenge = f'Basic realm="x"\r\nWWW-Authenticate: {registry.challenge}, Negotiate'
    assert _probe(registry).verdict is Verdict.ACCEPTED
    assert registry.seen[1] == ("GET", "/token", BASIC)


def test_no_challenge_that_we_know(registry: Registry) -> None:
    """A registry that asks for something else is shown nothing."""
    registry.challenge = 'Negotiate YWJj, Bearer realm="unclosed'
    finding = _probe(registry)
    assert (finding.verdict, finding.status) == (Verdict.UNKNOWN, 401)
    assert "no Basic or Bearer challenge" in finding.message
    assert registry.seen == [("GET", "/v2/", None)]


@pytest.mark.parametrize(
    ("status", "verdict", "words"),
    [
        (200, Verdict.ACCEPTED, "accepts the credential (200)"),
        (404, Verdict.ACCEPTED, "accepts the credential, though it has no /v2/ (404)"),
        (400, Verdict.REFUSED, "refuses the credential (400): check that its identity may pull from this registry"),
        (401, Verdict.REFUSED, "refuses the credential (401)"),
        (403, Verdict.REFUSED, "refuses the credential (403)"),
        (429, Verdict.UNKNOWN, "answers 429 to the credential, which proves nothing"),
        (503, Verdict.UNKNOWN, "probe.onUnknown decides whether the credential is published"),
        (204, Verdict.UNKNOWN, "answers 204 to the credential"),
        (302, Verdict.UNKNOWN, "answers 302 to the credential, a redirect, which is not followed"),
    ],
)
@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_status(registry: Registry, scheme: str, status: int, verdict: Verdict, words: str) -> None:
    """What each status means that answers the credential, or the token that was had for it."""
    if scheme == "bearer":
        registry.bearer()
    registry.shown = lambda _: Response(status, headers={"Location": f"https://{registry.host}/v2/elsewhere"})
    finding = _probe(registry)
    assert (finding.verdict, finding.status) == (verdict, status)
    assert finding.message.startswith(registry.host)
    assert words in finding.message
    assert len(registry.requests) == (3 if scheme == "bearer" else 2)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 503, 307])
def test_status_of_the_token_endpoint(registry: Registry, status: int) -> None:
    """The token endpoint may refuse a credential; it is no repository, so its 404 says nothing."""
    registry.bearer()
    registry.token = lambda _: Response(status, headers={"Location": f"https://{registry.host}/token"})
    finding = _probe(registry)
    assert finding.verdict is (Verdict.REFUSED if status in {400, 401, 403} else Verdict.UNKNOWN)
    assert finding.status == status
    assert registry.seen == [("GET", "/v2/", None), ("GET", "/token", BASIC)]


def test_token_is_no_proof(registry: Registry) -> None:
    """A token endpoint that gives a token to anybody proves nothing: it counts what the token opens."""
    registry.bearer()
    registry.token = lambda _: Response.of_json(200, {"token": "of-somebody-else"})
    assert _probe(registry).verdict is Verdict.REFUSED
    assert registry.seen[-1] == ("GET", "/v2/", "Bearer of-somebody-else")


MALFORMED_TOKENS = [
    *rb"""<html> [] {} "token" {"token":1} {"token":null} {"token":""} {"token":"line\nX-Evil:1"}""".split(),
    b"",
    b'{"token": "two words"}',
    '{"token": "€"}'.encode(),
    b'{"token": "\xff"}',
    b'{"token": ' + b"[" * 100_000,
    b'{"x": ' + b"[" * 100_000,
    b'{"token": "' + b"x" * 2_000_000 + b'"}',
]


@pytest.mark.parametrize("body", MALFORMED_TOKENS, ids=lambda body: repr(body[:20]))
def test_malformed_token(registry: Registry, body: bytes) -> None:
    """An answer that holds no usable token leaves the verdict open, and nothing of it is sent or shown."""
    registry.bearer()
    registry.token = lambda _: Response(200, body)
    finding = _probe(registry)
    assert (finding.verdict, finding.status) == (Verdict.UNKNOWN, 200)
    assert finding.message == f"{registry.host} has a token endpoint ({registry.host}) whose answer is no token"
    assert len(registry.requests) == 2


def test_realm_with_a_query(registry: Registry) -> None:
    """What the realm's own query says is kept, and a scope that was posed is asked for."""
    registry.challenge = f'Bearer realm="https://{registry.host}/token?account=a%26b",scope="registry:catalog:*"'
    assert _probe(registry).verdict is Verdict.ACCEPTED
    assert registry.requests[1].query == {"account": ["a&b"], "scope": ["registry:catalog:*"]}


def test_repository(registry: Registry) -> None:
    """With a probe repository the question is its manifest, and the token's scope is a pull from it."""
    registry.bearer()
    assert _probe(registry, REPOSITORY).verdict is Verdict.ACCEPTED
    assert registry.seen[1:] == [("GET", "/token", BASIC), ("HEAD", "/v2/team/app/manifests/v1", BEARER)]
    assert registry.requests[1].query["scope"] == ["repository:team/app:pull"]
    assert "application/vnd.oci.image.index.v1+json" in registry.requests[2].headers["Accept"]


@pytest.mark.parametrize(
    ("status", "verdict", "words"),
    [
        (404, Verdict.ACCEPTED, "accepts the credential, though it has no team/app:v1 (404)"),
        (403, Verdict.REFUSED, "refuses the credential (403): check that its identity may pull team/app"),
    ],
)
def test_repository_absent_or_forbidden(registry: Registry, status: int, verdict: Verdict, words: str) -> None:
    """An absent manifest is no refusal; a forbidden one is, and the message names the repository."""
    registry.shown = lambda _: Response(status)
    finding = _probe(registry, REPOSITORY)
    assert finding.verdict is verdict
    assert words in finding.message
    assert registry.seen[-1] == ("HEAD", "/v2/team/app/manifests/v1", BASIC)


def test_open(registry: Registry) -> None:
    """A registry that answers anybody proves nothing and is shown nothing."""
    registry.anonymous = lambda _: Response(200)
    finding = _probe(registry)
    assert (finding.verdict, finding.status) == (Verdict.OPEN, 200)
    assert "answers anybody for /v2/, so nothing is proven" in finding.message
    assert registry.seen == [("GET", "/v2/", None)]


@pytest.mark.parametrize("status", [200, 404])
def test_open_repository(registry: Registry, status: int) -> None:
    """Nor does a repository that anybody may read; a credential that nobody asked for is not sent."""
    registry.anonymous = lambda request: Response(200 if request.path == "/v2/" else status)
    finding = _probe(registry, REPOSITORY)
    assert (finding.verdict, finding.status) == (Verdict.OPEN, status)
    assert "answers anybody for team/app:v1" in finding.message
    assert registry.seen == [("GET", "/v2/", None), ("HEAD", "/v2/team/app/manifests/v1", None)]


def test_guarded_repository_of_an_open_registry(registry: Registry) -> None:
    """Where only the repositories ask for a credential, their challenge is answered, and there is proof."""
    registry.anonymous = lambda request: Response(200) if request.path == "/v2/" else registry.pose(request)
    assert _probe(registry, REPOSITORY).verdict is Verdict.ACCEPTED
    assert registry.seen[-1] == ("HEAD", "/v2/team/app/manifests/v1", BASIC)


@pytest.mark.parametrize("status", [301, 400, 403, 404, 429, 500, 503])
def test_status_without_a_credential(registry: Registry, status: int) -> None:
    """Who says no before having seen the credential says nothing about it."""
    registry.anonymous = lambda _: Response(status, headers={"Location": f"https://{registry.host}/v2/elsewhere"})
    finding = _probe(registry)
    assert (finding.verdict, finding.status) == (Verdict.UNKNOWN, status)
    assert f"answers {status} without a credential" in finding.message
    assert registry.seen == [("GET", "/v2/", None)]


EVIL_REALMS = r"""
https://{evil}/token  https://{evil}/token?{host}  https://{evil}#@{host}/token  https://{host}@{evil}/token
https://user:password@{host}/token  https://{evil}\\@{host}/token  https://{host}\\@{evil}/token
https://{host}.{evil}/token  https://127.0.0.1:{port}/token  https://127.1:{port}/token
https://0x7f000001:{port}/token  https://[::1]:{port}/token  https://[/token  https://localhost.:{port}/token
https://localhost/token  https://localhost:0{port}/token  https://{host}:1/token  https://{letter}ocalhost:{port}/token
http://{host}/token  ftp://{host}/token  //{evil}/token  https:///token  /token  token
""".split()  # noqa: SIM905  (a list literal has 24 lines)


@pytest.mark.parametrize("realm", ["", *EVIL_REALMS])
def test_realm_elsewhere(registry: Registry, other: Registry, realm: str) -> None:
    """A realm that is not https on a host that may see the credential gets no request at all."""
    letter = "\N{FULLWIDTH LATIN SMALL LETTER L}"  # an l to whoever normalises the name
    realm = realm.format(host=registry.host, evil=other.host, port=registry.server.port, letter=letter)
    # A server writes its header in bytes: as UTF-8, each of them reaches us as one character.
    registry.challenge = f'Bearer realm="{realm}",service="x"'.encode().decode("latin-1")
    finding = _probe(registry, None, "registry.test")
    assert (finding.verdict, finding.status) == (Verdict.UNKNOWN, 401)
    assert "the credential was not sent there" in finding.message
    assert finding.message.isascii() and "@" not in finding.message  # noqa: PT018  (both: a plain host or none)
    assert not other.requests
    assert registry.seen == [("GET", "/v2/", None)]


def test_realm_elsewhere_names_the_remedy(registry: Registry, other: Registry) -> None:
    """The message says where the challenge leads, and what to write if that is right."""
    registry.bearer(f"https://{other.host}/token")
    assert f"if that is right, list {other.host} under allowHosts" in _probe(registry).message


def test_realm_on_a_listed_host(registry: Registry, other: Registry) -> None:
    """A listed host may see the credential, whatever the case of its letters; the token goes to the registry."""
    registry.bearer(f"https://{other.host.upper()}/token")
    assert _probe(registry, None, other.host).verdict is Verdict.ACCEPTED
    assert other.seen == [("GET", "/token", BASIC)]
    assert registry.seen == [("GET", "/v2/", None), ("GET", "/v2/", BEARER)]


@pytest.mark.parametrize(
    ("listed", "realm"), [("registry.test", "registry.test:443"), ("registry.test:443", "registry.test")]
)
def test_port_of_https(
    registry: Registry, authority: Authority, monkeypatch: pytest.MonkeyPatch, listed: str, realm: str
) -> None:
    """Port 443 may be written or left out; and the way leads through HTTPS_PROXY where there is one."""
    registry.bearer(f"https://{realm}/token")
    with Server(registry._answer, tunnel=authority.context) as proxy:  # noqa: SLF001
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert probe(CREDENTIAL, listed, Probe(), (), LONG).verdict is Verdict.ACCEPTED
    assert {got.host for got in registry.requests} == {"registry.test"}


def _hang(request: Request) -> Response:
    while not request.gone():
        time.sleep(0.01)
    return Response()


def _drip(_: Request) -> Response:
    def chunks() -> Iterator[bytes]:
        while True:
            time.sleep(0.02)
            yield b" "

    return Response(chunks=chunks())


@pytest.mark.parametrize("slow", [_hang, _drip])
@pytest.mark.parametrize("step", ["anonymous", "token", "shown"])
def test_slow(registry: Registry, step: str, slow: Answerer) -> None:
    """A registry that hangs or drips at any step leaves the verdict open when the time for all steps is over."""
    registry.bearer()
    setattr(registry, step, slow)
    finding = _probe(registry, timeout=SHORT)
    assert (finding.verdict, finding.status) == (Verdict.UNKNOWN, None)
    assert "no complete answer within" in finding.message


def _late(answer: Answerer, seconds: float) -> Answerer:
    def answered(request: Request) -> Response:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not request.gone():
            time.sleep(0.01)
        return answer(request)

    return answered


def test_a_little_late_at_every_step(registry: Registry) -> None:
    """The time is for all steps together: three answers, each well within it, are too late."""
    registry.bearer()
    for step in ("anonymous", "token", "shown"):
        setattr(registry, step, _late(getattr(registry, step), 0.5))
    assert _probe(registry, timeout=timedelta(seconds=1)).verdict is Verdict.UNKNOWN


def test_unreachable(registry: Registry) -> None:
    """A registry that is not there leaves the verdict open, and the message names what failed."""
    registry.server.stop()
    finding = _probe(registry)
    assert (finding.verdict, finding.status) == (Verdict.UNKNOWN, None)
    assert finding.message == f"{registry.host} could not be shown the credential: {registry.host}: connection refused"


def _echo(status: int) -> Answerer:
    def answer(request: Request) -> Response:
        shown = request.headers.get("Authorization", "")
        # What a careless server says of the request, wherever it can say something.
        realm = f'Bearer realm="https://{shown.rpartition(" ")[2]}/",error="{shown}"'
        headers = {"WWW-Authenticate": realm, "Location": f"https://{shown.rpartition(' ')[2]}/", "X-Echo": shown}
        return Response(status, f'{{"token": ["{shown} {PASSWORD}"]}}'.encode(), headers)

    return answer


@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 500])
@pytest.mark.parametrize("step", ["token", "shown"])
def test_echo(registry: Registry, step: str, status: int) -> None:
    """Whatever a registry says of a request that it got, the finding is one line and repeats no secret."""
    registry.bearer()
    setattr(registry, step, _echo(status))
    text = repr(_probe(registry))
    assert not any(secret in text for secret in (PASSWORD, ENCODED, TOKEN, "\\n"))


WHEN = NOW + timedelta(minutes=5)


@pytest.mark.parametrize(
    ("verdict", "policy", "until"),
    [
        (Verdict.ACCEPTED, "keep", ALWAYS),
        (Verdict.OPEN, "keep", ALWAYS),
        (Verdict.REFUSED, "publish", None),
        (Verdict.UNKNOWN, "publish", ALWAYS),
        (Verdict.UNKNOWN, "keep", None),
        (Verdict.UNKNOWN, "auto", WHEN),
    ],
)
def test_what_a_verdict_lets_a_credential_replace(
    verdict: Verdict, policy: Literal["auto", "publish", "keep"], until: datetime | None
) -> None:
    """Accepted: anything. Refused: nothing. No answer: by the policy; auto, what expires before the next attempt."""
    assert replaces(verdict, policy, WHEN) == until


# Anybody --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "answers", "verdict", "words"),
    [
        ("basic", {}, Verdict.REFUSED, "asks for a credential"),
        ("bearer", {}, Verdict.OPEN, "answers anybody for team/app:v1"),
        ("bearer", {"shown": 404}, Verdict.OPEN, "answers anybody for team/app:v1"),
        ("bearer", {"shown": 401}, Verdict.REFUSED, "asks for a credential (401)"),
        ("bearer", {"token": 401}, Verdict.REFUSED, "asks for a credential (401)"),
        ("bearer", {"token": 503}, Verdict.UNKNOWN, "answers 503 at its token endpoint"),
        ("bearer", {"shown": 500}, Verdict.UNKNOWN, "answers 500 to anybody"),
    ],
)
def test_anybody_is_told_from_who_has_a_credential(
    registry: Registry, scheme: str, answers: dict[str, int], verdict: Verdict, words: str
) -> None:
    """A public repository gives a token to anybody, as Docker Hub does: what that opens is the proof."""
    if scheme == "bearer":
        registry.bearer()
    if "shown" in answers:
        registry.shown = lambda _: Response(answers["shown"])
    if "token" in answers:
        registry.token = lambda _: Response(answers["token"])
    finding = probe_as_anybody(registry.host, REPOSITORY, LONG)
    assert finding.verdict is verdict
    assert words in finding.message
    assert not any(authorization == BASIC for _, _, authorization in registry.seen)


def test_anybody_may_be_sent_anywhere_for_a_token(registry: Registry, other: Registry) -> None:
    """There is nothing to lose on the way: no credential is sent, only what anybody is given is used."""
    registry.bearer(f"https://{other.host}/token")
    assert probe_as_anybody(registry.host, REPOSITORY, LONG).verdict is Verdict.OPEN
    assert [authorization for _, _, authorization in other.seen] == [None]


def test_nobody_there_says_nothing(registry: Registry) -> None:
    """A registry that cannot be reached is neither open nor closed."""
    host = registry.host
    registry.server.stop()
    finding = probe_as_anybody(host, REPOSITORY, SHORT)
    assert (finding.verdict, finding.status) == (Verdict.UNKNOWN, None)
    assert "could not be asked" in finding.message
