"""A real registry under a cloud registry's production name, which honours exactly the tokens that live in that cloud.

The sandbox's proxy ends TLS in front of it, as a load balancer would. Its clock is the machine's, so the cloud's must
be too. ECR's host asks for Basic, as ECR does; the others pose a Bearer challenge with a token endpoint of their own.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from rotator.sandbox.azure import REGISTRY as ACR
from rotator.sandbox.azure import registry_name
from rotator.sandbox.google import AUDIENCE
from rotator.sandbox.internet import Internet
from rotator.sandbox.registry import ACR_CUSTOM, ECR, ECR_CUSTOM, GAR, GAR_CUSTOM, Custom
from rotator.sandbox.server import Request, Response
from tests.registries import skopeo
from tests.registries.dockerregistry import DockerRegistry
from tests.registries.doors import PUSHER, Book, Door, PasswordFile, TokenServer


class Credential(NamedTuple):
    """User name and password."""

    user: str
    password: str


class RealRegistry:
    """docker-registry at this host. Take `may_pull` away, and the cloud's tokens open nothing here."""

    def __init__(self, net: Internet, host: str) -> None:
        self.host = host
        self.process: DockerRegistry
        self._net = net
        self._book, self._custom = _book(net, host)
        self._door: Door
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rotator-door-")))
            self._door = self._new_door(directory)
            self.process = stack.enter_context(DockerRegistry(self.host, self._door.auth))
            stack.callback(self._net.hosts.pop, self.host)
            self._net.hosts[self.host] = self._answer
            self._running = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._running.close()

    @property
    def may_pull(self) -> bool:
        """Whether the identity to which the cloud issues its tokens may pull from here."""
        return self._book.may_pull

    @may_pull.setter
    def may_pull(self, allowed: bool) -> None:
        self._book.may_pull = allowed

    def publish(self, repository: str) -> None:
        """Let anybody pull from this repository, credential or not."""
        self._book.public.add(repository)

    def image(self, repository: str, tag: str = "latest") -> str:
        """The image's full name."""
        return f"{self.host}/{repository}:{tag}"

    def push(self, repository: str, tag: str = "latest") -> str:
        """Push a tiny image with skopeo, as somebody who may; its full name."""
        image = self.image(repository, tag)
        skopeo.push(image, PUSHER, self._book.password, self._net)
        return image

    def credential(self, life: timedelta = timedelta(hours=1)) -> Credential:
        """A new user name and password, as the cloud would issue them to somebody else."""
        return Credential(self._book.user, self._book.issue(life).value)

    def _new_door(self, directory: Path) -> Door:
        custom = self._custom
        if not custom.token_path:
            return PasswordFile(self._book, directory)
        return TokenServer(self._book, directory, self.host, custom.token_path, custom.token_field)

    def _answer(self, request: Request) -> Response:
        if request.method == "POST" and request.path == "/oauth2/exchange":
            return self._net.azure.registry_token(request)
        prepared = self._door.prepared(request)
        return prepared if isinstance(prepared, Response) else self.process.forward(prepared)


def _book(net: Internet, host: str) -> tuple[Book, Custom]:
    """Whose tokens open this host, and how its cloud asks for them."""
    if match := ECR.fullmatch(host):
        return Book(net.aws, match["region"], ECR_CUSTOM.user), ECR_CUSTOM
    if GAR.fullmatch(host):
        return Book(net.google, AUDIENCE, GAR_CUSTOM.user), GAR_CUSTOM
    assert ACR.fullmatch(host), host
    return Book(net.azure, registry_name(host), ACR_CUSTOM.user), ACR_CUSTOM


@contextmanager
def real_registries(net: Internet, *hosts: str) -> Iterator[list[RealRegistry]]:
    """A real registry at each of these hosts."""
    with ExitStack() as stack:
        yield [stack.enter_context(RealRegistry(net, host)) for host in hosts]
