"""Server-side apply: creation, conflicts, force, preconditions, and who owns what."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rotator.sandbox.apiserver import ApiServer
from rotator.sandbox.apiserver.apply import apply, same_but_times, updated
from rotator.sandbox.apiserver.fields import Manager, applied_fields, decode
from rotator.sandbox.apiserver.objects import Object, clone, dig
from rotator.sandbox.apiserver.status import StatusError
from tests.apiclient import EMPTY_AUTHS, JSON_PATCH, MERGE_PATCH, Client, client_of, secret

PATH = "/api/v1/namespaces/a/secrets/worker-pull"
ACCOUNT = "/api/v1/namespaces/a/serviceaccounts/default"
OTHER_AUTHS = "eyJhdXRocyI6eyJyIjp7fX19"  # {"auths":{"r":{}}}
DATA = ".dockerconfigjson"


@pytest.fixture
def api() -> Iterator[ApiServer]:
    """A running server with the namespace `a`."""
    with ApiServer() as server:
        server.store.create_namespace("a")
        yield server


@pytest.fixture
def client(api: ApiServer) -> Iterator[Client]:
    """A client that may do everything."""
    with client_of(api) as admin:
        yield admin


def with_meta(**fields: object) -> dict[str, Any]:
    """The pull secret with these metadata fields."""
    return secret(metadata={"name": "worker-pull", **fields})


def managers(body: Object) -> dict[tuple[str, str], Any]:
    """fieldsV1 by manager and operation."""
    return {(entry["manager"], entry["operation"]): entry["fieldsV1"] for entry in body["metadata"]["managedFields"]}


def test_apply_creates_and_then_changes_nothing(client: Client) -> None:
    """The first apply answers 201, the same one again 200 with the same resourceVersion."""
    created = client.apply(PATH, with_meta(labels={"a": "1"}))
    again = client.apply(PATH, with_meta(labels={"a": "1"}))
    assert (created.status, again.status) == (201, 200)
    assert again.body == created.body


def test_apply_records_the_fields_it_states(client: Client) -> None:
    """The managedFields of an apply hold its leaves, without the maps around them and without the name."""
    body = client.apply(PATH, with_meta(labels={"a": "1"})).body
    assert managers(body) == {
        ("rotator", "Apply"): {
            "f:data": {f"f:{DATA}": {}},
            "f:metadata": {"f:labels": {"f:a": {}}},
            "f:type": {},
        }
    }


def test_post_records_its_user_agent_or_field_manager(client: Client) -> None:
    """Another write owns what it wrote, maps included, under its fieldManager or its User-Agent's first word."""
    fields: Object = {"f:data": {".": {}, f"f:{DATA}": {}}, "f:type": {}}
    named = client.post("/api/v1/namespaces/a/secrets", secret("x"), fieldManager="kubectl-create").body
    unnamed = client.post("/api/v1/namespaces/a/secrets", secret("y")).body
    assert managers(named) == {("kubectl-create", "Update"): fields}
    assert managers(unnamed) == {("tester", "Update"): fields}


def test_conflict_names_manager_and_field(api: ApiServer, client: Client) -> None:
    """An apply of another value than its owner's is 409 with the real wording and a cause; nothing is written."""
    api.store.put_secret("a", "worker-pull", {DATA: "{}"}, manager="kubectl")
    before = client.get(PATH).body
    answer = client.apply(PATH, secret())
    assert (answer.status, answer.reason) == (409, "Conflict")
    assert answer.message == f'Apply failed with 1 conflict: conflict with "kubectl" using v1: .data.{DATA}'
    assert answer.body["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "kubectl" using v1', "field": f".data.{DATA}"}
    ]
    assert client.get(PATH).body == before


def test_several_conflicts_are_listed_by_manager(client: Client) -> None:
    """More conflicts than one are counted and listed; a manager that applies is named without a version."""
    client.apply(PATH, with_meta(labels={"a": "1", "b": "1"}), manager="helm")
    answer = client.apply(PATH, with_meta(labels={"a": "2", "b": "2"}))
    assert answer.message == (
        'Apply failed with 2 conflicts: conflicts with "helm":\n- .metadata.labels.a\n- .metadata.labels.b'
    )
    assert [cause["field"] for cause in answer.body["details"]["causes"]] == [
        ".metadata.labels.a",
        ".metadata.labels.b",
    ]


def test_equal_value_is_shared(client: Client) -> None:
    """Applying what another manager applied is no conflict: both own it, and one alone cannot remove it."""
    client.apply(PATH, with_meta(labels={"a": "1"}), manager="helm")
    shared = client.apply(PATH, with_meta(labels={"a": "1"}))
    assert shared.status == 200
    assert set(managers(shared.body)) == {("helm", "Apply"), ("rotator", "Apply")}
    left = client.apply(PATH, with_meta())
    assert left.body["metadata"]["labels"] == {"a": "1"}


def test_force_takes_the_field(api: ApiServer, client: Client) -> None:
    """force=true writes, and the other manager no longer owns the field."""
    api.store.put_secret("a", "worker-pull", {DATA: "{}"}, manager="kubectl")
    answer = client.apply(PATH, secret(), force="true")
    assert answer.body["data"] == {DATA: EMPTY_AUTHS}
    assert managers(answer.body)["kubectl", "Update"] == {"f:data": {}, "f:type": {}}


def test_dropped_field_is_removed(client: Client) -> None:
    """What this manager applied and no longer does is removed; what others wrote stays."""
    client.apply(PATH, with_meta(labels={"a": "1", "b": "2"}, annotations={"c": "3"}))
    client.patch(PATH, {"metadata": {"labels": {"theirs": "4"}}}, MERGE_PATCH)
    answer = client.apply(PATH, with_meta(labels={"a": "1"}))
    assert answer.body["metadata"]["labels"] == {"a": "1", "theirs": "4"}
    assert "annotations" not in answer.body["metadata"]


def test_other_writes_take_ownership(client: Client) -> None:
    """A patch of an applied field moves it to the patching manager: applying the old value again conflicts."""
    client.apply(PATH, secret())
    client.patch(PATH, {"data": {DATA: OTHER_AUTHS}}, MERGE_PATCH, fieldManager="kubectl-edit")
    answer = client.apply(PATH, secret())
    assert (answer.status, answer.reason) == (409, "Conflict")
    assert '"kubectl-edit" using v1' in answer.message


def test_same_name_is_two_managers(client: Client) -> None:
    """A manager that applies and one that updates conflict even under one name, as on the real server."""
    client.post("/api/v1/namespaces/a/secrets", secret(), fieldManager="rotator")
    answer = client.apply(PATH, secret(data={DATA: OTHER_AUTHS}))
    assert answer.message == f'Apply failed with 1 conflict: conflict with "rotator" using v1: .data.{DATA}'


def test_stale_version_in_the_body_conflicts(client: Client) -> None:
    """metadata.resourceVersion is a precondition of an apply."""
    first = client.apply(PATH, secret())
    current = client.apply(PATH, secret(data={DATA: OTHER_AUTHS}))
    stale = client.apply(PATH, with_meta(resourceVersion=first.version))
    fresh = client.apply(PATH, with_meta(resourceVersion=current.version))
    assert (stale.status, stale.reason) == (409, "Conflict")
    assert "the object has been modified" in stale.message
    assert fresh.status == 200


def test_wrong_uid_in_the_body_is_refused(client: Client) -> None:
    """metadata.uid is 422 where another object stands, 409 where none does: an apply with a uid never creates."""
    absent = client.apply(PATH, with_meta(uid="gone"))
    client.apply(PATH, secret())
    wrong = client.apply(PATH, with_meta(uid="gone"))
    assert (absent.status, absent.reason) == (409, "Conflict")
    assert "uid mismatch: the provided object specified uid gone" in absent.message
    assert (wrong.status, wrong.reason) == (422, "Invalid")


BAD_REQUESTS: dict[str, tuple[dict[str, Any], str]] = {
    "another name": (secret("other"), "the name of the object (other) does not match the name on the URL"),
    "no name": (secret(metadata={}), "name must be provided"),
    "another namespace": (with_meta(namespace="b"), "the namespace of the provided object does not match"),
    "another version": (secret(apiVersion="v2"), "invalid object type: /v2, Kind=Secret"),
    "another kind": (secret(kind="ConfigMap"), "invalid object type: /v1, Kind=ConfigMap"),
    "managed fields": (with_meta(managedFields=[]), "metadata.managedFields must be nil"),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_bad_configuration_is_refused(client: Client, case: str) -> None:
    """What does not fit its URL is 400."""
    config, problem = BAD_REQUESTS[case]
    answer = client.apply(PATH, config)
    assert (answer.status, answer.reason) == (400, "BadRequest")
    assert problem in answer.message


def test_field_manager_is_required(client: Client) -> None:
    """An apply without fieldManager is 422; force is for applies only."""
    nameless = client.patch(PATH, secret(), "application/apply-patch+yaml")
    forced = client.patch(PATH, {}, MERGE_PATCH, force="true")
    assert (nameless.status, forced.status) == (422, 422)
    assert "fieldManager: Required value: is required for apply patch" in nameless.message
    assert "force: Forbidden: may not be specified for non-apply patch" in forced.message


def test_references_are_atomic(client: Client) -> None:
    """The list imagePullSecrets conflicts as a whole, and force drops the other manager's entries.

    The ServiceAccount began without anything to own, so nobody is recorded as the one who patched it.
    """
    config = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    theirs = [{"op": "add", "path": "/imagePullSecrets", "value": [{"name": "theirs"}]}]
    patched = client.patch(ACCOUNT, theirs, JSON_PATCH, fieldManager="kubectl-patch")
    ours = config | {"imagePullSecrets": [{"name": "ours"}]}
    conflict = client.apply(ACCOUNT, ours)
    forced = client.apply(ACCOUNT, ours, force="true")
    assert "managedFields" not in patched.body["metadata"]
    assert conflict.message == (
        'Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .imagePullSecrets'
    )
    assert forced.body["imagePullSecrets"] == [{"name": "ours"}]


def test_empty_list_is_applied(client: Client) -> None:
    """A configuration that states an empty list owns it, and takes the references away."""
    config = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    client.apply(ACCOUNT, config | {"imagePullSecrets": [{"name": "theirs"}]}, manager="helm")
    refused = client.apply(ACCOUNT, config | {"imagePullSecrets": []})
    forced = client.apply(ACCOUNT, config | {"imagePullSecrets": []}, force="true")
    assert refused.message == 'Apply failed with 1 conflict: conflict with "helm": .imagePullSecrets'
    assert "imagePullSecrets" not in forced.body
    assert managers(forced.body) == {("rotator", "Apply"): {"f:imagePullSecrets": {}}}


def test_unknown_field_is_not_declared(client: Client) -> None:
    """An apply of a field that the kind does not have is a 500 without a reason, as for any Go error."""
    answer = client.apply(PATH, secret(nonsense=1))
    assert answer.status == 500
    assert answer.message.endswith("(/worker-pull; /v1, Kind=Secret): .nonsense: field not declared in schema")


def test_wiped_owners_are_not_begun_anew(client: Client) -> None:
    """Who writes after the managedFields were wiped is not recorded; the next apply meets `before-first-apply`."""
    client.post("/api/v1/namespaces/a/secrets", secret(), fieldManager="kubectl-create")
    client.patch(PATH, {"metadata": {"managedFields": [{}]}}, MERGE_PATCH)
    edited = client.patch(PATH, {"data": {DATA: OTHER_AUTHS}}, MERGE_PATCH, fieldManager="kubectl-edit")
    answer = client.apply(PATH, secret())
    assert "managedFields" not in edited.body["metadata"]
    assert answer.message == f'Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .data.{DATA}'


def test_time_is_that_of_the_last_change(client: Client) -> None:
    """Who applies what is there already changed nothing, and has no time."""
    client.apply(PATH, with_meta(labels={"a": "1"}), manager="helm")
    shared = client.apply(PATH, with_meta(labels={"a": "1"}))
    times = {entry["manager"]: "time" in entry for entry in shared.body["metadata"]["managedFields"]}
    assert times == {"helm": True, "rotator": False}


def test_update_that_sends_managed_fields_back_keeps_them(client: Client) -> None:
    """A read, changed and written object keeps its owners, but for what was changed."""
    body = client.apply(PATH, with_meta(labels={"a": "1"})).body
    body["metadata"]["labels"]["b"] = "2"
    answer = client.put(PATH, body, fieldManager="editor")
    assert managers(answer.body) == {
        ("rotator", "Apply"): managers(body)["rotator", "Apply"],
        ("editor", "Update"): {"f:metadata": {"f:labels": {"f:b": {}}}},
    }


NAMES = st.sampled_from(["a", "b", "c"])
TEXTS = st.dictionaries(NAMES, st.sampled_from(["1", "2"]), max_size=3)
CONFIGS = st.builds(
    lambda labels, data, references: {
        "metadata": {"name": "x"} | ({"labels": labels} if labels else {}),
        **({"data": data} if data else {}),
        **({"imagePullSecrets": [{"name": name} for name in references]} if references else {}),
    },
    TEXTS,
    TEXTS,
    st.lists(NAMES, max_size=2),
)
MANAGERS = st.sampled_from([Manager(name, "Apply", "v1") for name in ("helm", "rotator", "argo")])
WRITES = st.lists(st.tuples(MANAGERS, CONFIGS, st.booleans()), max_size=6)
ROTATOR = Manager("rotator", "Apply", "v1")


def history(writes: list[tuple[Manager, Object, bool]]) -> Object:
    """An object after these writes: applies without force (refused ones change nothing), or updates of all there is."""
    obj: Object = {"metadata": {"name": "x"}}
    for manager, config, applies in writes:
        if not applies:
            obj = updated(obj, clone(config), manager._replace(operation="Update"), "now")
            continue
        try:
            obj = apply(obj, config, manager, "now", force=False)
        except StatusError:
            continue
    return obj


@given(writes=WRITES, config=CONFIGS)
def test_applying_twice_is_a_no_op(writes: list[tuple[Manager, Object, bool]], config: Object) -> None:
    """Whatever happened before, the second of two equal applies changes nothing."""
    once = apply(history(writes), config, ROTATOR, "now", force=True)
    assert same_but_times(once, apply(once, config, ROTATOR, "later", force=False))


@given(writes=WRITES, config=CONFIGS)
def test_apply_removes_nothing_that_another_owns(writes: list[tuple[Manager, Object, bool]], config: Object) -> None:
    """An apply without force leaves every field of every other manager as it is; what it states is there."""
    live = history(writes)
    try:
        new = apply(live, config, ROTATOR, "now", force=False)
    except StatusError:
        return
    for manager, fields in decode(live).fields.items():
        if manager != ROTATOR:
            assert all(
                dig(new, *path) == dig(live, *path) for path in fields if isinstance(dig(live, *path), str | list)
            )
    assert all(dig(new, *path) == dig(config, *path) for path in applied_fields(config))
    assert decode(new).fields.get(ROTATOR, frozenset()) == applied_fields(config)


@given(writes=WRITES, config=CONFIGS)
@example(
    writes=[(ROTATOR, {"metadata": {"name": "x", "labels": {"a": "1"}}}, True)], config={"metadata": {"name": "x"}}
)
def test_apply_does_not_change_the_live_object(writes: list[tuple[Manager, Object, bool]], config: Object) -> None:
    """Stored objects are shared by readers and watches, so a write never alters one."""
    live = history(writes)
    before = clone(live)
    apply(live, config, ROTATOR, "now", force=True)
    assert live == before
