"""Two ways to tell docker-registry what a cloud's tokens open: a file of passwords, and tokens of its own."""

import base64
import hashlib
import os
import re
import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import bcrypt
import jwt

from rotator.sandbox.authority import Authority
from rotator.sandbox.cloud import Cloud, Token, random_text, registry_error
from rotator.sandbox.faults import Refusal
from rotator.sandbox.server import Headers, Request, Response

PUSHER = "pusher"
"""Who may push, with a password that no cloud has issued."""

LONGEST_PASSWORD = 72
"""bcrypt compares no more of a password."""

LEEWAY = timedelta(seconds=60)
"""docker-registry takes a token for so much longer than it says (distribution 2.8, registry/auth/token/token.go)."""

SCOPE = re.compile(r"repository:(?P<name>.+):(?P<actions>[a-z,*]+)")


@dataclass
class Book:
    """The cloud's book of tokens, as far as it concerns one registry."""

    cloud: Cloud
    audience: str
    user: str
    may_pull: bool = True
    """Whether the identity that the cloud issues tokens to has the right to pull from this registry."""
    public: set[str] = field(default_factory=set)
    """The repositories that anybody may pull from, where a token server says so."""
    password: str = field(default_factory=lambda: random_text(40))
    """Of the pusher."""

    def issue(self, life: timedelta) -> Token:
        """A token for somebody else than rotator."""
        return self.cloud.issue(lambda _: random_text(900), audience=self.audience, subject="", life=life)

    def tokens(self) -> list[Token]:
        """Those that live."""
        return self.cloud.live_tokens(self.audience)

    def token(self, user: str, password: str) -> Token | None:
        """The token that was shown, if it lives."""
        token = self.cloud.accepts(password) if user == self.user else None
        return token if token and token.audience == self.audience else None


class Door(ABC):
    """How docker-registry is configured to judge a credential, and what happens in front of it."""

    @property
    @abstractmethod
    def auth(self) -> dict[str, Any]:
        """The `auth` section of its configuration."""

    @abstractmethod
    def prepared(self, request: Request) -> Request | Response:
        """The request as docker-registry should get it, or the answer if it should not."""


class PasswordFile(Door):
    """An htpasswd file with the tokens that live, for registries that ask for Basic.

    The file has one password for each user, but a cloud honours the old and the new token side by side. So each token
    is a user of its own in the file, and who shows it goes by that name from here on.
    """

    def __init__(self, book: Book, directory: Path) -> None:
        self._book = book
        self._path = directory / "htpasswd"
        self._lines: dict[str, str] = {}
        self._written_ns = 0
        self._lock = threading.Lock()
        self._renew()

    @property
    def auth(self) -> dict[str, Any]:
        """An htpasswd file."""
        return {"htpasswd": {"realm": "cloud", "path": str(self._path)}}

    def prepared(self, request: Request) -> Request | Response:
        """The request by the token's own name, with the file as the cloud's book says now."""
        self._renew()
        shown = _basic(request)
        if shown is None or shown[0] != self._book.user:
            return request
        user, password = shown
        encoded = base64.b64encode(f"{_own_name(user, password)}:{password}".encode()).decode()
        return replace(request, headers=Headers({**request.headers, "authorization": f"Basic {encoded}"}))

    def _renew(self) -> None:
        """Write the file anew if other tokens live now; docker-registry reads it again when its time has changed."""
        with self._lock:
            passwords = {PUSHER: self._book.password}
            if self._book.may_pull:
                user = self._book.user
                passwords |= {_own_name(user, token.value): token.value for token in self._book.tokens()}
            if passwords.keys() != self._lines.keys():
                self._lines = {user: self._lines.get(user) or _line(user, passwords[user]) for user in passwords}
                self._write()

    def _write(self) -> None:
        unfinished = self._path.with_suffix(".new")
        unfinished.write_text("".join(self._lines.values()))
        self._written_ns = max(self._written_ns + 1, unfinished.stat().st_mtime_ns)
        os.utime(unfinished, ns=(self._written_ns, self._written_ns))
        unfinished.rename(self._path)


class TokenServer(Door):
    """A token endpoint on the registry's own host: for a cloud's token it gives one of its own, which ends with it.

    docker-registry counts in whole seconds, so up to one before it.
    """

    def __init__(self, book: Book, directory: Path, host: str, path: str, field_name: str) -> None:
        self._book = book
        self._host = host
        self._path = path
        self._field_name = field_name
        authority = Authority()
        self._roots = authority.write(directory / "roots.pem")
        self._signer = authority.key_pair("token-server")

    @property
    def auth(self) -> dict[str, Any]:
        """Token authentication, with whom to send the client to and whose signature to trust."""
        return {
            "token": {
                "realm": f"https://{self._host}{self._path}",
                "service": self._host,
                "issuer": self._host,
                "rootcertbundle": str(self._roots),
            }
        }

    def prepared(self, request: Request) -> Request | Response:
        """The answer of the token endpoint; every other request goes on as it is."""
        if request.method != "GET" or request.path != self._path:
            return request
        user, password = _basic(request) or ("", "")
        if (user, password) == (PUSHER, self._book.password):
            return self._given(request, {"pull", "push"}, self._book.cloud.clock().timestamp() + 300)
        if not user:
            return self._given_to_anybody(request)
        token = self._book.token(user, password)
        if token is None:
            return registry_error(Refusal(401, "UNAUTHORIZED", "authentication required"))
        ends_at = (token.expires_at - LEEWAY).timestamp()
        return self._given(request, {"pull"} if self._book.may_pull else set(), ends_at)

    def _given_to_anybody(self, request: Request) -> Response:
        scopes = [match for scope in request.query.get("scope", []) if (match := SCOPE.fullmatch(scope))]
        if not scopes or any(scope["name"] not in self._book.public for scope in scopes):
            return registry_error(Refusal(401, "UNAUTHORIZED", "authentication required"))
        return self._given(request, {"pull"}, self._book.cloud.clock().timestamp() + 300)

    def _given(self, request: Request, may: set[str], ends_at: float) -> Response:
        """A token for as much of what was asked for as this user may do."""
        asked = [match for scope in request.query.get("scope", []) if (match := SCOPE.fullmatch(scope))]
        access = [
            {"type": "repository", "name": scope["name"], "actions": sorted(may & set(scope["actions"].split(",")))}
            for scope in asked
        ]
        claims = {"iss": self._host, "aud": self._host, "exp": int(ends_at), "access": access}
        return Response.of_json(200, {self._field_name: self._signed(claims)})

    def _signed(self, claims: Mapping[str, object]) -> str:
        certificate = base64.b64encode(ssl.PEM_cert_to_DER_cert(self._signer.certificate)).decode()
        return jwt.encode(dict(claims), self._signer.private_key, algorithm="RS256", headers={"x5c": [certificate]})


def _basic(request: Request) -> tuple[str, str] | None:
    """User and password, if they were shown."""
    scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    user, _, password = base64.b64decode(shown).decode().partition(":")
    return user, password


def _own_name(user: str, token: str) -> str:
    return f"{user}-{hashlib.sha256(token.encode()).hexdigest()}"


def _line(user: str, password: str) -> str:
    hashed = bcrypt.hashpw(password.encode()[:LONGEST_PASSWORD], bcrypt.gensalt(rounds=4))
    return f"{user}:{hashed.decode()}\n"
