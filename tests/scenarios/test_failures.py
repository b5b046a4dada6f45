"""Failures stay where they are: a cloud, registry, namespace or object that fails delays and harms no other."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from rotator.clock import utc_now
from rotator.cluster.client import Cluster
from rotator.errors import ClusterUnusable
from rotator.model import State
from rotator.plan import plan
from rotator.rotation import Outcome, Report, Result
from rotator.rotation.apply import TRIES, Applying
from rotator.rotation.wakes import wakes
from rotator.sandbox.apiserver import Call, Rule
from rotator.sandbox.demo.misfortunes import wait_until
from rotator.sandbox.faults import Fault
from rotator.sandbox.internet import Node
from rotator.sandbox.server import Request, Response
from tests.outside import ACR, CONFIG, ECR, ECR_ONLY, GAR, SECRET
from tests.scenarios.world import World

TEAMS = ("team-a", "team-b", "team-c")
FAULTS = [Fault.DOWN, Fault.HUNG, Fault.DRIPPING, Fault.REFUSING, Fault.THROTTLING, Fault.MALFORMED, Fault.BLANK]


def result(report: Report, namespace: str, kind: str = "Secret") -> Result:
    """What became of our Secret or ServiceAccount in this namespace."""
    found = [
        r for r in report.results if r.change.subject.namespace in {namespace, "*"} and r.change.subject.kind == kind
    ]
    assert len(found) == 1, found
    return found[0]


def bytes_of(world: World) -> dict[str, tuple[str, str]]:
    """Version and data of every pull secret."""
    secrets = {team: world.secret(team) for team in TEAMS}
    return {
        team: (secret["metadata"]["resourceVersion"], secret["data"][".dockerconfigjson"])
        for team, secret in secrets.items()
    }


@pytest.mark.parametrize("fault", FAULTS)
def test_invariant_1_a_cloud_that_fails_leaves_every_secret_as_it_is(world: World, fault: Fault) -> None:
    """Renewal is due and the cloud is wrong in some way: not a byte changes, and the exit code says it."""
    world.add_namespaces(*TEAMS)
    world.configure(ECR_ONLY)
    rotation = world.rotation()
    assert rotation.run().exit_code == 0
    before = bytes_of(world)
    world.clock.advance(hours=7)
    world.net.aws.fault = fault
    report = rotation.run()
    assert report.exit_code == 1
    assert bytes_of(world) == before
    assert {r.outcome for r in report.results if r.change.state is State.DUE} == {Outcome.WAITING}


@pytest.mark.parametrize("fault", [Fault.DOWN, Fault.HUNG, Fault.REFUSING])
def test_invariant_6_a_cloud_that_fails_holds_up_no_other(world: World, fault: Fault) -> None:
    """One cloud of three fails at the first pass: the other two are written everywhere, in one write each."""
    world.add_namespaces(*TEAMS)
    world.net.azure.fault = fault
    report = world.once()
    assert report.exit_code == 1
    assert world.writes() == len(TEAMS)
    for team in TEAMS:
        assert set(world.auths(team)) == {ECR, GAR}
    failed = {status.name: status.error.reason for status in report.registries if status.error}
    assert set(failed) == {"contoso"}


def test_a_failed_registry_is_tried_again_when_its_pause_is_over(world: World) -> None:
    """Not in every pass (backoff), but as soon as the pause is over; then its entry is added to every Secret."""
    world.add_namespaces(*TEAMS)
    world.net.azure.fault = Fault.DOWN
    rotation = world.rotation()
    rotation.run()
    world.forget()
    rotation.run()
    assert world.net.azure.calls.total() == 0
    world.net.azure.fault = None
    world.clock.advance(seconds=60)
    assert rotation.run().exit_code == 0
    assert {frozenset(world.auths(team)) for team in TEAMS} == {frozenset({ECR, GAR, ACR})}


def test_invariant_1_a_credential_that_its_registry_refuses_is_not_published(world: World) -> None:
    """The cloud gives a token and the registry says 401: the old one stays, which still works."""
    world.add_namespaces(*TEAMS)
    rotation = world.rotation()
    rotation.run()
    before = bytes_of(world)
    world.clock.advance(minutes=40)
    world.net.hosts[GAR] = lambda _: Response(401, headers={"WWW-Authenticate": 'Basic realm="elsewhere"'})
    report = rotation.run()
    assert bytes_of(world) == before
    assert [status.error.reason for status in report.registries if status.error] == ["ProbeRefused"]
    assert report.exit_code == 1


def test_a_registry_that_cannot_be_asked_gets_the_new_credential_only_when_the_old_one_ends(world: World) -> None:
    """503 from the registry proves nothing: keep what works while it lives, publish when there is nothing to lose."""
    world.add_namespaces(*TEAMS)
    rotation = world.rotation()
    rotation.run()
    before = bytes_of(world)
    world.net.registries[GAR].fault = Fault.DOWN
    world.clock.advance(minutes=40)
    report = rotation.run()
    assert bytes_of(world) == before
    assert [status.error.reason for status in report.registries if status.error] == ["ProbeUnanswered"]
    world.clock.advance(minutes=30)
    rotation.run()
    assert all(bytes_of(world)[team] != before[team] for team in TEAMS)


def test_a_nearly_spent_token_is_used_and_asked_for_again_without_new_writes(world: World) -> None:
    """A metadata server hands out the same token until it expires: one write per token, and renewal soon after."""
    world.add_namespaces(*TEAMS)
    world.configure(ECR_ONLY)
    world.net.aws.fault = Fault.NEARLY_SPENT
    rotation = world.rotation()
    rotation.run()
    first = world.password("team-a", ECR)
    assert world.writes() == len(TEAMS)
    world.clock.advance(seconds=3)
    report = rotation.run()
    assert world.mints()["prod"] == 2
    assert (world.password("team-a", ECR), world.writes()) == (first, len(TEAMS))
    assert report.exit_code == 0
    world.clock.advance(seconds=3)
    rotation.run()
    assert world.password("team-a", ECR) != first


# Objects that are not as they should be -------------------------------------------------------------------------------

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


# The API server -------------------------------------------------------------------------------------------------------


def test_a_namespace_that_forbids_is_named_with_the_rule_to_add(world: World) -> None:
    """403 in one namespace: the others are served, and the message says which rule is missing."""
    world.add_namespaces(*TEAMS)
    everything = Rule(("get", "list", "watch"), ("namespaces", "secrets", "serviceaccounts"))
    write = Rule(("create", "patch"), ("secrets", "serviceaccounts"), namespaces=("team-a", "team-c"))
    report = world.rotation("limited", [everything, write]).run()
    assert report.exit_code == 1
    found = result(report, "team-b")
    assert found.outcome is Outcome.FAILED
    assert found.error is not None
    assert "patch" in found.error.hint
    assert SECRET in found.error.hint
    assert "team-b" in found.error.hint
    for team in ("team-a", "team-c"):
        assert set(world.auths(team)) == {ECR, GAR, ACR}


def test_listed_namespaces_need_no_right_beyond_their_own_objects(world: World) -> None:
    """Namespaces by name, ServiceAccounts by name: rules by resourceNames in those namespaces are enough."""
    world.add_namespaces(*TEAMS)
    world.configure(CONFIG.replace('names: ["team-*"], exclude: [team-legacy]', "names: [team-a, team-b]"))
    own = ("team-a", "team-b")
    rules = [
        Rule(("get",), ("namespaces",), own, own),
        Rule(("get", "create", "patch"), ("secrets",), (SECRET,), own),
        Rule(("get", "patch"), ("serviceaccounts",), ("workers",), own),
    ]
    assert world.rotation("least", rules).run().exit_code == 0
    assert {set(world.auths(team)) == {ECR, GAR, ACR} for team in own} == {True}


def test_patterns_need_lists_by_name_and_no_other_secret(world: World) -> None:
    """Namespaces by pattern: the README's rules by resourceNames are enough, through first pass, renewal and repair."""
    world.add_namespaces(*TEAMS)
    rules = [
        Rule(("list", "get"), ("namespaces",)),
        Rule(("list", "get", "create", "patch"), ("secrets",), (SECRET,)),
        Rule(("list", "get", "patch"), ("serviceaccounts",), ("workers",)),
    ]
    rotation = world.rotation("patterns", rules)
    assert rotation.run().exit_code == 0
    world.clock.advance(hours=7)
    world.api.store.change("secrets", "team-a", SECRET, lambda secret: add_entry(secret, 1))
    assert rotation.run().exit_code == 0
    assert set(world.auths("team-a")) == {ECR, GAR, ACR, "rival-1.example"}
    assert not [record for record in world.api.journal.records if record.status == 403]


def test_no_permission_at_all_means_that_the_cluster_cannot_be_used(world: World) -> None:
    """Nothing can be read: exit code 3, with the rule to add."""
    world.add_namespaces(*TEAMS)
    with pytest.raises(ClusterUnusable) as caught:
        world.rotation("nobody", []).run()
    assert caught.value.exit_code == 3
    assert "namespaces" in caught.value.hint


def test_an_api_server_that_is_busy_is_waited_for(world: World) -> None:
    """429 with Retry-After, then a 500: every Secret is written in the end."""
    world.add_namespaces(*TEAMS)
    rotation = world.rotation()
    world.api.faults.throttle(1, retry_after=1)
    world.api.faults.fail(1)
    assert rotation.run().exit_code == 0
    assert {frozenset(world.auths(team)) for team in TEAMS} == {frozenset({ECR, GAR, ACR})}


def test_an_api_server_that_dies_in_the_fan_out_costs_no_mint_later(world: World) -> None:
    """The server goes away after the mint: the next pass of the same process writes what it holds."""
    world.add_namespaces(*TEAMS)
    rotation = world.rotation()
    patched = iter([True])

    def die(call: Call) -> None:
        if call.verb == "patch" and next(patched, False):
            world.api.faults.down = True

    world.api.before_request(die)
    report = rotation.run()
    assert (report.exit_code, report.retryable) == (1, True)
    world.api.faults.down = False
    world.forget()
    assert rotation.run().exit_code == 0
    assert set(world.mints().values()) == {0}
    assert {frozenset(world.auths(team)) for team in TEAMS} == {frozenset({ECR, GAR, ACR})}


def add_entry(secret: dict[str, object], number: int) -> None:
    """What a rival writes into a Secret."""
    data = secret["data"]
    assert isinstance(data, dict)
    content = json.loads(base64.b64decode(data[".dockerconfigjson"]))
    content["auths"][f"rival-{number}.example"] = {"auth": "YTpi"}
    data[".dockerconfigjson"] = base64.b64encode(json.dumps(content).encode()).decode()


def add_reference(account: dict[str, object], number: int) -> None:
    """What a rival adds to a ServiceAccount."""
    references = account.get("imagePullSecrets", [])
    assert isinstance(references, list)
    account["imagePullSecrets"] = [*references, {"name": f"rival-{number}"}]


def test_invariant_12_a_hung_cloud_does_not_keep_others_waiting(world: World) -> None:
    """While AWS is silent (for its whole deadline), the tokens of the other two are already in every Secret."""
    world.add_namespaces(*TEAMS)
    world.configure(CONFIG.replace("deadline: 2s", "deadline: 60s"))
    world.net.aws.fault = Fault.HUNG
    rotation = world.rotation()
    pass_under_way = threading.Thread(target=rotation.run)
    pass_under_way.start()
    try:
        wait_until(lambda: all(world.api.store.get("secrets", team, SECRET) for team in TEAMS), 30)
        assert pass_under_way.is_alive()
        assert {frozenset(world.auths(team)) for team in TEAMS} == {frozenset({GAR, ACR})}
    finally:
        rotation.stop()
        pass_under_way.join()


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_jumps_breaks_nothing(world: World, hours: int) -> None:
    """One hour forth or back: the pass renews what its times no longer speak for; the next has nothing to do."""
    world.add_namespaces(*TEAMS)
    rotation = world.rotation()
    rotation.run()
    world.clock.advance(hours=hours)
    assert rotation.run().exit_code == 0
    before = bytes_of(world)
    report = rotation.run()
    assert report.exit_code == 0
    assert {r.change.state for r in report.results} == {State.UP_TO_DATE, State.REFERENCED}
    assert bytes_of(world) == before


def test_a_registry_that_nobody_needs_any_more_is_not_tried_again(world: World) -> None:
    """Its last failure is nobody's trouble once the only namespace that needed it is gone: no error, no alarm."""
    world.add_namespaces("team-a")
    world.net.azure.fault = Fault.DOWN
    rotation = world.rotation()
    assert rotation.run().exit_code == 1
    world.api.store.delete_namespace("team-a")
    world.clock.advance(minutes=10)
    report = rotation.run()
    assert report.exit_code == 0
    assert [status.next_attempt_at for status in report.registries] == [None, None, None]


# What a tenant can plant, and what several hosts, pull secrets and passes do to each other ----------------------------

ECR_SHARED = "210987654321.dkr.ecr.eu-west-1.amazonaws.com"
TWO_HOSTS = ECR_ONLY.replace(f"hosts: [{ECR}]", f"hosts: [{ECR}, {ECR_SHARED}]")


def refusing(_request: Request) -> Response:
    """A registry that lets nobody in."""
    return Response(401, headers={"WWW-Authenticate": 'Basic realm="elsewhere"'})


def test_a_host_that_is_refused_costs_the_others_no_writes(world: World) -> None:
    """One of two hosts refuses for good: the other's entries are written once, however often it is tried again."""
    world.add_namespaces(*TEAMS)
    world.configure(TWO_HOSTS)
    world.net.hosts[ECR_SHARED] = refusing
    rotation = world.rotation()
    rotation.run()
    for _ in range(3):
        world.clock.advance(minutes=6)
        assert rotation.run().exit_code == 1
    assert world.writes() == len(TEAMS)
    assert {frozenset(world.auths(team)) for team in TEAMS} == {frozenset({ECR})}
    assert world.mints()["prod"] == 4


def test_a_refused_host_keeps_the_living_credential_for_new_namespaces(world: World) -> None:
    """The new credential is accepted by one host only: a namespace that comes gets the older one for the other."""
    world.add_namespaces("team-a")
    world.configure(TWO_HOSTS)
    rotation = world.rotation()
    rotation.run()
    world.clock.advance(hours=7)
    world.net.hosts[ECR_SHARED] = refusing
    rotation.run()
    world.add_namespaces("team-b")
    rotation.run()
    assert set(world.auths("team-b")) == {ECR, ECR_SHARED}
    assert world.password("team-b", ECR_SHARED) == world.password("team-a", ECR_SHARED)
    assert world.password("team-b", ECR) != world.password("team-b", ECR_SHARED)


def test_an_unproven_credential_fills_holes_and_replaces_nothing_that_lives(world: World) -> None:
    """The registry is silent and one namespace has no Secret: it gets the new credential, the others keep theirs."""
    world.add_namespaces(*TEAMS)
    world.configure(ECR_ONLY)
    world.once()
    old = world.password("team-a", ECR)
    world.api.store.delete("secrets", "team-b", SECRET)
    world.net.registries[ECR].fault = Fault.DOWN
    world.clock.advance(hours=7)
    world.once()
    assert [world.password(team, ECR) == old for team in TEAMS] == [True, False, True]


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


def test_a_token_whose_expiry_wavers_by_a_second_is_not_written_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A metadata server says "expires in": the same token's expiry moves by a second, and that is no new token."""
    world.add_namespaces(*TEAMS)
    gar_only = ECR_ONLY.replace(f"ecr: {{hosts: [{ECR}]}}", f"gar: {{hosts: [{GAR}]}}")
    world.configure(gar_only)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    world.net.node = Node.GOOGLE
    rotation = world.rotation()
    rotation.run()
    first = world.password("team-a", GAR)
    world.clock.advance(minutes=31, seconds=1.5)
    rotation.run()
    assert world.net.google.calls["metadata"] >= 2
    assert (world.password("team-a", GAR), world.writes()) == (first, len(TEAMS))


def test_a_planted_note_of_a_host_that_nobody_configured_sets_no_alarm(world: World) -> None:
    """An overdue note for another host would ring every second: only what the plan accepted counts."""
    world.add_namespaces("team-a")
    rotation = world.rotation()
    rotation.run()

    def plant(secret: dict[str, Any]) -> None:
        notes = json.loads(secret["metadata"]["annotations"]["rotator.dev/entries"])
        notes["x.example"] = {**notes[ECR], "issuedAt": "2020-01-01T00:00:00Z", "expiresAt": "2020-01-01T12:00:00Z"}
        secret["metadata"]["annotations"]["rotator.dev/entries"] = json.dumps(notes)

    world.api.store.change("secrets", "team-a", SECRET, plant)
    report = rotation.run()
    now = utc_now()
    alarms = wakes(world.config, report.snapshot, report.results, rotation.minting.held, now, lambda: 0.0)
    assert min(alarms.values()) > now + timedelta(minutes=20)


def test_a_pull_secret_by_pattern_without_its_right_does_not_stop_a_listed_one(world: World) -> None:
    """Listing Namespaces is forbidden: the namespaces that are named are served all the same."""
    world.add_namespaces("team-a", "x-1")
    patterned = "\n  - {name: x-pull, registries: [prod], namespaces: {names: ['x-*']}}\n"
    world.configure(ECR_ONLY.replace('names: ["team-*"]', "names: [team-a]") + patterned)
    rules = [
        Rule(("get",), ("namespaces",), ("team-a",), ("team-a",)),
        Rule(("get", "create", "patch"), ("secrets",), (SECRET,), ("team-a",)),
        Rule(("get", "patch"), ("serviceaccounts",), ("workers",), ("team-a",)),
    ]
    report = world.rotation("listed", rules).run()
    assert report.exit_code == 1
    assert set(world.auths("team-a")) == {ECR}
    assert State.UNREADABLE in {r.change.state for r in report.results if r.change.subject.namespace == "*"}


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


def test_two_passes_at_once_mint_once_and_write_once(world: World) -> None:
    """Date jobs and the sweep run side by side: one mint per registry, one write per Secret, all the same."""
    world.add_namespaces(*TEAMS)
    rotation = world.rotation()
    passes = [threading.Thread(target=rotation.run) for _ in range(4)]
    for each in passes:
        each.start()
    for each in passes:
        each.join()
    assert set(world.mints().values()) == {1}
    assert world.writes() == len(TEAMS)


def test_what_is_found_is_told_once_in_the_log(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A foreign Secret is named with its remedy when it is found, not again in every pass, and again if it returns."""
    world.add_namespaces("team-a")
    world.api.store.put_secret("team-a", SECRET, {".dockerconfigjson": "{}"})
    rotation = world.rotation()
    told = []
    for _ in range(2):
        rotation.run()
        told.append(capsys.readouterr().out.count("adopt: true"))
    world.api.store.delete("secrets", "team-a", SECRET)
    rotation.run()
    world.api.store.delete("secrets", "team-a", SECRET)
    world.api.store.put_secret("team-a", SECRET, {".dockerconfigjson": "{}"})
    capsys.readouterr()
    rotation.run()
    told.append(capsys.readouterr().out.count("adopt: true"))
    assert told == [1, 0, 1]


def test_a_pass_over_one_namespace_forgets_nothing_that_was_told(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has not looked at the other namespace: the trouble there is told once, as a warning, and not again."""
    world.add_namespaces("team-a", "team-b")
    world.api.store.put_secret("team-a", SECRET, {".dockerconfigjson": "{}"})
    rotation = world.rotation()
    told = []
    for only in (None, "team-b", None):
        rotation.run(only=only)
        told.append([line for line in capsys.readouterr().out.splitlines() if "adopt: true" in line])
    assert [len(lines) for lines in told] == [1, 0, 0]
    assert "[warning" in told[0][0]


def test_what_was_logged_where_it_happened_is_not_told_again(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A write that was done or refused has its own event: the findings are for what has none."""
    world.add_namespaces("team-a", "team-b")
    everything = Rule(("get", "list", "watch"), ("namespaces", "secrets", "serviceaccounts"))
    write = Rule(("create", "patch"), ("secrets", "serviceaccounts"), namespaces=("team-a",))
    world.rotation("limited", [everything, write]).run()
    events = [line for line in capsys.readouterr().out.splitlines() if SECRET in line]
    assert [line for line in events if "change.failed" in line]
    assert [line for line in events if "secret.written" in line]
    assert not [line for line in events if "object.judged" in line]


def test_who_looked_while_another_pass_wrote_looks_again(world: World) -> None:
    """The second pass reads the cluster in the middle of the first one's writes: it costs no write, nor a conflict."""
    world.add_namespaces(*TEAMS)
    rotation = world.rotation()
    second = threading.Thread(target=rotation.run)
    looks = ("list", "serviceaccounts", 200)

    def overtake(call: Call) -> None:
        if call.verb == "patch" and not second.ident:
            second.start()
            wait_until(lambda: world.api.journal.counts[looks] == 2, 30)

    world.api.before_request(overtake)
    rotation.run()
    second.join()
    counts = world.api.journal.counts
    assert (counts[looks], world.writes(), counts["patch", "secrets", 409]) == (3, len(TEAMS), 0)
    assert counts["patch", "serviceaccounts", 200] == len(TEAMS)


# What one write meets -------------------------------------------------------------------------------------------------


def test_after_a_stop_no_write_begins(world: World) -> None:
    """Stopped in the first of three writes: that one ends, the others are left to the next start, and none failed."""
    world.api.store.create_namespace("team-a")
    for name in ("workers", "apps"):
        world.api.store.create_service_account("team-a", name)
    world.configure(ECR_ONLY.replace("names: [workers]", "names: [workers, apps]"))
    rotation = world.rotation()
    world.api.before_request(lambda call: rotation.stop() if call.verb == "patch" else None)
    report = rotation.run()
    assert [record.status for record in world.api.journal.records if record.verb == "patch"] == [200]
    assert sorted(r.outcome for r in report.results) == [Outcome.ATTACHED, Outcome.NOTHING, Outcome.WAITING]
    assert report.exit_code == 0


def test_after_a_stop_no_second_round_begins(world: World) -> None:
    """Stopped while a slow cloud is waited for: the pass ends with what it has, and does not look again."""
    world.add_namespaces("team-a")
    world.net.aws.fault = Fault.HUNG
    rotation = world.rotation()
    world.api.before_request(lambda call: rotation.stop() if call.verb == "patch" else None)
    report = rotation.run()
    assert world.api.journal.counts["list", "namespaces", 200] == 1
    assert [status.name for status in report.registries if status.late] == ["prod"]


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
        applying = Applying(cluster, world.config, unread, rotation.minting.offers, utc_now, lambda: False)
        results = applying.apply(decided, 1, lambda _done, _total: None)
    outcomes = {r.change.subject.namespace: r.outcome for r in results}
    assert outcomes == {"team-a": Outcome.FAILED, "team-b": Outcome.WRITTEN}
    assert {r.error.message.split(":")[0] for r in results if r.error} == {"KeyError at apply.py"}


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


# Who sees a new credential --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "listed", "reasons"),
    [
        (ECR_SHARED, "", []),
        ("auth.example", "", ["ProbeUnanswered"]),
        ("auth.example", ", allowHosts: [auth.example]", []),
    ],
)
def test_a_token_server_is_shown_the_credential_if_it_is_ours_or_listed(
    world: World, server: str, listed: str, reasons: list[str]
) -> None:
    """Another host of the same registry may be the realm of the first; a stranger must be listed under allowHosts."""
    world.add_namespaces("team-a")
    world.configure(TWO_HOSTS.replace("deadline: 2s", "deadline: 2s" + listed))
    shown: list[str | None] = []

    def ask(request: Request) -> Response:
        if request.path == "/token":
            shown.append(request.headers.get("Authorization"))
            return Response.of_json(200, {"token": "opens"})
        if request.headers.get("Authorization") == "Bearer opens":
            return Response(200)
        return Response(401, headers={"WWW-Authenticate": f'Bearer realm="https://{server}/token"'})

    world.net.hosts |= dict.fromkeys((ECR, ECR_SHARED, "auth.example"), ask)
    report = world.once()
    assert [status.error.reason for status in report.registries if status.error] == reasons
    assert bool(shown) == (not reasons)


def test_a_registry_is_not_asked_where_the_probe_is_switched_off(world: World) -> None:
    """`probe.enabled: false` publishes what the cloud gives, though this registry would refuse it."""
    world.add_namespaces("team-a")
    world.configure(ECR_ONLY.replace("deadline: 2s", "deadline: 2s, probe: {enabled: false}"))
    asked: list[Request] = []

    def ask(request: Request) -> Response:
        asked.append(request)
        return refusing(request)

    world.net.hosts[ECR] = ask
    assert world.once().exit_code == 0
    assert (set(world.auths("team-a")), asked) == ({ECR}, [])
