"""Azure Container Registry: a Microsoft Entra token, exchanged at the registry for a refresh token, is the password.

The identity is made anew at each mint: MSAL keeps a throttled answer in it for up to an hour without asking again, and
a rotated secret, certificate or token file is noticed.
"""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from os import environ
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from azure.core.exceptions import ServiceRequestTimeoutError, ServiceResponseTimeoutError
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import (
    AzureAuthorityHosts,
    CertificateCredential,
    ClientSecretCredential,
    DefaultAzureCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)

from rotator import hosts, web
from rotator.clock import Clock, utc_now
from rotator.config import (
    Acr,
    ClientCertificate,
    ClientSecret,
    DefaultIdentity,
    ManagedIdentity,
    Registry,
    WorkloadIdentity,
)
from rotator.errors import CloudUnavailable, IdentityMissing, MalformedAnswer, MintError, MintTimedOut
from rotator.hosts import AcrCloud
from rotator.model import Credential
from rotator.providers import outcome
from rotator.providers.outcome import Evidence

USERNAME = "00000000-0000-0000-0000-000000000000"
LONGEST_JWT = 64 * 1024
"""Characters; a refresh token of ACR has about 2,000."""

LONGEST_SECRET = 64 * 1024
"""Bytes of a file with a secret or a certificate."""

_OK = 200
_METADATA = "169.254.169.254"
_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_NAMES = rf"(?:client|object|tenant) {_UUID}(?:, (?:object|tenant) {_UUID})*"
_TIMEOUTS = (ServiceRequestTimeoutError, ServiceResponseTimeoutError, requests.Timeout)


class AcrProvider:
    """Mints for one registry of kind acr."""

    def __init__(self, registry: Registry, source: Acr, clock: Clock = utc_now) -> None:
        self._registry = registry
        self._source = source
        self._clock = clock
        self._host = source.hosts[0]
        found = hosts.acr(self._host)
        self._cloud: AcrCloud = source.cloud or (found.cloud if found else "public")

    def mint(self) -> Credential:
        """Ask for a token. Raises a MintError, within the registry's deadline."""
        return outcome.mint(self._registry, self._ask)

    def identity(self) -> str:
        """The application and the tenant, as Microsoft Entra names them in its token. Raises as `mint`."""
        return outcome.mint(self._registry, lambda: self._name(self._entra_token()), "identity")

    def _name(self, token: str) -> str:
        """From the claims alone: appid is an application's or managed identity's client id, oid its object.

        https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
        """
        try:
            claims = _claims(token)
        except ValueError as error:
            raise outcome.failure(MalformedAnswer, self._registry, "Entra's token is no JWT") from error
        client = claims.get("appid") or claims.get("azp")  # in tokens of version 1.0, and of 2.0
        parts = {"client": client, "object": claims.get("oid"), "tenant": claims.get("tid")}
        told = ", ".join(f"{part} {value}" for part, value in parts.items() if value)
        return outcome.identity(self._registry, told, _NAMES)

    def _ask(self) -> Credential:
        token = self._exchange(self._entra_token())
        if self._source.repository:
            token = self._narrow(token, self._source.repository)
        try:
            expires_at = jwt_expiry(token)
        except ValueError as error:
            what = "the registry's token is no JWT with an expiry"
            raise outcome.failure(MalformedAnswer, self._registry, what) from error
        return outcome.credential(self._registry, USERNAME, token, expires_at, self._clock())

    # Microsoft Entra

    def _entra_token(self) -> str:
        seconds = self._registry.deadline.total_seconds()
        transport = Witness(connection_timeout=seconds, read_timeout=seconds)
        audience = _ARM[self._cloud] if self._source.audience == "arm" else "https://containerregistry.azure.net"
        try:
            with closing(self._identity(transport)) as identity:
                token: str = identity.get_token(f"{audience}/.default").token
                return token
        except MintError:
            raise
        except Exception as error:
            raise self._failure(error, transport) from error

    def _identity(self, transport: "Witness") -> Any:  # noqa: ANN401  (what they have in common has no type)
        http: dict[str, Any] = {"transport": transport, "retry_total": 0}  # by default it would try for 20 minutes
        # The authority is Azure's own or was configured, so that asking Azure whether it exists adds nothing, and fails
        # on a private one.
        entra = http | {"authority": self._authority(), "disable_instance_discovery": True}
        match self._source.identity:
            case DefaultIdentity(tenant_id=tenant):
                chosen = {"workload_identity_tenant_id": tenant} if tenant else {}
                return DefaultAzureCredential(**entra, **chosen, **_NO_DEVELOPERS)
            case WorkloadIdentity() as workload:
                file = str(workload.token_file) if workload.token_file else None
                return WorkloadIdentityCredential(
                    client_id=workload.client_id, tenant_id=workload.tenant_id, token_file_path=file, **entra
                )
            case ManagedIdentity(resource_id=str(resource_id)):
                return ManagedIdentityCredential(identity_config={"resource_id": resource_id}, **http)
            case ManagedIdentity(client_id=client_id):
                return ManagedIdentityCredential(client_id=client_id, **http)
            case ClientSecret() as app:
                secret = self._secret(app.secret_file, app.secret_env).decode()
                return ClientSecretCredential(app.tenant_id, app.client_id, secret, **entra)
            case ClientCertificate() as app:
                certificate = self._secret(app.certificate_file, app.certificate_env)
                password = None
                if app.password_file or app.password_env:
                    password = self._secret(app.password_file, app.password_env)
                return CertificateCredential(
                    app.tenant_id, app.client_id, certificate_data=certificate, password=password, **entra
                )

    def _authority(self) -> str:
        chosen = None if self._source.cloud else environ.get("AZURE_AUTHORITY_HOST")
        if chosen and "://" in chosen and not chosen.startswith("https://"):
            what, hint = "AZURE_AUTHORITY_HOST is not https", "write it as https://login.microsoftonline.com/"
            raise outcome.failure(IdentityMissing, self._registry, what, hint=hint)
        return chosen or _AUTHORITIES[self._cloud]

    def _secret(self, file: Path | None, variable: str | None) -> bytes:
        """The content of the file or variable, without the newline that editors put at the end of a file."""
        if file is None:
            value = environ.get(variable or "", "").encode()
        else:
            with file.open("rb") as opened:
                value = opened.read(LONGEST_SECRET)
        if not value.strip():
            # The variable's name is not told: who mistook the setting for the secret itself wrote that there.
            place = str(file) if file else "the environment variable that acr.identity names"
            what, hint = f"{place} holds nothing", "mount or set the secret there"
            raise outcome.failure(IdentityMissing, self._registry, what, hint=hint)
        return value.removesuffix(b"\n").removesuffix(b"\r")

    def _failure(self, error: Exception, transport: "Witness") -> MintError:
        """azure-identity hides most of what happened, so the transport's last request says it."""
        code = found[0] if (found := re.search(r"\bAADSTS[0-9]{4,7}\b", str(error))) else ""
        evidence = Evidence(type(error).__name__, code, transport.status, transport.retry_after(self._clock()))
        if transport.error is not None:
            late = isinstance(transport.error, _TIMEOUTS)
            what = f"no answer of {transport.host} in time" if late else f"no connection to {transport.host}"
            hint = self._identity_hint if transport.host == _METADATA else _NETWORK
            return outcome.failure(
                MintTimedOut if late else CloudUnavailable, self._registry, what, evidence, hint=hint
            )
        if transport.status is None:
            what = "no Azure identity could be used"
            return outcome.failure(IdentityMissing, self._registry, what, evidence, hint=self._identity_hint)
        kind = outcome.kind_of(transport.status)
        what = f"{transport.host} {outcome.verb(kind)} the token request"
        return outcome.failure(kind, self._registry, what, evidence, hint=self._identity_hint)

    @property
    def _identity_hint(self) -> str:
        return _IDENTITY[self._source.identity.type]

    # The registry: https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md

    def _exchange(self, entra_token: str) -> str:
        tenant = getattr(self._source.identity, "tenant_id", None) or environ.get("AZURE_TENANT_ID")
        form = {"grant_type": "access_token", "service": self._host, "access_token": entra_token}
        return self._post("exchange", form | ({"tenant": tenant} if tenant else {}), "refresh_token")

    def _narrow(self, refresh_token: str, repository: str) -> str:
        scope = f"repository:{repository}:pull"
        form = {"grant_type": "refresh_token", "service": self._host, "scope": scope, "refresh_token": refresh_token}
        return self._post("token", form, "access_token")

    def _post(self, action: str, form: Mapping[str, str], field: str) -> str:
        """The field of the registry's answer. An Entra token goes to this one host, and over https only."""
        try:
            url = f"https://{self._host}/oauth2/{action}"
            answer = web.request("POST", url, data=form, timeout=self._registry.deadline)
        except web.WebError as error:
            kind = MintTimedOut if isinstance(error, web.WebTimeout) else CloudUnavailable
            raise outcome.failure(kind, self._registry, error.message, hint=_NETWORK) from error
        if answer.status != _OK:
            raise self._refusal(action, answer)
        token = _field(answer.body, field)
        if not token:
            what = f"{self._host}/oauth2/{action} gave no {field}"
            raise outcome.failure(MalformedAnswer, self._registry, what, Evidence(status=answer.status))
        return token

    def _refusal(self, action: str, answer: web.Answer) -> MintError:
        kind = outcome.kind_of(answer.status)
        wait = outcome.retry_after(answer.headers.get("Retry-After"), self._clock())
        evidence = Evidence(code=_code(answer.body), status=answer.status, retry_after=wait)
        what = f"{self._host} {outcome.verb(kind)} oauth2/{action}"
        return outcome.failure(kind, self._registry, what, evidence, hint=_PULL)


class Witness(RequestsTransport):  # type: ignore[misc]  # azure-core exports it lazily, without its type
    """The transport of azure-identity, which remembers how its last request ended."""

    def __init__(self, **limits: float) -> None:
        super().__init__(**limits)
        self.host = ""
        self.status: int | None = None
        self.error: Exception | None = None
        self._retry_after: str | None = None

    def send(self, request: Any, **kwargs: Any) -> Any:  # noqa: ANN401  (two generations of azure-core's types)
        """Send, and remember."""
        self.host, self.status, self.error, self._retry_after = urlsplit(request.url).hostname or "", None, None, None
        try:
            response = super().send(request, **kwargs)
        except Exception as error:
            self.error = error
            raise
        self.status = response.status_code
        self._retry_after = response.headers.get("Retry-After")
        return response

    def retry_after(self, now: datetime) -> timedelta | None:
        """What the last answer asked for."""
        return outcome.retry_after(self._retry_after, now)


def jwt_expiry(token: str) -> datetime:
    """The `exp` of a JWT, unverified: we only carry the token. Raises ValueError."""
    expiry = _claims(token).get("exp")
    if not isinstance(expiry, int) or isinstance(expiry, bool):
        msg = "no exp"
        raise ValueError(msg)  # noqa: TRY004  (a misfit of the value, to the caller)
    try:
        return datetime.fromtimestamp(expiry, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError from error


def _claims(token: str) -> dict[str, object]:
    """The claims of a JWT, unverified. Raises ValueError."""
    parts = token.split(".")
    if len(token) > LONGEST_JWT or len(parts) != 3:  # noqa: PLR2004  (RFC 7519, 3: header, claims, signature)
        msg = "not a JWT"
        raise ValueError(msg)
    try:
        claims = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except RecursionError as error:
        raise ValueError from error
    return claims if isinstance(claims, dict) else {}


def _field(body: bytes, name: str) -> str:
    """The text in this field of a JSON object; nothing when there is none."""
    try:
        value = json.loads(body)[name]
    except (LookupError, TypeError, ValueError, RecursionError):
        return ""
    return value if isinstance(value, str) else ""


def _code(body: bytes) -> str:
    """The first code of a registry's error (OCI distribution specification, error codes), if it is a known one."""
    try:
        return outcome.known(json.loads(body)["errors"][0]["code"], _CODES)
    except (LookupError, TypeError, ValueError, RecursionError):
        return ""


_CODES = frozenset({"DENIED", "NAME_UNKNOWN", "TOOMANYREQUESTS", "UNAUTHORIZED", "UNSUPPORTED"})
_AUTHORITIES: dict[AcrCloud, str] = {
    "public": AzureAuthorityHosts.AZURE_PUBLIC_CLOUD,
    "china": AzureAuthorityHosts.AZURE_CHINA,
    "usGovernment": AzureAuthorityHosts.AZURE_GOVERNMENT,
}
_ARM: dict[AcrCloud, str] = {
    "public": "https://management.azure.com",
    "china": "https://management.chinacloudapi.cn",
    "usGovernment": "https://management.usgovcloudapi.net",
}
# What stays is environment, workload and managed identity: nobody is there to log in, and no developer's tool.
_NO_DEVELOPERS = {
    f"exclude_{name}_credential": True
    for name in (
        "broker",
        "cli",
        "developer_cli",
        "interactive_browser",
        "powershell",
        "shared_token_cache",
        "visual_studio_code",
    )
}
_NETWORK = "check DNS, HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE and the egress to the authority and the registry"
_PULL = (
    "grant the identity AcrPull on the registry (Container Registry Repository Reader where it uses ABAC), and let its "
    "tenant be the registry's"
)
_IDENTITY = {
    "default": "set acr.identity, or give the Pod one: AZURE_* variables, workload identity or a managed identity",
    "workload": (
        "label the Pod azure.workload.identity/use=true, annotate its ServiceAccount, and let the federated credential "
        "name that ServiceAccount"
    ),
    "managed": "assign the identity to the nodes, and let the Pod reach 169.254.169.254",
    "clientSecret": "renew the application's secret, and check clientId and tenantId",
    "clientCertificate": "upload the certificate to the application, and check clientId, tenantId and the password",
}
