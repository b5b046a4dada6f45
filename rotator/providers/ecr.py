"""Amazon ECR: one GetAuthorizationToken serves all hosts of a region, whatever the account; ECR Public likewise.

The identity is whatever boto3's default chain finds (environment, profile, IRSA, EKS Pod Identity, instance metadata),
and optionally a role that it assumes. Endpoints of every partition come from botocore's own rules, by region.
"""

import re
from base64 import b64decode
from collections.abc import Callable
from contextlib import closing
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from os import environ
from threading import Lock
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import boto3  # type: ignore[import-untyped]  # AWS ships no types
import botocore.session  # type: ignore[import-untyped]
from botocore import exceptions
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]

from rotator import hosts
from rotator.clock import Clock, utc_now
from rotator.config import AssumeRole, Ecr, Registry
from rotator.errors import CloudUnavailable, IdentityMissing, MalformedAnswer, MintError, MintThrottled, MintTimedOut
from rotator.model import Credential
from rotator.providers import outcome
from rotator.providers.outcome import Evidence

T = TypeVar("T")

# Seconds. By default a hung endpoint takes 180 s. Two attempts of this fit into the default deadline of 20 s.
_LIMITS = Config(connect_timeout=3, read_timeout=6, retries={"mode": "standard", "total_max_attempts": 2})
_BAD_REQUEST = 400
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html, "IAM ARNs"
_ARN = r"arn:[a-z-]+:(?:iam|sts)::\d{12}:[\w+=,.@/-]+"
_AGENT_METHOD = "container-role"  # botocore's name for the EKS Pod Identity agent and its like
_SHORTEST_SESSION = 900  # seconds, the least that AssumeRole gives; the session serves one request


class EcrProvider:
    """Mints for one registry of kind ecr. Those under way at a time share a session, clients live for one mint."""

    def __init__(self, registry: Registry, source: Ecr, clock: Clock = utc_now) -> None:
        self._registry = registry
        self._source = source
        self._clock = clock
        self._hosts = tuple(parts for host in source.hosts if (parts := hosts.ecr(host)))
        self._public = any(parts.public for parts in self._hosts)

    def mint(self) -> Credential:
        """Ask for a token. Raises a MintError, within the registry's deadline."""
        return self._asked(lambda: self._credential(self._answered(self._authorization)), "credential")

    def identity(self) -> str:
        """The ARN of whoever asks for tokens: of the role, where one is assumed. Raises as `mint`; takes no right."""
        return self._asked(lambda: outcome.identity(self._registry, self._answered(self._caller), _ARN), "identity")

    def _asked(self, ask: Callable[[], T], wanted: str) -> T:
        try:
            return outcome.mint(self._registry, ask, wanted)
        except MintError:
            # botocore reads keys and profiles once, and a hung peer may hold a session's locks: begin afresh next time.
            _forget(self._source.profile, self._region)
            raise

    @property
    def _region(self) -> str:
        region = self._source.region or next((parts.region for parts in self._hosts), None)
        return region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or ""

    def _answered(self, ask: "Callable[[_Shared, dict[str, str]], T]") -> T:
        """What AWS answers to whoever we are, by the session and the keys of the role, if there is one."""
        if not self._region:
            raise outcome.failure(IdentityMissing, self._registry, "no AWS region is known", hint="set ecr.region")
        try:
            shared = _shared(self._source.profile, self._region)
            role = self._source.assume_role
            return ask(shared, self._assumed(shared, role) if role else {})
        except Exception as error:
            raise self._failure(error) from error

    def _authorization(self, shared: "_Shared", keys: dict[str, str]) -> dict[str, Any]:
        with closing(shared.client("ecr-public" if self._public else "ecr", self._region, self._limits(), keys)) as ecr:
            answer: dict[str, Any] = ecr.get_authorization_token()
            return answer

    def _caller(self, shared: "_Shared", keys: dict[str, str]) -> object:
        with closing(shared.client("sts", self._region, self._limits(dual_stack=False), keys)) as sts:
            return sts.get_caller_identity()["Arn"]

    def _assumed(self, shared: "_Shared", role: AssumeRole) -> dict[str, str]:
        """The role's keys, as the arguments of a client."""
        request = {
            "RoleArn": role.arn,
            "RoleSessionName": role.session_name,
            "DurationSeconds": _SHORTEST_SESSION,
        } | ({"ExternalId": role.external_id} if role.external_id else {})
        with closing(shared.client("sts", self._region, self._limits(dual_stack=False), {})) as sts:
            keys = sts.assume_role(**request)["Credentials"]
        return {
            "aws_access_key_id": keys["AccessKeyId"],
            "aws_secret_access_key": keys["SecretAccessKey"],
            "aws_session_token": keys["SessionToken"],
        }

    def _limits(self, *, dual_stack: bool = True) -> Config:
        """FIPS if a host asks for it; dual-stack only if all do, since a VPC's private endpoint has the plain name."""
        fips = any(parts.fips for parts in self._hosts)
        both = dual_stack and bool(self._hosts) and all(parts.dual_stack and not parts.public for parts in self._hosts)
        return _LIMITS.merge(Config(use_fips_endpoint=fips or None, use_dualstack_endpoint=both or None))

    def _credential(self, answer: dict[str, Any]) -> Credential:
        try:
            data = answer["authorizationData"]
            data = data[0] if isinstance(data, list) else data  # ECR gives a list, ECR Public a dict
            username, _, password = b64decode(data["authorizationToken"], validate=True).decode("ascii").partition(":")
            expires_at: datetime = data["expiresAt"]
        except (LookupError, TypeError, ValueError) as error:
            what = "ECR's answer to GetAuthorizationToken holds no token"
            raise outcome.failure(MalformedAnswer, self._registry, what, outcome.of(error)) from error
        return outcome.credential(self._registry, username, password, expires_at, self._clock())

    def _failure(self, error: Exception) -> MintError:
        if isinstance(error, exceptions.ClientError):
            return self._refusal(error)
        if isinstance(error, exceptions.CredentialRetrievalError):
            return self._no_keys(error)
        if isinstance(error, ResponseParserError) and (status := _last_status.get()) and status >= _BAD_REQUEST:
            kind, evidence = outcome.kind_of(status), Evidence(type(error).__name__, status=status)
            return outcome.failure(kind, self._registry, "AWS, or a proxy before it, failed", evidence, hint=_NETWORK)
        for classes, kind, what, hint in _FAILURES:
            if isinstance(error, classes):
                return outcome.failure(kind, self._registry, what, outcome.of(error), hint=hint)
        return outcome.unexpected(self._registry, error)

    def _refusal(self, error: Any) -> MintError:  # noqa: ANN401  (boto3 has no types)
        """An answer of STS or ECR that is an error (botocore's ClientError)."""
        about, operation = error.response.get("ResponseMetadata", {}), error.operation_name
        status, code = about.get("HTTPStatusCode"), error.response.get("Error", {}).get("Code")
        wait = outcome.retry_after(about.get("HTTPHeaders", {}).get("retry-after"), self._clock())
        evidence = Evidence(type(error).__name__, outcome.known(code, _CODES), status, wait)
        kind = _KINDS.get(code) or outcome.kind_of(status or 0)
        what = f"{'ECR' if operation == 'GetAuthorizationToken' else 'STS'} {outcome.verb(kind)} {operation}"
        hint = _STALE if code in _STALE_CODES else _HINTS.get(operation, "")
        return outcome.failure(kind, self._registry, what, evidence, hint=hint)

    def _no_keys(self, error: Any) -> MintError:  # noqa: ANN401  (boto3 has no types)
        """The EKS Pod Identity agent (or another source of keys) gave none; botocore puts the status into the text."""
        found = re.search(r"non 200 response (\d{3}) ", str(error))
        status = int(found[1]) if found else None
        # Without a status the agent (not a credential_process) was not reached, or talked nonsense.
        lost = error.kwargs.get("provider") == _AGENT_METHOD
        kind = outcome.kind_of(status) if status else CloudUnavailable if lost else IdentityMissing
        evidence = Evidence(type(error).__name__, status=status)
        return outcome.failure(kind, self._registry, "no AWS keys could be fetched", evidence, hint=_AGENT)


# Sessions: 20 of them take 216 MiB, 20 clients of one take 50, so mints side by side share one. It goes with the last
# of them, which saves 8 MiB: the keys in it live for an hour, and a token is renewed every six. A client is made for
# one mint and closed after it.


@dataclass(frozen=True)
class _Shared:
    """A session, with the lock that its clients are made under: boto3's sessions are not thread-safe."""

    session: Any
    lock: Lock = field(default_factory=Lock)

    def client(self, service: str, region: str, limits: Config, keys: dict[str, str]) -> Any:  # noqa: ANN401  (boto3 has no types)
        with self.lock:
            return self.session.client(service, region_name=region, config=limits, **keys)


_sessions: WeakValueDictionary[tuple[str | None, str], _Shared] = WeakValueDictionary()
_sessions_lock = Lock()


def _shared(profile: str | None, region: str) -> _Shared:
    key = _key(profile, region)
    with _sessions_lock:
        shared = _sessions.get(key) or _Shared(_new_session(*key))
        _sessions[key] = shared
        return shared


def _forget(profile: str | None, region: str) -> None:
    with _sessions_lock:
        _sessions.pop(_key(profile, region), None)


def _key(profile: str | None, region: str) -> tuple[str | None, str]:
    """One session serves every region, but its own must lie in the right partition for the STS calls of the chain."""
    return profile, environ.get("AWS_REGION") or region


def _new_session(profile: str | None, region: str) -> Any:  # noqa: ANN401  (boto3 has no types)
    core = botocore.session.Session(profile=profile)
    core.set_default_client_config(_LIMITS)  # of the clients that the chain itself makes: IRSA's STS
    if core.get_config_variable("region") is None:  # boto3 does not read AWS_REGION
        core.set_config_variable("region", region)
    core.register("before-parse", _note_status)
    return boto3.Session(botocore_session=core)


# botocore drops the status of an answer that it cannot parse, such as a proxy's "503 upstream connect error".
_last_status: ContextVar[int | None] = ContextVar("last_status", default=None)


def _note_status(response_dict: dict[str, Any], **_: object) -> None:
    _last_status.set(response_dict["status_code"])


# What failures mean, and what to do about them

_IDENTITY = (
    "give the Pod an AWS identity: IRSA (AWS_ROLE_ARN, AWS_WEB_IDENTITY_TOKEN_FILE), EKS Pod Identity, an instance "
    "profile, keys in the environment, or ecr.profile"
)
_AGENT = (
    "check the EKS Pod Identity association and its agent (AWS_CONTAINER_CREDENTIALS_FULL_URI, "
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE), or the profile's credential_process"
)
_NETWORK = "check DNS, HTTPS_PROXY, NO_PROXY and the egress to sts and api.ecr of the region"
_STALE = "renew the AWS keys of this identity, and compare the clock of this node with AWS's"
_HINTS = {
    "GetAuthorizationToken": (
        "allow ecr:GetAuthorizationToken to this identity (policy AmazonEC2ContainerRegistryPullOnly; for ECR Public "
        "ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken)"
    ),
    "AssumeRole": "let the role's trust policy name this identity and the external id, and allow it sts:AssumeRole",
    "AssumeRoleWithWebIdentity": (
        "let the role's trust policy name the cluster's OIDC provider and rotator's ServiceAccount"
    ),
}

# botocore's names; the first row whose class fits decides, so the special ones stand above their bases.
_FAILURES: tuple[tuple[tuple[type[Exception], ...], type[MintError], str, str], ...] = (
    ((exceptions.ConnectTimeoutError, exceptions.ReadTimeoutError), MintTimedOut, "no answer of AWS in time", _NETWORK),
    ((exceptions.SSLError,), CloudUnavailable, "no trusted TLS connection to AWS", "check AWS_CA_BUNDLE and the proxy"),
    (
        (exceptions.ConnectionError, exceptions.HTTPClientError, exceptions.IncompleteReadError),
        CloudUnavailable,
        "no connection to AWS",
        _NETWORK,
    ),
    ((exceptions.NoCredentialsError,), IdentityMissing, "no AWS identity was found", _IDENTITY),
    ((exceptions.ProfileNotFound,), IdentityMissing, "the AWS profile does not exist", "correct ecr.profile"),
    ((exceptions.BotoCoreError,), IdentityMissing, "the AWS configuration cannot be used", _IDENTITY),
    ((OSError,), IdentityMissing, "a file of the AWS identity cannot be read", _IDENTITY),
    (
        (ResponseParserError, AttributeError, LookupError, TypeError, ValueError),
        MalformedAnswer,
        "AWS answered nonsense",
        _NETWORK,
    ),
)

# Codes that may be told, all from AWS's references of STS and ECR and its common errors.
_THROTTLED_CODES = (
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "LimitExceededException",
)
_UNAVAILABLE_CODES = (
    "IDPCommunicationError",
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "ServerException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
)
_STALE_CODES = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_KINDS: dict[object, type[MintError]] = (
    dict.fromkeys(_THROTTLED_CODES, MintThrottled)
    | dict.fromkeys(_UNAVAILABLE_CODES, CloudUnavailable)
    | dict.fromkeys(("RequestTimeout", "RequestTimeoutException"), MintTimedOut)
)
_CODES = (
    frozenset(
        {
            "AccessDenied",
            "AccessDeniedException",
            "IDPRejectedClaim",
            "InvalidIdentityToken",
            "InvalidParameterException",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "OptInRequired",
            "RegionDisabledException",
            "UnknownOperationException",
            "UnsupportedCommandException",
            "ValidationError",
            "ValidationException",
        }
    )
    | _STALE_CODES
    | {str(code) for code in _KINDS}
)
