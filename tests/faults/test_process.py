"""The process is killed, frozen, or without disk or names; a tenant cheats: Pods go on, and so does what comes next."""

import base64
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from rotator.sandbox.server import Request, Response
from tests.apiclient import MERGE_PATCH
from tests.controlplane.server import ControlPlane
from tests.faults.scene import HASTY_ELECTION, Scene, on_duty, scene_on, writes_to
from tests.gate import Forward
from tests.outside import ECR, ECR_ONLY, SECRET
from tests.program import Running
from tests.scenarios.others import packed
from tests.waiting import eventually

LIFE = timedelta(seconds=60)
SOON = "renewal: {at: 0.05, jitter: 0%, sweep: 2s}\n"

RESOLVER = """
import pathlib, socket, time

def getaddrinfo(*words, resolve=socket.getaddrinfo, **more):
    while (state := pathlib.Path({state!r}).read_text()) == "hangs":
        time.sleep(0.05)
    if state == "is gone":
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    return resolve(*words, **more)

socket.getaddrinfo = getaddrinfo
"""


class Killer:
    """A gate's fault: SIGKILL at rotator's n-th write of a Secret, which never arrives."""

    def __init__(self, running: Running, number: int) -> None:
        self._running = running
        self._left = number

    def __call__(self, request: Request, forward: Forward) -> Response:
        """Let a request through, or end whoever sent it."""
        if writes_to(request, "secrets"):
            self._left -= 1
            if self._left <= 0:
                self._running.process.kill()
                raise ConnectionAbortedError
        return forward(request)


def test_it_is_killed_between_reference_and_secret(scene: Scene) -> None:
    """The Pod has the reference, and the next process gives it what it names: it need not be created again."""
    scene.configure(election=HASTY_ELECTION)
    (team,) = scene.installation.add_namespaces("team-a")
    with scene.installation.start("run") as running:
        scene.gate.fault = Killer(running, 1)
        assert running.process.wait(60) == -signal.SIGKILL
    scene.gate.fault = None
    assert scene.installation.find("secrets", team, SECRET) is None
    assert scene.installation.references(team) == [SECRET]
    pod = scene.pod(team)
    assert pod is not None
    assert not scene.comes_up(pod)
    with scene.installation.start("run") as running:
        eventually(lambda: scene.comes_up(pod), "the same Pod gets its image")
        assert running.end() == 0


def test_it_is_killed_in_the_middle_of_a_fan_out(scene: Scene) -> None:
    """Who was served is served and not written again; the next process does the rest."""
    scene.configure(election=HASTY_ELECTION)
    teams = scene.installation.add_namespaces(*(f"team-{n}" for n in range(12)))
    with scene.installation.start("run") as running:
        scene.gate.fault = Killer(running, 5)
        assert running.process.wait(60) == -signal.SIGKILL
    scene.gate.fault = None
    passwords = {team: scene.password(team) for team in teams if scene.served(team)}
    assert 0 < len(passwords) < len(teams)
    assert all(scene.pulls(team) for team in passwords)
    with scene.installation.start("run") as running:
        eventually(lambda: scene.served(*teams), "all Secrets")
        eventually(lambda: running.events("pass.finished"), "the end of the pass")
        assert running.end() == 0
    assert {team: scene.password(team) for team in passwords} == passwords
    assert all(scene.pulls(team) for team in teams)


@contextmanager
def replica(scene: Scene, name: str) -> Iterator[Running]:
    """One more process of the same installation."""
    directory = scene.installation.directory / name
    directory.mkdir()
    with replace(scene.installation, directory=directory).start("run") as running:
        yield running


def leads(running: Running) -> bool:
    """Whether it has the lead, by its own account."""
    return len(running.events("lease.acquired")) > len(running.events("lease.lost"))


def test_the_leader_of_two_is_frozen(scene: Scene) -> None:
    """Pods go on, the other takes over, and the old one writes nothing when it thaws."""
    scene.configure(ECR_ONLY + "renewal: {sweep: 2s}\n")
    (team,) = scene.installation.add_namespaces("team-a")
    with replica(scene, "one") as first, replica(scene, "two") as second:
        eventually(lambda: scene.served(team), "the first Secret")
        old, new = (first, second) if leads(first) else (second, first)
        eventually(lambda: new.events("lease.held"), "that the other stands by")
        old.process.send_signal(signal.SIGSTOP)
        assert scene.pulls(team)
        (late,) = scene.installation.add_namespaces("team-late")
        eventually(lambda: scene.served(late), "the work of the other")
        assert (scene.metric(new, "rotator_leader"), scene.pulls(late)) == (1, True)
        written = len(old.events("secret.written"))
        old.process.send_signal(signal.SIGCONT)
        eventually(lambda: old.events("lease.lost"), "that the old one knows")
        place = f"/api/v1/namespaces/{team}/secrets/{SECRET}"
        assert scene.installation.controlplane.admin.delete(place).status == 200
        eventually(lambda: scene.served(team), "a repair")
        assert (scene.metric(old, "rotator_leader"), len(old.events("secret.written"))) == (0, written)
        assert old.end() == new.end() == 0


def test_the_disk_is_full(controlplane: ControlPlane, tmp_path: Path) -> None:
    """No byte can be written to any file, the log's included: all work goes on, and the log when there is room."""
    with scene_on(controlplane, tmp_path, LIFE) as scene:
        scene.configure(ECR_ONLY + SOON)
        embed_authority(tmp_path / "kubeconfig")
        with on_duty(scene, "team-a") as (running, (team,)):
            limit(running, 0)
            said, before = len(running.log), scene.password(team)
            scene.gate.cut()
            scene.installation.log_in()
            eventually(lambda: scene.password(team) != before, "a renewal")
            (late,) = scene.installation.add_namespaces("team-late")
            eventually(lambda: scene.served(late), "a new namespace")
            assert scene.pulls(late)
            assert (scene.is_alive(running), len(running.log)) == (True, said)
            limit(running, resource.RLIM_INFINITY)
            eventually(lambda: len(running.log) > said, "a line of the log")


def limit(running: Running, size: int) -> None:
    """Let it write files of no more than so many bytes."""
    resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def embed_authority(kubeconfig: Path) -> None:
    """Put the authority's certificate into the file itself, which the kubernetes package then keeps in another one."""
    content = yaml.safe_load(kubeconfig.read_text())
    cluster = content["clusters"][0]["cluster"]
    authority = Path(cluster.pop("certificate-authority")).read_bytes()
    cluster["certificate-authority-data"] = base64.b64encode(authority).decode()
    kubeconfig.write_text(yaml.safe_dump(content))


@pytest.mark.parametrize("state", ["is gone", "hangs"])
def test_no_name_is_resolved(controlplane: ControlPlane, tmp_path: Path, state: str) -> None:
    """Neither clouds nor the API server are found: it is named, Pods go on, and all is well when names are back."""
    resolver = tmp_path / "resolver"
    resolver.write_text("")
    (tmp_path / "sitecustomize.py").write_text(RESOLVER.format(state=str(resolver)))
    with scene_on(controlplane, tmp_path, LIFE) as scene:
        scene.installation.environment["PYTHONPATH"] = str(tmp_path)
        scene.configure(ECR_ONLY + SOON)
        with on_duty(scene, "team-a") as (running, (team,)):
            resolver.write_text(state)
            scene.gate.cut()
            eventually(lambda: running.events("pass.failed"), "that no pass comes to its end")
            eventually(lambda: scene.metric(running, "rotator_watches", state="failing"), "that no watch hears")
            assert scene.pulls(team)
            assert scene.is_alive(running)
            before = scene.password(team)
            (late,) = scene.installation.add_namespaces("team-late")
            resolver.write_text("")
            eventually(lambda: scene.password(team) != before, "a renewal")
            eventually(lambda: scene.served(late), "what came meanwhile is served")


def test_a_tenant_plants_a_credential(scene: Scene) -> None:
    """It goes to nobody else and lives for a moment; also if nobody looked, and rotator knows of no other one."""
    admin = scene.installation.controlplane.admin

    def plant(team: str) -> None:
        entry = {"auth": base64.b64encode(b"AWS:planted").decode()}
        edit = {"data": {".dockerconfigjson": packed({ECR: entry})}}
        place = f"/api/v1/namespaces/{team}/secrets/{SECRET}"
        assert admin.patch(place, edit, MERGE_PATCH).status == 200

    with on_duty(scene, "team-a", "team-b") as (running, (mine, other)):
        good = scene.password(other)
        plant(mine)
        eventually(lambda: scene.password(mine) == good, "the good one")
        eventually(lambda: "PullSecretHealed" in scene.events(mine), "the Event")
        assert running.events("secret.contested")
        assert "planted" not in running.log
    plant(mine)
    assert scene.pulls(other)
    with on_duty(scene, "team-new") as (running, (new,)):
        eventually(lambda: scene.password(mine) != "planted", "another one in its place")
        assert scene.password(new) not in {"planted", good}
        assert scene.password(other) == good
        assert all(scene.pulls(team) for team in (mine, other, new))
        assert "planted" not in running.log
    assert scene.installation.mints()["prod"] == 2
