"""Google as Artifact Registry's clients see it: the metadata server, OAuth, token exchange and impersonation.

Assertions are checked claim by claim; their signatures are not verified.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from rotator.sandbox.authority import Authority
from rotator.sandbox.cloud import Clock, Cloud, random_text, read_form, read_jwt, utc_now
from rotator.sandbox.faults import Refusal, Wording
from rotator.sandbox.server import Handler, Request, Response

PROJECT = "images-project"
NUMBER = "123456789"
AUDIENCE = "googleapis.com"  # a Google access token names no API: its scopes say what it may do
LIFE = timedelta(hours=1)
LONGEST_LIFE = timedelta(hours=12)  # where the organisation's policy allows it
METADATA = "/computeMetadata/v1/"
# The metadata server hands out its cached token until five minutes before the end of its hour.
# https://cloud.google.com/compute/docs/access/authenticate-workloads#applications
CACHED_UNTIL = 1 / 12
IMPERSONATION = re.compile(r"/v1/projects/-/serviceAccounts/(?P<account>[^/:]+):generateAccessToken")
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105  (the name of a grant)
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def _oauth_error(refusal: Refusal) -> Response:
    return Response.of_json(refusal.status, {"error": refusal.code, "error_description": refusal.message})


def _api_error(refusal: Refusal) -> Response:
    error = {"code": refusal.status, "message": refusal.message, "status": refusal.code}
    return Response.of_json(refusal.status, {"error": error})


def _metadata_error(refusal: Refusal) -> Response:
    return Response(
        refusal.status, refusal.message.encode(), {"Content-Type": "text/html", "Metadata-Flavor": "Google"}
    )


# Google sends no Retry-After with any of these.
OAUTH_WORDING = Wording(
    _oauth_error,
    refusal=Refusal(400, "invalid_grant", "Invalid grant: account not found"),
    throttling=Refusal(429, "rate_limit_exceeded", "Rate limit exceeded"),
)
API_WORDING = Wording(
    _api_error,
    refusal=Refusal(403, "PERMISSION_DENIED", "Permission 'iam.serviceAccounts.getAccessToken' denied on resource"),
    throttling=Refusal(429, "RESOURCE_EXHAUSTED", "Quota exceeded"),
)
METADATA_WORDING = Wording(
    _metadata_error,
    refusal=Refusal(403, "Forbidden", "Forbidden"),
    throttling=Refusal(429, "Throttled", "Too Many Requests"),
)


class Google(Cloud):
    """One project with service accounts, a workload identity pool, and a node whose metadata server is `metadata`."""

    account = f"rotator@{PROJECT}.iam.gserviceaccount.com"  # of the key, the node and the pool
    pull_account = f"pull@{PROJECT}.iam.gserviceaccount.com"  # to be impersonated from there
    pool = f"//iam.googleapis.com/projects/{NUMBER}/locations/global/workloadIdentityPools/cluster/providers/kubernetes"

    def __init__(self, *, clock: Clock = utc_now, life: timedelta | None = None) -> None:
        super().__init__(clock=clock, life=life)
        self.longest_life = LIFE  # of an impersonated token; raise it to LONGEST_LIFE as an organisation's policy does
        self.accounts = {self.account, self.pull_account}
        self._keys: dict[str, str] = {}  # private key id to the account it speaks for
        self._subject_tokens: set[str] = set()

    # Identities, as a Pod is given them

    def service_account_file(self, directory: Path) -> Path:
        """Write a service account's key, as the console downloads it."""
        private_key = Authority().key_pair("rotator").private_key
        key_id = random_text(40)
        self._keys[key_id] = self.account
        self.note_secret(private_key)
        return _write(
            directory / "service-account.json",
            {
                "type": "service_account",
                "project_id": PROJECT,
                "private_key_id": key_id,
                "private_key": private_key,
                "client_email": self.account,
                "client_id": NUMBER,
                "token_uri": "https://oauth2.googleapis.com/token",
                "universe_domain": "googleapis.com",
            },
        )

    def external_account_file(self, directory: Path, *, impersonate: bool = False) -> Path:
        """Write a projected ServiceAccount token and the workload identity federation configuration that names it."""
        token = random_text(400)
        self.note_secret(token)
        self._subject_tokens.add(token)
        (directory / "google-token").write_text(token)
        configuration: dict[str, object] = {
            "type": "external_account",
            "audience": self.pool,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": {"file": str(directory / "google-token")},
            "universe_domain": "googleapis.com",
        }
        if impersonate:
            target = f"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{self.pull_account}"
            configuration["service_account_impersonation_url"] = f"{target}:generateAccessToken"
        return _write(directory / "external-account.json", configuration)

    # Hosts

    def handler_for(self, host: str) -> Handler | None:
        """The API behind this host name."""
        return {
            "oauth2.googleapis.com": self._oauth,
            "sts.googleapis.com": self._sts,
            "iamcredentials.googleapis.com": self._iam,
        }.get(host)

    # OAuth: a service account's key

    def _oauth(self, request: Request) -> Response:
        return self.answer("token", request, self._key_token, OAUTH_WORDING)

    def _key_token(self, request: Request) -> Response:
        form = read_form(request)
        assertion = form.get("assertion", "")
        self.note_secret(assertion)
        if form.get("grant_type") != JWT_BEARER:
            raise Refusal(400, "unsupported_grant_type", "Invalid grant_type")
        header, claims = read_jwt(assertion)
        account = self._keys.get(str(header.get("kid")))
        if (
            account is None
            or claims.get("iss") != account
            or claims.get("aud") != "https://oauth2.googleapis.com/token"
        ):
            raise Refusal(400, "invalid_grant", "Invalid JWT Signature.")
        return self._oauth_token(account)

    # Token exchange: workload identity federation

    def _sts(self, request: Request) -> Response:
        return self.answer("exchange", request, self._federated_token, OAUTH_WORDING)

    def _federated_token(self, request: Request) -> Response:
        form = read_form(request)
        token = form.get("subject_token", "")
        self.note_secret(token)
        if form.get("grant_type") != TOKEN_EXCHANGE or form.get("audience") != self.pool:
            raise Refusal(400, "invalid_request", 'Invalid value for "audience"')
        if token not in self._subject_tokens:
            raise Refusal(400, "invalid_grant", "The given credential is rejected by the attribute condition.")
        subject = f"principal:{self.pool}/subject/rotator"
        return self._oauth_token(subject, issued_token_type="urn:ietf:params:oauth:token-type:access_token")  # noqa: S106  (a name)

    def _oauth_token(self, subject: str, **more: str) -> Response:
        token = self.issue(_access_token, audience=AUDIENCE, subject=subject, life=LIFE)
        left = int((token.expires_at - self.clock()).total_seconds())
        answer = {"access_token": token.value, "expires_in": left, "token_type": "Bearer"}
        return Response.of_json(200, answer | more)

    # Impersonation

    def _iam(self, request: Request) -> Response:
        if match := IMPERSONATION.fullmatch(request.path):
            good = partial(self._impersonated_token, account=match["account"])
            return self.answer("generateAccessToken", request, good, API_WORDING)
        return _api_error(Refusal(404, "NOT_FOUND", "Not found"))

    def _impersonated_token(self, request: Request, *, account: str) -> Response:
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.note_secret(bearer)
        if self.accepts(bearer) is None:
            raise Refusal(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        if account not in self.accounts:
            raise Refusal(404, "NOT_FOUND", "Not found; Gaia id not found for email")
        lifetime = timedelta(seconds=float(json.loads(request.body).get("lifetime", "3600s").removesuffix("s")))
        if not timedelta() < lifetime <= self.longest_life:
            raise Refusal(400, "INVALID_ARGUMENT", "The access token lifetime exceeds the maximum that is allowed.")
        life = min(lifetime, self.life or lifetime)
        token = self.issue(_access_token, audience=AUDIENCE, subject=account, life=life)
        # Google writes Z, and google-auth reads nothing else (impersonated_credentials.py, strptime).
        return Response.of_json(
            200, {"accessToken": token.value, "expireTime": token.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ")}
        )

    # The node's metadata server

    def metadata(self, request: Request) -> Response:
        """metadata.google.internal, which is 169.254.169.254 too."""
        if request.headers.get("Metadata-Flavor") != "Google":
            return _metadata_error(Refusal(403, "Forbidden", "Missing Metadata-Flavor:Google header."))
        parts = request.path.removeprefix(f"{METADATA}instance/service-accounts/").split("/")
        if parts[0] in {"default", self.account} and parts[1:] == ["token"]:
            return self.answer("metadata", request, self._metadata_token, METADATA_WORDING)
        return self._metadata_fact(request.path)

    def _metadata_token(self, _: Request) -> Response:
        cached = self.live_token(AUDIENCE, self.account, left=(self.life or LIFE) * CACHED_UNTIL)
        token = cached or self.issue(_access_token, audience=AUDIENCE, subject=self.account, life=LIFE)
        left = int((token.expires_at - self.clock()).total_seconds())
        return _metadata({"access_token": token.value, "expires_in": left, "token_type": "Bearer"})

    def _metadata_fact(self, path: str) -> Response:
        account = {
            "aliases": ["default"],
            "email": self.account,
            "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
        }
        facts: dict[str, object] = {
            "": "computeMetadata/",
            "project/project-id": PROJECT,
            "project/numeric-project-id": NUMBER,
            "universe/universe-domain": "googleapis.com",
            "instance/service-accounts/default/email": self.account,
            "instance/service-accounts/default/": account,
            f"instance/service-accounts/{self.account}/": account,
        }
        fact = facts.get(path.strip("/") and path.removeprefix(METADATA))
        return _metadata_error(Refusal(404, "NotFound", "Not Found")) if fact is None else _metadata(fact)


def _metadata(content: object) -> Response:
    if isinstance(content, str):
        return Response(200, content.encode(), {"Content-Type": "application/text", "Metadata-Flavor": "Google"})
    response = Response.of_json(200, content)
    response.headers["Metadata-Flavor"] = "Google"
    return response


def _access_token(_: datetime) -> str:
    return f"ya29.c.{random_text(900)}"


def _write(path: Path, content: Mapping[str, object]) -> Path:
    path.write_text(json.dumps(content, indent=2))
    return path
