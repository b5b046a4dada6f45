"""The three clouds and their registries behind one proxy: an unchanged production program takes it for the internet."""

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from rotator.sandbox.authority import Authority
from rotator.sandbox.aws import Aws
from rotator.sandbox.azure import Azure
from rotator.sandbox.cloud import Clock, utc_now
from rotator.sandbox.google import Google
from rotator.sandbox.proxy import Proxy
from rotator.sandbox.registry import Registries
from rotator.sandbox.server import Handler, Request, Response

LINK_LOCAL = "169.254.169.254"
GOOGLE_METADATA = "metadata.google.internal"
# What the proxy of Docker Desktop says there (azure/identity/_credentials/imds.py, _check_forbidden_response): each SDK
# goes on to its next source, as after a failed connection. boto3 would give up if the proxy just hung up.
NOBODY = b"connecting to 169.254.169.254:80: connect: A socket operation was attempted to an unreachable network."
AMBIENT = ("AWS_", "AZURE_", "GOOGLE_", "GCE_", "GCLOUD_", "CLOUDSDK_", "MSI_", "IDENTITY_", "NO_GCE_CHECK")
"""Variables with these beginnings decide who a cloud SDK is; none may leak from somebody's shell into the sandbox."""


class Node(StrEnum):
    """The cloud whose machine the program runs on: whose metadata service answers."""

    AWS = "aws"
    GOOGLE = "google"
    AZURE = "azure"


class Internet:
    """Everything outside the cluster. `life` is the life of every token that is issued; None means the natural ones.

    Without a `node`, nobody answers at the link-local address, as on a machine outside the clouds.
    """

    def __init__(self, *, life: timedelta | None = None, clock: Clock = utc_now) -> None:
        self.aws = Aws(clock=clock, life=life)
        self.google = Google(clock=clock, life=life)
        self.azure = Azure(clock=clock, life=life)
        self.registries = Registries(self.aws, self.google, self.azure)
        self.node: Node | None = None
        self.hosts: dict[str, Handler] = {}  # further hosts, or others in place of the emulated ones
        self.authority = Authority()
        self.proxy = Proxy(self.authority, self._route)
        self._running = ExitStack()
        self._directory = Path()

    @property
    def ca_file(self) -> Path:
        """The authority's certificate: what a client must trust."""
        return self._directory / "ca.pem"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rotator-internet-")))
            self.authority.write(self.ca_file)
            stack.enter_context(self.proxy.server)
            stack.enter_context(self.aws.agent)
            self._running = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._running.close()

    def environment(self) -> dict[str, str]:
        """The variables with which a program reaches this internet, and no credentials file of the developer's."""
        ca = str(self.ca_file)
        nothing = str(self._directory / "nothing")
        proxies = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), self.proxy.url)
        trust = dict.fromkeys(("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"), ca)
        homes = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "CLOUDSDK_CONFIG", "AZURE_CONFIG_DIR")
        direct = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
        return proxies | direct | trust | dict.fromkeys(homes, nothing)

    def secrets(self) -> set[str]:
        """Every secret value that a cloud has issued or was shown."""
        return self.aws.all_secrets() | self.google.all_secrets() | self.azure.all_secrets()

    def _route(self, host: str) -> Handler | None:
        if host in {LINK_LOCAL, GOOGLE_METADATA}:
            return self._metadata
        sources: tuple[Callable[[str], Handler | None], ...] = (
            self.hosts.get,
            self.aws.handler_for,
            self.google.handler_for,
            self.azure.handler_for,
            self.registries.handler_for,
        )
        return next((handler for source in sources if (handler := source(host))), None)

    def _metadata(self, request: Request) -> Response:
        match self.node:
            case Node.AWS:
                return self.aws.metadata(request)
            case Node.GOOGLE:
                return self.google.metadata(request)
            case Node.AZURE:
                return self.azure.metadata(request)
        return Response(403, NOBODY, {"Content-Type": "text/plain"})


def without_ambient(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what would tell a cloud SDK who it is, or which proxy to use."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(AMBIENT) and not name.lower().endswith("_proxy")
    }
