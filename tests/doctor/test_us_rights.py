"""What is asked of the API server about rotator's rights, for each kind of configuration, on the emulated cluster."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rotator import rbac
from rotator.clock import utc_now
from rotator.cluster.client import Cluster
from rotator.config import Config, parse
from rotator.doctor import Finding, Result, access, examine, rights
from rotator.rbac import Right
from rotator.sandbox.apiserver import ApiServer, Rule
from tests.doctor.ward import named
from tests.scenarios.roles import BY_NAME, BY_PATTERN, CASES, HEAD, TEAMS, pull_secret

USER = "system:serviceaccount:rotator:rotator"
HOME = rbac.Subject()

Ask = Callable[[Config, list[Rule]], Finding]


@pytest.fixture
def emulated(tmp_path: Path) -> Iterator[tuple[ApiServer, Cluster]]:
    """An emulated cluster, and rotator's connection to it."""
    with ApiServer() as api:
        for name in ("rotator", *TEAMS):
            api.store.create_namespace(name)
        api.store.create_service_account("rotator", "rotator")
        api.add_user(USER, [])
        with closing(Cluster.connect(api.kubeconfig(tmp_path / "kubeconfig", user=USER))) as cluster:
            yield api, cluster


@pytest.fixture
def ask(emulated: tuple[ApiServer, Cluster]) -> Ask:
    """What doctor says of its own rights, where it runs as rotator with these rules."""
    api, cluster = emulated

    def examined(config: Config, rules: list[Rule]) -> Finding:
        api.add_user(USER, rules)
        (finding,) = examine(cluster, config, utc_now(), named("permissions-fit")).findings
        return finding

    return examined


def config(case: str) -> Config:
    """One of the cases that `rotator rbac` is tested with."""
    return parse(HEAD + CASES[case], "config.yaml")


def rule(right: Right) -> Rule:
    """As the emulated cluster has it."""
    return Rule(
        (right.verb,),
        (right.resource,),
        (right.name,) if right.name else (),
        (right.namespace,) if right.namespace else None,
        (rbac.GROUPS.get(right.resource, ""),),
    )


def rules(case: str, *, watching: bool = True) -> dict[Right, Rule]:
    """What `rotator rbac` grants."""
    return {right: rule(right) for right in rbac.rights(config(case), HOME, watching=watching)}


def messages(finding: Finding, result: Result) -> list[str]:
    """What it says with this result."""
    return [symptom.message for symptom in finding.symptoms if symptom.result is result]


@pytest.mark.parametrize("case", CASES)
def test_what_rotator_rbac_prints_is_enough_and_not_too_much(ask: Ask, case: str) -> None:
    """For every kind of configuration: nothing but the fact whose rights these are."""
    finding = ask(config(case), list(rules(case).values()))
    assert [symptom.message for symptom in finding.symptoms] == ["these are of ServiceAccount rotator/rotator"]


@pytest.mark.parametrize("case", CASES)
def test_the_rights_of_a_cronjob_are_enough_for_it(ask: Ask, case: str) -> None:
    """`--mode cronjob` is no problem; it is said that `rotator run` would need more."""
    finding = ask(config(case), list(rules(case, watching=False).values()))
    assert finding.result is Result.OK
    assert any("as a CronJob runs it" in symptom.message for symptom in finding.symptoms)


def test_each_right_that_is_missing_is_named(ask: Ask) -> None:
    """One at a time: its verb and its resource; a problem, but for those on Events, without which all else works."""
    one = parse(HEAD + pull_secret("{names: [team-a]}", "{names: [workers]}"), "config.yaml")
    granted = {right: rule(right) for right in rbac.rights(one, HOME, watching=True)}
    for missing in granted:
        finding = ask(one, [each for right, each in granted.items() if right != missing])
        expected = Result.WARNING if missing.resource == "events" else Result.PROBLEM
        assert finding.result is expected, missing
        (symptom,) = (symptom for symptom in finding.symptoms if symptom.result is expected)
        assert f" {missing.verb} {missing.resource}" in symptom.message
        assert [each.name for each in symptom.objects] == ([missing.namespace] if missing.namespace else [])


WIDER = [
    (Right("list", "secrets", None, None), "it may list secrets in all namespaces"),
    (Right("get", "secrets", None, "team-a"), "it may get secrets in"),
    (Right("patch", "secrets", "worker-pull", None), "it may patch secrets worker-pull in all namespaces"),
    (Right("delete", "secrets", "worker-pull", "team-a"), "it may delete secrets worker-pull in"),
    (Right("create", "pods", None, "team-b"), "it may create pods in"),
    (Right("create", "serviceaccounts/token", None, "kube-system"), "it may create serviceaccounts/token in"),
    (Right("patch", "serviceaccounts", None, "team-a"), "it may patch serviceaccounts in"),
    (Right("bind", "clusterroles", None, None), "it may bind clusterroles"),
    (Right("*", "*", None, None), "it may do everything"),
]


@pytest.mark.parametrize(("right", "words"), WIDER, ids=[words for _, words in WIDER])
def test_each_right_that_is_too_much_is_named(ask: Ask, right: Right, words: str) -> None:
    """As a warning, with its place, and once: what comes with a wider one is not said again."""
    finding = ask(config(BY_NAME), [*rules(BY_NAME).values(), rule(right)])
    (symptom,) = (symptom for symptom in finding.symptoms if symptom.result is not Result.OK)
    assert (symptom.result, symptom.message) == (Result.WARNING, f"more than it needs: {words}")
    assert [each.name for each in symptom.objects] == ([right.namespace] if right.namespace else [])


def test_pruning_needs_to_delete_ours(ask: Ask) -> None:
    """With prune.enabled the right to delete is no surplus."""
    pruning = parse(HEAD + CASES[BY_PATTERN] + "prune: {enabled: true}\n", "config.yaml")
    granted = [rule(right) for right in rbac.rights(pruning, HOME, watching=True)]
    assert ask(pruning, granted).result is Result.OK
    unpruned = ask(replace_prune(pruning), granted)
    assert any("it may delete secrets worker-pull" in message for message in messages(unpruned, Result.WARNING))


def replace_prune(pruning: Config) -> Config:
    """The same without it."""
    return pruning.model_copy(update={"prune": config(BY_PATTERN).prune})


def test_a_namespace_that_is_not_there_is_not_asked_about(ask: Ask) -> None:
    """No Role can stand there, and that it is missing is another check's to say."""
    absent = parse(HEAD + pull_secret("{names: [team-a, nowhere]}", "{names: [workers]}"), "config.yaml")
    granted = rbac.rights(absent, HOME, watching=True)
    # Its own rule on the Namespace is what tells that it is not there, rather than hidden.
    there = [right for right in granted if right.namespace != "nowhere" or right.resource == "namespaces"]
    assert ask(absent, [rule(right) for right in there]).result is Result.OK


def test_the_number_of_questions_is_bounded(emulated: tuple[ApiServer, Cluster]) -> None:
    """What is needed is asked for first, the widest of what is not next; how much was not asked for is told."""
    api, cluster = emulated
    names = ", ".join(f"n{number}" for number in range(10))
    many = parse(HEAD + pull_secret(f"{{names: [{names}]}}", "{names: [workers]}"), "config.yaml")
    needed, surplus = rights.needed(many, HOME), rights.surplus(many, HOME)
    everything, none_left = access.asked(cluster, many, HOME, None, ())
    assert (len(everything), none_left) == (len(needed) + len(surplus), 0)
    api.journal.clear()
    found, unasked = access.asked(cluster, many, HOME, None, (), most=len(needed) + 40)
    assert api.journal.counts["create", "selfsubjectaccessreviews", 201] == len(needed) + 40 == len(found)
    assert unasked == len(surplus) - 40
    assert set(needed) < set(found)
    few, _ = access.asked(cluster, many, HOME, None, (), most=3)
    assert tuple(few) == needed[:3]
