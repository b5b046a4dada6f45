"""Show a new credential to its registry before it is published: does it open what a kubelet will ask for?

    GET https://HOST/v2/         without credentials, for the challenge (distribution-spec, "Determining Support")
    Basic                        ask again with Basic
    Bearer                       GET realm?service=&scope= with Basic, then ask again with the token from there
    200, 404                     accepted
    400, 401, 403                refused (ECR answers an expired token with 403, a malformed one with 400)
    anything else, or no answer  unknown: says nothing about the credential

A token endpoint's 200 is no proof, since some give a token to anybody: the token is used. With a probe repository the
question is `HEAD /v2/NAME/manifests/REF`, which also proves the permission to pull; an ACR in ABAC mode, for one, lets
a credential in at /v2/ that may pull nothing.

The credential goes only to the registry's host, to the token endpoint on that host, or to a listed host, over https. A
challenge that names another place is not followed, and redirects are not either.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from time import monotonic
from typing import Literal, Protocol
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit

import msgspec

from rotator import challenge, config, web
from rotator.challenge import Challenge
from rotator.model import SecretText

Basic = tuple[str, SecretText]


class Login(Protocol):
    """Username and password: a new credential, or what stands in a Secret."""

    @property
    def username(self) -> str:
        """As it is sent."""

    @property
    def password(self) -> SecretText:
        """As it is sent."""


class Verdict(StrEnum):
    """What a registry says of a credential. OPEN: it asks nobody for one, so nothing is proven."""

    ACCEPTED = "Accepted"
    REFUSED = "Refused"
    UNKNOWN = "Unknown"
    OPEN = "Open"


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict of one host, one line that says why and what to do, and the status that decided, if one did."""

    host: str
    verdict: Verdict
    message: str
    status: int | None = None


def probe(
    credential: Login, host: str, settings: config.Probe, allow_hosts: Collection[str], timeout: timedelta
) -> Finding:
    """Show the credential to `host` (host or host:port) and say what comes of it, within `timeout` for all requests.

    `allow_hosts` are the other hosts that may see it, each host or host:port: the listed ones, and the other hosts of
    the same registry. Raises nothing of the network's: whatever fails on the way is a finding.
    """
    question = _Question(host, settings, monotonic() + timeout.total_seconds())
    try:
        return _probe(credential, question, frozenset(map(_place, (host, *allow_hosts))))
    except web.WebError as error:
        return question.found(Verdict.UNKNOWN, f"could not be shown the credential: {error}")


def probe_as_anybody(host: str, settings: config.Probe, timeout: timedelta) -> Finding:
    """Ask `host` as a client without a credential does, token endpoint included: OPEN, REFUSED or UNKNOWN."""
    question = _Question(host, settings, monotonic() + timeout.total_seconds())
    try:
        return _probe(None, question, frozenset())
    except web.WebError as error:
        return question.found(Verdict.UNKNOWN, f"could not be asked: {error}")


ALWAYS = datetime.max.replace(tzinfo=UTC)


def replaces(
    verdict: Verdict, policy: Literal["auto", "publish", "keep"], next_attempt_at: datetime
) -> datetime | None:
    """Until when an entry may live that this credential may replace; None: it may not even fill a hole.

    What was accepted may replace anything, what was refused nothing. Of what the registry said nothing, `auto` lets it
    stand in where keeping the old entry cannot be better: there is none, or it expires by the next attempt. Aware UTC.
    """
    if verdict is Verdict.REFUSED:
        return None
    if verdict is not Verdict.UNKNOWN or policy == "publish":
        return ALWAYS
    return next_attempt_at if policy == "auto" else None


_REFUSED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_ACCEPTED = frozenset({HTTPStatus.OK, HTTPStatus.NOT_FOUND})

# A registry may answer 404 to who does not accept the type of manifest that it has.
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
)


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked of a host, until when (monotonic seconds), and the words for what comes of it."""

    host: str
    settings: config.Probe
    until: float

    @property
    def subject(self) -> str:
        """What the credential should open."""
        return f"{self.settings.repository}:{self.settings.reference}" if self.settings.repository else "/v2/"

    @property
    def scope(self) -> str:
        """The scope that a token needs for it; "" for /v2/."""
        return f"repository:{self.settings.repository}:pull" if self.settings.repository else ""

    def base(self) -> web.Answer:
        """Ask for /v2/ without a credential."""
        return web.request("GET", f"https://{self.host}/v2/", timeout=self.left())

    def ask(self, *, auth: Basic | None = None, bearer: SecretText | None = None) -> web.Answer:
        """Ask what decides: for the manifest of the probe repository, or for /v2/ where none is configured."""
        method, path = "GET", ""
        if self.settings.repository:
            method = "HEAD"
            path = f"{quote(self.settings.repository)}/manifests/{quote(self.settings.reference, safe=':')}"
        url = f"https://{self.host}/v2/{path}"
        headers = {"Accept": _MANIFESTS} if path else None
        return web.request(method, url, headers=headers, auth=auth, bearer=bearer, timeout=self.left())

    def left(self) -> timedelta:
        """The time that is left for all requests to come."""
        return timedelta(seconds=max(self.until - monotonic(), 0))

    def found(self, verdict: Verdict, message: str, status: int | None = None) -> Finding:
        """The finding, its message opened by the host."""
        return Finding(self.host, verdict, f"{self.host} {message}", status)


def _probe(credential: Login | None, question: _Question, trusted: Collection[str]) -> Finding:
    answer = question.base()
    if answer.status == HTTPStatus.OK and question.settings.repository:
        answer = question.ask()  # a registry with an open /v2/ may guard its repositories nevertheless
        if answer.status == HTTPStatus.NOT_FOUND:
            return _open(question, answer.status)
    if answer.status == HTTPStatus.OK:
        return _open(question, answer.status)
    if answer.status != HTTPStatus.UNAUTHORIZED:
        return _undecided(question, "without a credential", answer.status)
    return _answered(credential, question, trusted, challenge.parse(answer.header_values("WWW-Authenticate")))


def _answered(
    credential: Login | None, question: _Question, trusted: Collection[str], challenges: Iterable[Challenge]
) -> Finding:
    """Answer the challenge that clients prefer: Bearer before Basic, as containerd does (docker/auth/parse.go)."""
    by_scheme = {posed.scheme: posed for posed in reversed(tuple(challenges))}
    basic = (credential.username, credential.password) if credential else None
    if "bearer" in by_scheme:
        token = _token(by_scheme["bearer"], basic, question, trusted)
        if isinstance(token, Finding):
            return token
        status = question.ask(bearer=token).status
        return _judged(question, status) if basic else _open_to_anybody(question, status)
    if "basic" in by_scheme and basic is None:
        return question.found(Verdict.REFUSED, "asks for a credential", HTTPStatus.UNAUTHORIZED)
    if "basic" in by_scheme:
        return _judged(question, question.ask(auth=basic).status)
    message = "asks for a credential, but poses no Basic or Bearer challenge that can be answered: is it a registry?"
    return question.found(Verdict.UNKNOWN, message, HTTPStatus.UNAUTHORIZED)


def _token(
    posed: Challenge, basic: Basic | None, question: _Question, trusted: Collection[str]
) -> SecretText | Finding:
    """The token that the challenge's realm gives for the credential, or what is found instead."""
    realm = _realm(posed)
    if realm is None or (basic and _place(realm.netloc) not in trusted):
        return _elsewhere(question, realm)
    answer = web.request("GET", _token_url(realm, posed, question.scope), auth=basic, timeout=question.left())
    if answer.status in _REFUSED:
        return _judged(question, answer.status) if basic else _open_to_anybody(question, answer.status)
    if answer.status != HTTPStatus.OK:
        return _undecided(question, "at its token endpoint", answer.status)
    token = _token_of(answer.body)
    if token is None:
        message = f"has a token endpoint ({realm.netloc}) whose answer is no token"
        return question.found(Verdict.UNKNOWN, message, answer.status)
    return token


def _realm(posed: Challenge) -> SplitResult | None:
    """The realm as a URL that may be asked: https and a plain host, without a user name or anything odd in it."""
    try:
        realm = urlsplit(posed.parameters.get("realm", ""))
    except ValueError:
        return None
    return realm if realm.scheme == "https" and _HOST.fullmatch(realm.netloc) else None


_HOST = re.compile(r"[0-9A-Za-z.\-]{1,253}(:[0-9]{1,5})?")


def _place(host: str) -> str:
    """Host and port in the one form in which they are compared."""
    return host.lower().removesuffix(":443")


def _token_url(realm: SplitResult, posed: Challenge, scope: str) -> str:
    """The realm with its own query, the service, and the scope (the question's, else the one that was posed)."""
    added = {"service": posed.parameters.get("service", ""), "scope": scope or posed.parameters.get("scope", "")}
    query = parse_qsl(realm.query) + [(name, value) for name, value in added.items() if value]
    return realm._replace(query=urlencode(query), fragment="").geturl()


class _TokenAnswer(msgspec.Struct):
    """A token endpoint's answer; `access_token` is its other name (distribution, "Token Authentication")."""

    token: str | None = None
    access_token: str | None = None


def _token_of(body: bytes) -> SecretText | None:
    try:
        answer = msgspec.json.decode(body, type=_TokenAnswer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    token = answer.token or answer.access_token or ""
    return SecretText(token) if token and token.isascii() and token.isprintable() and " " not in token else None


def _open(question: _Question, status: int) -> Finding:
    return question.found(Verdict.OPEN, f"answers anybody for {question.subject}, so nothing is proven", status)


def _open_to_anybody(question: _Question, status: int) -> Finding:
    """What an answer means to whoever came with a token that anybody gets."""
    if status in _REFUSED:
        return question.found(Verdict.REFUSED, f"asks for a credential ({status})", status)
    return _open(question, status) if status in _ACCEPTED else _undecided(question, "to anybody", status)


def _judged(question: _Question, status: int) -> Finding:
    """What the status means that answers the credential itself."""
    if status in _REFUSED:
        advice = f"check that its identity may pull {question.settings.repository or 'from this registry'}"
        return question.found(Verdict.REFUSED, f"refuses the credential ({status}): {advice}", status)
    if status not in _ACCEPTED:
        return _undecided(question, "to the credential", status)
    absent = f", though it has no {question.subject}" if status == HTTPStatus.NOT_FOUND else ""
    return question.found(Verdict.ACCEPTED, f"accepts the credential{absent} ({status})", status)


def _undecided(question: _Question, where: str, status: int) -> Finding:
    """An answer that says nothing about the credential."""
    redirect = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
    why = "a redirect, which is not followed" if redirect else "which proves nothing"
    message = f"answers {status} {where}, {why}; probe.onUnknown decides whether the credential is published"
    return question.found(Verdict.UNKNOWN, message, status)


def _elsewhere(question: _Question, realm: SplitResult | None) -> Finding:
    """The challenge leads to a place that may not see the credential, which therefore was not sent."""
    place = realm.netloc if realm else "an address that is no plain https URL"
    remedy = f"if that is right, list {place} under allowHosts" if realm else "its administrator must mend that"
    message = f"sends clients to {place} for a token; the credential was not sent there: {remedy}"
    return question.found(Verdict.UNKNOWN, message, HTTPStatus.UNAUTHORIZED)
