"""A shell in a Pod: an environment with an identity in each cloud, a configuration, a kubeconfig, and `rotator`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from rotator.sandbox.apiserver import ApiServer
from rotator.sandbox.internet import Internet
from tests.outside import CONFIG, Outside
from tests.program import ANY_PORTS, Program

TEAMS = ("team-a", "team-b", "team-c")


@dataclass
class Shell(Outside, Program):
    """Everything outside rotator, and the way to start it."""

    environment: dict[str, str] = field(default_factory=dict)


@contextmanager
def shell_on(directory: Path, life: timedelta | None = None) -> Iterator[Shell]:
    """A shell in a world whose tokens live that long (None: as long as the real ones)."""
    with Internet(life=life) as net, ApiServer(net.authority) as api:
        made = Shell(net, directory, api)
        made.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "KUBECONFIG": str(api.kubeconfig(directory / "kubeconfig")),
            "ROTATOR_CONFIG": str(directory / "config.yaml"),
            **ANY_PORTS,
            **net.environment(),
            **made.identities(),
        }
        made.configure(CONFIG)
        made.add_namespaces(*TEAMS)
        yield made
