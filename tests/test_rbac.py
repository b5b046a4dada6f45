"""The roles for a configuration: a table of configurations, the rules that each needs, and their YAML."""

import re
from typing import Any

import pytest
import yaml

from rotator import rbac
from rotator.config import Config, parse

REGISTRY = "registries:\n  - {name: prod, ecr: {hosts: [123456789012.dkr.ecr.eu-west-1.amazonaws.com]}}\n"
OURS = rbac.Subject()


OFF = "{enabled: false}"


def config(*pull_secrets: str, election: str = OFF, prune: str = "") -> Config:
    """A configuration with these pull secrets: name, namespaces and, where there are any, ServiceAccounts."""
    items = "".join(f"  - {{registries: [prod], {words}}}\n" for words in pull_secrets)
    section = f"prune: {{{prune}}}\n" if prune else ""
    return parse(f"{REGISTRY}pullSecrets:\n{items}leaderElection: {election}\n{section}", "config.yaml")


def every_rule(
    *pull_secrets: str, watching: bool = False, election: str = OFF, prune: str = ""
) -> dict[str, list[str]]:
    """Each role's place and its rules: resource, names, verbs, as one would say it."""
    return {
        role["metadata"].get("namespace", "*"): [_said(rule) for rule in role["rules"]]
        for role in rbac.manifests(config(*pull_secrets, election=election, prune=prune), OURS, watching=watching)
        if "rules" in role
    }


def rules(*pull_secrets: str, watching: bool = False, election: str = OFF, prune: str = "") -> dict[str, list[str]]:
    """Those that a pass cannot do without: all but that on Events, which is in every role."""
    found = every_rule(*pull_secrets, watching=watching, election=election, prune=prune)
    needed = {place: [rule for rule in said if rule != EVENTS] for place, said in found.items()}
    return {place: said for place, said in needed.items() if said}


def _said(rule: dict[str, Any]) -> str:
    names = " ".join(rule.get("resourceNames", ["*"]))
    (group,), (resource,) = rule["apiGroups"], rule["resources"]
    assert group == ("coordination.k8s.io" if resource == "leases" else "")
    return f"{resource} {names}: {' '.join(rule['verbs'])}"


EVENTS = "events *: create patch"
IN_A = "name: pull, namespaces: {names: [a]}"
EVERYWHERE = 'name: pull, namespaces: {names: ["a-*"]}'
SECRET_IN_A = ["namespaces a: get", "secrets pull: get create patch"]
SECRET_EVERYWHERE = ["namespaces *: list", "secrets pull: get list create patch"]


@pytest.mark.parametrize(
    ("pull_secret", "expected"),
    [
        (IN_A, {"a": SECRET_IN_A}),
        (EVERYWHERE, {"*": SECRET_EVERYWHERE}),
        ("name: pull, namespaces: {names: [a], labels: x=y}", {"a": SECRET_IN_A}),
        ("name: pull, namespaces: {labels: x=y}", {"*": SECRET_EVERYWHERE}),
        ('name: pull, namespaces: {names: [b, "a-*"]}', {"*": SECRET_EVERYWHERE}),
        ("name: pull, namespaces: {names: [b, a], exclude: [b]}", {"a": SECRET_IN_A}),
        ('name: pull, namespaces: {names: [b-1, a], exclude: ["b-*"]}', {"a": SECRET_IN_A}),
        ("name: pull, namespaces: {names: [a], exclude: [a]}", {}),
    ],
)
def test_a_role_in_each_named_namespace_and_a_cluster_role_only_where_others_are_meant(
    pull_secret: str, expected: dict[str, list[str]]
) -> None:
    """Labels only narrow what is named; what is excluded needs nothing."""
    assert rules(pull_secret) == expected


@pytest.mark.parametrize(
    ("accounts", "in_a", "everywhere"),
    [
        ("{names: [w]}", "w: get patch", "w: get list patch"),
        ("{names: [w, v]}", "w v: get patch", "w v: get list patch"),
        ("{names: [w], labels: x=y}", "w: get patch", "w: get list patch"),
        ('{names: [w, "v*"]}', "*: get list patch", "*: get list patch"),
        ('{names: ["*"]}', "*: get list patch", "*: get list patch"),
        ("{labels: x=y}", "*: get list patch", "*: get list patch"),
        ("{names: [w], mode: verify}", "w: get", "w: list"),
        ('{names: ["w*"], mode: verify}', "*: list", "*: list"),
    ],
)
def test_service_accounts_by_name_where_they_are_named_and_no_patch_where_they_are_only_verified(
    accounts: str, in_a: str, everywhere: str
) -> None:
    """Reading one by its name takes get, finding them takes list; patch and the second look only in mode ensure."""
    chosen = f", serviceAccounts: {accounts}"
    assert rules(IN_A + chosen) == {"a": [*SECRET_IN_A, f"serviceaccounts {in_a}"]}
    assert rules(EVERYWHERE + chosen) == {"*": [*SECRET_EVERYWHERE, f"serviceaccounts {everywhere}"]}


@pytest.mark.parametrize(
    ("accounts", "in_a", "everywhere"),
    [
        ("{names: [w]}", ["w: get list watch patch"], ["w: get list watch patch"]),
        ("{names: [w], mode: verify}", ["w: get list watch"], ["w: get list watch"]),
        ('{names: ["w*"]}', ["*: get list watch patch"], ["*: get list watch patch"]),
        ('{names: ["w*"], mode: verify}', ["*: list watch"], ["*: list watch"]),
        ("{}", [], []),
    ],
)
def test_who_watches_lists_and_watches_by_the_same_names(accounts: str, in_a: list[str], everywhere: list[str]) -> None:
    """And reads one namespace by name where something changed; the Namespace itself is watched from outside only."""
    chosen = f", serviceAccounts: {accounts}"
    watched_in_a = ["namespaces a: get", "secrets pull: get list watch create patch"]
    assert rules(IN_A + chosen, watching=True) == {"a": [*watched_in_a, *(f"serviceaccounts {each}" for each in in_a)]}
    watched = ["namespaces *: get list watch", "secrets pull: get list watch create patch"]
    said = [*watched, *(f"serviceaccounts {each}" for each in everywhere)]
    assert rules(EVERYWHERE + chosen, watching=True) == {"*": said}


@pytest.mark.parametrize(
    ("election", "place", "name"),
    [("{}", "rotator", "rotator"), ("{namespace: tools, name: turner}", "tools", "turner")],
)
def test_replicas_of_a_deployment_share_one_lease(election: str, place: str, name: str) -> None:
    """By its name, in rotator's namespace or the one that is configured; nothing of it for a CronJob."""
    lease = [f"leases {name}: get create update"]
    assert rules(IN_A, watching=True, election=election)[place] == lease
    assert rules(IN_A, election=election) == {"a": SECRET_IN_A}


def test_pull_secrets_of_one_namespace_share_its_role() -> None:
    """One rule for names that may be treated alike, in the order of the configuration; each name once."""
    assert rules(
        "name: two, namespaces: {names: [b, a]}, serviceAccounts: {names: [w, v]}",
        "name: one, namespaces: {names: [a]}, serviceAccounts: {names: [u, w], mode: verify}",
    ) == {
        "b": ["namespaces b: get", "secrets two: get create patch", "serviceaccounts w v: get patch"],
        "a": [
            "namespaces a: get",
            "secrets two one: get create patch",
            "serviceaccounts w v: get patch",
            "serviceaccounts u: get",
        ],
    }


def test_what_is_granted_on_every_name_of_a_namespace_is_not_granted_again_on_one() -> None:
    """A Role says nothing twice: who reads the roles should find each right in one rule."""
    assert rules(
        'name: one, namespaces: {names: [a]}, serviceAccounts: {names: ["v*"]}',
        "name: two, namespaces: {names: [a]}, serviceAccounts: {names: [w]}",
    ) == {"a": ["namespaces a: get", "secrets one two: get create patch", "serviceaccounts *: get list patch"]}


def test_where_one_is_named_and_another_is_not_each_has_its_own() -> None:
    """The listed one keeps its Role for what it writes; Namespaces are listed for both, so none is read by name."""
    assert rules(
        "name: listed, namespaces: {names: [a]}, serviceAccounts: {names: [w]}",
        'name: wide, namespaces: {names: ["a*"]}, serviceAccounts: {names: [v]}',
    ) == {
        "*": ["namespaces *: list", "secrets wide: get list create patch", "serviceaccounts v: get list patch"],
        "a": ["secrets listed: get create patch", "serviceaccounts w: get patch"],
    }


@pytest.mark.parametrize(
    ("wide", "in_a"),
    [
        ('names: ["v*"]', []),
        ("names: [w]", []),
        ('names: ["v*"], mode: verify', ["serviceaccounts w: get patch"]),
        ("names: [w], mode: verify", ["serviceaccounts w: get patch"]),
    ],
)
def test_what_the_cluster_role_grants_is_not_granted_again(wide: str, in_a: list[str]) -> None:
    """A right in every namespace, or on every name, makes the narrower one needless; a right to less does not."""
    found = rules(
        "name: listed, namespaces: {names: [a]}, serviceAccounts: {names: [w]}",
        f'name: wide, namespaces: {{names: ["*"]}}, serviceAccounts: {{{wide}}}',
    )
    assert found["a"] == ["secrets listed: get create patch", *in_a]


def test_events_are_made_where_the_objects_are_and_where_rotator_runs() -> None:
    """The same right wherever there is a role, one more role for rotator's own namespace, and everything in one."""
    listed, wide = "name: pull, namespaces: {names: [a, b]}", 'name: wide, namespaces: {names: ["*"]}'
    for watching in (True, False):
        found = every_rule(listed, watching=watching)
        assert [place for place, said in found.items() if EVENTS in said] == ["a", "b", "rotator"]
        assert found["rotator"] == [EVENTS]
        found = every_rule(listed, wide, watching=watching)
        assert [place for place, said in found.items() if EVENTS in said] == ["*"]


def test_a_binding_stands_beside_each_role_and_names_the_service_account() -> None:
    """Role and RoleBinding in the namespace, ClusterRole and ClusterRoleBinding in none."""
    both = config("name: listed, namespaces: {names: [a]}", 'name: wide, namespaces: {names: ["*"]}')
    made = rbac.manifests(both, rbac.Subject("rotator-images", "turner", "rotator-images"), watching=False)
    shown = [(each["kind"], each["metadata"]["name"], each["metadata"].get("namespace")) for each in made]
    assert shown == [
        ("ClusterRole", "rotator-images", None),
        ("ClusterRoleBinding", "rotator-images", None),
        ("Role", "rotator-images", "a"),
        ("RoleBinding", "rotator-images", "a"),
    ]
    labels = {"app.kubernetes.io/name": "rotator", "app.kubernetes.io/instance": "rotator-images"}
    assert [each["metadata"]["labels"] for each in made] == [labels] * 4  # whoever deletes them by hand finds them so
    for role, binding in ((made[0], made[1]), (made[2], made[3])):
        api = "rbac.authorization.k8s.io"
        assert binding["roleRef"] == {"apiGroup": api, "kind": role["kind"], "name": "rotator-images"}
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "turner", "namespace": "rotator-images"}]


def test_two_rotators_share_no_role() -> None:
    """Their namespace is in its name, unless it is the same: else the second would take the binding from the first."""
    both = config("name: listed, namespaces: {names: [a, tools]}", 'name: wide, namespaces: {names: ["*"]}')
    for home, name in (("rotator", "rotator"), ("tools", "tools-rotator")):
        made = rbac.manifests(both, rbac.Subject(home), watching=True)
        assert {each["metadata"]["name"] for each in made} == {name}
        assert {each["roleRef"]["name"] for each in made if "roleRef" in each} == {name}


def test_the_yaml_is_the_manifests_with_a_word_on_each_rule() -> None:
    """What is read back is what went in; above each rule stands why; the namespaces that must exist come first."""
    both = config(f"{IN_A}, serviceAccounts: {{names: [w]}}", EVERYWHERE.replace("pull", "wide"), election="{}")
    made = rbac.manifests(both, OURS, watching=True)
    text = rbac.text(made)
    assert list(yaml.safe_load_all(text)) == made
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("  - apiGroups:"):
            assert lines[number - 1].startswith("  # ")
    head = " ".join(line.removeprefix("# ") for line in lines[: lines.index("---")])
    assert "These namespaces must exist: a, rotator." in head
    assert all(len(line) <= 120 for line in lines)


def test_a_configuration_that_means_nothing_needs_nothing() -> None:
    """All that it names is excluded: a comment that says so, and no manifest."""
    text = rbac.text(rbac.manifests(config("name: pull, namespaces: {names: [a], exclude: [a]}"), OURS, watching=True))
    assert list(yaml.safe_load_all(text)) == []
    assert "needs no right" in text


FORMER_IN_B = "former: [{name: old, namespaces: {names: [b]}}]"
FORMER_EVERYWHERE = "former: [{name: old, namespaces: {names: ['b-*']}}]"
PRUNED = {
    "a listed pull secret leaves no orphan that could be found": (IN_A, "enabled: true", {"a": SECRET_IN_A}),
    "patterns: delete by name, and any reference": (
        EVERYWHERE,
        "enabled: true",
        {
            "*": [
                "namespaces *: list",
                "secrets pull: get list create patch delete",
                "serviceaccounts *: get list patch",
            ]
        },
    ),
    "a former one is only read": (
        IN_A,
        FORMER_IN_B,
        {"a": SECRET_IN_A, "b": ["namespaces b: get", "secrets old: get"]},
    ),
    "a former one of patterns is only listed": (
        EVERYWHERE,
        FORMER_EVERYWHERE,
        {"*": [*SECRET_EVERYWHERE, "secrets old: list"]},
    ),
    "a former one is removed, in its namespace alone": (
        IN_A,
        f"enabled: true, {FORMER_IN_B}",
        {
            "a": SECRET_IN_A,
            "b": ["namespaces b: get", "secrets old: get delete", "serviceaccounts *: get list patch"],
        },
    ),
    "a former one of patterns beside a listed pull secret": (
        IN_A,
        f"enabled: true, {FORMER_EVERYWHERE}",
        {
            "*": ["namespaces *: list", "secrets old: get list delete", "serviceaccounts *: get list patch"],
            "a": SECRET_IN_A[1:],
        },
    ),
}


@pytest.mark.parametrize("case", PRUNED)
def test_only_what_is_pruned_may_be_deleted(case: str) -> None:
    """Former names are looked for in any case; delete, and the ServiceAccounts there, only where prune is enabled."""
    pull_secret, prune, expected = PRUNED[case]
    assert rules(pull_secret, prune=prune) == expected


@pytest.mark.parametrize("watching", [True, False])
@pytest.mark.parametrize("pull_secret", [IN_A, EVERYWHERE + ", serviceAccounts: {names: [w]}"])
def test_with_prune_off_the_roles_are_the_same_to_the_byte(pull_secret: str, watching: bool) -> None:
    """Whoever asks for no delete grants none, and has nothing to review."""
    without, off, on = (
        rbac.text(rbac.manifests(config(pull_secret, prune=prune), OURS, watching=watching))
        for prune in ("", "enabled: false", f"enabled: true, {FORMER_IN_B}")
    )
    assert without == off
    assert not re.search(r"verbs: .*delete", without)
    assert "delete: one that has left the configuration" in on
    assert "take out one to what is deleted" in on
