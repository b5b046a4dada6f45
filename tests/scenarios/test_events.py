"""Events from end to end: what people see with kubectl on a real cluster, and what a large one is spared."""

import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rotator.clock import utc_now
from rotator.eventing import Eventing
from rotator.sandbox.faults import Fault
from rotator.sending import BURST, ROOM_FOR_NEWS, Sender
from tests.apiclient import EMPTY_AUTHS, MERGE_PATCH, secret
from tests.controlplane.server import ControlPlane
from tests.installation import ACCOUNT, Installation, installed_on
from tests.outside import ECR, ECR_ONLY, SECRET
from tests.scenarios.roles import HEAD, apply_printed, refused
from tests.scenarios.world import World
from tests.waiting import PATIENCE


@dataclass(frozen=True)
class Onlooker:
    """A person with kubectl."""

    installation: Installation

    def sees(self, *words: str) -> str:
        """What it prints."""
        done = self.installation.controlplane.kubectl(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def events(self, namespace: str) -> set[tuple[str, str, str, int]]:
        """Type, reason, object and count of each Event there, but for those of others."""
        items = self.installation.controlplane.admin.get(f"/api/v1/namespaces/{namespace}/events").body["items"]
        return {
            (each["type"], each["reason"], each["involvedObject"]["name"], each["count"])
            for each in items
            if each["source"].get("component") == "rotator"
        }


def install(installation: Installation) -> list[str]:
    """Two namespaces by name, in the second of which somebody else has made a Secret of our name; their full names."""
    made = installation.add_namespaces("team-a", "team-b")
    foreign = installation.controlplane.admin.post(f"/api/v1/namespaces/{made[1]}/secrets", secret())
    assert foreign.status == 201
    installation.configure(
        f"{HEAD}  - name: {SECRET}\n    registries: [prod]\n"
        f"    namespaces: {{names: [{', '.join(made)}]}}\n    serviceAccounts: {{names: [workers]}}\n"
    )
    apply_printed(installation)
    return made


def test_kubectl_shows_what_happened_beside_the_objects(controlplane: ControlPlane, tmp_path: Path) -> None:
    """A roll-out, a foreign Secret, an entry that somebody emptied; a renewal gives none, and no request is refused."""
    with installed_on(controlplane, tmp_path) as installation:
        ours, foreign = install(installation)
        onlooker = Onlooker(installation)
        assert installation.run("once").returncode == 1  # the foreign Secret
        assert onlooker.events(ours) == {("Normal", "PullSecretAttached", "workers", 1)}
        assert onlooker.events(foreign) == {
            ("Warning", "PullSecretForeign", SECRET, 1),
            ("Warning", "PullSecretNotReferenced", "workers", 1),
        }
        described = onlooker.sees("describe", "serviceaccount", "workers", "-n", ours)
        (line,) = [line.split() for line in described.splitlines() if "PullSecretAttached" in line]
        assert line[0] == "Normal"
        assert line[-5:] == ["rotator", "added", SECRET, "to", "imagePullSecrets"]
        listed = onlooker.sees("events", "-n", foreign, "--for", f"secret/{SECRET}", "--types=Warning")
        assert "somebody else made or replaced it" in listed

        edit = {"data": {".dockerconfigjson": EMPTY_AUTHS}}
        path = f"/api/v1/namespaces/{ours}/secrets/{SECRET}"
        assert controlplane.admin.patch(path, edit, MERGE_PATCH).status == 200
        installation.run("once")
        assert set(installation.auths(ours)) == {ECR}
        selector = f"--field-selector=involvedObject.kind=Secret,involvedObject.name={SECRET}"
        assert "PullSecretHealed" in onlooker.sees("get", "events", "-n", ours, selector)
        uid = installation.secret(ours)["metadata"]["uid"]
        assert "restored" in onlooker.sees("get", "events", "-n", ours, f"--field-selector=involvedObject.uid={uid}")
        before = onlooker.events(ours)
        installation.run("once")
        assert onlooker.events(ours) == before
        assert refused(installation) == []


def test_a_registrys_trouble_is_one_event_beside_rotator_itself(controlplane: ControlPlane, tmp_path: Path) -> None:
    """Nothing in the namespaces that wait for it; nobody had to say who rotator is."""
    with installed_on(controlplane, tmp_path) as installation:
        ours, _ = install(installation)
        home, onlooker = installation.full(ACCOUNT), Onlooker(installation)
        installation.net.aws.fault = Fault.DOWN
        assert installation.run("once").returncode == 1
        assert onlooker.events(home) == {("Warning", "RegistryCredentialMissing", ACCOUNT, 1)}
        assert {reason for _, reason, _, _ in onlooker.events(ours)} == {"PullSecretAttached"}
        described = onlooker.sees("describe", "serviceaccount", ACCOUNT, "-n", home)
        assert "registry prod: no Pod can pull with it: " in described
        assert refused(installation) == []


def test_a_large_cluster_is_spared(world: World) -> None:
    """Of a roll-out over 400 namespaces the first are told; a renewal of them all is no Event, a lost Secret is one."""
    teams = [f"team-{number}" for number in range(400)]
    world.add_namespaces(*teams)
    world.configure(ECR_ONLY)
    rotation = world.rotation()

    def told() -> Counter[str]:
        return Counter(event["reason"] for event in world.api.store.list("events"))

    def passed(eventing: Eventing) -> None:
        report = rotation.run()
        assert report.exit_code == 0
        eventing.passed(report)

    sender = Sender(rotation.cluster.record, utc_now, time.monotonic)
    eventing = Eventing(sender.offer)
    sender.start()
    passed(eventing)
    sender.stop(timedelta(seconds=PATIENCE))
    first = told()
    assert 0 < first["PullSecretAttached"] == sender.sent <= BURST + ROOM_FOR_NEWS
    assert sender.sent + sender.dropped == len(teams)

    sender = Sender(rotation.cluster.record, utc_now, time.monotonic)
    eventing = Eventing(sender.offer)
    sender.start()
    world.clock.advance(hours=7)
    passed(eventing)
    world.api.store.delete("secrets", "team-7", SECRET)
    passed(eventing)
    sender.stop(timedelta(seconds=PATIENCE))
    assert world.mints()["prod"] == 2
    assert told() - first == {"PullSecretHealed": 1}
