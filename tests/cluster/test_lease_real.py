"""The Lease on a real API server: the same request by request, with no more rights than the one rule."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from rotator.cluster.lease import Lease, since_boot
from rotator.leadership import Timing
from tests.cluster.candidates import PATIENT, QUICK, Candidates
from tests.controlplane import binaries
from tests.controlplane.server import ControlPlane
from tests.waiting import eventually

NAME = "rotator"
VERBS = ("get", "create", "update")
RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True)
class Place:
    """A fresh namespace of the real cluster, with a ServiceAccount of ours that may do nothing yet."""

    controlplane: ControlPlane
    namespace: str
    directory: Path

    @property
    def path(self) -> str:
        """Of the Leases here."""
        return f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases"

    def lease(self) -> dict[str, Any]:
        """The Lease."""
        return dict(self.controlplane.admin.get(f"{self.path}/{NAME}").body)

    def spec(self) -> dict[str, Any]:
        """What it says."""
        return dict(self.lease().get("spec", {}))

    def token(self, account: str = NAME) -> str:
        """The token of a ServiceAccount."""
        return self.controlplane.service_account_token(self.namespace, account)

    def grant(self, account: str = NAME, verbs: Sequence[str] = VERBS) -> None:
        """Let a ServiceAccount do this to the Lease of our name; the authorizer learns of it by a watch."""
        head = {"metadata": {"name": account, "namespace": self.namespace}}
        rule = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [NAME], "verbs": verbs}
        reference = {"apiGroup": RBAC, "kind": "Role", "name": account}
        subject = {"kind": "ServiceAccount", "name": account, "namespace": self.namespace}
        self._create(f"/apis/{RBAC}/v1", "roles", head | {"rules": [rule]})
        self._create(f"/apis/{RBAC}/v1", "rolebindings", head | {"roleRef": reference, "subjects": [subject]})
        eventually(lambda: self._may(account, verbs[0]), "the rule holds")

    def add_account(self, account: str) -> None:
        """Add a ServiceAccount."""
        self._create("/api/v1", "serviceaccounts", {"metadata": {"name": account}})

    def candidates(self, timing: Timing, account: str = NAME) -> Candidates:
        """Candidates for the Lease here."""
        kubeconfig = self.controlplane.kubeconfig(self.directory / account, self.token(account))
        return Candidates(kubeconfig, self.namespace, NAME, timing)

    def refusal(self, account: str) -> str:
        """The last words with which a ServiceAccount was refused."""
        events = self.controlplane.audit(f"system:serviceaccount:{self.namespace}:{account}")
        refused = [event["responseStatus"] for event in events if event["responseStatus"]["code"] == 403]
        return str(refused[-1].get("message", "")) if refused else ""

    def requests(self) -> list[tuple[str, int]]:
        """What our ServiceAccount asked, and how it was answered."""
        events = self.controlplane.audit(f"system:serviceaccount:{self.namespace}:{NAME}")
        return [(event["verb"], event["responseStatus"]["code"]) for event in events]

    def _may(self, account: str, verb: str) -> bool:
        asked = {"verb": verb, "group": "coordination.k8s.io", "resource": "leases", "name": NAME}
        spec = {
            "user": f"system:serviceaccount:{self.namespace}:{account}",
            "resourceAttributes": asked | {"namespace": self.namespace},
        }
        answer = self.controlplane.admin.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": spec})
        return bool(answer.body["status"]["allowed"])

    def _create(self, api: str, resource: str, content: dict[str, Any]) -> None:
        answer = self.controlplane.admin.post(f"{api}/namespaces/{self.namespace}/{resource}", content)
        assert answer.status == 201, answer


@pytest.fixture(scope="session")
def kubectl(controlplane: ControlPlane) -> Path:  # noqa: ARG001  (which is skipped where there is none)
    """The program, found before a test has its own HOME."""
    found = binaries.find("kubectl")
    assert found
    return found


@pytest.fixture
def place(
    controlplane: ControlPlane, kubectl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    """A namespace of this test's own."""
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(kubectl.parent))
    namespace = f"lease-{secrets.token_hex(4)}"
    assert controlplane.admin.post("/api/v1/namespaces", {"metadata": {"name": namespace}}).status == 201
    here = Place(controlplane, namespace, tmp_path)
    here.add_account(NAME)
    yield here
    controlplane.admin.delete(f"/api/v1/namespaces/{namespace}")


def held(lease: Lease) -> Lease:
    """The candidate, once it leads."""
    eventually(lease.holds, "it leads")
    return lease


def test_what_is_noted_needs_no_more_rights_and_no_request_of_its_own(place: Place) -> None:
    """It stands in the annotations with the first claim; the API server saw no other verbs than ever."""
    place.grant()
    with place.candidates(PATIENT) as candidates:
        leader = candidates.make("one", notes=lambda: {"rotator.dev/last-sweep": "2026-11-23T12:00:00Z"})
        leader.start()
        held(leader)
        assert place.lease()["metadata"]["annotations"] == {"rotator.dev/last-sweep": "2026-11-23T12:00:00Z"}
        leader.stop()
    assert {verb for verb, _ in place.requests()} <= set(VERBS)


def test_it_leads_renews_gives_back_and_is_followed(place: Place) -> None:
    """By name-bound rights alone; nothing of it is refused."""
    place.grant()
    with place.candidates(PATIENT) as candidates:
        leader = held(candidates.stand("one"))
        taken = place.spec()
        eventually(lambda: place.spec()["renewTime"] > taken["renewTime"], "a renewal")
        assert {**place.spec(), "renewTime": taken["renewTime"]} == taken
        standby = candidates.stand("two")
        eventually(lambda: standby.holder == "one", "the standby looks")
        leader.stop()
        stopped = since_boot()
        held(standby)
        assert since_boot() - stopped < 3
        assert (place.spec()["holderIdentity"], place.spec()["leaseTransitions"]) == ("two", 1)
        assert not leader.failures
        assert not standby.failures
    assert (place.spec()["holderIdentity"], place.spec()["leaseDurationSeconds"]) == ("", 1)
    assert {status for _, status in place.requests()} == {200, 201, 404}


def test_one_of_many_that_begin_together_leads(place: Place) -> None:
    """All create it at once; one does, the others see whose it is, and nobody is refused but by the Lease."""
    place.grant()
    with place.candidates(PATIENT) as candidates:
        leases = {name: candidates.make(name) for name in "abcdef"}
        for lease in leases.values():
            lease.start()
        eventually(lambda: all(lease.holder for lease in leases.values()), "all have looked")
        assert {lease.holder for lease in leases.values()} == {place.spec()["holderIdentity"]}
        held(leases[place.spec()["holderIdentity"]])
        assert sum(lease.holds() for lease in leases.values()) == 1
        assert place.spec()["leaseTransitions"] == 0


def test_a_leader_that_vanished_is_replaced_in_time(place: Place, tmp_path: Path) -> None:
    """A process that is killed: after the lease, and no later than a look after that."""
    place.grant()
    with place.candidates(QUICK) as candidates, candidates.program("one", tmp_path) as leader:
        eventually(leader.holds, "it leads")
        standby = candidates.stand("two")
        eventually(lambda: standby.holder == "one", "the standby looks")
        leader.process.kill()
        leader.process.wait()
        renewed = datetime.fromisoformat(place.spec()["renewTime"])
        held(standby)
        taken = datetime.fromisoformat(place.spec()["acquireTime"])
        assert QUICK.seconds <= (taken - renewed).total_seconds() < QUICK.seconds + 2


def test_without_the_rule_it_is_named_and_with_it_nothing_else_is_allowed(place: Place) -> None:
    """RBAC limits `create` to the name because a PUT carries it; a POST, and any other Lease, are refused."""
    with place.candidates(PATIENT) as candidates, capture_logs() as logs:
        lease = candidates.stand("one")
        eventually(lambda: lease.failures["Forbidden"], "it is refused")
        place.grant()
        held(lease)
    complaint = next(entry for entry in logs if entry["event"] == "lease.failed")
    assert complaint["hint"] == (
        f"grant verbs [get, create, update] on leases.coordination.k8s.io named {NAME} in namespace {place.namespace}"
    )
    with closing(place.controlplane.client(place.token())) as client:
        assert client.post(place.path, {"metadata": {"name": NAME}}).status == 403
        assert client.put(f"{place.path}/other", {"metadata": {"name": "other"}}).status == 403


@pytest.mark.parametrize("missing", VERBS)
def test_the_rule_has_no_verb_too_many(place: Place, missing: str) -> None:
    """Without any one of the three nobody leads, and what is refused is just that one."""
    account = f"without-{missing}"
    place.add_account(account)
    place.grant(account, [verb for verb in VERBS if verb != missing])
    with place.candidates(PATIENT, account) as candidates:
        lease = candidates.stand("one")
        eventually(lambda: f'cannot {missing} resource "leases"' in place.refusal(account), "that verb is refused")
        assert not lease.holds()


def test_a_lease_that_was_deleted_is_not_written_by_its_old_version(place: Place) -> None:
    """A PUT with a resourceVersion alone would create it; with the uid it is a conflict, and the holder looks again."""
    place.grant()
    with place.candidates(PATIENT) as candidates:
        leader = held(candidates.stand("one"))
        standby = candidates.stand("two")
        eventually(lambda: standby.holder == "one", "the standby looks")
        uid = place.lease()["metadata"]["uid"]
        place.controlplane.admin.delete(f"{place.path}/{NAME}")
        eventually(lambda: place.lease().get("metadata", {}).get("uid", uid) != uid, "there is one again")
        assert place.spec()["holderIdentity"] == "one"
        assert leader.holds()
        assert not standby.holds()
    assert ("update", 409) in place.requests()


def test_what_others_put_on_the_lease_survives(place: Place) -> None:
    """Labels and annotations by kubectl, while it is held."""
    place.grant()
    with place.candidates(PATIENT) as candidates:
        lease = held(candidates.stand("one"))
        for words in (("label", "team=a"), ("annotate", "note=b")):
            done = place.controlplane.kubectl(words[0], "lease", NAME, words[1], "-n", place.namespace)
            assert done.returncode == 0, done.stderr
        renewed = place.spec()["renewTime"]
        eventually(lambda: place.spec()["renewTime"] > renewed, "a renewal")
        lease.stop()
        meta = place.lease()["metadata"]
        assert (meta["labels"], meta["annotations"]) == ({"team": "a"}, {"note": "b"})
        assert candidates.told == [("one", True)]


def test_kubectl_shows_the_holder(place: Place) -> None:
    """Name and holder, as for every other controller; nobody once it was given back."""
    place.grant()
    shown = ("get", "lease", "-n", place.namespace, "--no-headers")
    with place.candidates(PATIENT) as candidates:
        lease = held(candidates.stand("rotator-7d9f_1a2b"))
        assert place.controlplane.kubectl(*shown).stdout.split()[:2] == [NAME, "rotator-7d9f_1a2b"]
        lease.stop()
        assert len(place.controlplane.kubectl(*shown).stdout.split()) == 2
