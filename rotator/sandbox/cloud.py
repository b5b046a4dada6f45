"""What the three emulated clouds have in common: a clock, a book of issued tokens, a count of calls, and a fault."""

import base64
import json
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from urllib.parse import parse_qs

from rotator.sandbox import faults
from rotator.sandbox.faults import NEARLY_SPENT_LIFE, Fault, Refusal, Wording
from rotator.sandbox.server import Handler, Request, Response

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Token:
    """One issued token: what it is good for, whom it speaks for, and until when."""

    value: str
    audience: str
    subject: str
    expires_at: datetime


class Cloud:
    """The state of one emulated cloud.

    `life` is the life of every token that it issues; None means each kind's natural life. `zone` is the zone in which
    it writes its times where the format has one. `fault` holds for every operation, or for `fault_at` alone.
    """

    def __init__(self, *, clock: Clock = utc_now, life: timedelta | None = None) -> None:
        self.clock = clock
        self.life = life
        self.zone: tzinfo = UTC
        self.fault: Fault | None = None
        self.fault_at: str | None = None
        self.calls: Counter[str] = Counter()
        self.secrets: set[str] = set()  # every secret value that it issued or was shown
        self._tokens: dict[str, Token] = {}
        self._lock = threading.Lock()

    def answer(self, operation: str, request: Request, good: Handler, wording: Wording) -> Response:
        """Count the call, and answer as the fault lets it."""
        with self._lock:
            self.calls[operation] += 1
        fault = self.fault if self.fault_at in {None, operation} else None
        return faults.answer(fault, request, good, wording, lambda: self.fault is not fault)

    def issue(self, write: Callable[[datetime], str], *, audience: str, subject: str, life: timedelta) -> Token:
        """Issue a token: `write` makes its text for an expiry, `life` is its natural life, overruled by the cloud's."""
        if self.fault is Fault.BLANK:
            return Token("", audience, subject, self.clock() + (self.life or life))
        if self.fault is Fault.NEARLY_SPENT:
            cached = self.live_token(audience, subject)
            return cached or self._enter(write, audience, subject, NEARLY_SPENT_LIFE)
        return self._enter(write, audience, subject, self.life or life)

    def live_token(self, audience: str, subject: str, *, left: timedelta = timedelta()) -> Token | None:
        """The latest token of this audience and subject with more than `left` to live."""
        tokens = [token for token in self.live_tokens(audience, left=left) if token.subject == subject]
        return tokens[-1] if tokens else None

    def live_tokens(self, audience: str, *, left: timedelta = timedelta()) -> list[Token]:
        """The tokens of this audience with more than `left` to live, the latest one last."""
        with self._lock:
            tokens = [token for token in self._tokens.values() if token.audience == audience]
        return [token for token in tokens if token.expires_at - self.clock() > left]

    def token(self, value: str) -> Token | None:
        """The token as issued, expired or not; None if it never was, or is revoked."""
        return self._tokens.get(value)

    def expired(self, token: Token) -> bool:
        """Whether the token is past its expiry by this cloud's clock."""
        return token.expires_at <= self.clock()

    def accepts(self, value: str) -> Token | None:
        """The token if it was issued here and still lives."""
        token = self.token(value)
        return None if token is None or self.expired(token) else token

    def revoke(self, value: str) -> None:
        """Forget a token: from now on it is refused."""
        with self._lock:
            self._tokens.pop(value, None)

    def note_secret(self, *values: str) -> None:
        """Remember secret values, so that a test can look for them in everything that was written."""
        with self._lock:
            self.secrets.update(filter(None, values))

    def all_secrets(self) -> set[str]:
        """A copy that no request changes while it is read."""
        with self._lock:
            return set(self.secrets)

    def _enter(self, write: Callable[[datetime], str], audience: str, subject: str, life: timedelta) -> Token:
        expires_at = self.clock() + life
        token = Token(write(expires_at), audience, subject, expires_at)
        self.note_secret(token.value)
        with self._lock:
            self._tokens[token.value] = token
        return token


def random_text(length: int) -> str:
    """Unguessable text of that length."""
    return secrets.token_urlsafe(length)[:length]


def jwt(claims: Mapping[str, object]) -> str:
    """A token in the form of a JWT. Its signature is noise: nothing here or in rotator verifies it."""
    parts = (json.dumps({"alg": "RS256", "typ": "JWT"}), json.dumps(claims))
    head, body = (base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts)
    return f"{head}.{body}.{random_text(86)}"


def read_jwt(token: str) -> tuple[dict[str, object], dict[str, object]]:
    """Header and claims of a JWT that somebody showed, unverified; both empty for what is no JWT."""
    try:
        head, body, _ = token.split(".")
        return _read_part(head), _read_part(body)
    except ValueError:
        return {}, {}


def _read_part(part: str) -> dict[str, object]:
    content: dict[str, object] = json.loads(base64.urlsafe_b64decode(part + "=="))
    return content


def read_form(request: Request) -> dict[str, str]:
    """The fields of a form that was posted."""
    return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}


def registry_error(refusal: Refusal) -> Response:
    """An error as every registry words it (OCI distribution specification, error codes)."""
    response = Response.of_json(refusal.status, {"errors": [{"code": refusal.code, "message": refusal.message}]})
    if refusal.challenge:
        response.headers["WWW-Authenticate"] = refusal.challenge
    return response
