"""The cluster client's writes, and what RBAC says to it, against the emulated API server."""

import base64
import json
from pathlib import Path

import pytest

from rotator.cluster.client import Cluster
from rotator.errors import Conflict, Forbidden, Invalid, NotFound
from rotator.model import DesiredSecret, SecretRecord, SecretText
from rotator.sandbox.apiserver import ApiServer, Call, Rule
from rotator.sandbox.server import Request, Response, Server
from tests.cluster.conftest import Connect, WriteKubeconfig

NAME = "worker-pull"
KEY = ".dockerconfigjson"
TEXT = '{"auths":{"registry.example":{"auth":"QVdTOmh1bnRlcjI="}}}'
OTHER = '{"auths":{}}'


def limited(api: ApiServer, connect: Connect, tmp_path: Path, *rules: Rule) -> Cluster:
    """A client with these rules only."""
    api.add_user("limited", rules)
    return connect(api.kubeconfig(tmp_path / "limited", "limited"))


def desired(text: str = TEXT, record: SecretRecord | None = None, **annotations: str) -> DesiredSecret:
    """The pull secret of team-a, merged from this record."""
    return DesiredSecret(
        namespace="team-a",
        name=NAME,
        text=SecretText(text),
        labels={"app.kubernetes.io/managed-by": "rotator"},
        annotations=annotations,
        uid=record.uid if record else None,
        resource_version=record.resource_version if record else None,
    )


def stored(api: ApiServer) -> dict[str, str]:
    """The decoded data of the pull secret in team-a."""
    secret = api.store.get("secrets", "team-a", NAME)
    assert secret is not None
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


def test_apply_creates_a_secret_that_kubelets_take(api: ApiServer, cluster: Cluster) -> None:
    """Type, data, labels and annotations are as desired, and the field manager is rotator."""
    cluster.apply_secret(desired(note="x"))
    secret = api.store.get("secrets", "team-a", NAME)
    assert secret is not None
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    assert stored(api) == {KEY: TEXT}
    assert secret["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "rotator"}
    assert secret["metadata"]["annotations"] == {"note": "x"}
    assert [entry["manager"] for entry in secret["metadata"]["managedFields"]] == ["rotator"]


def test_apply_updates_in_place(api: ApiServer, cluster: Cluster) -> None:
    """The UID stays (invariant 2), and what others put into the Secret stays too (invariant 3)."""
    cluster.apply_secret(desired())
    api.store.put_secret("team-a", NAME, {KEY: TEXT, "other": "theirs"}, labels={"their": "label"}, manager="argo")
    before = cluster.secret("team-a", NAME)
    cluster.apply_secret(desired(OTHER, before), force=True)
    after = cluster.secret("team-a", NAME)
    assert after.uid == before.uid
    assert after.text == SecretText(OTHER)
    assert stored(api)["other"] == "theirs"
    assert after.labels["their"] == "label"


def test_applying_the_same_again_changes_nothing(cluster: Cluster) -> None:
    """The resourceVersion stays, so nobody is woken by a write that changed nothing."""
    cluster.apply_secret(desired())
    before = cluster.secret("team-a", NAME)
    cluster.apply_secret(desired(record=before))
    assert cluster.secret("team-a", NAME).resource_version == before.resource_version


def test_our_own_write_is_known_by_its_version_and_once(api: ApiServer, cluster: Cluster) -> None:
    """So its event is told from an edit, and nothing has to be kept of what was heard."""
    cluster.apply_secret(desired())
    ours = cluster.secret("team-a", NAME).resource_version
    api.store.put_secret("team-a", NAME, {KEY: OTHER})
    theirs = cluster.secret("team-a", NAME).resource_version
    known = [cluster.wrote("secrets", "team-a", NAME, version) for version in (theirs, ours, ours)]
    assert known == [False, True, False]
    assert not cluster.wrote("secrets", "team-b", NAME, ours)


def test_a_field_of_another_manager_is_a_conflict_that_names_it(api: ApiServer, cluster: Cluster) -> None:
    """Without force the Secret stays as it is; with force it becomes ours."""
    api.store.put_secret("team-a", NAME, {KEY: OTHER}, manager="kubectl-edit")
    with pytest.raises(Conflict, match=r"field manager kubectl-edit owns \.data\.\.dockerconfigjson") as caught:
        cluster.apply_secret(desired())
    assert caught.value.managers == ("kubectl-edit",)
    assert stored(api) == {KEY: OTHER}
    cluster.apply_secret(desired(), force=True)
    assert stored(api) == {KEY: TEXT}


def test_a_stale_resource_version_is_a_conflict_without_managers(api: ApiServer, cluster: Cluster) -> None:
    """Changed since it was read: read again, merge again; force does not help over that."""
    cluster.apply_secret(desired())
    record = cluster.secret("team-a", NAME)
    cluster.apply_secret(desired(OTHER))
    for force in (False, True):
        with pytest.raises(Conflict, match="it changed since it was read") as caught:
            cluster.apply_secret(desired(record=record), force=force)
        assert caught.value.managers == ()
    assert stored(api) == {KEY: OTHER}


def test_a_secret_that_was_recreated_is_not_taken_for_the_old_one(api: ApiServer, cluster: Cluster) -> None:
    """A precondition of another UID fails, and the new Secret stays as it is."""
    cluster.apply_secret(desired())
    old = cluster.secret("team-a", NAME)
    api.store.delete("secrets", "team-a", NAME)
    api.store.put_secret("team-a", NAME, {KEY: OTHER})
    with pytest.raises((Invalid, Conflict)):
        cluster.apply_secret(desired(record=old), force=True)
    assert stored(api) == {KEY: OTHER}


def test_a_secret_that_was_deleted_is_not_created_from_an_old_record(api: ApiServer, cluster: Cluster) -> None:
    """A record's preconditions cannot hold for a Secret that is gone."""
    cluster.apply_secret(desired())
    old = cluster.secret("team-a", NAME)
    api.store.delete("secrets", "team-a", NAME)
    with pytest.raises((Invalid, Conflict, NotFound)):
        cluster.apply_secret(desired(record=old))
    assert api.store.get("secrets", "team-a", NAME) is None


def test_a_wrong_type_is_invalid(api: ApiServer, cluster: Cluster) -> None:
    """The type cannot change; the message says so and quotes no data."""
    api.store.put_secret("team-a", NAME, {"x": "y"}, type="Opaque")
    with pytest.raises(Invalid, match="type: field is immutable") as caught:
        cluster.apply_secret(desired(), force=True)
    assert "QVdT" not in str(caught.value)


def test_an_immutable_secret_is_invalid(api: ApiServer, cluster: Cluster) -> None:
    """Its data cannot change, and the message says so."""
    api.store.put_secret("team-a", NAME, {KEY: OTHER}, immutable=True)
    with pytest.raises(Invalid, match="data: field is immutable"):
        cluster.apply_secret(desired(), force=True)
    assert stored(api) == {KEY: OTHER}


def test_a_text_that_is_no_json_is_refused_without_quoting_it(api: ApiServer, cluster: Cluster) -> None:
    """What the server says about the data stays out of the error."""
    with pytest.raises(Invalid) as caught:
        cluster.apply_secret(desired("hunter2"))
    assert "hunter2" not in str(caught.value)
    assert api.store.get("secrets", "team-a", NAME) is None


def test_a_secret_in_a_dying_namespace_is_forbidden_without_a_rule(api: ApiServer, cluster: Cluster) -> None:
    """No rule would help there, so none is asked for."""
    api.store.hold_terminating = True
    api.store.delete_namespace("team-a")
    with pytest.raises(Forbidden, match="the namespace is being deleted") as caught:
        cluster.apply_secret(desired())
    assert caught.value.hint == ""


def references(api: ApiServer, name: str) -> list[str]:
    """The names in a ServiceAccount's list."""
    account = api.store.get("serviceaccounts", "team-a", name)
    assert account is not None
    return [reference["name"] for reference in account.get("imagePullSecrets", [])]


def test_attach_keeps_the_other_references_in_order(api: ApiServer, cluster: Cluster) -> None:
    """New references go to the end of the list, or become the list."""
    api.store.create_service_account("team-a", "app", ["first", "second"])
    api.store.create_service_account("team-a", "workers")
    for name in ("app", "workers"):
        cluster.attach(cluster.service_account("team-a", name), [NAME, "more"])
    assert references(api, "app") == ["first", "second", NAME, "more"]
    assert references(api, "workers") == [NAME, "more"]


@pytest.mark.parametrize("listed", [(), ("first",)])
def test_attach_to_a_service_account_that_changed_is_invalid(
    api: ApiServer, cluster: Cluster, listed: tuple[str, ...]
) -> None:
    """Whoever changed it meanwhile keeps what they wrote."""
    api.store.create_service_account("team-a", "app", listed)
    stale = cluster.service_account("team-a", "app")
    cluster.attach(stale, ["theirs"])
    with pytest.raises(Invalid, match="a precondition failed"):
        cluster.attach(stale, [NAME])
    assert references(api, "app") == [*listed, "theirs"]


def test_a_change_between_read_and_write_is_noticed(api: ApiServer, cluster: Cluster) -> None:
    """Also when it comes in the very last moment."""
    api.store.create_service_account("team-a", "app", ["first"])
    account = cluster.service_account("team-a", "app")

    def change(_: Call) -> None:
        api.before_request(None)
        api.store.change("serviceaccounts", "team-a", "app", lambda account: account.pop("imagePullSecrets"))

    api.before_request(change)
    with pytest.raises(Invalid):
        cluster.attach(account, [NAME])
    assert references(api, "app") == []


def test_forbidden_says_what_to_grant(api: ApiServer, connect: Connect, tmp_path: Path) -> None:
    """Each refused request's hint is the rule that allows it."""
    nobody = limited(api, connect, tmp_path)
    nobody.check_reachable()
    account = "serviceaccounts"
    for call, rule in (
        (lambda: list(nobody.namespaces()), "verbs [list] on namespaces"),
        (lambda: list(nobody.secrets(NAME)), f"verbs [list] on secrets named {NAME} in all namespaces"),
        (lambda: nobody.secret("team-a", NAME), f"verbs [get] on secrets named {NAME} in namespace team-a"),
        (lambda: nobody.service_account("team-a", "x"), f"verbs [get] on {account} named x in namespace team-a"),
        (
            lambda: nobody.apply_secret(desired()),
            f"verbs [patch, create] on secrets named {NAME} in namespace team-a",
        ),
    ):
        with pytest.raises(Forbidden) as caught:
            call()
        assert caught.value.hint == f"grant {rule}"


def test_rights_over_one_name_are_enough(api: ApiServer, connect: Connect, tmp_path: Path) -> None:
    """With `resourceNames` for every verb we list, read, create and update our Secrets, and reach no other."""
    rule = Rule(("get", "list", "create", "patch"), ("secrets",), (NAME,))
    ours = limited(api, connect, tmp_path, rule)
    ours.apply_secret(desired())
    ours.apply_secret(desired(OTHER, ours.secret("team-a", NAME)))
    assert [record.text for record in ours.secrets(NAME)] == [SecretText(OTHER)]
    with pytest.raises(Forbidden):
        ours.secret("team-a", "theirs")


def test_a_write_comes_through_a_stumbling_server(api: ApiServer, cluster: Cluster) -> None:
    """429 and 500 that pass are not the caller's business."""
    api.faults.throttle(1, retry_after=1)
    cluster.apply_secret(desired())
    api.faults.fail(1)
    cluster.apply_secret(desired(OTHER))
    assert stored(api) == {KEY: OTHER}


def test_the_answer_to_a_write_is_without_the_secret(kubeconfig: WriteKubeconfig, connect: Connect) -> None:
    """The server is asked for the metadata only."""
    seen: list[Request] = []

    def handler(request: Request) -> Response:
        seen.append(request)
        return Response.of_json(200, {})

    with Server(handler) as server:
        connect(kubeconfig(server.url)).apply_secret(desired())
    assert seen[0].headers["accept"].startswith("application/json;as=PartialObjectMetadata;")
    assert json.loads(seen[0].body)["type"] == "kubernetes.io/dockerconfigjson"
