"""Objects that are not as they should be, and other writers on them: nothing of theirs is lost."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from rotator.clock import utc_now
from rotator.cluster.client import Cluster
from rotator.model import State
from rotator.plan import plan
from rotator.rotation import Outcome
from rotator.rotation.apply import TRIES, Applying
from rotator.rotation.overlap import Overlap
from rotator.sandbox.apiserver import Call
from rotator.sandbox.faults import Fault
from tests.outside import ACR, CONFIG, ECR, ECR_ONLY, GAR, SECRET
from tests.scenarios.rivals import TEAMS, add_entry, add_reference, result
from tests.scenarios.world import World

STRANGE: dict[str, tuple[dict[str, Any], State, str]] = {
    "foreign": ({}, State.FOREIGN, "adopt: true"),
    "wrong type": ({"type": "Opaque"}, State.WRONG_TYPE, "delete this Secret"),
    "immutable": ({"immutable": True}, State.IMMUTABLE, "delete it"),
    "malformed": ({"data": {".dockerconfigjson": '{"auths":[]}'}}, State.MALFORMED, "repair it"),
    "a broken neighbour": (
        {"data": {".dockerconfigjson": '{"auths":{"ghcr.io":{"auth":"%%%"}}}'}},
        State.MALFORMED,
        "ghcr.io",
    ),
}


@pytest.mark.parametrize("case", STRANGE)
def test_a_secret_that_is_not_ours_to_mend_is_reported_and_everything_else_done(world: World, case: str) -> None:
    """One line with the remedy, exit code 1, the object untouched, the other namespaces served."""
    fields, state, remedy = STRANGE[case]
    world.add_namespaces(*TEAMS)
    adopt = state is not State.FOREIGN
    world.configure(CONFIG + ("    adopt: true\n" if adopt else ""))
    put = {"data": {".dockerconfigjson": '{"auths":{"ghcr.io":{"auth":"YTpi"}}}'}, **fields}
    world.api.store.put_secret("team-b", SECRET, **put)
    before = world.secret("team-b")
    report = world.once()
    found = result(report, "team-b")
    assert (found.change.state, found.failed) == (state, True)
    assert remedy in found.change.message
    assert "\n" not in found.change.message
    assert world.secret("team-b") == before
    assert world.references("team-b") == []
    assert report.exit_code == 1
    for team in ("team-a", "team-c"):
        assert set(world.auths(team)) == {ECR, GAR, ACR}


def test_an_entry_edited_by_hand_is_written_anew_and_the_editor_named(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another field manager owns the data now; it is named in the log, and foreign entries that it added stay."""
    world.add_namespaces("team-a")
    rotation = world.rotation()
    rotation.run()
    good = world.password("team-a", ECR)

    def edit(secret: dict[str, object]) -> None:
        data = secret["data"]
        assert isinstance(data, dict)
        content = json.loads(base64.b64decode(data[".dockerconfigjson"]))
        content["auths"][ECR]["auth"] = base64.b64encode(b"AWS:wrong").decode()
        content["auths"]["ghcr.io"] = {"auth": "YTpi"}
        data[".dockerconfigjson"] = base64.b64encode(json.dumps(content).encode()).decode()

    world.api.store.change("secrets", "team-a", SECRET, edit, manager="kubectl-edit")
    capsys.readouterr()
    assert rotation.run().exit_code == 0
    assert world.password("team-a", ECR) == good
    assert world.auths("team-a")["ghcr.io"] == {"auth": "YTpi"}
    assert "kubectl-edit" in capsys.readouterr().out


def test_two_writers_at_once_lose_nothing(world: World) -> None:
    """Somebody writes the Secret between our read and our write, again and again: both writers' entries are there."""
    world.add_namespaces("team-a")
    rotation = world.rotation()
    rotation.run()
    world.clock.advance(hours=13)
    rivals = iter(range(3))

    def write(call: Call) -> None:
        if call.verb == "patch" and call.place.resource.name == "secrets" and (rival := next(rivals, None)) is not None:
            world.api.store.change("secrets", "team-a", SECRET, lambda secret: add_entry(secret, rival))

    world.api.before_request(write)
    assert rotation.run().exit_code == 0
    assert set(world.auths("team-a")) == {ECR, GAR, ACR, "rival-0.example", "rival-1.example", "rival-2.example"}


def test_two_writers_of_references_lose_nothing(world: World) -> None:
    """Another controller adds its reference between our read and our patch: both stand in the end."""
    world.add_namespaces("team-a")
    rivals = iter(range(3))

    def write(call: Call) -> None:
        patching = call.verb == "patch" and call.place.resource.name == "serviceaccounts"
        if patching and (rival := next(rivals, None)) is not None:
            world.api.store.change(
                "serviceaccounts", "team-a", "workers", lambda account: add_reference(account, rival)
            )

    world.api.before_request(write)
    assert world.once().exit_code == 0
    assert world.references("team-a") == ["rival-0", "rival-1", "rival-2", SECRET]


def test_a_reference_that_somebody_adds_meanwhile_is_not_added_again(world: World) -> None:
    """Between our read and our patch a person adds just our reference: it stands in the list once."""
    world.add_namespaces("team-a")
    done = iter([True])

    def write(call: Call) -> None:
        if call.verb == "patch" and call.place.resource.name == "serviceaccounts" and next(done, False):
            listed = {"imagePullSecrets": [{"name": "theirs"}, {"name": SECRET}]}
            world.api.store.change("serviceaccounts", "team-a", "workers", lambda account: account.update(listed))

    world.api.before_request(write)
    assert world.once().exit_code == 0
    assert world.references("team-a") == ["theirs", SECRET]


def test_invariant_2_a_secret_that_was_replaced_meanwhile_is_judged_anew(world: World) -> None:
    """Between our read and our write somebody deletes the Secret and makes another: that one is foreign, and stays."""
    world.add_namespaces("team-a")
    rotation = world.rotation()
    rotation.run()
    world.clock.advance(hours=13)
    done = iter([True])

    def swap(call: Call) -> None:
        if call.verb == "patch" and call.place.resource.name == "secrets" and next(done, False):
            world.api.store.delete("secrets", "team-a", SECRET)
            world.api.store.put_secret("team-a", SECRET, {".dockerconfigjson": '{"auths":{"ghcr.io":{"auth":"YTpi"}}}'})

    world.api.before_request(swap)
    report = rotation.run()
    assert result(report, "team-a").change.state is State.FOREIGN
    assert set(world.auths("team-a")) == {"ghcr.io"}


def test_a_namespace_that_vanishes_under_our_hands_is_no_failure(world: World) -> None:
    """It begins to be deleted after it was read: the create is refused, and that is all right."""
    world.add_namespaces("team-a", "team-b")
    world.api.store.hold_terminating = True
    done = iter([True])

    def delete(call: Call) -> None:
        if call.verb == "patch" and call.place.namespace == "team-b" and next(done, False):
            world.api.store.delete_namespace("team-b")

    world.api.before_request(delete)
    report = world.once()
    assert report.exit_code == 0
    assert result(report, "team-b").outcome is Outcome.GONE
    assert set(world.auths("team-a")) == {ECR, GAR, ACR}


def test_mode_verify_reports_and_touches_no_service_account(world: World) -> None:
    """For ServiceAccounts that belong to GitOps: exit code 1 until somebody adds the reference; Secrets are written."""
    world.add_namespaces("team-a")
    world.configure(CONFIG.replace("names: [workers]", "names: [workers], mode: verify"))
    report = world.once()
    assert report.exit_code == 1
    assert result(report, "team-a", "ServiceAccount").change.state is State.REFERENCE_MISSING
    assert world.references("team-a") == []
    assert set(world.auths("team-a")) == {ECR, GAR, ACR}


@pytest.mark.parametrize("what", ["a second key", "a note from the future"])
def test_drift_beside_an_intact_entry_is_mended_with_the_credential_at_hand(world: World, what: str) -> None:
    """The bytes of our entry are right, but a stale twin shadows it or its note was changed: written anew, no mint."""
    world.add_namespaces("team-a")
    rotation = world.rotation()
    rotation.run()

    def plant(secret: dict[str, Any]) -> None:
        if what == "a second key":
            content = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
            content["auths"] = {f"https://{ECR}/v1/": {"auth": "YTpi"}, **content["auths"]}
            secret["data"][".dockerconfigjson"] = base64.b64encode(json.dumps(content).encode()).decode()
        else:
            notes = json.loads(secret["metadata"]["annotations"]["rotator.dev/entries"])
            notes[ECR]["issuedAt"] = "2099-01-01T00:00:00Z"
            secret["metadata"]["annotations"]["rotator.dev/entries"] = json.dumps(notes)

    world.api.store.change("secrets", "team-a", SECRET, plant)
    world.forget()
    assert rotation.run().exit_code == 0
    assert set(world.auths("team-a")) == {ECR, GAR, ACR}
    assert (world.writes(), sum(world.mints().values())) == (1, 0)
    assert rotation.run().exit_code == 0
    assert world.writes() == 1


def test_force_is_never_carried_over_to_another_object(world: World) -> None:
    """Contested, deleted, made anew by somebody else while we try: theirs is foreign, and keeps every byte."""
    world.add_namespaces("team-a")
    rotation = world.rotation()
    rotation.run()
    world.clock.advance(hours=13)
    foreign = {".dockerconfigjson": '{"auths":{"ghcr.io":{"auth":"YTpi"}}}'}
    steps: Iterator[Callable[[], object]] = iter(
        [
            lambda: world.api.store.change("secrets", "team-a", SECRET, lambda s: add_entry(s, 1)),
            lambda: world.api.store.delete("secrets", "team-a", SECRET),
            lambda: world.api.store.put_secret("team-a", SECRET, foreign),
        ]
    )

    def interfere(call: Call) -> None:
        if call.verb == "patch" and call.place.resource.name == "secrets" and (step := next(steps, None)):
            step()

    world.api.before_request(interfere)
    report = rotation.run()
    assert set(world.auths("team-a")) == {"ghcr.io"}
    assert result(report, "team-a").change.state is State.FOREIGN


def test_a_service_account_that_vanishes_under_our_hands_is_no_failure(world: World) -> None:
    """It is deleted between our read and our patch: nothing is left to attach to, and the Secret is written."""
    world.add_namespaces("team-a")

    def delete(call: Call) -> None:
        if call.verb == "patch" and call.place.resource.name == "serviceaccounts":
            world.api.store.delete("serviceaccounts", "team-a", "workers")

    world.api.before_request(delete)
    report = world.once()
    assert result(report, "team-a", "ServiceAccount").outcome is Outcome.GONE
    assert result(report, "team-a").outcome is Outcome.WRITTEN
    assert report.exit_code == 0


@pytest.mark.parametrize(
    ("resource", "kind", "reason"),
    [("secrets", "Secret", "Conflict"), ("serviceaccounts", "ServiceAccount", "Invalid")],
)
def test_a_writer_that_never_stops_is_left_to_the_next_pass(
    world: World, resource: str, kind: str, reason: str
) -> None:
    """Somebody changes the object before each of our writes: after a few tries it is a failure, and not a loop."""
    world.add_namespaces("team-a")
    rotation = world.rotation()
    if resource == "secrets":
        rotation.run()
        world.clock.advance(hours=13)
        world.forget()

    def write(call: Call) -> None:
        if call.verb == "patch" and call.place.resource.name == resource:
            world.api.store.change(
                resource, "team-a", call.place.name, lambda found: found["metadata"].update(labels={"n": uuid4().hex})
            )

    world.api.before_request(write)
    found = result(rotation.run(), "team-a", kind)
    assert (found.outcome, found.error and found.error.reason) == (Outcome.FAILED, reason)
    assert len([r for r in world.api.journal.records if (r.verb, r.resource) == ("patch", resource)]) == TRIES


def test_invariant_6_a_defect_in_one_namespace_ends_no_other(world: World) -> None:
    """An error that nobody foresaw: its class and place are told, and the other namespaces are written."""
    world.add_namespaces("team-a", "team-b")
    world.configure(ECR_ONLY)
    rotation = world.rotation()
    snapshot = rotation.run(write=False).snapshot
    decided = plan(snapshot, world.config, rotation.minting.held, utc_now()).changes
    unread = replace(snapshot, service_accounts={("team-b", "workers"): snapshot.service_accounts["team-b", "workers"]})
    with closing(Cluster.connect(world.api.kubeconfig(world.directory / "config"))) as cluster:
        applying = Applying(
            cluster,
            world.config,
            unread,
            rotation.minting.offers,
            utc_now,
            stopping=lambda: False,
            overlap=Overlap(),
            seconds=time.monotonic,
            hurries=lambda: True,
        )
        results = applying.apply(decided, lambda _done, _total: None)
    outcomes = {r.change.subject.namespace: r.outcome for r in results}
    assert outcomes == {"team-a": Outcome.FAILED, "team-b": Outcome.WRITTEN}
    assert {r.error.message.split(":")[0] for r in results if r.error} == {"KeyError at apply.py"}


def test_invariant_6_an_entry_that_a_tenant_broke_in_an_outage_fails_nobody(world: World) -> None:
    """Nothing can replace it now: `check` foresees the rest all the same, and the other registries are written."""
    world.add_namespaces("team-a", "team-b")
    world.once()

    def spoil(secret: dict[str, Any]) -> None:
        content = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
        content["auths"][ECR] = {"auth": "%%%"}
        secret["data"][".dockerconfigjson"] = base64.b64encode(json.dumps(content).encode()).decode()

    world.api.store.change("secrets", "team-a", SECRET, spoil)
    world.net.aws.fault = Fault.REFUSING
    world.clock.advance(minutes=40)
    assert result(world.rotation().run(write=False), "team-a").outcome is Outcome.PLANNED
    assert result(world.once(), "team-a").outcome is Outcome.WRITTEN
    assert set(world.auths("team-a")) == {GAR, ACR}
    assert world.password("team-a", GAR) == world.password("team-b", GAR)


@pytest.mark.parametrize(("hours", "outcome"), [(0, Outcome.BLOCKED), (7, Outcome.WAITING), (13, Outcome.BLOCKED)])
def test_check_foresees_what_cannot_be_written(world: World, hours: int, outcome: Outcome) -> None:
    """The cloud refuses: an absent or expired entry is blocked; one that is only due waits, and is still valid."""
    world.add_namespaces("team-a")
    world.configure(ECR_ONLY)
    if hours:
        world.once()
        world.clock.advance(hours=hours)
    world.net.aws.fault = Fault.REFUSING
    report = world.rotation().run(write=False)
    assert result(report, "team-a").outcome is outcome
    assert report.exit_code == 1
