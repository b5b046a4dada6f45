"""What the benchmarks share: rotator installed on a real control plane, and many objects for it to look after."""

import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from tests.apiclient import Answer, Client
from tests.controlplane.server import ControlPlane
from tests.installation import Installation, installed_on
from tests.outside import CONFIG

WRITERS = 8
"""Threads that make objects: more only wait for the API server."""


@contextmanager
def installed(settings: str = "", life: timedelta | None = None) -> Iterator[Installation]:
    """Rotator with every right on a new cluster, with three clouds and these further settings.

    Tokens live that long; None: as long as the real ones.
    """
    with (
        tempfile.TemporaryDirectory(prefix="rotator-bench-") as directory,
        ControlPlane() as controlplane,
        installed_on(controlplane, Path(directory), life) as installation,
    ):
        configure(installation, settings)
        installation.grant_everything()
        yield installation


def configure(installation: Installation, settings: str) -> None:
    """Three clouds, one pull secret in every namespace, and these further settings."""
    installation.configure(CONFIG.replace("team-", installation.full("team-")) + settings)


def populate(client: Client, namespaces: Iterable[str], accounts: Iterable[str]) -> None:
    """Make these namespaces with these ServiceAccounts in each; the cluster adds `default`."""
    names = list(accounts)
    with ThreadPoolExecutor(WRITERS) as pool:
        for _ in pool.map(lambda namespace: add_namespace(client, namespace, names), namespaces):
            pass


def add_namespace(client: Client, name: str, accounts: Iterable[str]) -> None:
    """One namespace with these ServiceAccounts."""
    _made(client.post("/api/v1/namespaces", {"metadata": {"name": name}}))
    for account in accounts:
        _made(client.post(f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": account}}))


def _made(answer: Answer) -> None:
    if answer.status != 201:  # noqa: PLR2004  (Created)
        msg = f"the API server answered {answer.status}: {answer.body}"
        raise RuntimeError(msg)
