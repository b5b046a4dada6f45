"""The API server that forbids, is busy, or dies: the rest is done, and the missing rule is named."""

from pathlib import Path

import pytest
import yaml

from rotator.errors import ClusterUnusable
from rotator.model import State
from rotator.rotation import Outcome
from rotator.sandbox.apiserver import Call, Rule
from tests.outside import ACR, CONFIG, ECR, ECR_ONLY, GAR, SECRET
from tests.scenarios.rivals import TEAMS, add_entry, result
from tests.scenarios.world import World

DEPLOY = Path(__file__).parents[2] / "deploy"


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


def shipped(name: str, namespace: str | None = None) -> list[Rule]:
    """The rules of a file in deploy/, as they hold when a person has written this namespace for its `team-a`."""
    role = next(yaml.safe_load_all((DEPLOY / name).read_text().replace("team-a", namespace or "team-a")))
    return [
        Rule(
            tuple(rule["verbs"]),
            tuple(rule["resources"]),
            tuple(rule.get("resourceNames", ())),
            (namespace,) if namespace else None,
        )
        for rule in role["rules"]
    ]


def test_listed_namespaces_need_no_right_beyond_their_own_objects(world: World) -> None:
    """Namespaces by name, ServiceAccounts by name: the Role of deploy/ in each of those namespaces is enough."""
    world.add_namespaces(*TEAMS)
    world.configure(CONFIG.replace('names: ["team-*"], exclude: [team-legacy]', "names: [team-a, team-b]"))
    own = ("team-a", "team-b")
    rules = [rule for team in own for rule in shipped("rbac-namespaced.yaml", team)]
    assert world.rotation("least", rules).run().exit_code == 0
    assert {set(world.auths(team)) == {ECR, GAR, ACR} for team in own} == {True}


def test_patterns_need_lists_by_name_and_no_other_secret(world: World) -> None:
    """Namespaces by pattern: the ClusterRole of deploy/ is enough, through first pass, renewal and repair."""
    world.add_namespaces(*TEAMS)
    rotation = world.rotation("patterns", shipped("rbac.yaml"))
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
