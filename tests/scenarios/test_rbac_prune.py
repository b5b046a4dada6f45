"""The printed roles where prune is enabled: enough to remove what left the configuration, and each of them needed."""

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rotator import rbac
from rotator.config import parse
from rotator.sandbox.apiserver import Call
from tests.apiclient import MERGE_PATCH
from tests.controlplane.server import ControlPlane
from tests.installation import installed_on
from tests.outside import SECRET
from tests.scenarios.roles import HEAD, apply_printed, pull_secret, refused, surplus
from tests.scenarios.test_rbac_missing import Right, complaints, hinted, rights_of
from tests.scenarios.world import World
from tests.waiting import eventually

ACCOUNTS = "{names: [workers]}"
BEFORE = {
    "by pattern": pull_secret('{names: ["team-*"]}', ACCOUNTS),
    "by name": pull_secret("{names: [team-a, team-b]}", ACCOUNTS),
}
AFTER = {
    "by pattern": pull_secret('{names: ["team-*"], exclude: [team-b]}', ACCOUNTS),
    "by name": pull_secret("{names: [team-a]}", ACCOUNTS),
}
PRUNE = {
    "by pattern": "prune: {enabled: true}\n",
    "by name": f"prune: {{enabled: true, former: [{{name: {SECRET}, namespaces: {{names: [team-b]}}}}]}}\n",
}
LIFE = timedelta(seconds=5)
RIVALRY = 3
"""Writes of one object that a rival overtakes: fewer than the tries of one pass."""


@pytest.mark.parametrize("case", PRUNE)
def test_the_printed_roles_are_enough_to_prune_and_all_that_it_has(
    controlplane: ControlPlane, tmp_path: Path, case: str
) -> None:
    """On a real cluster: what has left is removed when it has expired, with every reference to it; and no 403."""
    with installed_on(controlplane, tmp_path, LIFE) as installation:
        ours, left = installation.add_namespaces("team-a", "team-b")
        installation.configure((HEAD + BEFORE[case]).replace("team-", installation.full("team-")))
        apply_printed(installation)
        assert installation.run("once").returncode == 0
        by_hand = {"imagePullSecrets": [{"name": "theirs"}, {"name": SECRET}]}
        default = f"/api/v1/namespaces/{left}/serviceaccounts/default"
        assert controlplane.admin.patch(default, by_hand, MERGE_PATCH).status == 200
        installation.configure((HEAD + AFTER[case] + PRUNE[case]).replace("team-", installation.full("team-")))
        roles = apply_printed(installation)
        for name in (ours, left, "kube-system"):
            eventually(lambda: surplus(installation, name, roles) == set(), f"only the new roles in {name}")  # noqa: B023
        with installation.start("run") as running:
            eventually(lambda: installation.find("secrets", left, SECRET) is None, "the orphan is gone")
            assert installation.references(left) == []
            assert installation.references(left, "default") == ["theirs"]
            assert running.end() == 0
        assert installation.references(ours) == [SECRET]
        assert installation.find("secrets", ours, SECRET)
        assert refused(installation) == []


# One right at a time -------------------------------------------------------------------------------------------------


def rights(case: str, prune: str) -> list[Right]:
    """The rights of the printed roles."""
    return rights_of(rbac.manifests(parse(HEAD + AFTER[case] + prune, case), rbac.Subject(), watching=False))


def _annotate(thing: dict[str, Any], number: int) -> None:
    thing["metadata"].setdefault("annotations", {})["rival"] = f"was here {number} times"


NEEDED = [
    pytest.param(case, right, id=f"{case}: {right}")
    for case in PRUNE
    for right in sorted(set(rights(case, PRUNE[case])) - set(rights(case, "")), key=str)
]


@pytest.mark.parametrize(("case", "right"), NEEDED)
def test_without_one_right_the_error_names_the_rule_to_add(world: World, case: str, right: Right) -> None:
    """A rival is quicker than each write, so all is read again: what is missing is asked for, and then all is well."""
    world.add_namespaces("team-a", "team-b")
    world.configure(HEAD + BEFORE[case])
    world.once()
    world.configure(HEAD + AFTER[case] + PRUNE[case])
    world.clock.advance(hours=13)
    overtaken: Counter[str] = Counter()

    def overtake(call: Call) -> None:
        if call.verb in {"patch", "delete"} and call.place.namespace == "team-b" and overtaken[call.verb] < RIVALRY:
            overtaken[call.verb] += 1
            target = (call.place.resource.name, "team-b", call.place.name)
            world.api.store.change(*target, lambda found: _annotate(found, overtaken[call.verb]))

    world.api.before_request(overtake)
    left = [other.rule() for other in rights(case, PRUNE[case]) if other != right]
    rotation = world.rotation("without", left)
    said = complaints(
        lambda: (str(result.error or result.change.message) for result in rotation.run().results if result.failed)
    )
    assert any(map(right.allows, hinted(said))), said or "nothing failed"
    assert world.find("secrets", "team-b", SECRET)
    overtaken.clear()
    assert world.rotation("whole", [*left, right.rule()]).run().exit_code == 0
    assert world.find("secrets", "team-b", SECRET) is None
    assert world.references("team-b") == []
