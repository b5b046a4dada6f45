"""Gather: what is read, what is not, and what becomes of the rest when something cannot be read."""

from datetime import timedelta
from pathlib import Path

import pytest

from rotator.cluster.client import Cluster
from rotator.cluster.gather import gather, with_references
from rotator.config import Config, Former, Prune, parse
from rotator.errors import ClusterUnusable, Forbidden
from rotator.model import Kind
from rotator.sandbox.apiserver import ApiServer, Call, Rule
from tests import build
from tests.cluster.conftest import Connect
from tests.outside import ECR, SECRET

TEXT = '{"auths":{"registry.example":{"auth":"QVdTOmh1bnRlcjI="}}}'
LISTED = "names: [team-a, team-b]"
PATTERN = 'names: ["team-*"]'


def config(namespaces: str, accounts: str = "names: [workers]", *more: str) -> Config:
    """One pull secret over these namespaces and ServiceAccounts, and more of them over the same, by name."""
    secrets = "\n".join(
        f"  - {{name: {name}, registries: [prod], namespaces: {{{namespaces}}}, serviceAccounts: {{{accounts}}}}}"
        for name in (SECRET, *more)
    )
    return parse(f"registries:\n  - {{name: prod, ecr: {{hosts: [{ECR}]}}}}\npullSecrets:\n{secrets}\n", "test.yaml")


@pytest.fixture(autouse=True)
def objects(api: ApiServer) -> None:
    """Our Secret and two ServiceAccounts in each namespace, and in one that is not ours."""
    api.store.create_namespace("other")
    for namespace in ("team-a", "team-b", "other"):
        api.store.put_secret(namespace, SECRET, {".dockerconfigjson": TEXT})
        for name in ("workers", "apps"):
            api.store.create_service_account(namespace, name)
    api.journal.clear()


def asked(api: ApiServer) -> list[tuple[str, str, str, str]]:
    """Verb, resource, namespace and name of every request."""
    return [(record.verb, record.resource, record.namespace, record.name) for record in api.journal.records]


def test_listed_namespaces_are_read_by_name_and_each_object_once(api: ApiServer, cluster: Cluster) -> None:
    """Two pull secrets want the same ServiceAccount and the same namespaces: nothing is asked for twice."""
    found = gather(cluster, config(LISTED, "names: [workers]", "other-pull"))
    assert sorted(asked(api)) == sorted(
        request
        for team in ("team-a", "team-b")
        for request in (
            ("get", "namespaces", "", team),
            ("get", "secrets", team, SECRET),
            ("get", "secrets", team, "other-pull"),
            ("get", "serviceaccounts", team, "workers"),
        )
    )
    assert set(found.service_accounts) == {("team-a", "workers"), ("team-b", "workers")}
    assert set(found.secrets) == {("team-a", SECRET), ("team-b", SECRET)}


def test_labels_of_namespaces_are_kept_where_something_chooses_by_them(api: ApiServer, cluster: Cluster) -> None:
    """Only then: those of ten thousand namespaces that nobody asks for cost 3 MiB."""
    api.store.create_namespace("team-c", {"pull": "private"})
    assert gather(cluster, config(PATTERN)).namespaces["team-c"].labels == {}
    chosen = gather(cluster, config(f"{PATTERN}, labels: pull=private"))
    assert chosen.namespaces["team-c"].labels["pull"] == "private"


@pytest.mark.parametrize("namespaces", [LISTED, PATTERN])
def test_a_namespace_that_is_being_deleted_is_not_read(api: ApiServer, cluster: Cluster, namespaces: str) -> None:
    """It is in the snapshot, so that it is not called missing; nothing in it is asked for or kept."""
    api.store.hold_terminating = True
    api.store.delete_namespace("team-b")
    found = gather(cluster, config(namespaces, 'names: ["work*"]'))
    assert found.namespaces["team-b"].terminating
    assert ("team-b", SECRET) not in found.secrets
    within = {namespace for _, resource, namespace, _ in asked(api) if resource != "namespaces"}
    assert within == ({"team-a"} if namespaces == LISTED else {""})


@pytest.mark.parametrize("accounts", ['names: ["work*"]', 'names: [workers, "x*"]'])
@pytest.mark.parametrize("namespaces", [LISTED, PATTERN])
def test_service_accounts_that_nobody_wants_are_not_kept(cluster: Cluster, namespaces: str, accounts: str) -> None:
    """A list brings all of a namespace; memory is for those that are meant."""
    assert {name for _, name in gather(cluster, config(namespaces, accounts)).service_accounts} == {"workers"}


@pytest.mark.parametrize("namespaces", [LISTED, PATTERN])
def test_without_service_accounts_none_is_read(api: ApiServer, cluster: Cluster, namespaces: str) -> None:
    """Whoever wants none attached needs no right to read them."""
    assert gather(cluster, config(namespaces, "")).service_accounts == {}
    assert "serviceaccounts" not in {resource for _, resource, _, _ in asked(api)}


def test_secrets_elsewhere_are_not_kept(cluster: Cluster) -> None:
    """A list by name brings those of uncovered namespaces too."""
    assert set(gather(cluster, config(PATTERN)).secrets) == {("team-a", SECRET), ("team-b", SECRET)}


def leave_over(api: ApiServer, *namespaces: str) -> None:
    """Make the Secret in these namespaces ours, written long ago."""
    credential = build.credential(issued=build.NOW - timedelta(hours=13))
    record = build.secret({ECR: ("prod", credential)})
    assert record.text is not None
    for namespace in namespaces:
        data = {".dockerconfigjson": record.text.reveal()}
        api.store.put_secret(namespace, SECRET, data, labels=record.labels, annotations=record.annotations)
    api.journal.clear()


def test_of_secrets_elsewhere_ours_are_kept(api: ApiServer, cluster: Cluster) -> None:
    """They are left over, and cost no request; a look at one namespace sees none."""
    leave_over(api, "other")
    assert ("other", SECRET) in gather(cluster, config(PATTERN)).secrets
    assert {request[:3] for request in asked(api)} == {
        ("list", resource, "") for resource in ("namespaces", "secrets", "serviceaccounts")
    }
    assert ("other", SECRET) not in gather(cluster, config(PATTERN), "team-a").secrets


def formerly(namespaces: str, *, prune: bool = True) -> Config:
    """One pull secret over team-a, and the Secret that was formerly in these namespaces."""
    former = Former.model_validate({"name": SECRET, "namespaces": {"names": [namespaces]}})
    section = Prune(enabled=prune, former=(former,))
    return config("names: [team-a]", "names: [workers]").model_copy(update={"prune": section})


def test_former_pull_secrets_are_looked_for_by_name_where_they_were(api: ApiServer, cluster: Cluster) -> None:
    """Named namespaces need nothing cluster-wide; with a pattern one list finds them, and the rest is not kept."""
    leave_over(api, "team-b", "other")
    found = gather(cluster, formerly("team-b"))
    assert set(found.secrets) == {("team-a", SECRET), ("team-b", SECRET)}
    assert [request for request in asked(api) if "team-b" in request] == [
        ("get", "namespaces", "", "team-b"),
        ("get", "secrets", "team-b", SECRET),
    ]
    found = gather(cluster, formerly("team-*"))
    assert set(found.secrets) == {("team-a", SECRET), ("team-b", SECRET)}
    assert "team-b" not in gather(cluster, formerly("team-b"), "team-a").namespaces


def test_references_are_looked_for_only_where_an_orphan_may_go(api: ApiServer, cluster: Cluster) -> None:
    """One list in its namespace, of all ServiceAccounts there; none while it lives, and none anywhere else."""
    leave_over(api, "team-b")
    settings = formerly("team-*")
    found = gather(cluster, settings)
    api.journal.clear()
    assert with_references(cluster, settings, found, build.NOW - timedelta(hours=2)) == found
    assert with_references(cluster, formerly("team-*", prune=False), found, build.NOW) == found
    assert asked(api) == []
    more = with_references(cluster, settings, found, build.NOW)
    assert {name for namespace, name in more.service_accounts if namespace == "team-b"} >= {"workers", "apps"}
    assert {(verb, resource, namespace) for verb, resource, namespace, _ in asked(api)} == {
        ("list", "serviceaccounts", "team-b")
    }


def test_one_namespace_is_read_alone(api: ApiServer, cluster: Cluster) -> None:
    """`only` reads by name, though the namespaces are a pattern, and says so in the snapshot."""
    found = gather(cluster, config(PATTERN, 'names: ["work*"]'), "team-b")
    assert (set(found.namespaces), found.only) == ({"team-b"}, "team-b")
    assert set(found.secrets) == {("team-b", SECRET)}
    assert set(found.service_accounts) == {("team-b", "workers")}
    assert {(resource, namespace or name) for _, resource, namespace, name in asked(api)} == {
        ("namespaces", "team-b"),
        ("secrets", "team-b"),
        ("serviceaccounts", "team-b"),
    }


def may(api: ApiServer, connect: Connect, path: Path, *namespaces: str) -> Cluster:
    """A client that may read all in these namespaces only."""
    rule = Rule(("get", "list"), ("namespaces", "secrets", "serviceaccounts"), namespaces=namespaces)
    api.add_user("limited", [rule])
    return connect(api.kubeconfig(path / "limited", "limited"))


def test_what_cannot_be_read_is_a_gap_and_stops_nothing_else(api: ApiServer, connect: Connect, tmp_path: Path) -> None:
    """One of two namespaces is forbidden: the other is read, and the gap holds the rule to add."""
    found = gather(may(api, connect, tmp_path, "team-a"), config(LISTED))
    assert set(found.namespaces) == {"team-a"}
    assert (set(found.secrets), set(found.service_accounts)) == ({("team-a", SECRET)}, {("team-a", "workers")})
    (gap,) = found.gaps
    assert (gap.kind, gap.namespace, gap.name) == (Kind.NAMESPACE, "team-b", "team-b")
    assert isinstance(gap.error, Forbidden)


def test_a_cluster_of_which_nothing_can_be_read_is_unusable(api: ApiServer, connect: Connect, tmp_path: Path) -> None:
    """With the words and the remedy of the first refusal."""
    with pytest.raises(ClusterUnusable, match="namespaces") as caught:
        gather(may(api, connect, tmp_path), config(LISTED))
    assert caught.value.hint


def test_namespaces_that_do_not_exist_are_no_reason_to_give_up(cluster: Cluster) -> None:
    """Nothing was refused: the snapshot is empty, and has no gap."""
    found = gather(cluster, config("names: [absent]"))
    assert (found.namespaces, found.gaps) == ({}, ())


def test_a_server_that_knows_us_no_more_ends_the_pass(api: ApiServer, cluster: Cluster) -> None:
    """401 in the middle is no gap of one object: everything after it would fail alike."""

    def revoke(call: Call) -> None:
        if call.place.resource.name == "secrets":
            api.replace_token("rotator")

    api.before_request(revoke)
    with pytest.raises(ClusterUnusable, match="does not know who we are"):
        gather(cluster, config(LISTED))
