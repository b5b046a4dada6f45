"""docs/quickstart.md, word for word: a reader's shell on the real cluster, and rotator in it as what it installed."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.controlplane import binaries
from tests.controlplane.server import ControlPlane
from tests.installation import Installation, installed_on
from tests.outside import SECRET
from tests.waiting import PATIENCE, eventually

PAGE = (Path(__file__).parents[2] / "docs" / "quickstart.md").read_text()
CLUSTER = PAGE[PAGE.index("\n## The cluster\n") :]
BLOCKS = [
    re.findall(r"^\$ ((?:.*\\\n)*.*)$", block, re.MULTILINE)
    for block in re.findall(r"```console\n(.*?)```", CLUSTER, re.DOTALL)
]
(CONFIG,) = re.findall(r"```yaml\n(.*?)```", CLUSTER, re.DOTALL)


class Reader:
    """A shell with kubectl and rotator, in a folder with the configuration."""

    def __init__(self, installation: Installation, kubeconfig: Path) -> None:
        self.installation = installation
        folder = installation.directory / "bin"
        folder.mkdir()
        (folder / "kubectl").symlink_to(str(binaries.find("kubectl")))
        (folder / "rotator").write_text(f'#!/bin/sh\nexec {sys.executable} -m rotator "$@"\n')
        (folder / "rotator").chmod(0o755)
        path = f"{folder}:{os.environ['PATH']}"
        self.environment = installation.environment | {"PATH": path, "KUBECONFIG": str(kubeconfig)}
        self.environment.pop("ROTATOR_CONFIG")
        (installation.directory / "config.yaml").write_text(CONFIG)

    def type(self, line: str) -> str:
        """What the command prints; it must end well."""
        done = subprocess.run(  # noqa: S603  (the words of our own page)
            ["/bin/sh", "-ec", line],
            env=self.environment,
            cwd=self.installation.directory,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture
def reader(controlplane: ControlPlane, tmp_path: Path) -> Iterator[Reader]:
    """One with a cluster in which `team-a` has its ServiceAccount; what the page makes is gone afterwards."""
    with installed_on(controlplane, tmp_path) as installation:
        installation.add_namespace("team-a", "workers")
        yield Reader(installation, controlplane.kubeconfig(tmp_path / "admin"))
        for namespace in ("rotator", "team-a"):
            controlplane.admin.delete(f"/api/v1/namespaces/{namespace}")
        for resource in ("clusterrolebindings", "clusterroles"):
            controlplane.admin.delete(f"/apis/rbac.authorization.k8s.io/v1/{resource}/rotator")


def test_who_follows_it_gets_what_it_says(reader: Reader) -> None:
    """The plan before anything is there; then, with rotator running as what was installed, each look at it."""
    (check,), install, looks = BLOCKS
    at_a_terminal = replace(reader.installation, environment=reader.environment)
    code, planned = at_a_terminal.run_on_terminal(*check.split()[1:])
    assert code == 0
    assert "1 Secret to write, 1 reference to attach" in planned
    for line in install:
        reader.type(line)
    token = reader.installation.controlplane.service_account_token("rotator", "rotator")
    path = reader.installation.controlplane.kubeconfig(
        reader.installation.directory / "pod", token, namespace="rotator"
    )
    reader.installation.environment["KUBECONFIG"] = str(path)
    with reader.installation.start("run") as running:
        eventually(lambda: running.events("pass.finished"), "the first sweep")
        _, status, secret, account, explained = [reader.type(line) for line in looks]
        assert running.end() == 0
    assert "prod" in status
    assert SECRET in secret
    assert account == SECRET
    assert "Pulls" in explained
