"""Kubeconfigs and connections for the tests of the cluster client."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest

from rotator.cluster.client import Cluster
from rotator.cluster.login import log_in
from rotator.sandbox.apiserver import ApiServer
from rotator.sandbox.authority import Authority

TOKEN = "tok-3f9a"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No kubeconfig, Pod or proxy of the machine that runs the tests."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


class WriteKubeconfig(Protocol):
    """Writes a kubeconfig with one context."""

    def __call__(
        self, server: str, *, cluster: Mapping[str, object] | None = None, user: Mapping[str, object] | None = None
    ) -> Path:
        """Its path."""


@pytest.fixture
def kubeconfig(tmp_path: Path) -> WriteKubeconfig:
    """A writer of kubeconfigs; the user has a token unless told otherwise."""

    def write(
        server: str, *, cluster: Mapping[str, object] | None = None, user: Mapping[str, object] | None = None
    ) -> Path:
        document = {
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": server, **(cluster or {})}}],
            "users": [{"name": "u", "user": {"token": TOKEN} if user is None else user}],
        }
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps(document), encoding="utf-8")
        return path

    return write


Connect = Callable[..., Cluster]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connects by a kubeconfig, and closes at the end of the test."""
    with ExitStack() as stack:

        def by(path: Path, *, timeout: float = 10, deadline: float = 30, page: int = 500) -> Cluster:
            cluster = Cluster(
                partial(log_in, path, None),
                timeout=timedelta(seconds=timeout),
                deadline=timedelta(seconds=deadline),
                page=page,
            )
            return stack.enter_context(closing(cluster))

        yield by


@pytest.fixture
def api() -> Iterator[ApiServer]:
    """An emulated cluster with two namespaces of ours, over TLS."""
    with ApiServer(Authority()) as server:
        server.store.create_namespace("team-a")
        server.store.create_namespace("team-b", labels={"pull": "private"})
        yield server


@pytest.fixture
def cluster(api: ApiServer, connect: Connect, tmp_path: Path) -> Cluster:
    """A client that may do everything, in pages of two."""
    return connect(api.kubeconfig(tmp_path / "config"), page=2)
