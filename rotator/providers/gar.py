"""Google Artifact Registry and gcr.io: an access token is the password, and one token serves every location.

google-auth builds the requests and reads the answers; the transport below carries them. A token of a metadata server
may be part-spent when it arrives, and cannot be forced to be new: it counts from now to its own expiry.
"""

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from os import environ
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import google.auth.exceptions
import google.auth.transport
import requests
import urllib3
from google.auth import aws, compute_engine, identity_pool, impersonated_credentials
from google.oauth2 import credentials, service_account

from rotator.clock import Clock, utc_now
from rotator.config import Gar, Registry
from rotator.errors import CloudUnavailable, IdentityMissing, MalformedAnswer, MintError, MintTimedOut
from rotator.model import Credential
from rotator.providers import googlefile, outcome
from rotator.providers.outcome import Evidence

USERNAME = "oauth2accesstoken"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
LONGEST_BODY = 1024 * 1024
"""Bytes of an answer that are read."""

_OK = 200
_UNIVERSE = "googleapis.com"
# A service account's e-mail, or what GKE's metadata server tells of a Pod without one: its workload identity pool.
_EMAIL = r"[\w.+-]+@[\w.-]+|[\w.:-]+\.svc\.id\.goog"
# https://cloud.google.com/iam/docs/workload-identity-federation, "Attribute mappings"
_POOL = r"//iam\.googleapis\.com/(?:projects/\d+/)?locations/global/(?:workloadIdentityPools|workforcePools)/[\w./-]+"

# google-auth's constructors carry no types.
_METADATA_SERVER: Any = compute_engine.Credentials
_SERVICE_ACCOUNT: Any = service_account.Credentials
_AUTHORIZED_USER: Any = credentials.Credentials
_IMPERSONATED: Any = impersonated_credentials.Credentials
_IDENTITY_POOL: Any = identity_pool.Credentials
_AWS: Any = aws.Credentials


class GarProvider:
    """Mints for one registry of kind gar. The identity is read anew at each mint, so a rotated file is noticed."""

    def __init__(self, registry: Registry, source: Gar, clock: Clock = utc_now) -> None:
        self._registry = registry
        self._source = source
        self._clock = clock

    def mint(self) -> Credential:
        """Ask for a token. Raises a MintError, within the registry's deadline."""
        return outcome.mint(self._registry, self._ask)

    def identity(self) -> str:
        """The service account that images are pulled as, once Google gave a token for it. Raises as `mint`."""
        return outcome.mint(self._registry, lambda: self._name(self._refreshed()), "identity")

    def _ask(self) -> Credential:
        identity = self._refreshed()
        return self._credential(identity.token, identity.expiry)

    def _refreshed(self) -> Any:  # noqa: ANN401  (google-auth's credentials are not typed)
        """The identity with a token that has just come."""
        with closing(Transport(self._registry, self._clock)) as transport:
            try:
                identity = self._identity()
                identity.refresh(transport)  # before_request would start a thread of its own
            except MintError:
                raise
            except Exception as error:
                raise self._failure(error, answered=transport.answered) from error
        return identity

    def _name(self, identity: Any) -> str:  # noqa: ANN401  (google-auth's credentials are not typed)
        """Who that is. A person's token, or a federated one without a service account, carries no e-mail."""
        if isinstance(identity, credentials.Credentials):
            return "a person's own login (authorized_user)"
        if email := getattr(identity, "service_account_email", None):
            return outcome.identity(self._registry, email, _EMAIL)
        info: Any = identity.info
        return "a principal of " + outcome.identity(self._registry, info.get("audience"), _POOL)

    def _identity(self) -> Any:  # noqa: ANN401  (google-auth's credentials are not typed)
        path = self._source.credentials_file or _default_file()
        source = _from_file(path) if path else _METADATA_SERVER(universe_domain=_UNIVERSE)
        wanted = self._source.impersonate
        if wanted is None:
            return source
        return _IMPERSONATED(
            source_credentials=source,
            target_principal=wanted.service_account,
            target_scopes=list(SCOPES),
            delegates=list(wanted.delegates) or None,
            lifetime=int(wanted.lifetime.total_seconds()),
        )

    def _credential(self, token: object, expiry: datetime | None) -> Credential:
        if expiry is None:
            raise outcome.failure(
                MalformedAnswer, self._registry, "Google's answer does not say when the token expires"
            )
        # google-auth's expiry is naive, and UTC (google/auth/_helpers.py, utcnow).
        return outcome.credential(self._registry, USERNAME, token, expiry.replace(tzinfo=UTC), self._clock())

    def _failure(self, error: Exception, *, answered: bool) -> MintError:
        """An error that is not the transport's: of a file before the first answer, of an answer after it."""
        if isinstance(error, googlefile.Unfit):
            return outcome.failure(IdentityMissing, self._registry, f"the credentials file is not fit for use: {error}")
        evidence = outcome.of(error)
        if isinstance(error, OSError):
            what = f"the credentials file {error.filename or ''} cannot be read".replace("  ", " ")
            return outcome.failure(IdentityMissing, self._registry, what, evidence, hint=_FILE)
        if not isinstance(error, _SDK_ERRORS):
            return outcome.unexpected(self._registry, error)
        if answered:
            return outcome.failure(MalformedAnswer, self._registry, "Google answered nonsense", evidence)
        return outcome.failure(
            IdentityMissing, self._registry, "the credentials file holds no usable identity", evidence, hint=_FILE
        )


def _default_file() -> Path | None:
    """The file of application default credentials, in the order of Google's documentation; None: the metadata server.

    google.auth.default() would do the same, but use a file's addresses unchecked, and ask for the project's id.
    """
    if named := environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
        return Path(named)
    directory = environ.get("CLOUDSDK_CONFIG") or Path(environ.get("HOME", "/"), ".config", "gcloud")
    path = Path(directory, "application_default_credentials.json")
    return path if path.is_file() else None


def _from_file(path: Path) -> Any:  # noqa: ANN401  (google-auth's credentials are not typed)
    content = googlefile.read(path)
    match content["type"]:
        case "service_account":
            return _SERVICE_ACCOUNT.from_service_account_info(content, scopes=SCOPES)
        case "authorized_user":
            return _AUTHORIZED_USER.from_authorized_user_info(content)
        case "impersonated_service_account":
            return _IMPERSONATED.from_impersonated_service_account_info(content, scopes=SCOPES)
    source: Any = content["credential_source"]
    return (_AWS if "environment_id" in source else _IDENTITY_POOL).from_info(content, scopes=SCOPES)


@dataclass(frozen=True, slots=True)
class Answer(google.auth.transport.Response):
    """A successful answer, as google-auth reads it."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class Transport(google.auth.transport.Request):
    """Carries google-auth's requests: no redirect, no retry, no .netrc, and every failure is ours at once.

    google-auth would put a failed answer's text into its error, lose its status, and try again for up to 20 s.
    """

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock
        self._until = monotonic() + registry.deadline.total_seconds()
        self._session = requests.Session()
        self._session.auth = lambda request: request  # or a .netrc would replace the Authorization header
        self.answered = False

    def __call__(  # noqa: D102  (google-auth's own)
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ARG002  (the registry's deadline holds instead)
        **_: object,
    ) -> Answer:
        seconds = max(self._until - monotonic(), 0.001)
        sent = {"Accept-Encoding": "identity", **(headers or {})}
        place = urlsplit(url).hostname or ""
        try:
            with self._session.request(
                method, url, data=body, headers=sent, timeout=seconds, allow_redirects=False, stream=True
            ) as response:
                answer = Answer(response.status_code, response.headers, self._body(response.raw))
        except (OSError, urllib3.exceptions.HTTPError) as error:  # OSError: the base of requests' errors too
            raise self._lost(place, error) from error
        if answer.status != _OK:
            raise self._refusal(place, answer)
        self.answered = True
        return answer

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _body(self, raw: urllib3.HTTPResponse) -> bytes:
        body = bytearray()
        while len(body) < LONGEST_BODY and (piece := raw.read1(LONGEST_BODY - len(body), decode_content=False)):
            body += piece
            if monotonic() > self._until:
                raise TimeoutError  # nobody waits any more: let the thread and its connection go
        return bytes(body)

    def _lost(self, place: str, error: Exception) -> MintError:
        late = isinstance(error, TimeoutError | requests.Timeout | urllib3.exceptions.TimeoutError)
        kind = MintTimedOut if late else CloudUnavailable
        what = f"no answer of {place} in time" if late else f"no connection to {place}"
        hint = _NO_METADATA if place in _METADATA else "check DNS, HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE and egress"
        return outcome.failure(kind, self._registry, what, outcome.of(error), hint=hint)

    def _refusal(self, place: str, answer: Answer) -> MintError:
        kind = outcome.kind_of(answer.status)
        wait = outcome.retry_after(answer.headers.get("Retry-After"), self._clock())
        evidence = Evidence(code=_code(answer.data), status=answer.status, retry_after=wait)
        what = f"{place} {outcome.verb(kind)} the token request"
        return outcome.failure(kind, self._registry, what, evidence, hint=_hint(place))


def _code(body: bytes) -> str:
    """The code of an OAuth error (RFC 6749, 5.2) or of a Google API error, if it is a known one."""
    try:
        error = json.loads(body)["error"]
    except (LookupError, TypeError, ValueError, RecursionError):
        return ""
    return outcome.known(error.get("status") if isinstance(error, dict) else error, _CODES)


def _hint(place: str) -> str:
    return _METADATA_HINT if place in _METADATA else next((text for part, text in _HINTS.items() if part in place), "")


_SDK_ERRORS = (
    google.auth.exceptions.GoogleAuthError,
    AttributeError,
    LookupError,
    OverflowError,
    TypeError,
    ValueError,
)
_FILE = (
    "check gar.credentialsFile or GOOGLE_APPLICATION_CREDENTIALS: a service account key, or a workload identity "
    "federation file and the token that it names"
)
_METADATA = frozenset(
    {"metadata.google.internal", "169.254.169.254", environ.get("GCE_METADATA_HOST", "").partition(":")[0]}
)
_METADATA_HINT = (
    "give the Pod's ServiceAccount an identity: Workload Identity Federation for GKE, or the node's account"
)
_NO_METADATA = "without a metadata server (outside of Google Cloud) set gar.credentialsFile"
_HINTS = {
    "iamcredentials": (
        "grant this identity Workload Identity User on the account; more than 1h needs the organisation's "
        "policy iam.allowServiceAccountCredentialLifetimeExtension"
    ),
    "sts": "check the workload identity pool: the provider's issuer, audience and attribute condition",
    "oauth2": "renew the key of the service account, and compare the clock of this node with Google's",
}
# Codes that may be told: RFC 6749 and RFC 8693, and google.rpc.Code.
_CODES = frozenset(
    {
        "access_denied",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "invalid_target",
        "rate_limit_exceeded",
        "unauthorized_client",
        "unsupported_grant_type",
        "FAILED_PRECONDITION",
        "INTERNAL",
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "UNAUTHENTICATED",
        "UNAVAILABLE",
    }
)
