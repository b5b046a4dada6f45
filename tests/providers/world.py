"""A registry's configuration, a Pod's environment, and the internet that it leads to."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from rotator.config import Registry
from rotator.errors import MintError
from rotator.providers import ecr, provider_for
from rotator.sandbox.internet import Internet, without_ambient

ECR_HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
GAR_HOST = "europe-west1-docker.pkg.dev"
ACR_HOST = "contoso.azurecr.io"


@contextmanager
def pod_on(internet: Internet, monkeypatch: pytest.MonkeyPatch) -> Iterator[Internet]:
    """This process as a Pod whose every route leads to that internet, without any identity yet."""
    for name in set(os.environ) - set(without_ambient(os.environ)):
        monkeypatch.delenv(name)
    set_all(monkeypatch, internet.environment() | {"HOME": "/nonexistent"})
    yield internet
    ecr._sessions.clear()  # noqa: SLF001  (a process keeps its identity, a test suite does not)


def set_all(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    """Set these variables."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def registry(kind: str, source: Mapping[str, object], *, deadline: str = "20s", name: str = "prod") -> Registry:
    """One registry, as it is written in the configuration."""
    return Registry.model_validate({"name": name, kind: source, "deadline": deadline})


def failure_of(registry: Registry) -> MintError:
    """The error that a mint of this registry raises."""
    with pytest.raises(MintError) as caught:
        provider_for(registry).mint()
    return caught.value


def told(error: BaseException) -> str:
    """Everything that an error of ours says to whoever prints it."""
    return "\n".join(map(str, (error, repr(error), error.args, vars(error))))
