"""AWS as ECR's clients see it: STS, the ECR token APIs, EKS Pod Identity and the instance metadata service.

Host names follow botocore's endpoint rules (data/{ecr,ecr-public,sts}/*/endpoint-rule-set-1.json) and partitions.json.
Requests must be signed with a known access key for the right region and service; the signature itself is not verified.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from html import escape
from pathlib import Path

from rotator.sandbox.cloud import Clock, Cloud, Token, random_text, read_form, utc_now
from rotator.sandbox.faults import Refusal, Wording
from rotator.sandbox.server import Handler, Request, Response, Server

SUFFIX = (
    r"(?:amazonaws\.com(?:\.cn)?|amazonaws\.eu|api\.aws|api\.amazonwebservices\.(?:com\.cn|eu)|c2s\.ic\.gov"
    r"|sc2s\.sgov\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)"
)
ECR = re.compile(rf"(?:api\.)?ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.{SUFFIX}")
ECR_PUBLIC = re.compile(rf"(?:api\.)?ecr-public(?:-fips)?\.(?P<region>us-east-1)\.{SUFFIX}")
STS = re.compile(rf"sts(?:-fips)?\.(?:(?P<region>[a-z0-9-]+)\.)?{SUFFIX}")
SCOPE = re.compile(r"AWS4-HMAC-SHA256 Credential=([A-Z0-9]+)/\d{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request,")

ACCOUNT = "123456789012"
ECR_LIFE = timedelta(hours=12)
SESSION_LIFE = timedelta(hours=1)
PUBLIC = "public"  # the audience of ECR Public's tokens; that of all others is their region
STS_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
AGENT_PATH = "/v1/credentials"


@dataclass(frozen=True)
class AccessKey:
    """Credentials that sign requests: a user's, without a session token and without end, or a session's."""

    id: str
    secret: str
    session_token: str | None
    principal: str
    expires_at: datetime | None


def _sts_error(refusal: Refusal) -> Response:
    error = f"<Error><Type>Sender</Type><Code>{refusal.code}</Code><Message>{escape(refusal.message)}</Message></Error>"
    return _xml(refusal.status, f'<ErrorResponse xmlns="{STS_NAMESPACE}">{error}</ErrorResponse>')


def _xml(status: int, text: str) -> Response:
    return Response(status, text.encode(), {"Content-Type": "text/xml"})


def _json_error(refusal: Refusal) -> Response:
    return _json({"__type": refusal.code, "message": refusal.message}, refusal.status)


def _json(content: object, status: int = 200) -> Response:
    return Response(status, json.dumps(content).encode(), {"Content-Type": "application/x-amz-json-1.1"})


def _plain_error(refusal: Refusal) -> Response:
    return Response(refusal.status, refusal.message.encode(), {"Content-Type": "text/plain"})


# AWS sends no Retry-After with any of these; the STS codes come without the JSON protocol's "Exception".
STS_WORDING = Wording(
    _sts_error,
    refusal=Refusal(403, "AccessDenied", "User is not authorized to perform this operation"),
    throttling=Refusal(400, "Throttling", "Rate exceeded"),
)
ECR_WORDING = Wording(
    _json_error,
    refusal=Refusal(400, "AccessDeniedException", "User is not authorized to perform: ecr:GetAuthorizationToken"),
    throttling=Refusal(400, "ThrottlingException", "Rate exceeded"),
)
METADATA_WORDING = Wording(
    _plain_error,
    refusal=Refusal(403, "AccessDenied", "Forbidden"),
    throttling=Refusal(429, "Throttled", "Too Many Requests"),
)


class Aws(Cloud):
    """One AWS account with a user, roles, and tokens for its registries in every region."""

    role = f"arn:aws:iam::{ACCOUNT}:role/rotator"  # of the Pod (IRSA, Pod Identity) and of the node
    pull_role = f"arn:aws:iam::{ACCOUNT}:role/pull"  # to be assumed from there
    region = "eu-west-1"  # where the Pod runs

    def __init__(self, *, clock: Clock = utc_now, life: timedelta | None = None) -> None:
        super().__init__(clock=clock, life=life)
        self.roles: dict[str, str | None] = {self.role: None, self.pull_role: None}  # ARN to required external id
        self.access_keys: dict[str, AccessKey] = {}
        self.agent = Server(self._agent)  # EKS Pod Identity: on the node, so on loopback, and not behind the proxy
        self._web_identities: set[str] = set()
        self._agent_tokens: set[str] = set()
        self._metadata_tokens: set[str] = set()
        self._user = self._new_key(f"arn:aws:iam::{ACCOUNT}:user/rotator", None)

    # Identities, as a Pod is given them

    def static_environment(self) -> dict[str, str]:
        """The variables of a user's long-lived key."""
        return {"AWS_ACCESS_KEY_ID": self._user.id, "AWS_SECRET_ACCESS_KEY": self._user.secret}

    def irsa_environment(self, directory: Path) -> dict[str, str]:
        """Write a projected ServiceAccount token, and the variables that EKS's webhook adds for it."""
        token = self._write_token(directory / "irsa-token", self._web_identities)
        return {
            "AWS_ROLE_ARN": self.role,
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
            "AWS_STS_REGIONAL_ENDPOINTS": "regional",
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
        }

    def pod_identity_environment(self, directory: Path) -> dict[str, str]:
        """Write a projected token for the Pod Identity agent, and the variables that EKS adds for it."""
        token = self._write_token(directory / "pod-identity-token", self._agent_tokens)
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": self.agent.url + AGENT_PATH,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
        }

    def _write_token(self, path: Path, known: set[str]) -> Path:
        token = random_text(400)
        self.note_secret(token)
        known.add(token)
        path.write_text(token)
        return path

    # Hosts

    def handler_for(self, host: str) -> Handler | None:
        """The API behind this host name."""
        if match := ECR.fullmatch(host):
            return partial(self._ecr, audience=match["region"])
        if ECR_PUBLIC.fullmatch(host):
            return partial(self._ecr, audience=PUBLIC)
        return self._sts if STS.fullmatch(host) else None

    # ECR

    def _ecr(self, request: Request, *, audience: str) -> Response:
        good = partial(self._authorization, audience=audience)
        return self.answer("GetAuthorizationToken", request, good, ECR_WORDING)

    def _authorization(self, request: Request, *, audience: str) -> Response:
        public = audience == PUBLIC
        target = "SpencerFrontendService" if public else "AmazonEC2ContainerRegistry_V20150921"
        if request.headers.get("X-Amz-Target") != f"{target}.GetAuthorizationToken":
            raise Refusal(400, "UnknownOperationException", "")
        region = "us-east-1" if public else audience
        key = self._signer(request, service="ecr-public" if public else "ecr", region=region)
        data = self._authorization_data(self._ecr_token(audience, key.principal))
        if public:
            return _json({"authorizationData": data})
        suffix = request.host.rpartition(f"{region}.")[2]
        data["proxyEndpoint"] = f"https://{ACCOUNT}.dkr.ecr.{region}.{suffix}"
        return _json({"authorizationData": [data]})

    def _ecr_token(self, audience: str, principal: str) -> Token:
        return self.issue(_ecr_password, audience=audience, subject=principal, life=ECR_LIFE)

    def _authorization_data(self, token: Token) -> dict[str, object]:
        encoded = base64.b64encode(f"AWS:{token.value}".encode()).decode() if token.value else ""
        self.note_secret(encoded)
        # An epoch number has no zone; boto3 turns it into an aware datetime in the client's own.
        return {"authorizationToken": encoded, "expiresAt": round(token.expires_at.timestamp(), 3)}

    # STS

    def _sts(self, request: Request) -> Response:
        form = read_form(request)
        action = form.get("Action", "")
        good = self._caller if action == "GetCallerIdentity" else partial(self._assume, form=form)
        if action not in {"AssumeRole", "AssumeRoleWithWebIdentity", "GetCallerIdentity"}:
            return _sts_error(Refusal(400, "InvalidAction", "Could not find that operation"))
        return self.answer(action, request, good, STS_WORDING)

    def _assume(self, request: Request, *, form: Mapping[str, str]) -> Response:
        action, role = form["Action"], form.get("RoleArn", "")
        if not form.get("RoleSessionName"):
            raise Refusal(400, "ValidationError", "1 validation error detected: 'roleSessionName' must not be null")
        if action == "AssumeRole":
            self._sts_signer(request)
        else:
            self._check_web_identity(form.get("WebIdentityToken", ""))
        if role not in self.roles or self.roles[role] not in {None, form.get("ExternalId")}:
            raise Refusal(403, "AccessDenied", f"Not authorized to perform sts:{action} on resource: {role}")
        return self._session_answer(action, self._new_session(role, form["RoleSessionName"]))

    def _caller(self, request: Request) -> Response:
        """Whoever signed it; no permission is asked for."""
        key = self._sts_signer(request)
        user = f"<Arn>{key.principal}</Arn><UserId>{key.id}</UserId><Account>{ACCOUNT}</Account>"
        result = f"<GetCallerIdentityResult>{user}</GetCallerIdentityResult>"
        return _xml(200, f'<GetCallerIdentityResponse xmlns="{STS_NAMESPACE}">{result}</GetCallerIdentityResponse>')

    def _sts_signer(self, request: Request) -> AccessKey:
        """The global endpoint is signed for us-east-1 (botocore's endpoint rules)."""
        match = STS.fullmatch(request.host)
        return self._signer(request, service="sts", region=(match and match["region"]) or "us-east-1", status=403)

    def _check_web_identity(self, token: str) -> None:
        self.note_secret(token)
        if token not in self._web_identities:
            raise Refusal(400, "InvalidIdentityToken", "No OpenIDConnect provider found in your account")

    def _session_answer(self, action: str, key: AccessKey) -> Response:
        assert key.expires_at is not None  # noqa: S101  (a session's key always ends)
        credentials = (
            f"<AccessKeyId>{key.id}</AccessKeyId><SecretAccessKey>{key.secret}</SecretAccessKey>"
            f"<SessionToken>{key.session_token}</SessionToken>"
            f"<Expiration>{key.expires_at.astimezone(self.zone).isoformat(timespec='seconds')}</Expiration>"
        )
        user = f"<AssumedRoleUser><Arn>{key.principal}</Arn><AssumedRoleId>AROA:x</AssumedRoleId></AssumedRoleUser>"
        result = f"<{action}Result><Credentials>{credentials}</Credentials>{user}</{action}Result>"
        return _xml(200, f'<{action}Response xmlns="{STS_NAMESPACE}">{result}</{action}Response>')

    # EKS Pod Identity and the instance metadata service

    def _agent(self, request: Request) -> Response:
        return self.answer("PodIdentity", request, self._agent_credentials, METADATA_WORDING)

    def _agent_credentials(self, request: Request) -> Response:
        token = request.headers.get("Authorization", "")
        self.note_secret(token)
        if request.path != AGENT_PATH or token not in self._agent_tokens:
            raise Refusal(400, "AccessDenied", "Service account token cannot be empty or is not known")
        return Response.of_json(200, self._session_document() | {"AccountId": ACCOUNT})

    def metadata(self, request: Request) -> Response:
        """The instance metadata service, version 2 only (169.254.169.254, below /latest/)."""
        return self.answer("InstanceMetadata", request, self._metadata, METADATA_WORDING)

    def _metadata(self, request: Request) -> Response:
        if request.method == "PUT" and request.path == "/latest/api/token":
            token = random_text(56)
            self.note_secret(token)
            self._metadata_tokens.add(token)
            return Response(200, token.encode())
        if request.headers.get("X-aws-ec2-metadata-token") not in self._metadata_tokens:
            raise Refusal(401, "Unauthorized", "Unauthorized")
        roles, _, role = request.path.rpartition("/")
        if roles != "/latest/meta-data/iam/security-credentials" or role not in {"", "rotator"}:
            raise Refusal(404, "NotFound", "Not Found")
        return (
            Response.of_json(200, {"Code": "Success"} | self._session_document()) if role else Response(200, b"rotator")
        )

    def _session_document(self) -> dict[str, object]:
        key = self._new_session(self.role, "node")
        assert key.expires_at is not None  # noqa: S101  (a session's key always ends)
        return {
            "AccessKeyId": key.id,
            "SecretAccessKey": key.secret,
            "Token": key.session_token,
            "Expiration": key.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    # Access keys

    def _new_session(self, role: str, session: str) -> AccessKey:
        principal = f"{role.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/{session}"
        return self._new_key(principal, self.clock() + (self.life or SESSION_LIFE))

    def _new_key(self, principal: str, expires_at: datetime | None) -> AccessKey:
        prefix, session_token = ("ASIA", random_text(600)) if expires_at else ("AKIA", None)
        identifier = prefix + re.sub("[^A-Z0-9]", "X", random_text(16).upper())
        key = AccessKey(identifier, random_text(40), session_token, principal, expires_at)
        self.note_secret(key.secret, session_token or "")
        self.access_keys[key.id] = key
        return key

    def _signer(self, request: Request, *, service: str, region: str, status: int = 400) -> AccessKey:
        """Whose key signed the request. The query protocol refuses with 403, the JSON one with 400."""
        match = SCOPE.match(request.headers.get("Authorization", ""))
        if match is None:
            raise Refusal(status, "MissingAuthenticationTokenException", "Missing Authentication Token")
        identifier, *scope = match.groups()
        key = self.access_keys.get(identifier)
        if key is None or key.session_token != request.headers.get("X-Amz-Security-Token"):
            raise Refusal(
                status, "UnrecognizedClientException", "The security token included in the request is invalid."
            )
        if key.expires_at is not None and key.expires_at <= self.clock():
            raise Refusal(status, "ExpiredTokenException", "The security token included in the request is expired")
        if scope != [region, service]:
            raise Refusal(status, "InvalidSignatureException", f"Credential should be scoped to {region}/{service}")
        return key


def _ecr_password(expires_at: datetime) -> str:
    """Opaque, and as long as the real ones: some tools have broken on that."""
    text = {"payload": random_text(1200), "datakey": random_text(256), "version": "2", "type": "DATA_KEY"}
    return base64.b64encode(json.dumps(text | {"expiration": int(expires_at.timestamp())}).encode()).decode()
