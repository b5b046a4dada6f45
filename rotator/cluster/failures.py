"""From an answer that is no success, or from no answer at all, to one of our errors.

Of the API server's words only those are shown that cannot hold a Secret's data, on one line and bounded.
"""

import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from http import HTTPStatus

import urllib3.exceptions as transport

from rotator.cluster import answers
from rotator.cluster.request import Request
from rotator.errors import (
    ClusterError,
    ClusterUnusable,
    Conflict,
    Forbidden,
    Invalid,
    NamespaceTerminating,
    NotFound,
    ServerFailed,
    Throttled,
)

LONGEST_WORDS = 300
"""Characters of the API server's words in a message."""

_MANAGER = re.compile(r'conflicts? with "((?:[^"\\]|\\.)*)"')
_WEBHOOK = re.compile(r'admission webhook "([^"\s]{1,253})"')


class Gone(ServerFailed):
    """410: a list's continue token, or the resourceVersion of a watch, is too old.

    `token` continues the list, though no longer as it was at one moment; empty where the server offers none.
    """

    def __init__(self, message: str, *, token: str) -> None:
        super().__init__(message, status=HTTPStatus.GONE)
        self.token = token


def answered(request: Request, status: int, headers: Mapping[str, str], body: bytes) -> ClusterError:
    """The error for an answer whose status is not 2xx."""
    words = answers.status(body)
    if status in _ANSWERS:
        return _ANSWERS[HTTPStatus(status)](request, words)
    wait = _retry_after(headers)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return Throttled(f"{request}: the API server asks for patience (429)", status=status, retry_after=wait)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        message = f"{request}: the API server failed ({status}{_shown(request, words)})"
        return ServerFailed(message, status=status, retry_after=wait)
    return ClusterError(f"{request}: the API server answered {status}{_shown(request, words)}", status=status)


def malformed(request: Request) -> ServerFailed:
    """The error for an answer that no Kubernetes API server gives."""
    return ServerFailed(f"{request}: the answer is not what a Kubernetes API server sends")


def unanswered(request: Request, server: str, error: transport.HTTPError) -> ServerFailed:
    """The error for a request without a complete answer; `server` is host:port of the API server."""
    causes = tuple(_chain(error))
    hint = ""
    distrust = next((cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)), None)
    if distrust is not None:
        problem = f"its certificate is not trusted ({_one_line(distrust.verify_message)})"
        hint = "check the kubeconfig's certificate-authority and server"
    else:
        problem = next(words for kind, words in _PROBLEMS if any(isinstance(cause, kind) for cause in causes))
    return ServerFailed(f"{request}: {server}: {problem}", hint=hint)


_PROBLEMS: tuple[tuple[type[BaseException], str], ...] = (
    (transport.ProxyError, "the proxy on the way to it failed; HTTPS_PROXY, NO_PROXY and proxy-url choose the way"),
    (socket.gaierror, "its name is not resolved"),
    (transport.NameResolutionError, "its name is not resolved"),
    (ConnectionRefusedError, "it refused the connection"),
    (transport.TimeoutError, "no complete answer in time"),
    (TimeoutError, "no complete answer in time"),
    (ssl.SSLError, "the TLS handshake failed"),
    (transport.SSLError, "the TLS handshake failed"),
    (transport.NewConnectionError, "there is no route to it"),
    (BaseException, "it dropped the connection"),
)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _unauthorized(_: Request, __: answers.Status) -> ClusterUnusable:
    return _unknown("the API server does not know who we are (401)", HTTPStatus.UNAUTHORIZED)


def _unknown(message: str, status: int) -> ClusterUnusable:
    hint = (
        "renew the credential of the kubeconfig's user; in a cluster, check that the ServiceAccount's token is mounted"
    )
    return ClusterUnusable(message, hint=hint, status=status)


def _forbidden(request: Request, words: answers.Status) -> ClusterError:
    if '"system:anonymous"' in words.message:
        return _unknown("the API server takes us for an anonymous user", HTTPStatus.FORBIDDEN)
    if any(cause.reason == "NamespaceTerminating" for cause in words.causes):
        return NamespaceTerminating(f"{request}: the namespace is being deleted", status=HTTPStatus.FORBIDDEN)
    if " cannot " in words.message and not _WEBHOOK.search(words.message):
        return Forbidden(f"{request}: forbidden", hint=f"grant {request.rule}", status=HTTPStatus.FORBIDDEN)
    hint = f"an admission rule refuses it; if RBAC does, grant {request.rule}"
    return Forbidden(f"{request}: forbidden{_shown(request, words)}", hint=hint, status=HTTPStatus.FORBIDDEN)


def _conflict(request: Request, words: answers.Status) -> Conflict:
    conflicts = [cause for cause in words.causes if cause.reason == "FieldManagerConflict"]
    said = "\n".join([words.message, *(cause.message for cause in conflicts)])
    managers = tuple(dict.fromkeys(_one_line(name) for name in _MANAGER.findall(said)))
    if not managers:
        return Conflict(f"{request}: it changed since it was read")
    fields = ", ".join(dict.fromkeys(_one_line(cause.field) for cause in conflicts)) or "a field"
    message = f"{request}: field manager {', '.join(managers)} owns {fields}"
    return Conflict(message, hint="let only one program write this Secret", managers=managers)


def _not_found(request: Request, _: answers.Status) -> NotFound:
    return NotFound(f"{request}: not found", status=HTTPStatus.NOT_FOUND)


def _gone(request: Request, words: answers.Status) -> Gone:
    token = words.metadata.token if words.metadata else ""
    return Gone(f"{request}: the list expired while it was read", token=token)


def _invalid(request: Request, words: answers.Status) -> Invalid:
    return Invalid(f"{request}: {_causes(words) or 'a precondition failed'}", status=HTTPStatus.UNPROCESSABLE_ENTITY)


_ANSWERS: Mapping[HTTPStatus, Callable[[Request, answers.Status], ClusterError]] = {
    HTTPStatus.UNAUTHORIZED: _unauthorized,
    HTTPStatus.FORBIDDEN: _forbidden,
    HTTPStatus.NOT_FOUND: _not_found,
    HTTPStatus.CONFLICT: _conflict,
    HTTPStatus.GONE: _gone,
    HTTPStatus.UNPROCESSABLE_ENTITY: _invalid,
}


def _causes(words: answers.Status) -> str:
    """Field and reason of each cause. Their messages quote values, so only one fixed phrase of them is let through."""
    return _one_line(", ".join(_cause(cause) for cause in words.causes))


def _cause(cause: answers.Cause) -> str:
    reason = "field is immutable" if "field is immutable" in cause.message else cause.reason
    return f"{cause.field}: {reason}"


def _shown(request: Request, words: answers.Status) -> str:
    """What the server said; about a Secret only its one-word reason, or the webhook's name: the rest may quote data."""
    webhook = _WEBHOOK.search(words.message)
    if webhook:
        return f": admission webhook {webhook[1]}"
    said = words.reason if request.resource == "secrets" else words.message
    return f": {_one_line(said)}" if said else ""


def _one_line(text: str) -> str:
    line = "".join(character if character.isprintable() else " " for character in text)
    return line if len(line) <= LONGEST_WORDS else f"{line[:LONGEST_WORDS]}…"


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """The API server gives whole seconds (RFC 9110 allows a date too; none of its filters sends one)."""
    value = headers.get("Retry-After", "")
    return timedelta(seconds=int(value)) if re.fullmatch(r"[0-9]{1,6}", value) else None
