"""`make playground`: a shell in which docs/quickstart.md can be typed, on a real API server among emulated clouds.

Nothing of it leaves this machine, and nothing is left of it afterwards. Of the clouds' sides of the page nothing is
there: rotator has an identity in each of them already.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from rotator.sandbox.internet import Internet
from tests.controlplane import binaries
from tests.controlplane.server import ControlPlane, NotReadyError
from tests.deploy.pods import Pods
from tests.helm import binary
from tests.outside import identities

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "quickstart.md").read_text()
CLUSTER = PAGE[PAGE.index("\n## The cluster\n") :]
"""The part of the page that needs no cloud."""

(IMAGE,) = re.findall(r"^IMAGE=(\S+)$", PAGE, re.MULTILINE)
(CONFIG,) = re.findall(r"```yaml\n(.*?)```", CLUSTER, re.DOTALL)

PODS = ("cronjob-controller", "job-controller")
"""Beside the controllers of the tests' cluster: for a CronJob."""

WELCOME = """\
A Kubernetes cluster with the namespaces team-a and team-b, a ServiceAccount
workers in each, and emulated clouds around it. kubectl, helm and rotator are
here, and config.yaml is that of docs/quickstart.md, whose section "The cluster"
can be typed as it stands. rotator's Pods run, and log to pods/*/log; there is
no node for others. Ctrl-D ends it all.
"""


@dataclass(frozen=True)
class Playground:
    """A folder to be in, and the environment of a shell there."""

    folder: Path
    environment: dict[str, str]
    pods: Pods


@contextmanager
def playground(
    controlplane: ControlPlane, net: Internet, folder: Path, namespace: str | None = None
) -> Iterator[Playground]:
    """One in this folder. `controlplane` and `net` are running; rotator's Pods run in one namespace, or in all."""
    outside = {"PATH": os.environ["PATH"], **net.environment(), **identities(net, folder)}
    programs = folder / "bin"
    programs.mkdir()
    for name, found in (("kubectl", binaries.find("kubectl")), ("helm", binary.find())):
        if found:
            (programs / name).symlink_to(found)
    (programs / "rotator").write_text(f'#!/bin/sh\nexec {sys.executable} -m rotator "$@"\n')
    (programs / "rotator").chmod(0o755)
    (folder / "deploy").symlink_to(ROOT / "deploy")
    (folder / "config.yaml").write_text(CONFIG)
    kubeconfig = controlplane.kubeconfig(folder / "kubeconfig")
    shell = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(folder),
        "KUBECONFIG": str(kubeconfig),
        "IMAGE": IMAGE,
    }
    with Pods(controlplane, outside, folder / "pods", namespace) as pods:
        yield Playground(folder, outside | shell, pods)


def add_team(controlplane: ControlPlane, name: str) -> None:
    """A namespace as a platform team makes it, with a ServiceAccount for its workers."""
    controlplane.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "workers", "namespace": name}},
    )


def main() -> int:
    """The exit code: the shell's, or 1 where there can be no playground."""
    try:
        return _play()
    except KeyboardInterrupt:
        return 130


def _play() -> int:
    if missing := [*binaries.missing(), *([] if binary.find() else ["helm"])]:
        click.echo(f"no {', '.join(missing)}: make controlplane", err=True)
        return 1
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rotator-playground-")))
        try:
            controlplane = stack.enter_context(ControlPlane(PODS))
        except NotReadyError as error:
            click.echo(error, err=True)
            return 1
        net = stack.enter_context(Internet())
        for name in ("team-a", "team-b"):
            add_team(controlplane, name)
        ground = stack.enter_context(playground(controlplane, net, folder))
        click.echo(WELCOME, nl=False)
        more = {name: os.environ[name] for name in ("TERM", "LANG", "COLUMNS", "LINES") if name in os.environ}
        shell = ["bash", "--noprofile", "--norc"] if shutil.which("bash") else ["sh"]
        environment = ground.environment | more | {"PS1": "playground$ "}
        return subprocess.run(shell, cwd=folder, env=environment, check=False).returncode  # noqa: S603  (a person types)


if __name__ == "__main__":
    sys.exit(main())
