"""docs/quickstart.md, word for word: a reader's shell on the real cluster, where what it installs is run."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.sandbox.internet import Internet
from tests.controlplane.server import ISSUER, ControlPlane
from tests.deploy.playground import CLUSTER, PAGE, Playground, add_team, playground
from tests.helm.fixtures import Helm
from tests.outside import SECRET
from tests.program import run_on_terminal
from tests.waiting import PATIENCE, eventually

CHECK, MANIFESTS, CHART, LOOKS = (
    re.findall(r"^\$ ((?:.*\\\n)*.*)$", block, re.MULTILINE)
    for block in re.findall(r"```console\n(.*?)```", CLUSTER, re.DOTALL)
)


@pytest.fixture
def reader(controlplane: ControlPlane, helm: Helm, tmp_path: Path) -> Iterator[Playground]:
    """One with a cluster in which `team-a` has its ServiceAccount; what the page makes is gone afterwards."""
    del helm  # it is here
    with Internet() as net, playground(controlplane, net, tmp_path, "rotator") as ground:
        add_team(controlplane, "team-a")
        yield ground

        def there(namespace: str) -> bool:
            return controlplane.admin.get(f"/api/v1/namespaces/{namespace}").status != 404

        for resource in ("clusterrolebindings", "clusterroles"):
            controlplane.admin.delete(f"/apis/rbac.authorization.k8s.io/v1/{resource}/rotator")
        for namespace in ("rotator", "team-a"):
            controlplane.admin.delete(f"/api/v1/namespaces/{namespace}")
        eventually(lambda: not there("rotator") and not there("team-a"), "the namespaces are gone")


def typed(reader: Playground, line: str) -> str:
    """What the command prints; it must end well."""
    done = subprocess.run(  # noqa: S603  (the words of our own page)
        ["/bin/sh", "-ec", f"{CHECK[0]}\n{line}"],
        env=reader.environment,
        cwd=reader.folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_plan_can_be_seen_before_anything_is_there(reader: Playground) -> None:
    """As the reader, at a terminal."""
    export, check = CHECK
    assert export == "export ROTATOR_CONFIG=$PWD/config.yaml"
    environment = {**reader.environment, "ROTATOR_CONFIG": str(reader.folder / "config.yaml")}
    code, planned = run_on_terminal(shlex.split(check)[1:], environment, reader.folder)
    assert code == 0
    assert "1 Secret to write, 1 reference to attach" in planned


def test_a_cluster_tells_its_issuer_and_its_keys(reader: Playground) -> None:
    """Which a cloud has to trust: the commands for a cluster of one's own."""
    (issuer,) = re.findall(r"^ISSUER=\$\(kubectl .*\)$", PAGE, re.MULTILINE)
    assert typed(reader, f"{issuer}; echo $ISSUER").strip() == ISSUER
    (keys,) = re.findall(r"`(kubectl get --raw /openid[^`]*)`", PAGE)
    assert json.loads(typed(reader, keys))["keys"]


@pytest.mark.parametrize("way", [MANIFESTS, CHART], ids=["manifests", "chart"])
def test_who_follows_it_gets_what_it_says(reader: Playground, way: list[str]) -> None:
    """Both replicas get ready as what was installed, and each look at it shows what it is there for."""
    for line in way:
        typed(reader, line)
    eventually(lambda: any(each.events("pass.finished") for each in reader.pods.running()), "the first sweep")
    rolled_out, status, secret, account, explained = [typed(reader, line) for line in LOOKS]
    assert "successfully rolled out" in rolled_out
    assert len(reader.pods.running()) == 2
    (leads,) = (event["identity"] for each in reader.pods.running() for event in each.events("lease.acquired"))
    assert f"leader: {leads}" in status
    assert re.search(r"prod +ecr .* published", status), status
    assert SECRET in secret
    assert account == SECRET
    assert "Pulls" in explained
