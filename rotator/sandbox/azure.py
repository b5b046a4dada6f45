"""Azure as ACR's clients see it: Microsoft Entra ID, the node's managed identity, and a registry's token exchange.

Assertions are checked claim by claim; their signatures are not verified.
"""

import base64
import hashlib
import re
import ssl
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from rotator.sandbox.authority import Authority
from rotator.sandbox.cloud import Clock, Cloud, Token, jwt, random_text, read_form, read_jwt, registry_error, utc_now
from rotator.sandbox.faults import Refusal, Wording
from rotator.sandbox.server import Handler, Request, Response

# Authority host to the ending of its cloud's registries: msal/authority.py, azure-identity's AzureAuthorityHosts.
AUTHORITIES = {
    "login.microsoftonline.com": "io",
    "login.chinacloudapi.cn": "cn",
    "login.partner.microsoftonline.cn": "cn",
    "login.microsoftonline.us": "us",
}
REGISTRY = re.compile(r"(?P<name>[a-z0-9]+)(?:-[a-z0-9]+)?(?:\.[a-z0-9-]+\.geo)?\.azurecr\.(?P<cloud>io|cn|us|de)")
REGISTRY_AUDIENCE = "https://containerregistry.azure.net"
ARM_AUDIENCES = frozenset(
    {"https://management.azure.com", "https://management.chinacloudapi.cn", "https://management.usgovcloudapi.net"}
)
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ENTRA_LIFE = timedelta(hours=24)
REFRESH_LIFE = timedelta(hours=3)
ACCESS_LIFE = timedelta(minutes=75)
RETRY_AFTER = 2  # seconds
UNAUTHORIZED = (401, "UNAUTHORIZED", "authentication required, visit https://aka.ms/acr/authorization")


def _oauth_error(refusal: Refusal) -> Response:
    return Response.of_json(refusal.status, {"error": refusal.code, "error_description": refusal.message})


ENTRA_WORDING = Wording(
    _oauth_error,
    refusal=Refusal(401, "invalid_client", "AADSTS7000215: Invalid client secret provided."),
    throttling=Refusal(429, "temporarily_unavailable", "AADSTS90055: The request was throttled."),
    retry_after=RETRY_AFTER,
)
METADATA_WORDING = Wording(
    _oauth_error,
    refusal=Refusal(400, "invalid_request", "Identity not found"),
    throttling=Refusal(429, "too_many_requests", "Too many requests"),
    retry_after=RETRY_AFTER,
)
REGISTRY_WORDING = Wording(
    registry_error,
    refusal=Refusal(*UNAUTHORIZED),
    throttling=Refusal(429, "TOOMANYREQUESTS", "too many requests"),
    retry_after=RETRY_AFTER,
)


class Azure(Cloud):
    """One tenant with one application, which is the node's managed identity too, and its container registries."""

    def __init__(self, *, clock: Clock = utc_now, life: timedelta | None = None) -> None:
        super().__init__(clock=clock, life=life)
        self.tenant_id = str(uuid.uuid4())
        self.client_id = str(uuid.uuid4())
        self.object_id = str(uuid.uuid4())  # of its service principal
        self.resource_id = (
            f"/subscriptions/{uuid.uuid4()}/resourceGroups/images"
            "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/rotator"
        )
        self.authentication_as_arm = True  # off: registries refuse tokens for the ARM audience
        self._client_secrets: set[str] = set()
        self._federated_tokens: set[str] = set()
        self._thumbprints: set[str] = set()

    # Identities, as a Pod is given them

    def workload_identity_environment(
        self, directory: Path, *, authority: str = "login.microsoftonline.com"
    ) -> dict[str, str]:
        """Write a projected ServiceAccount token, and the variables that the workload identity webhook adds for it."""
        token = jwt({"iss": "https://cluster.example/", "sub": "system:serviceaccount:rotator:rotator"})
        self.note_secret(token)
        self._federated_tokens.add(token)
        path = directory / "azure-token"
        path.write_text(token)
        return {
            "AZURE_CLIENT_ID": self.client_id,
            "AZURE_TENANT_ID": self.tenant_id,
            "AZURE_FEDERATED_TOKEN_FILE": str(path),
            "AZURE_AUTHORITY_HOST": f"https://{authority}/",
        }

    def client_secret(self) -> str:
        """A new secret of the application."""
        secret = random_text(40)
        self.note_secret(secret)
        self._client_secrets.add(secret)
        return secret

    def client_certificate_file(self, directory: Path) -> Path:
        """Write a new certificate of the application with its private key, as PEM."""
        pair = Authority().key_pair("rotator")
        self.note_secret(pair.private_key)
        der = ssl.PEM_cert_to_DER_cert(pair.certificate)
        digests = (hashlib.sha1(der, usedforsecurity=False).digest(), hashlib.sha256(der).digest())
        self._thumbprints.update(base64.urlsafe_b64encode(digest).rstrip(b"=").decode() for digest in digests)
        path = directory / "azure-certificate.pem"
        path.write_text(pair.private_key + pair.certificate)
        return path

    # Hosts

    def handler_for(self, host: str) -> Handler | None:
        """The API behind this host name; a registry's own paths are in `registry_token`."""
        return self._entra if host in AUTHORITIES else None

    # Microsoft Entra ID

    def _entra(self, request: Request) -> Response:
        tenant, _, path = request.path.strip("/").partition("/")
        if path == "v2.0/.well-known/openid-configuration":
            return self.answer("discovery", request, partial(self._configuration, tenant=tenant), ENTRA_WORDING)
        if (tenant, path) == ("common", "discovery/instance"):
            return self.answer("discovery", request, self._instances, ENTRA_WORDING)
        if path == "oauth2/v2.0/token":
            return self.answer("token", request, partial(self._application_token, tenant=tenant), ENTRA_WORDING)
        return Response(404)

    def _configuration(self, request: Request, *, tenant: str) -> Response:
        self._check_tenant(tenant)
        base = f"https://{request.host}/{tenant}"
        return Response.of_json(
            200,
            {
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
            },
        )

    def _instances(self, request: Request) -> Response:
        configuration = f"https://{request.host}/{self.tenant_id}/v2.0/.well-known/openid-configuration"
        metadata = [{"preferred_network": host, "preferred_cache": host, "aliases": [host]} for host in AUTHORITIES]
        return Response.of_json(200, {"tenant_discovery_endpoint": configuration, "metadata": metadata})

    def _application_token(self, request: Request, *, tenant: str) -> Response:
        self._check_tenant(tenant)
        form = read_form(request)
        self.note_secret(form.get("client_secret", ""), form.get("client_assertion", ""))
        if form.get("grant_type") != "client_credentials":
            raise Refusal(400, "unsupported_grant_type", "AADSTS70003: The app requested an unsupported grant type.")
        if form.get("client_id") != self.client_id:
            raise Refusal(400, "unauthorized_client", "AADSTS700016: Application was not found in the directory.")
        self._check_client(form)
        audience = form.get("scope", "").removesuffix("/.default")
        token = self._entra_token(audience, cloud=AUTHORITIES[request.host])
        left = int((token.expires_at - self.clock()).total_seconds())
        return Response.of_json(
            200, {"token_type": "Bearer", "expires_in": left, "ext_expires_in": left, "access_token": token.value}
        )

    def _check_tenant(self, tenant: str) -> None:
        if tenant != self.tenant_id:
            raise Refusal(400, "invalid_tenant", f"AADSTS90002: Tenant '{tenant}' not found.")

    def _check_client(self, form: Mapping[str, str]) -> None:
        if "client_assertion" not in form:
            if form.get("client_secret") not in self._client_secrets:
                raise Refusal(401, "invalid_client", "AADSTS7000215: Invalid client secret provided.")
            return
        header, claims = read_jwt(form["client_assertion"])
        thumbprints = {str(header.get(name, "")).rstrip("=") for name in ("x5t", "x5t#S256")}
        by_certificate = claims.get("iss") == self.client_id and bool(thumbprints & self._thumbprints)
        if form.get("client_assertion_type") != ASSERTION_TYPE or not (
            by_certificate or form["client_assertion"] in self._federated_tokens
        ):
            raise Refusal(401, "invalid_client", "AADSTS70021: No matching federated identity record found.")

    def _entra_token(self, audience: str, *, cloud: str) -> Token:
        claims = {"aud": audience, "tid": self.tenant_id, "appid": self.client_id, "oid": self.object_id}
        subject = f"{self.client_id}@{cloud}"
        return self.issue(partial(_ending_jwt, claims), audience=audience, subject=subject, life=ENTRA_LIFE)

    # The node's managed identity

    def metadata(self, request: Request) -> Response:
        """The instance metadata service (169.254.169.254, below /metadata/)."""
        if request.path != "/metadata/identity/oauth2/token":
            return Response(404)
        return self.answer("managedIdentity", request, self._managed_identity, METADATA_WORDING)

    def _managed_identity(self, request: Request) -> Response:
        if request.headers.get("Metadata") != "true":
            raise Refusal(400, "invalid_request", "Required metadata header not specified")
        asked = {
            name: request.query[name][0] for name in ("client_id", "msi_res_id", "mi_res_id") if name in request.query
        }
        if not set(asked.values()) <= {self.client_id, self.resource_id}:
            raise Refusal(400, "invalid_request", "Identity not found")
        token = self._entra_token(request.query.get("resource", [""])[0], cloud="io")
        left = int((token.expires_at - self.clock()).total_seconds())
        return Response.of_json(
            200,
            {
                "access_token": token.value,
                "expires_in": str(left),
                "expires_on": str(int(token.expires_at.timestamp())),
                "resource": token.audience,
                "token_type": "Bearer",
            },
        )

    # A registry's token endpoints: https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md

    def registry_token(self, request: Request) -> Response:
        """POST /oauth2/exchange and POST /oauth2/token of a registry."""
        if request.path == "/oauth2/exchange":
            return self.answer("exchange", request, self._exchange, REGISTRY_WORDING)
        return self.answer("accessToken", request, self._access_token, REGISTRY_WORDING)

    def _exchange(self, request: Request) -> Response:
        form = read_form(request)
        self.note_secret(form.get("access_token", ""))
        token = self.accepts(form.get("access_token", ""))
        if form.get("grant_type") != "access_token" or form.get("service") != request.host or token is None:
            raise Refusal(*UNAUTHORIZED)
        if not self._opens(token, request.host):
            raise Refusal(*UNAUTHORIZED)
        return Response.of_json(200, {"refresh_token": self._registry_jwt(request.host, "", REFRESH_LIFE)})

    def _opens(self, token: Token, host: str) -> bool:
        """Whether an Entra token is for registries, and of this registry's cloud."""
        audiences = {REGISTRY_AUDIENCE} | (ARM_AUDIENCES if self.authentication_as_arm else set())
        return token.audience.rstrip("/") in audiences and host.endswith(f".{token.subject.rpartition('@')[2]}")

    def _access_token(self, request: Request) -> Response:
        form = read_form(request)
        shown = form.get("refresh_token", "")
        self.note_secret(shown)
        token = self.accepts(shown)
        if token is None or token.audience != registry_name(request.host) or token.subject:
            raise Refusal(*UNAUTHORIZED)
        return Response.of_json(200, {"access_token": self._registry_jwt(request.host, form["scope"], ACCESS_LIFE)})

    def _registry_jwt(self, host: str, scope: str, life: timedelta) -> str:
        """A registry's token; its subject in our book is its scope, and a refresh token has none."""
        claims = {"aud": host, "sub": self.client_id, "scope": scope}
        return self.issue(partial(_ending_jwt, claims), audience=registry_name(host), subject=scope, life=life).value


def _ending_jwt(claims: Mapping[str, object], expires_at: datetime) -> str:
    return jwt({**claims, "exp": int(expires_at.timestamp())})


def registry_name(host: str) -> str:
    """The registry behind a login server: its regional hosts honour the same tokens."""
    match = REGISTRY.fullmatch(host)
    return match["name"] if match else host
