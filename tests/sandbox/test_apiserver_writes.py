"""Create, update, patch, delete and validation, as the real server answers them."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from rotator.sandbox.apiserver import ApiServer
from tests.apiclient import (
    EMPTY_AUTHS,
    JSON_PATCH,
    MERGE_PATCH,
    PARTIAL,
    STRATEGIC_PATCH,
    Client,
    client_of,
    secret,
)

SECRETS = "/api/v1/namespaces/a/secrets"
ACCOUNT = "/api/v1/namespaces/a/serviceaccounts/default"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/a/leases"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def api() -> Iterator[ApiServer]:
    """A running server with the namespace `a`."""
    with ApiServer(clock=lambda: NOW) as server:
        server.store.create_namespace("a")
        yield server


@pytest.fixture
def client(api: ApiServer) -> Iterator[Client]:
    """A client that may do everything."""
    with client_of(api) as admin:
        yield admin


def encoded(text: str | bytes) -> str:
    """Base64 of a text."""
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def test_created_object_gets_its_system_fields(client: Client) -> None:
    """A POST answers 201 with uid, creationTimestamp of the server's clock, resourceVersion and namespace."""
    answer = client.post(SECRETS, secret())
    meta = answer.body["metadata"]
    assert answer.status == 201
    assert meta["creationTimestamp"] == "2026-11-23T12:00:00Z"
    assert meta["namespace"] == "a"
    assert len(meta["uid"]) == 36
    assert int(meta["resourceVersion"]) > 0
    assert client.get(f"{SECRETS}/worker-pull").body == answer.body


def test_second_create_conflicts(client: Client) -> None:
    """A POST of a name that exists is 409 AlreadyExists."""
    client.post(SECRETS, secret())
    answer = client.post(SECRETS, secret())
    assert (answer.status, answer.reason) == (409, "AlreadyExists")
    assert answer.message == 'secrets "worker-pull" already exists'
    assert answer.body["details"] == {"name": "worker-pull", "kind": "secrets"}


def test_absent_object_is_not_found(client: Client) -> None:
    """GET, PUT, DELETE and a JSON Patch of an absent object are 404 with the resource in the details."""
    path = f"{SECRETS}/nope"
    for answer in (
        client.get(path),
        client.put(path, secret("nope")),
        client.delete(path),
        client.patch(path, [], JSON_PATCH),
    ):
        assert (answer.status, answer.reason) == (404, "NotFound")
        assert answer.message == 'secrets "nope" not found'
    lease = client.get(f"{LEASES}/nope")
    assert lease.message == 'leases.coordination.k8s.io "nope" not found'
    assert lease.body["details"] == {"name": "nope", "group": "coordination.k8s.io", "kind": "leases"}


def test_update_with_a_stale_version_conflicts(client: Client) -> None:
    """A PUT is 409 with the version of an older read, 200 with the current one."""
    first = client.post(SECRETS, secret()).body
    second = client.put(f"{SECRETS}/worker-pull", first | {"data": {".dockerconfigjson": encoded('{"a":1}')}})
    stale = client.put(f"{SECRETS}/worker-pull", first)
    assert second.status == 200
    assert int(second.version) > int(first["metadata"]["resourceVersion"])
    assert (stale.status, stale.reason) == (409, "Conflict")
    assert stale.message.startswith('Operation cannot be fulfilled on secrets "worker-pull": the object has been modif')


def test_update_without_a_change_keeps_the_version(client: Client) -> None:
    """A PUT of what is there already writes nothing, with or without a resourceVersion."""
    first = client.post(SECRETS, secret()).body
    assert client.put(f"{SECRETS}/worker-pull", first).version == first["metadata"]["resourceVersion"]
    assert client.put(f"{SECRETS}/worker-pull", secret()).version == first["metadata"]["resourceVersion"]


def test_update_of_another_uid_conflicts(client: Client) -> None:
    """A PUT's uid is a precondition (409); a patch cannot change it (422)."""
    body = client.post(SECRETS, secret()).body
    body["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"
    put = client.put(f"{SECRETS}/worker-pull", body)
    patch = client.patch(f"{SECRETS}/worker-pull", {"metadata": {"uid": "other"}}, MERGE_PATCH)
    assert (put.status, put.reason) == (409, "Conflict")
    assert "Precondition failed: UID in precondition" in put.message
    assert (patch.status, patch.reason) == (422, "Invalid")
    assert 'metadata.uid: Invalid value: "other": field is immutable' in patch.message


INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "a name in capitals": (secret("Worker"), "metadata.name: Invalid value"),
    "a data key with a slash": (secret(data={".dockerconfigjson": EMPTY_AUTHS, "a/b": ""}), "data[a/b]: Invalid value"),
    "no dockerconfigjson": (secret(data={}), "data[.dockerconfigjson]: Required value"),
    "a list as dockerconfigjson": (
        secret(data={".dockerconfigjson": encoded("[]")}),
        "data[.dockerconfigjson]: Invalid value",
    ),
    "text as dockerconfigjson": (
        secret(data={".dockerconfigjson": encoded("{")}),
        "data[.dockerconfigjson]: Invalid value",
    ),
    "more than 1 MiB": (
        secret(data={"a": encoded(b"x" * (1024 * 1024 + 1))}, type="Opaque"),
        "data: Too long: may not be more than 1048576 bytes",
    ),
    "a label of 64 characters": (
        secret(metadata={"name": "x", "labels": {"a": "x" * 64}}),
        "metadata.labels: Invalid value",
    ),
    "a label with a slash": (secret(metadata={"name": "x", "labels": {"a": "x/y"}}), "metadata.labels: Invalid value"),
    "an annotation key with two slashes": (
        secret(metadata={"name": "x", "annotations": {"a/b/c": ""}}),
        "metadata.annotations: Invalid value",
    ),
    "annotations of more than 256 KiB": (
        secret(metadata={"name": "x", "annotations": {"a": "x" * 256 * 1024}}),
        "metadata.annotations: Too long: may not be more than 262144 bytes",
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_invalid_secret_is_refused(client: Client, case: str) -> None:
    """What validation refuses is 422 Invalid, names the field in message and causes, and is not stored."""
    body, problem = INVALID[case]
    name = body["metadata"]["name"]
    answer = client.post(SECRETS, body)
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert answer.message.startswith(f'Secret "{name}" is invalid: ')
    assert problem in answer.message
    assert answer.body["details"]["kind"] == "Secret"
    assert problem.startswith(answer.body["details"]["causes"][0]["field"])
    assert client.get(f"{SECRETS}/{name}").status == 404


def test_secret_of_exactly_one_mebibyte_is_accepted(client: Client) -> None:
    """The limit itself is allowed."""
    assert client.post(SECRETS, secret(data={"a": encoded(b"x" * 1024 * 1024)}, type="Opaque")).status == 201


def test_data_must_be_base64(client: Client) -> None:
    """A POST whose data is no base64 is 400; the value is not repeated."""
    answer = client.post(SECRETS, secret(data={".dockerconfigjson": "s3cret!"}))
    assert (answer.status, answer.reason) == (400, "BadRequest")
    assert "illegal base64" in answer.message
    assert "s3cret" not in answer.message


def test_string_data_is_merged_into_data(client: Client) -> None:
    """StringData is written as base64 over data, and never read back."""
    body = secret(type="Opaque", data={"a": encoded("1"), "b": encoded("2")}, stringData={"b": "3"})
    stored = client.post(SECRETS, body).body
    assert stored["data"] == {"a": encoded("1"), "b": encoded("3")}
    assert "stringData" not in stored


def test_unknown_fields_are_dropped(client: Client) -> None:
    """What the type does not declare is not stored; a type is defaulted to Opaque."""
    stored = client.post(SECRETS, {"metadata": {"name": "x", "nonsense": 1}, "spec": {}}).body
    assert "spec" not in stored
    assert "nonsense" not in stored["metadata"]
    assert stored["type"] == "Opaque"


def test_type_of_a_secret_is_immutable(client: Client) -> None:
    """Neither PUT nor patch changes it: 422."""
    client.post(SECRETS, secret())
    put = client.put(f"{SECRETS}/worker-pull", secret(type="Opaque"))
    patch = client.patch(f"{SECRETS}/worker-pull", {"type": "Opaque"}, MERGE_PATCH)
    for answer in (put, patch):
        assert (answer.status, answer.reason) == (422, "Invalid")
        assert answer.message == 'Secret "worker-pull" is invalid: type: Invalid value: "Opaque": field is immutable'


def test_immutable_secret_keeps_its_data(api: ApiServer, client: Client) -> None:
    """`immutable: true` locks data and itself (422), but not the labels."""
    api.store.put_secret("a", "worker-pull", {".dockerconfigjson": "{}"}, immutable=True)
    path = f"{SECRETS}/worker-pull"
    data = client.patch(path, {"data": {"x": encoded("y")}}, MERGE_PATCH)
    flag = client.patch(path, {"immutable": None}, MERGE_PATCH)
    labels = client.patch(path, {"metadata": {"labels": {"a": "b"}}}, MERGE_PATCH)
    assert data.message.endswith("data: Forbidden: field is immutable when `immutable` is set")
    assert flag.message.endswith("immutable: Forbidden: field is immutable when `immutable` is set")
    assert (data.status, flag.status, labels.status) == (422, 422, 200)


def test_name_must_match_the_url(client: Client) -> None:
    """A PUT with another name or namespace than the URL's is 400."""
    client.post(SECRETS, secret())
    name = client.put(f"{SECRETS}/worker-pull", secret("other"))
    namespace = client.put(f"{SECRETS}/worker-pull", secret(metadata={"name": "worker-pull", "namespace": "b"}))
    assert name.message == "the name of the object (other) does not match the name on the URL (worker-pull)"
    assert namespace.message.startswith("the namespace of the provided object does not match the namespace sent")
    assert (name.status, namespace.status) == (400, 400)


def test_json_patch_appends_a_reference(api: ApiServer, client: Client) -> None:
    """The safe append keeps the other references; `test` guards the version."""
    api.store.create_service_account("a", "worker", pull_secrets=["theirs"])
    path = "/api/v1/namespaces/a/serviceaccounts/worker"
    version = client.get(path).version
    append = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "add", "path": "/imagePullSecrets/-", "value": {"name": "ours"}},
    ]
    answer = client.patch(path, append, JSON_PATCH)
    assert answer.status == 200
    assert answer.body["imagePullSecrets"] == [{"name": "theirs"}, {"name": "ours"}]


def test_json_patch_that_does_not_apply_is_invalid(client: Client) -> None:
    """A stale version and an absent list are 422 with the server's one wording; nothing is written."""
    before = client.get(ACCOUNT)
    stale = [{"op": "test", "path": "/metadata/resourceVersion", "value": "1"}]
    absent = [{"op": "add", "path": "/imagePullSecrets/-", "value": {"name": "ours"}}]
    negative = [{"op": "add", "path": "/secrets", "value": [{}]}, {"op": "remove", "path": "/secrets/-2"}]
    unknown = [{"op": "nonsense", "path": "/kind"}]
    for patch in (stale, absent, negative, unknown, [{"op": "remove", "path": "/secrets"}]):
        answer = client.patch(ACCOUNT, patch, JSON_PATCH)
        assert (answer.status, answer.reason) == (422, "Invalid")
        assert answer.message == "the server rejected our request due to an error in our request"
    assert client.get(ACCOUNT).body == before.body


def test_references_are_typed(client: Client) -> None:
    """A patch that makes something else of the list is 422, and a reference without a name is kept as such."""
    for wrong in ("x", ["x"], [{"name": 1}]):
        answer = client.patch(ACCOUNT, {"imagePullSecrets": wrong}, MERGE_PATCH)
        assert (answer.status, answer.reason) == (422, "Invalid")
    assert client.patch(ACCOUNT, {"imagePullSecrets": [{"name": ""}]}, MERGE_PATCH).body["imagePullSecrets"] == [{}]


def test_json_patch_escapes(client: Client) -> None:
    """`~1` and `~0` stand for a slash and a tilde in a path."""
    client.post(SECRETS, secret(metadata={"name": "worker-pull", "annotations": {"example.com/a": "1"}}))
    patch = [{"op": "replace", "path": "/metadata/annotations/example.com~1a", "value": "2"}]
    answer = client.patch(f"{SECRETS}/worker-pull", patch, JSON_PATCH)
    assert answer.body["metadata"]["annotations"] == {"example.com/a": "2"}


def test_strategic_merge_replaces_the_references(api: ApiServer, client: Client) -> None:
    """ImagePullSecrets of a ServiceAccount is atomic: a strategic merge patch drops the other entries."""
    api.store.create_service_account("a", "worker", pull_secrets=["theirs"])
    path = "/api/v1/namespaces/a/serviceaccounts/worker"
    answer = client.patch(path, {"imagePullSecrets": [{"name": "ours"}]}, STRATEGIC_PATCH)
    assert answer.body["imagePullSecrets"] == [{"name": "ours"}]


def test_merge_patch_removes_with_null(client: Client) -> None:
    """Null removes a key, everything else merges."""
    client.post(SECRETS, secret(metadata={"name": "worker-pull", "labels": {"a": "1", "b": "2"}}))
    answer = client.patch(f"{SECRETS}/worker-pull", {"metadata": {"labels": {"a": None, "c": "3"}}}, MERGE_PATCH)
    assert answer.body["metadata"]["labels"] == {"b": "2", "c": "3"}


def test_unknown_patch_type_is_unsupported(client: Client) -> None:
    """A patch in another media type is 415."""
    answer = client.patch(ACCOUNT, {}, "application/json")
    assert (answer.status, answer.reason) == (415, "UnsupportedMediaType")


def test_delete_respects_preconditions(client: Client) -> None:
    """A wrong uid or version is 409; the right ones delete, and the answer is a Status with the uid."""
    meta = client.post(SECRETS, secret()).body["metadata"]
    wrong = [{"uid": "x"}, {"resourceVersion": "1"}]
    for preconditions in wrong:
        answer = client.delete(f"{SECRETS}/worker-pull", {"preconditions": preconditions})
        assert (answer.status, answer.reason) == (409, "Conflict")
    right = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
    done = client.delete(f"{SECRETS}/worker-pull", {"preconditions": right})
    assert (done.status, done.body["status"]) == (200, "Success")
    assert done.body["details"] == {"name": "worker-pull", "kind": "secrets", "uid": meta["uid"]}


def test_delete_names_the_kind(client: Client) -> None:
    """A failed precondition of a delete is worded by kind, and by resource for a namespace."""
    client.post(SECRETS, secret())
    answer = client.delete(f"{SECRETS}/worker-pull", {"preconditions": {"uid": "x"}})
    assert answer.message.startswith(
        'Operation cannot be fulfilled on Secret "worker-pull": the UID in the precondition'
    )
    assert answer.body["details"] == {"name": "worker-pull", "kind": "Secret"}
    namespace = client.delete("/api/v1/namespaces/a", {"preconditions": {"uid": "x"}})
    assert namespace.message.startswith('Operation cannot be fulfilled on namespaces "a": Precondition failed: UID')


def test_finalizer_holds_an_object(api: ApiServer, client: Client) -> None:
    """A deleted object with a finalizer stays, marked, until the finalizer goes."""
    client.post(SECRETS, secret(metadata={"name": "worker-pull", "finalizers": ["example.com/wait"]}))
    marked = client.delete(f"{SECRETS}/worker-pull")
    assert marked.body["metadata"]["deletionTimestamp"] == "2026-11-23T12:00:00Z"
    assert client.get(f"{SECRETS}/worker-pull").status == 200
    client.patch(f"{SECRETS}/worker-pull", {"metadata": {"finalizers": None}}, MERGE_PATCH)
    assert api.store.get("secrets", "a", "worker-pull") is None


def test_lease_is_created_by_put_and_needs_a_version_to_change(client: Client) -> None:
    """PUT creates a Lease (201); a later PUT without resourceVersion is 422, with a stale one 409."""
    body = {"metadata": {"name": "leader"}, "spec": {"holderIdentity": "x", "leaseDurationSeconds": 15}}
    created = client.put(f"{LEASES}/leader", body)
    unversioned = client.put(f"{LEASES}/leader", body)
    assert created.status == 201
    assert (unversioned.status, unversioned.reason) == (422, "Invalid")
    assert "metadata.resourceVersion: Invalid value: 0: must be specified for an update" in unversioned.message
    client.put(f"{LEASES}/leader", created.body | {"spec": {"holderIdentity": "y", "leaseDurationSeconds": 15}})
    assert client.put(f"{LEASES}/leader", created.body).status == 409


@pytest.mark.parametrize(
    ("time", "status"),
    [("2026-11-23T12:00:00.000000Z", 201), ("2026-11-23T12:00:00Z", 400), ("2026-11-23T12:00:00.123Z", 400)],
)
def test_micro_time_has_six_digits(client: Client, time: str, status: int) -> None:
    """RenewTime is taken in the one form that Go's layout takes."""
    assert client.post(LEASES, {"metadata": {"name": "leader"}, "spec": {"renewTime": time}}).status == status


def test_released_lease_must_last_a_second(client: Client) -> None:
    """LeaseDurationSeconds 0 is 422: who releases a Lease writes 1."""
    body = {"metadata": {"name": "leader"}, "spec": {"holderIdentity": "", "leaseDurationSeconds": 0}}
    assert client.post(LEASES, body).status == 422


def test_event_belongs_to_the_namespace_of_its_object(client: Client) -> None:
    """An Event about an object elsewhere is 422; in its own namespace it is created, name generated."""
    event = {"metadata": {"generateName": "x."}, "reason": "Renewed", "type": "Normal"}
    here = event | {"involvedObject": {"kind": "Secret", "name": "worker-pull", "namespace": "a"}}
    created = client.post("/api/v1/namespaces/a/events", here)
    assert created.status == 201
    assert created.body["metadata"]["name"].startswith("x.")
    elsewhere = event | {"involvedObject": {"kind": "Secret", "name": "worker-pull", "namespace": "b"}}
    assert client.post("/api/v1/namespaces/a/events", elsewhere).status == 422


def test_partial_answer_has_no_data(client: Client) -> None:
    """A write that asks for PartialObjectMetadata gets the metadata only."""
    answer = client.post(SECRETS, secret(), accept=PARTIAL)
    assert sorted(answer.body) == ["apiVersion", "kind", "metadata"]
    assert answer.body["kind"] == "PartialObjectMetadata"
    assert answer.body["metadata"]["name"] == "worker-pull"


def test_dry_run_stores_nothing(client: Client) -> None:
    """dryRun=All answers as if, and leaves no trace."""
    assert client.post(SECRETS, secret(), dryRun="All").status == 201
    assert client.apply(f"{SECRETS}/worker-pull", secret(), dryRun="All").status == 201
    assert client.get(f"{SECRETS}/worker-pull").status == 404


def test_unknown_resource_is_a_status_and_unknown_path_is_text(client: Client) -> None:
    """An unknown resource of a known group is 404 as a Status, any other path 404 in plain text, as in Go."""
    resource = client.get("/api/v1/nonsense")
    assert (resource.status, resource.reason) == (404, "NotFound")
    assert resource.message == "the server could not find the requested resource"
    path = client.get("/apis/example.com/v1/things")
    assert (path.status, path.body) == (404, "404 page not found\n")
    assert client.put(SECRETS, secret()).reason == "MethodNotAllowed"


def test_health_and_version_need_no_token(api: ApiServer) -> None:
    """/healthz, /readyz and /version are open to all."""
    anonymous = Client(api.url, None)
    assert [anonymous.get(path).body for path in ("/healthz", "/readyz")] == ["ok", "ok"]
    assert anonymous.get("/version").body["minor"] == "36"
    anonymous.close()
