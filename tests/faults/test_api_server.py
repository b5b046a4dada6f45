"""The API server is away, busy, forbids, or is contended for: what is published stays, and the rest is done."""

import threading
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from rotator.clock import utc_now
from rotator.sandbox.server import Request, Response
from tests.apiclient import MERGE_PATCH, secret
from tests.controlplane.server import ControlPlane
from tests.faults.scene import QUIET, Scene, on_duty, scene_on, writes_to
from tests.gate import Fault, Forward, answering
from tests.outside import ECR, ECR_ONLY, SECRET
from tests.program import Running
from tests.waiting import eventually

LIFE = timedelta(seconds=6)


def failed_with(running: Running, event: str, reason: str) -> bool:
    """Whether the log has such an event with this reason."""
    return reason in {each["reason"] for each in running.events(event)}


def test_it_is_away_when_rotator_starts(scene: Scene) -> None:
    """It says so, is alive and not ready, asks no cloud, and serves everybody soon after the API server is there."""
    (team,) = scene.installation.add_namespaces("team-a")
    scene.gate.close()
    with scene.installation.start("run") as running:
        eventually(lambda: running.events("lease.failed"), "a look at the Lease that found nobody")
        eventually(lambda: running.events("watch.failed"), "a watch that found nobody")
        assert (scene.is_alive(running), scene.is_ready(running)) == (True, False)
        assert scene.metric(running, "rotator_watches", state="failing") > 0
        assert scene.installation.mints()["prod"] == 0
        scene.gate.open()
        eventually(lambda: scene.served(team), "the first Secret")
        eventually(lambda: scene.is_ready(running), "it is ready")
        assert scene.pulls(team)
        assert running.end() == 0


def test_it_goes_away_in_the_middle_of_a_fan_out(scene: Scene) -> None:
    """Who was served is served, the others follow when it is back, and the cloud is not asked again."""
    teams = scene.installation.add_namespaces(*(f"team-{n}" for n in range(12)))
    gone = threading.Event()

    def break_off(request: Request, forward: Forward) -> Response:
        if gone.is_set():
            raise ConnectionAbortedError
        if writes_to(request, "secrets"):
            gone.set()
        return forward(request)

    scene.gate.fault = break_off
    with scene.installation.start("run") as running:
        eventually(lambda: running.events("change.failed"), "a write that found nobody")
        served = [team for team in teams if scene.served(team)]
        assert 1 <= len(served) < len(teams)
        assert scene.pulls(served[0])
        eventually(lambda: scene.metric(running, "rotator_secret_writes_total", result="ServerFailed"), "it is counted")
        scene.gate.fault = None
        eventually(lambda: scene.served(*teams), "all Secrets")
        assert running.end() == 0
    assert scene.installation.mints()["prod"] == 1


def test_it_is_away_for_longer_than_a_credential_lives(controlplane: ControlPlane, tmp_path: Path) -> None:
    """Nothing can be renewed, and what is published ends; rotator mends it within seconds of the server's return."""
    with scene_on(controlplane, tmp_path, LIFE) as scene, on_duty(scene, "team-a") as (running, (team,)):
        pod = scene.pod(team)
        assert pod is not None
        scene.gate.close()
        last = scene.password(team)
        eventually(lambda: not scene.comes_up(pod), "the published credential has expired")
        assert scene.password(team) == last
        eventually(lambda: running.events("lease.lost"), "who cannot renew the Lease ceases to lead")
        eventually(lambda: not scene.is_ready(running), "it is not ready")
        assert scene.is_alive(running)
        assert scene.metric(running, "rotator_leader") == 0
        assert not scene.tells(running, "rotator_credential_expiry_timestamp_seconds")
        scene.gate.open()
        back = utc_now()
        eventually(lambda: scene.comes_up(pod), "the Pod that failed comes up")
        eventually(lambda: scene.tells(running, "rotator_credential_expiry_timestamp_seconds"), "it knows it again")
        assert utc_now() - back < timedelta(seconds=30)


def test_its_token_is_revoked_before_a_new_one_is_projected(scene: Scene) -> None:
    """401 to everything: it is named, nothing else happens, and the file with the new token is all that is needed."""
    with on_duty(scene, "team-a") as (running, (team,)):
        scene.gate.fault = revoked = TokenRefused((scene.installation.directory / "token").read_text())
        scene.gate.cut()
        for event in ("lease.failed", "watch.failed"):
            eventually(partial(failed_with, running, event, "ClusterUnusable"), f"{event}: the refusal")
        assert scene.pulls(team)
        (late,) = scene.installation.add_namespaces("team-late")
        scene.installation.log_in()
        eventually(lambda: scene.served(late), "what came meanwhile is served")
        assert revoked.count > 0
        assert scene.pulls(late)


class TokenRefused:
    """A gate's fault: 401 to this token, as after its ServiceAccount was deleted and made anew."""

    def __init__(self, token: str) -> None:
        self.count = 0
        self._shown = f"Bearer {token}"

    def __call__(self, request: Request, forward: Forward) -> Response:
        """Let through who shows another one."""
        if request.headers.get("Authorization") == self._shown:
            self.count += 1
            return answering(401)(request, forward)
        return forward(request)


def refusing_writes(namespace: str, answer: Fault) -> Fault:
    """This answer to each write of a Secret in this namespace."""

    def refuse(request: Request, forward: Forward) -> Response:
        return answer(request, forward) if writes_to(request, "secrets", namespace) else forward(request)

    return refuse


@pytest.mark.parametrize(("status", "reason"), [(403, "Forbidden"), (500, "ServerFailed")])
def test_one_namespace_is_refused(scene: Scene, status: int, reason: str) -> None:
    """It is named in log, metric and Event; the others are served, and so is this one when it may be."""
    good, bad = scene.installation.add_namespaces("team-a", "team-b")
    scene.configure(ECR_ONLY + "renewal: {sweep: 2s}\n")
    scene.gate.fault = refusing_writes(f"{bad}/", answering(status))
    with scene.installation.start("run") as running:
        eventually(lambda: "PullSecretChangeRefused" in scene.events(bad), "the Event")
        eventually(lambda: scene.served(good), "the other namespace")
        assert {event["namespace"] for event in running.events("change.failed")} == {bad}
        eventually(lambda: scene.metric(running, "rotator_secret_writes_total", result=reason), "it is counted")
        assert scene.pulls(good)
        assert scene.installation.references(bad) == [SECRET]
        pod = scene.pod(bad)
        assert pod is not None
        scene.gate.fault = None
        eventually(lambda: scene.comes_up(pod), "the Pod that was created meanwhile")
        assert running.end() == 0


def test_a_rival_writes_before_each_of_our_writes(scene: Scene) -> None:
    """409 each time: given up after a few tries, said so, and done when the rival rests; nothing of it is lost."""
    good, bad = scene.installation.add_namespaces("team-a", "team-b")
    admin = scene.installation.controlplane.admin
    path = f"/api/v1/namespaces/{bad}/secrets/{SECRET}"
    scene.configure(ECR_ONLY.replace(f"name: {SECRET},", f"name: {SECRET}, adopt: true,") + QUIET)
    assert admin.post(path.rpartition("/")[0], secret()).status == 201
    rounds: list[int] = []

    def overtake(request: Request, forward: Forward) -> Response:
        if writes_to(request, "secrets", bad):
            rounds.append(len(rounds))
            noted = {"metadata": {"annotations": {"rival": str(len(rounds))}}}
            assert admin.patch(path, noted, MERGE_PATCH).status == 200
        return forward(request)

    scene.gate.fault = overtake
    with scene.installation.start("run") as running:
        eventually(lambda: running.events("change.failed"), "the end of its patience")
        eventually(lambda: scene.served(good), "the other namespace")
        assert scene.pulls(good)
        eventually(lambda: scene.metric(running, "rotator_secret_writes_total", result="Conflict"), "it is counted")
        scene.gate.fault = None
        eventually(lambda: ECR in scene.installation.auths(bad), "its entry")
        assert scene.pulls(bad)
        assert running.end() == 0
    assert scene.installation.secret(bad)["metadata"]["annotations"]["rival"] == str(len(rounds))


def test_it_is_too_busy(scene: Scene) -> None:
    """429 with Retry-After to everything: named, asked seldom, and all is well when it is over."""
    busy = Response(429, b"{}", {"Content-Type": "application/json", "Retry-After": "1"})
    with on_duty(scene, "team-a") as (running, (team,)):
        scene.gate.fault = lambda _request, _forward: busy
        scene.gate.cut()
        eventually(lambda: failed_with(running, "watch.failed", "Throttled"), "its name")
        asked = scene.gate.count
        (late,) = scene.installation.add_namespaces("team-late")
        assert scene.pulls(team)
        scene.gate.fault = None
        eventually(lambda: scene.served(late), "what came meanwhile is served")
        assert scene.pulls(late)
        assert scene.gate.count - asked < 200, "a hot loop"


def test_a_namespace_is_being_deleted(scene: Scene) -> None:
    """Its Secret goes with it and is not fought for, however long that takes; nothing about it is a failure."""
    admin = scene.installation.controlplane.admin
    with on_duty(scene, "team-a", "team-b") as (running, (other, dying)):
        place = f"/api/v1/namespaces/{dying}"
        held = secret("held", metadata={"name": "held", "finalizers": ["example.com/held"]})
        assert admin.post(f"{place}/secrets", held).status == 201
        assert admin.delete(place).status == 200
        eventually(lambda: scene.installation.find("secrets", dying, SECRET) is None, "our Secret is gone")
        assert scene.pod(dying) is None
        assert admin.delete(f"/api/v1/namespaces/{other}/secrets/{SECRET}").status == 200
        eventually(lambda: scene.served(other), "a repair in another namespace")
        assert admin.patch(f"{place}/secrets/held", {"metadata": {"finalizers": None}}, MERGE_PATCH).status == 200
        assert running.events("change.failed") + running.events("pass.failed") == []


def test_a_secret_is_replaced_by_one_of_another_type(scene: Scene) -> None:
    """It stays as it is and is named; whoever deletes it has ours back at once, without a mint."""
    admin = scene.installation.controlplane.admin
    with on_duty(scene, "team-a", "team-b") as (running, (team, other)):
        place = f"/api/v1/namespaces/{team}/secrets"
        assert admin.delete(f"{place}/{SECRET}").status == 200
        theirs = {"metadata": {"name": SECRET}, "type": "Opaque", "data": {"key": "eA=="}}

        def replaced() -> bool:
            return admin.post(place, theirs).status == 201 or admin.delete(f"{place}/{SECRET}").status > 404

        eventually(replaced, "theirs in place of ours")
        eventually(lambda: "PullSecretForeign" in scene.events(team), "the Event")
        assert scene.installation.secret(team)["data"] == theirs["data"]
        pod = scene.pod(team)
        assert pod is not None
        assert not scene.comes_up(pod)
        assert scene.pulls(other)
        assert admin.delete(f"{place}/{SECRET}").status == 200
        eventually(lambda: scene.comes_up(pod), "the same Pod gets its image")
        assert failed_with(running, "object.judged", "Foreign")
    assert scene.installation.mints()["prod"] == 1
