"""One HTTP request, with nothing added: the transport of what no SDK does for us (the probe, the exchange of ACR).

`requests` is used below its Session.request(), which would follow redirects (with the credential, if the host is the
same), keep cookies, and replace the Authorization header by what a .netrc in the home directory says. What remains is
its reading of the environment: HTTPS_PROXY, NO_PROXY, and the CA bundle in REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE.

RotatorError
└── WebError              the request is not one that we send
    ├── WebTimeout        no complete answer in time
    └── WebUnreachable    no answer: name, route, proxy, TLS or a broken connection
"""

import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import requests
import urllib3

from rotator import __version__
from rotator.deadline import TooManyHanging, within
from rotator.errors import RotatorError
from rotator.model import SecretText

LONGEST_BODY = 1024 * 1024
"""Bytes of a body that are read; the rest is left unread, so a longer JSON text will not parse."""


class WebError(RotatorError):
    """The request is not one that we send, or it got no answer. The message names the host, never the URL's query."""


class WebTimeout(WebError):
    """No complete answer within the time limit."""

    retryable = True


class WebUnreachable(WebError):
    """No answer: the message names the part that failed."""

    retryable = True


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers (by name in any case) and body as sent. Only the status prints: a server may echo secrets."""

    status: int
    headers: urllib3.HTTPHeaderDict = field(repr=False)
    body: bytes = field(repr=False)

    def header_values(self, name: str) -> tuple[str, ...]:
        """The value of each header line of that name, in order; `headers` has them joined by commas."""
        return tuple(self.headers.getlist(name))


def request(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    data: Mapping[str, str] | None = None,
    auth: tuple[str, SecretText] | None = None,
    bearer: SecretText | None = None,
    timeout: timedelta,
) -> Answer:
    """Send one request and read its answer within `timeout`: no redirect, no retry, no .netrc, no cookie.

    `data` is sent as a form, `auth` as Basic, `bearer` as Bearer; with any of them the URL must be https. An answer of
    any status is an answer. Raises WebError, WebTimeout, WebUnreachable; requests' text stays out of all of them.
    """
    place = _place(url, https_only=bool(data or auth or bearer))
    until = monotonic() + timeout.total_seconds()
    sent = {"User-Agent": f"rotator/{__version__}", "Accept-Encoding": "identity", **(headers or {})}
    sent |= _authorization(auth, bearer)
    try:
        prepared = requests.Request(method, url, headers=sent, data=data).prepare()
        return within(timeout, partial(_exchange, prepared, until), name=f"request to {place}")
    except TooManyHanging as error:
        raise WebTimeout(str(error)) from error
    except (TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        msg = f"{place}: no complete answer within {timeout.total_seconds():.3g} s"
        raise WebTimeout(msg) from error
    except ValueError:
        msg = f"{place}: an address or a header of the request is malformed"
        raise WebError(msg) from None  # requests' text may hold the header, and the header the credential
    except (OSError, urllib3.exceptions.HTTPError) as error:  # OSError: the base of requests' errors too
        msg = f"{place}: {_problem(error)}"
        raise WebUnreachable(msg) from error


def _place(url: str, *, https_only: bool) -> str:
    """The URL's host and port, for messages."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        msg = "an address that is not a URL"
        raise WebError(msg) from error
    if "@" in parts.netloc:  # requests would make a Basic credential of it
        msg = f"{parts.netloc.rpartition('@')[2]}: a user name in an address is not sent"
        raise WebError(msg)
    if parts.scheme not in {"https", "http"} or (https_only and parts.scheme == "http"):
        msg = f"{parts.netloc}: a credential is sent over https only, anything else over http at least"
        raise WebError(msg)
    return parts.netloc


def _authorization(auth: tuple[str, SecretText] | None, bearer: SecretText | None) -> dict[str, str]:
    if auth is not None:
        username, password = auth
        return {"Authorization": "Basic " + b64encode(f"{username}:{password.reveal()}".encode()).decode()}
    if bearer is not None:
        return {"Authorization": f"Bearer {bearer.reveal()}"}
    return {}


def _exchange(prepared: requests.PreparedRequest, until: float) -> Answer:
    url = prepared.url or ""
    with requests.Session() as session:
        environment = session.merge_environment_settings(url, {}, stream=True, verify=True, cert=None)
        trusted, proxies = environment["verify"] or True, environment["proxies"]
        if isinstance(trusted, str) and not Path(trusted).exists():
            msg = f"REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names {trusted}, which does not exist"
            raise WebUnreachable(msg)
        seconds = max(until - monotonic(), 0.001)
        adapter = session.get_adapter(url)
        with adapter.send(prepared, stream=True, timeout=seconds, verify=trusted, proxies=proxies) as response:
            raw: urllib3.HTTPResponse = response.raw
            return Answer(response.status_code, raw.headers, _body(raw, until))


def _body(raw: urllib3.HTTPResponse, until: float) -> bytes:
    body = bytearray()
    while piece := raw.read1(LONGEST_BODY - len(body), decode_content=False):
        body += piece
        if monotonic() > until:
            raise TimeoutError  # nobody waits any more: let the thread and its connection go
    return bytes(body)


def _problem(error: BaseException) -> str:
    """What failed, in our words, from the types of the error and its causes."""
    causes = tuple(_causes(error))
    for kind, words in _WORDS:
        if any(isinstance(cause, kind) for cause in causes):
            return words
    return "the connection failed or was lost"


_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (requests.exceptions.ProxyError, "the proxy gave no connection to it (HTTPS_PROXY, NO_PROXY)"),
    (ssl.SSLCertVerificationError, "certificate not trusted (a private CA belongs into REQUESTS_CA_BUNDLE)"),
    (ssl.SSLError, "the TLS handshake failed"),
    (socket.gaierror, "name not resolved"),
    (ConnectionRefusedError, "connection refused"),
)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
