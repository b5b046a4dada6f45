"""Which events lead to a pass over their namespace: a table, and our own echoes."""

import pytest

from rotator.cluster.watch import Seen
from rotator.config import Config, parse
from rotator.hearing import wants_a_pass

CONFIG = """
registries:
  - {name: prod, ecr: {hosts: [123456789012.dkr.ecr.eu-west-1.amazonaws.com]}}
pullSecrets:
  - name: pull
    registries: [prod]
    namespaces: {names: ["team-*"], exclude: [team-old], labels: pull=yes}
    serviceAccounts: {names: [workers], labels: app=ci}
  - {name: bare, registries: [prod], namespaces: {names: [argo]}}
"""


def namespace(name: str, event: str = "ADDED", *, labels: str = "yes", terminating: bool = False) -> Seen:
    """An event of a Namespace."""
    return Seen(event, "namespaces", name, name, "1", terminating, {"pull": labels})  # type: ignore[arg-type]


def secret(place: str, name: str = "pull", event: str = "MODIFIED") -> Seen:
    """An event of a Secret."""
    return Seen(event, "secrets", place, name, "1")  # type: ignore[arg-type]


def account(place: str, *references: str, name: str = "workers", event: str = "MODIFIED", app: str = "ci") -> Seen:
    """An event of a ServiceAccount."""
    return Seen(event, "serviceaccounts", place, name, "1", False, {"app": app}, references or None)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def config() -> Config:
    """Two pull secrets, one by pattern and label."""
    return parse(CONFIG, "config.yaml")


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(namespace("team-a"), id="a namespace is new"),
        pytest.param(namespace("team-a", "MODIFIED"), id="a namespace may have got its label"),
        pytest.param(secret("team-a"), id="a Secret was edited"),
        pytest.param(secret("team-a", event="DELETED"), id="a Secret was deleted"),
        pytest.param(secret("argo", "bare"), id="the Secret of another pull secret was edited"),
        pytest.param(account("team-a", event="ADDED"), id="a ServiceAccount is new"),
        pytest.param(account("team-a", "theirs"), id="a reference was lost"),
    ],
)
def test_what_may_need_something_leads_to_a_pass(config: Config, seen: Seen) -> None:
    """A pass over that namespace could find something to do."""
    assert wants_a_pass(config, seen)


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(namespace("team-a", "DELETED"), id="a namespace is gone"),
        pytest.param(namespace("team-a", terminating=True), id="a namespace is being deleted"),
        pytest.param(namespace("team-old"), id="an excluded namespace"),
        pytest.param(namespace("other"), id="a namespace that nobody means"),
        pytest.param(namespace("team-a", labels="no"), id="a namespace without the label"),
        pytest.param(secret("team-old"), id="a Secret in an excluded namespace"),
        pytest.param(secret("argo"), id="a Secret of that name where it is not ours"),
        pytest.param(secret("team-a", "other"), id="another Secret"),
        pytest.param(account("team-a", "theirs", "pull"), id="a ServiceAccount that has its reference"),
        pytest.param(account("team-a", event="DELETED"), id="a ServiceAccount that is gone"),
        pytest.param(account("team-a", name="default"), id="another ServiceAccount"),
        pytest.param(account("team-a", app="web"), id="a ServiceAccount without the label"),
        pytest.param(account("other"), id="a ServiceAccount elsewhere"),
    ],
)
def test_what_asks_for_nothing_is_passed_over(config: Config, seen: Seen) -> None:
    """Ten thousand heartbeats of other objects cost no request."""
    assert not wants_a_pass(config, seen)
