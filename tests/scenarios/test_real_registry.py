"""A real cluster, real registries and a real client: skopeo pulls with the bytes that kubectl reads."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from rotator.renewal import SHORTEST_PAUSE
from tests.controlplane.server import ControlPlane
from tests.installation import Installation, installed_on
from tests.outside import ACR, CONFIG, ECR, ECR_ONLY, GAR, SECRET
from tests.program import events_in
from tests.registries import skopeo
from tests.registries.real import Credential, RealRegistry, real_registries
from tests.registries.skopeo import auth_file
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("real_programs")

HOSTS = (ECR, GAR, ACR)
TEAM = "team-a"
REPOSITORY = "team/app"
LIFE = timedelta(seconds=12)
SHORT_LIFE = timedelta(seconds=8)
LONG_LIFE = timedelta(hours=1)
SECOND = timedelta(seconds=1)  # what times are rounded to
AT_ONCE = "renewal: {at: 0.5, jitter: 0%, sweep: 2s}\n"
WITH_REPOSITORY = CONFIG.replace("deadline: 2s", f"deadline: 2s, probe: {{repository: {REPOSITORY}}}")


@dataclass
class Stage:
    """rotator on a cluster, a namespace to serve, and a real registry with one image under each cloud's host."""

    installation: Installation
    registries: list[RealRegistry]
    namespace: str
    images: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.images = [registry.push(REPOSITORY) for registry in self.registries]

    def configure(self, text: str) -> None:
        """Use this configuration, for this test's own namespaces."""
        patient = text.replace("deadline: 2s", "deadline: 10s")
        self.installation.configure(patient.replace("team-", self.installation.full("team-")))

    def auth_file(self) -> bytes:
        """What a person reads from the Secret, and a kubelet gets."""
        path = r"jsonpath={.data.\.dockerconfigjson}"
        read = self.installation.controlplane.kubectl("get", "secret", SECRET, "-n", self.namespace, "-o", path)
        assert read.returncode == 0, read.stderr
        return base64.b64decode(read.stdout, validate=True)

    def pull(self, image: str, authfile: bytes | None) -> skopeo.Pull:
        """Pull with skopeo."""
        return skopeo.pull(image, authfile, self.installation.net)

    def published(self, *hosts: str) -> bool:
        """Whether the Secret is there, with these hosts."""
        found = self.installation.find("secrets", self.namespace, SECRET)
        return found is not None and set(self.installation.auths(self.namespace)) == set(hosts)


@contextmanager
def stage_on(controlplane: ControlPlane, directory: Path, life: timedelta | None = None) -> Iterator[Stage]:
    """The stage; the clouds' tokens live that long."""
    with (
        installed_on(controlplane, directory, life) as installation,
        real_registries(installation.net, *HOSTS) as registries,
    ):
        installation.grant_everything()
        (namespace,) = installation.add_namespaces(TEAM)
        made = Stage(installation, registries, namespace)
        made.configure(CONFIG)
        yield made


@pytest.fixture
def stage(controlplane: ControlPlane, tmp_path: Path) -> Iterator[Stage]:
    """The stage, with tokens that outlive the test."""
    with stage_on(controlplane, tmp_path) as made:
        yield made


@pytest.fixture
def hasty(controlplane: ControlPlane, tmp_path: Path) -> Iterator[Stage]:
    """The stage, with tokens that end soon."""
    with stage_on(controlplane, tmp_path, SHORT_LIFE) as made:
        yield made


def entries(authfile: bytes) -> dict[str, Credential]:
    """User name and password by host."""
    auths = json.loads(authfile)["auths"]
    decoded = {host: base64.b64decode(entry["auth"]).decode().partition(":") for host, entry in auths.items()}
    return {host: Credential(user, password) for host, (user, _, password) in decoded.items()}


def at(moment: str) -> datetime:
    """A time of the log."""
    return datetime.fromisoformat(moment)


def test_the_bytes_that_kubectl_reads_open_every_registry(stage: Stage) -> None:
    """Exactly those bytes pull; without them, or with another password, each registry says "unauthorized"."""
    done = stage.installation.run("once")
    assert done.returncode == 0, done.stderr
    authfile = stage.auth_file()
    wrong = auth_file({host: (entry.user, "wrong") for host, entry in entries(authfile).items()})
    for image in stage.images:
        assert skopeo.inspect(image, authfile, stage.installation.net) == skopeo.Pull(ok=True, message="")
        assert stage.pull(image, authfile) == skopeo.Pull(ok=True, message="")
        assert stage.pull(image, None).refused
        assert stage.pull(image, wrong).refused


def test_invariant_2_every_pull_succeeds_through_two_rotations(controlplane: ControlPlane, tmp_path: Path) -> None:
    """What the Secret says at any moment pulls; the first bytes are refused in the end; nothing was restarted."""
    with stage_on(controlplane, tmp_path, LIFE) as stage:
        stage.configure(CONFIG + AT_ONCE)
        pids = [registry.process.pid for registry in stage.registries]
        seen: list[bytes] = []

        def pull_with_what_is_there() -> None:
            authfile = stage.auth_file()
            if authfile not in seen:
                seen.append(authfile)
            for image in stage.images:
                got = stage.pull(image, authfile)
                assert got.ok, got.message

        def rotated_twice() -> bool:
            pull_with_what_is_there()
            return all(len({entries(authfile)[host] for authfile in seen}) > 2 for host in HOSTS)

        def first_is_refused() -> bool:
            pull_with_what_is_there()
            return all(stage.pull(image, seen[0]).refused for image in stage.images)

        with stage.installation.start("run") as running:
            eventually(lambda: stage.published(*HOSTS), "the first Secret")
            before = stage.installation.secret(stage.namespace)["metadata"]
            eventually(rotated_twice, "two rotations of each registry")
            eventually(first_is_refused, "the first bytes are refused")
            after = stage.installation.secret(stage.namespace)["metadata"]
            assert running.end() == 0
        assert running.events("mint.failed") == []
        assert after["uid"] == before["uid"]
        assert after["resourceVersion"] != before["resourceVersion"]
        assert [registry.process.pid for registry in stage.registries] == pids


@pytest.mark.parametrize(("repository", "status"), [(REPOSITORY, 200), ("team/absent", 404)])
def test_a_repository_proves_the_credential_whether_it_exists_or_not(
    stage: Stage, repository: str, status: int
) -> None:
    """The manifest that is there, and the 404 that only somebody who may pull is told: both are published."""
    stage.configure(WITH_REPOSITORY.replace(REPOSITORY, repository))
    done = stage.installation.run("once")
    assert done.returncode == 0, done.stderr
    probed = [event for event in events_in(done.stderr) if event["event"] == "credential.probed"]
    assert {(event["host"], event["verdict"]) for event in probed} == {(host, "Accepted") for host in HOSTS}
    assert all(f"({status})" in event["message"] for event in probed)
    authfile = stage.auth_file()
    assert all(stage.pull(image, authfile).ok for image in stage.images)


def test_invariant_1_what_the_real_registry_refuses_is_not_written(hasty: Stage) -> None:
    """The clouds issue tokens, but their identity may not pull any more: no byte changes, each host is named."""
    hasty.configure(WITH_REPOSITORY + AT_ONCE)
    assert hasty.installation.run("once").returncode == 0
    before = hasty.installation.secret(hasty.namespace)
    for registry in hasty.registries:
        registry.may_pull = False
    failed: dict[str, str] = {}

    def all_refused() -> bool:
        events = events_in(hasty.installation.run("once").stderr)
        failed.update({event["registry"]: event["message"] for event in events if event["event"] == "mint.failed"})
        return len(failed) == len(HOSTS)

    eventually(all_refused, "a renewal of every registry, refused")
    assert hasty.installation.secret(hasty.namespace) == before
    for name, host in zip(("prod", "images", "contoso"), HOSTS, strict=True):
        assert f"{host} refuses the credential (401)" in failed[name]


def test_a_registry_that_is_down_gets_the_new_credential_when_the_old_one_ends(hasty: Stage) -> None:
    """502 proves nothing: the living entry is kept to its end, then replaced by what opens the registry again."""
    hasty.configure(ECR_ONLY + AT_ONCE)
    down = hasty.registries[0]
    with hasty.installation.start("run") as running:
        eventually(lambda: hasty.published(ECR), "the first Secret")
        old = hasty.auth_file()
        down.process.stop()
        hasty.installation.net.aws.life = LONG_LIFE
        eventually(lambda: hasty.auth_file() != old, "the unproven credential")
        down.process.start()
        got = hasty.pull(hasty.images[0], hasty.auth_file())
        assert running.end() == 0
    assert got.ok, got.message
    failed = running.events("mint.failed")[0]
    assert failed["reason"] == "ProbeUnanswered"
    assert f"{ECR} answers 502" in failed["message"]
    first, second = running.events("secret.written")[:2]
    assert at(second["time"]) > at(first["expires_at"]) - SHORTEST_PAUSE - SECOND
