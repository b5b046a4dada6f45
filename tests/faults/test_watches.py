"""A watch that hangs silently on a real API server: it is given up, and what was missed is heard."""

import secrets
from datetime import timedelta
from pathlib import Path

from structlog.testing import capture_logs

from rotator.scopes import Scope
from tests.apiclient import MERGE_PATCH
from tests.cluster.watching import SECOND, following
from tests.controlplane.server import ControlPlane
from tests.faults.scene import Scene, on_duty
from tests.gate import Gate
from tests.outside import ECR_ONLY, SECRET
from tests.waiting import eventually


def test_a_silent_watch_is_given_up_and_what_it_missed_is_heard(controlplane: ControlPlane, tmp_path: Path) -> None:
    """The connection stays open and brings nothing, as behind a firewall that forgot it: the next watch brings it."""
    admin, path = controlplane.admin, tmp_path / "kubeconfig"
    controlplane.kubeconfig(path)
    name = f"silent-{secrets.token_hex(4)}"
    with (
        capture_logs() as events,
        Gate(controlplane.url, controlplane.ca_file) as gate,
        gate.leading(path),
        following(path, Scope("namespaces", name=name), length=SECOND * 2, grace=timedelta(seconds=0.5)) as watch,
    ):
        watch.await_sync()
        gate.silence()
        assert admin.post("/api/v1/namespaces", {"metadata": {"name": name}}).status == 201
        watch.await_name(name)
    assert "watch.failed" in {event["event"] for event in events}


def test_a_sweep_mends_what_no_watch_told(scene: Scene) -> None:
    """All watches hang at once, which nobody can know yet: a lost reference is back with the next sweep."""
    scene.configure(ECR_ONLY + "renewal: {sweep: 3s}\n")
    with on_duty(scene, "team-a") as (running, (team,)):
        eventually(lambda: scene.is_ready(running), "the watches hear")
        scene.gate.silence()
        place = f"/api/v1/namespaces/{team}/serviceaccounts/workers"
        assert scene.installation.controlplane.admin.patch(place, {"imagePullSecrets": None}, MERGE_PATCH).status == 200
        eventually(lambda: scene.installation.references(team) == [SECRET], "the reference")
        assert {each["namespace"] for each in running.events("pass.finished")} == {None}
        assert scene.pulls(team)
