"""The cluster client against the emulated API server: is it there, reads, lists, and what goes wrong with them."""

from pathlib import Path

import pytest

from rotator.cluster.client import LIGHT, Cluster
from rotator.cluster.failures import Gone
from rotator.errors import ClusterError, ClusterUnusable, NotFound, ServerFailed
from rotator.model import SecretText
from rotator.sandbox.apiserver import ApiServer
from rotator.sandbox.server import Request, Response, Server
from tests.cluster.conftest import Connect, WriteKubeconfig

NAME = "worker-pull"
KEY = ".dockerconfigjson"
TEXT = '{"auths":{"registry.example":{"auth":"QVdTOmh1bnRlcjI="}}}'


def test_a_cluster_that_knows_us_is_reachable(cluster: Cluster) -> None:
    """Nothing is raised."""
    cluster.check_reachable()


def test_a_cluster_that_does_not_know_us_is_unusable(api: ApiServer, connect: Connect, tmp_path: Path) -> None:
    """401 is exit code 3 with a hint, not a retry for ever."""
    path = api.kubeconfig(tmp_path / "config")
    api.replace_token("rotator")
    with pytest.raises(ClusterUnusable, match="does not know who we are") as caught:
        connect(path).namespace("team-a")
    assert caught.value.exit_code == 3
    assert caught.value.hint


def test_a_token_that_is_refused_makes_a_cluster_unreachable(kubeconfig: WriteKubeconfig, connect: Connect) -> None:
    """A real server refuses a wrong token on every path, /version too, though anybody may read that without one."""
    with Server(lambda _: Response(401)) as server, pytest.raises(ClusterUnusable, match="does not know who we are"):
        connect(kubeconfig(server.url)).check_reachable()


def test_a_cluster_that_is_down_is_unusable(api: ApiServer, cluster: Cluster) -> None:
    """No connection: the message names the address, the hint says what to check."""
    api.stop()
    with pytest.raises(ClusterUnusable, match="it refused the connection") as caught:
        cluster.check_reachable()
    assert api.url.removeprefix("https://") in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("body", [b"<html>Please log in</html>", b"{}", b'{"gitVersion":3}', b"\xff"])
def test_another_kind_of_server_is_unusable(kubeconfig: WriteKubeconfig, connect: Connect, body: bytes) -> None:
    """A captive portal or a wrong port answers 200 too; it is not taken for a cluster."""
    with Server(lambda _: Response(200, body)) as server, pytest.raises(ClusterUnusable, match="not what a Kubernetes"):
        connect(kubeconfig(server.url)).check_reachable()


def test_a_server_without_a_version_is_unusable(kubeconfig: WriteKubeconfig, connect: Connect) -> None:
    """404 where every Kubernetes API server has an answer is another server."""
    with Server(lambda _: Response(404)) as server, pytest.raises(ClusterUnusable, match="get /version: not found"):
        connect(kubeconfig(server.url)).check_reachable()


def test_a_list_is_read_as_it_is_used(api: ApiServer, cluster: Cluster) -> None:
    """The next page is asked for when the last is used up: memory holds one page, and of Secrets it is a short one."""
    for number in range(2 * LIGHT + 1):
        api.store.create_service_account("team-b", f"sa{number}")
        api.store.create_namespace(f"more-{number}")
        api.store.put_secret(f"more-{number}", NAME, {KEY: TEXT})
    api.journal.clear()
    secrets = cluster.secrets(NAME)
    asked = [(next(secrets) and len(api.journal.records)) for _ in range(5)]
    assert asked == [1, 1, 2, 2, 3]
    api.journal.clear()
    accounts = cluster.service_accounts(namespace="team-b")
    pages = [(next(accounts) and len(api.journal.records)) for _ in range(2 * LIGHT + 1)]
    assert pages == [*[1] * 2 * LIGHT, 2]


def test_namespaces_are_listed_and_chosen_by_label(api: ApiServer, cluster: Cluster) -> None:
    """All of them across pages, or those that the selector chooses; a dying one is marked."""
    api.store.create_namespace("team-c")
    api.store.hold_terminating = True
    api.store.delete_namespace("team-c")
    records = {record.name: record for record in cluster.namespaces()}
    assert {"default", "team-a", "team-b", "team-c"} <= set(records)
    assert [name for name, record in records.items() if record.terminating] == ["team-c"]
    assert [record.name for record in cluster.namespaces("pull=private")] == ["team-b"]


def test_one_namespace_is_read_by_name(cluster: Cluster) -> None:
    """Its labels come along; one that does not exist is NotFound."""
    assert cluster.namespace("team-b").labels["pull"] == "private"
    with pytest.raises(NotFound, match="get namespaces absent: not found"):
        cluster.namespace("absent")


def test_a_selector_that_does_not_parse_is_refused_with_the_servers_words(cluster: Cluster) -> None:
    """400 says what is wrong with the selector."""
    with pytest.raises(ClusterError, match="the API server answered 400: unable to parse"):
        list(cluster.namespaces("=x="))


def test_only_secrets_of_the_name_are_read(api: ApiServer, cluster: Cluster) -> None:
    """The server chooses by name; other Secrets never come to us, and equal texts are one object."""
    for namespace in ("team-a", "team-b", "default"):
        api.store.put_secret(namespace, NAME, {KEY: TEXT})
        api.store.put_secret(namespace, "theirs", {"password": "x"}, type="Opaque")
    records = list(cluster.secrets(NAME))
    assert sorted(record.namespace for record in records) == ["default", "team-a", "team-b"]
    assert {record.name for record in records} == {NAME}
    assert records[0].text == SecretText(TEXT)
    assert len({id(record.text) for record in records}) == 1


def test_one_secret_is_read_by_name(api: ApiServer, cluster: Cluster) -> None:
    """A record with all that the plan needs; one that does not exist is NotFound."""
    made = api.store.put_secret("team-a", NAME, {KEY: TEXT}, annotations={"a": "b"}, immutable=True)
    record = cluster.secret("team-a", NAME)
    assert (record.uid, record.resource_version) == (made["metadata"]["uid"], made["metadata"]["resourceVersion"])
    assert (record.immutable, record.annotations, record.text) == (True, {"a": "b"}, SecretText(TEXT))
    with pytest.raises(NotFound, match="get secrets worker-pull in namespace team-b: not found"):
        cluster.secret("team-b", NAME)


def test_service_accounts_are_chosen_by_namespace_name_and_label(api: ApiServer, cluster: Cluster) -> None:
    """Every way to choose them, across pages."""
    for namespace in ("team-a", "team-b"):
        for name in ("app", "workers", "cron"):
            api.store.create_service_account(namespace, name, ["theirs"] if name == "app" else [])
    assert {record.name for record in cluster.service_accounts(namespace="team-a")} >= {"app", "cron", "workers"}
    named = list(cluster.service_accounts(name="workers"))
    assert [(record.namespace, record.name) for record in named] == [("team-a", "workers"), ("team-b", "workers")]
    assert list(cluster.service_accounts(labels="no=such")) == []
    assert cluster.service_account("team-a", "app").pull_secrets == ("theirs",)


def test_a_list_that_expires_is_continued(api: ApiServer, cluster: Cluster) -> None:
    """410 in the middle: the rest is read with the token that the server offers, and nothing comes twice."""
    many = [f"sa{number:02}" for number in range(2 * LIGHT + 2)]
    for name in many:
        api.store.create_service_account("team-a", name)
    records = cluster.service_accounts(namespace="team-a")
    names = [next(records).name]
    api.store.create_service_account("team-a", "sa99")
    api.store.compact()
    names += [record.name for record in records]
    assert names == [*(["default"] if "default" in names else []), *many, "sa99"]


def test_an_expired_list_without_a_token_begins_again(kubeconfig: WriteKubeconfig, connect: Connect) -> None:
    """Then an item may come twice; none is missed."""
    expired: list[Request] = []

    def handler(request: Request) -> Response:
        if "continue" not in request.query:
            return Response.of_json(200, {"metadata": {"continue": "t"}, "items": [{"metadata": {"name": "a"}}]})
        if not expired:
            expired.append(request)
            return Response.of_json(410, {"kind": "Status", "reason": "Expired", "metadata": {}})
        return Response.of_json(200, {"metadata": {}, "items": [{"metadata": {"name": "b"}}]})

    with Server(handler) as server:
        assert [record.name for record in connect(kubeconfig(server.url)).namespaces()] == ["a", "a", "b"]


def test_a_list_that_always_expires_ends(kubeconfig: WriteKubeconfig, connect: Connect) -> None:
    """After a few beginnings it is a failure, not a loop."""
    asked: list[Request] = []

    def handler(request: Request) -> Response:
        asked.append(request)
        return Response.of_json(410, {"kind": "Status", "reason": "Expired"})

    with Server(handler) as server, pytest.raises(Gone):
        list(connect(kubeconfig(server.url)).namespaces())
    assert len(asked) == 4


def test_a_malformed_answer_is_the_servers_failure(kubeconfig: WriteKubeconfig, connect: Connect) -> None:
    """Nonsense with status 200 is ServerFailed, and does not quote the nonsense."""
    nonsense = Response(200, b'{"metadata":{"name":"hunter2"},"data":7}')
    with Server(lambda _: nonsense) as server, pytest.raises(ServerFailed, match="not what a Kubernetes") as caught:
        connect(kubeconfig(server.url)).secret("team-a", NAME)
    assert "hunter2" not in str(caught.value)
