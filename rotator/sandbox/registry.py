"""The registries of the three clouds: their real challenges, and tokens honoured until the cloud's clock ends them.

Every repository exists and has one small image under every reference, but for those in `denied`.
"""

import base64
import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from rotator.sandbox import faults
from rotator.sandbox.aws import PUBLIC, Aws
from rotator.sandbox.azure import REGISTRY as ACR
from rotator.sandbox.azure import Azure, registry_name
from rotator.sandbox.cloud import Cloud, Token, random_text, registry_error
from rotator.sandbox.faults import Fault, Refusal, Wording
from rotator.sandbox.google import Google
from rotator.sandbox.server import Handler, Request, Response

ECR = re.compile(
    r"\d{12}\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\."
    r"(?:amazonaws\.com(?:\.cn)?|amazonaws\.eu|on\.aws|on\.amazonwebservices\.com\.cn"
    r"|sc2s\.sgov\.gov|c2s\.ic\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)"
)
ECR_PUBLIC = frozenset({"public.ecr.aws", "ecr-public.aws.com"})
GAR = re.compile(r"[a-z0-9-]+-docker\.pkg\.dev|docker\.[a-z0-9-]+\.rep\.pkg\.dev")
GCR = re.compile(r"(?:[a-z0-9-]+\.)?gcr\.io")
MANIFEST_PATH = re.compile(r"/v2/(?P<repository>.+)/manifests/[^/]+")

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
EMPTY_DIGEST = f"sha256:{hashlib.sha256(b'{}').hexdigest()}"
EMPTY = {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest": EMPTY_DIGEST}
MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": EMPTY, "layers": []}).encode()

WORDING = Wording(
    registry_error,
    refusal=Refusal(403, "DENIED", "requested access to the resource is denied"),
    throttling=Refusal(429, "TOOMANYREQUESTS", "too many requests"),
    retry_after=1,
)


@dataclass(frozen=True)
class Custom:
    """How one kind of registry asks for credentials and refuses them. `{host}` stands for its host."""

    user: str
    challenge: str
    token_path: str = ""  # of the token endpoint behind a Bearer challenge
    token_field: str = "token"  # noqa: S105  (the name of a field)
    expired: str = ""  # what is said (403) to a token past its expiry; "": the challenge again
    unknown: str = ""  # what is said (400) to what is no token for here; "": the challenge again


ECR_CUSTOM = Custom(
    "AWS",
    'Basic realm="https://{host}/",service="ecr.amazonaws.com"',
    expired="Your authorization token has expired. Reauthenticate and try again.",
    unknown="Your Authorization Token is invalid.",
)
ECR_PUBLIC_CUSTOM = Custom("AWS", 'Bearer realm="https://{host}/token/",service="{host}",scope="aws"', "/token/")
GAR_CUSTOM = Custom("oauth2accesstoken", 'Bearer realm="https://{host}/v2/token"', "/v2/token")
GCR_CUSTOM = Custom("oauth2accesstoken", 'Bearer realm="https://{host}/v2/token",service=gcr.io', "/v2/token")
ACR_CUSTOM = Custom(
    "00000000-0000-0000-0000-000000000000",
    'Bearer realm="https://{host}/oauth2/token",service="{host}"',
    "/oauth2/token",
    "access_token",
)

Opens = Callable[[Token, str], bool]
"""Whether a token opens a repository of this registry; "" is the registry itself."""


class Registry:
    """One registry host. `pulls` counts the manifests that were "ok" and those that were "refused"."""

    def __init__(self, host: str, cloud: Cloud, custom: Custom, opens: Opens) -> None:
        self.host = host
        self.fault: Fault | None = None
        self.denied: set[str] = set()  # repositories that no credential opens, as on an ABAC registry
        self.behind: datetime | None = None  # a token that ends later than this is not known here yet
        self.pulls: Counter[str] = Counter()
        self._cloud = cloud
        self._custom = custom
        self._opens = opens
        self._sessions: dict[str, str] = {}  # token of the token endpoint, to the password it was given for
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Response:
        """Answer one request, as the fault lets it."""
        fault = self.fault
        response = faults.answer(fault, request, self._good, WORDING, lambda: self.fault is not fault)
        if MANIFEST_PATH.fullmatch(request.path) and "Authorization" in request.headers:
            with self._lock:
                self.pulls["ok" if response.status == HTTPStatus.OK else "refused"] += 1
        return response

    def _good(self, request: Request) -> Response:
        if request.path == self._custom.token_path:
            return self._session(request)
        match = MANIFEST_PATH.fullmatch(request.path)
        if match is None and request.path != "/v2/":
            raise Refusal(404, "NAME_UNKNOWN", "repository name not known to registry")
        repository = match["repository"] if match else ""
        self._admit(request, repository)
        if repository in self.denied:
            raise Refusal(403, "DENIED", "requested access to the resource is denied")
        return _manifest() if match else Response.of_json(200, {})

    def _session(self, request: Request) -> Response:
        """The token endpoint: a token that lives as long as the credential it was asked for with."""
        self._admit(request, "")
        session = random_text(200)
        self._cloud.note_secret(session)
        self._sessions[session] = self._password(request)
        return Response.of_json(200, {self._custom.token_field: session})

    def _admit(self, request: Request, repository: str) -> None:
        if "Authorization" not in request.headers:
            raise self._challenge()
        token = self._cloud.token(self._password(request))
        if token is None or self.is_behind(token) or not self._opens(token, repository):
            raise self._refusal(400, self._custom.unknown)
        if self._cloud.expired(token):
            raise self._refusal(403, self._custom.expired)

    def is_behind(self, token: Token) -> bool:
        """Whether the registry has not heard of this token yet."""
        return self.behind is not None and token.expires_at > self.behind

    def _refusal(self, status: int, message: str) -> Refusal:
        return Refusal(status, "DENIED", message) if message else self._challenge()

    def _challenge(self) -> Refusal:
        challenge = self._custom.challenge.format(host=self.host)
        return Refusal(401, "UNAUTHORIZED", "authentication required", challenge=challenge)

    def _password(self, request: Request) -> str:
        """The password that was shown, directly or by way of the token endpoint; "" for what is none."""
        scheme, _, shown = request.headers["Authorization"].partition(" ")
        self._cloud.note_secret(shown)
        if scheme.lower() == "bearer" and self._custom.token_path:
            return self._sessions.get(shown, shown)
        try:
            user, _, password = base64.b64decode(shown).decode().partition(":")
        except ValueError:
            return ""
        self._cloud.note_secret(password)
        return password if scheme.lower() == "basic" and user == self._custom.user else ""


class Registries:
    """Every registry of the three clouds, made when its host is first asked for."""

    def __init__(self, aws: Aws, google: Google, azure: Azure) -> None:
        self._aws = aws
        self._google = google
        self._azure = azure
        self._registries: dict[str, Registry] = {}
        self._lock = threading.Lock()

    def __getitem__(self, host: str) -> Registry:
        """The registry at this host. Raises KeyError for a host that is none."""
        with self._lock:
            if host not in self._registries:
                self._registries[host] = self._new(host)
            return self._registries[host]

    def handler_for(self, host: str) -> Handler | None:
        """The registry's answers, with its cloud's token exchange where that is on the registry's own host."""
        try:
            registry = self[host]
        except KeyError:
            return None
        return self._acr(registry) if ACR.fullmatch(host) else registry.answer

    def _acr(self, registry: Registry) -> Handler:
        def answer(request: Request) -> Response:
            exchange = request.method == "POST" and request.path in {"/oauth2/exchange", "/oauth2/token"}
            return self._azure.registry_token(request) if exchange else registry.answer(request)

        return answer

    def _new(self, host: str) -> Registry:
        if match := ECR.fullmatch(host):
            region = match["region"]
            return Registry(host, self._aws, ECR_CUSTOM, lambda token, _: token.audience == region)
        if host in ECR_PUBLIC:
            return Registry(host, self._aws, ECR_PUBLIC_CUSTOM, lambda token, _: token.audience == PUBLIC)
        if GAR.fullmatch(host) or GCR.fullmatch(host):
            custom = GCR_CUSTOM if GCR.fullmatch(host) else GAR_CUSTOM
            return Registry(host, self._google, custom, lambda _token, _: True)
        if ACR.fullmatch(host):
            return Registry(host, self._azure, ACR_CUSTOM, _acr_opens(registry_name(host)))
        raise KeyError(host)


def _acr_opens(name: str) -> Opens:
    """An access token opens the repository of its scope, a refresh token (without scope) all of them."""

    def opens(token: Token, repository: str) -> bool:
        narrow = repository and token.subject and token.subject != f"repository:{repository}:pull"
        return token.audience == name and not narrow

    return opens


def _manifest() -> Response:
    digest = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"
    return Response(200, MANIFEST, {"Content-Type": MANIFEST_TYPE, "Docker-Content-Digest": digest})
