"""Create, replace and delete; Leases, by which a leader is chosen; Events, which tell people what happened."""

from typing import Any

import pytest

from tests.apiclient import EMPTY_AUTHS, MERGE_PATCH, PARTIAL, STRATEGIC_PATCH, Answer, secret
from tests.conformance.both import Both, Side
from tests.conformance.writing import (
    DATA,
    FOREIGN_UID,
    NAME,
    OTHER_AUTHS,
    encoded,
    lease_path,
    managers,
    path,
    pull_secret,
    uid,
    unchanged,
    version,
)


@pytest.fixture
def namespace(both: Both) -> str:
    """A fresh namespace on both sides."""
    return both.namespace()


@pytest.fixture
def secrets(namespace: str) -> str:
    """The path of the namespace's Secrets."""
    return path("secrets", namespace)


@pytest.fixture
def place(secrets: str) -> str:
    """The path of the pull secret."""
    return f"{secrets}/{NAME}"


def without_owners(body: Any) -> Any:  # noqa: ANN401  (decoded JSON)
    """The object without its managedFields: finalizers are owned one by one on the real server."""
    return body | {"metadata": {key: value for key, value in body["metadata"].items() if key != "managedFields"}}


# Create


def test_create_gives_what_only_the_server_gives(both: Both, secrets: str) -> None:
    """A POST is 201 with namespace, uid, creationTimestamp and resourceVersion; a uid in the body is not taken."""
    answer = both.ask(lambda side: side.client.post(secrets, pull_secret(uid=FOREIGN_UID), fieldManager="them"))
    assert answer.status == 201
    for side in both.sides:
        meta = answer.on(side).body["metadata"]
        assert meta["uid"] != FOREIGN_UID
        assert int(meta["resourceVersion"]) > 0
    assert managers(answer.body) == {("them", "Update"): {"f:data": {".": {}, f"f:{DATA}": {}}, "f:type": {}}}


def test_create_without_field_manager_goes_by_the_user_agent(both: Both, secrets: str) -> None:
    """What stands before the slash of the User-Agent is the manager."""
    assert set(managers(both.ask(lambda side: side.client.post(secrets, pull_secret())).body)) == {("tester", "Update")}


def test_second_create_conflicts(both: Both, secrets: str) -> None:
    """A POST of a name that exists is 409 AlreadyExists, also while that object is being deleted."""
    held = pull_secret(finalizers=["example.com/wait"])
    both.each(lambda side: side.client.post(secrets, held))
    exists = both.ask(lambda side: side.client.post(secrets, pull_secret()))
    both.each(lambda side: side.client.delete(f"{secrets}/{NAME}"))
    going = both.ask(lambda side: side.client.post(secrets, pull_secret()))
    assert (exists.status, exists.reason) == (going.status, going.reason) == (409, "AlreadyExists")
    assert going.message == f'object is being deleted: secrets "{NAME}" already exists'
    both.each(lambda side: side.client.patch(f"{secrets}/{NAME}", {"metadata": {"finalizers": None}}, MERGE_PATCH))


def test_create_with_a_version_fails_the_server(both: Both, secrets: str) -> None:
    """A resourceVersion in a POST is a 500 without a reason."""
    answer = both.ask(lambda side: side.client.post(secrets, pull_secret(resourceVersion="5")))
    assert (answer.status, answer.message) == (500, "resourceVersion should not be set on objects to be created")


def test_generated_name(both: Both, secrets: str) -> None:
    """GenerateName gives a name with five characters behind the prefix."""
    body = secret(metadata={"generateName": "worker-"})
    answer = both.ask(lambda side: side.client.post(secrets, body), seen=lambda made: len(made["metadata"]["name"]))
    assert answer.body["metadata"]["name"].startswith("worker-")
    assert len(answer.body["metadata"]["name"]) == len("worker-") + 5


def test_nulls_in_maps_are_empty_texts(both: Both, secrets: str) -> None:
    """A null label is an empty label, a null value an empty value: Go decodes it so."""
    body = secret(metadata={"name": NAME, "labels": {"a": None}}, type="Opaque", data={"x": None})
    answer = both.ask(lambda side: side.client.post(secrets, body))
    assert answer.body["metadata"]["labels"] == {"a": ""}
    assert answer.body["data"] == {"x": ""}


def test_unknown_fields_are_dropped(both: Both, secrets: str) -> None:
    """What the type does not declare is not stored, and a Secret without a type is Opaque."""
    body = {"metadata": {"name": NAME, "nonsense": 1}, "spec": {}}
    answer = both.ask(lambda side: side.client.post(secrets, body))
    assert "spec" not in answer.body
    assert answer.body["type"] == "Opaque"


def test_string_data_becomes_data(both: Both, secrets: str) -> None:
    """StringData is stored as data, over it, and never read back; the data has its owner."""
    body = secret(type="Opaque", data={"a": encoded("1"), "b": encoded("2")}, stringData={"b": "3"})
    answer = both.ask(lambda side: side.client.post(secrets, body), seen=without_owners)
    assert answer.body["data"] == {"a": encoded("1"), "b": encoded("3")}
    assert "stringData" not in answer.body


@pytest.mark.parametrize("verb", ["POST", "PUT"])
def test_data_must_be_base64(both: Both, secrets: str, place: str, verb: str) -> None:
    """A body whose data is no base64 is 400, and the value is not repeated."""
    wrong = pull_secret("s3cret!")
    if verb == "PUT":
        both.each(lambda side: side.client.post(secrets, pull_secret()))
        answer = both.ask(lambda side: side.client.put(place, wrong), words=False)
    else:
        answer = both.ask(lambda side: side.client.post(secrets, wrong), words=False)
    assert (answer.status, answer.reason) == (400, "BadRequest")
    assert all("s3cret" not in answer.on(side).message for side in both.sides)


def test_create_elsewhere_is_refused(both: Both, secrets: str, namespace: str) -> None:
    """Another namespace in the body is 400, an absent one in the URL 404, and no name 422."""
    other = both.ask(lambda side: side.client.post(secrets, pull_secret(namespace="other")))
    absent = both.ask(lambda side: side.client.post(path("secrets", f"{namespace}-not"), pull_secret()))
    nameless = both.ask(lambda side: side.client.post(secrets, secret(metadata={})))
    assert (other.status, absent.status, nameless.status) == (400, 404, 422)


def test_name_is_a_subdomain(both: Both, secrets: str) -> None:
    """No capitals, and 253 characters at most (422)."""
    capital = both.ask(lambda side: side.client.post(secrets, pull_secret(name="Worker")))
    long = both.ask(lambda side: side.client.post(secrets, pull_secret(name="x" * 254)))
    assert (capital.status, long.status) == (422, 422)
    assert long.message.endswith("must be no more than 253 characters")


def test_long_field_manager_is_refused(both: Both, secrets: str, place: str) -> None:
    """More than 128 bytes is 422 for every verb, and the options are named after it."""
    long = "x" * 129
    post = both.ask(lambda side: side.client.post(secrets, pull_secret(), fieldManager=long))
    put = both.ask(lambda side: side.client.put(place, pull_secret(), fieldManager=long))
    assert post.message.startswith('CreateOptions.meta.k8s.io "" is invalid')
    assert put.message.startswith('UpdateOptions.meta.k8s.io "" is invalid')


# Replace


def test_put_with_a_stale_version_conflicts(both: Both, secrets: str, place: str) -> None:
    """A PUT is 409 with the version of an older read, 200 with the current one or with none."""
    first = both.ask(lambda side: side.client.post(secrets, pull_secret()))
    second = both.ask(lambda side: side.client.put(place, pull_secret(OTHER_AUTHS)))
    stale = both.ask(lambda side: side.client.put(place, pull_secret(resourceVersion=first.on(side).version)))
    fresh = both.ask(lambda side: side.client.put(place, pull_secret(resourceVersion=second.on(side).version)))
    assert (second.status, stale.status, fresh.status) == (200, 409, 200)
    assert stale.message.startswith(f'Operation cannot be fulfilled on secrets "{NAME}": the object has been modified')


def test_put_of_the_same_writes_nothing(both: Both, secrets: str, place: str) -> None:
    """A PUT of what is there keeps the resourceVersion."""
    both.each(lambda side: side.client.post(secrets, pull_secret()))
    before = both.ask(lambda side: side.client.get(place))
    both.each(lambda side: side.client.put(place, pull_secret()))
    unchanged(both, place, before)


def test_put_with_a_wrong_uid_conflicts(both: Both, secrets: str, place: str) -> None:
    """A PUT's uid is a precondition (409), where a patch's is an immutable field (422)."""
    both.each(lambda side: side.client.post(secrets, pull_secret()))
    put = both.ask(lambda side: side.client.put(place, pull_secret(uid=FOREIGN_UID)))
    patch = both.ask(lambda side: side.client.patch(place, {"metadata": {"uid": FOREIGN_UID}}, MERGE_PATCH))
    assert (put.status, patch.status) == (409, 422)
    assert "Precondition failed: UID in precondition" in put.message


def test_put_of_an_absent_object_is_not_found(both: Both, place: str) -> None:
    """A PUT creates no Secret."""
    answer = both.ask(lambda side: side.client.put(place, pull_secret()))
    assert (answer.status, answer.message) == (404, f'secrets "{NAME}" not found')


def test_put_cannot_change_the_type(both: Both, secrets: str, place: str) -> None:
    """Neither by another type nor by none, which means Opaque."""
    both.each(lambda side: side.client.post(secrets, pull_secret()))
    other = both.ask(lambda side: side.client.put(place, secret(type="Opaque")))
    none = both.ask(lambda side: side.client.put(place, secret(type="")))
    assert other.message == none.message
    assert other.message.endswith('type: Invalid value: "Opaque": field is immutable')


def test_put_keeps_the_times(both: Both, secrets: str, place: str) -> None:
    """Another creationTimestamp is ignored; a deletionTimestamp is refused (422)."""
    created = both.ask(lambda side: side.client.post(secrets, pull_secret()))
    long_ago = "2020-01-01T00:00:00Z"
    answer = both.ask(lambda side: side.client.put(place, pull_secret(creationTimestamp=long_ago)))
    deleted = both.ask(lambda side: side.client.put(place, pull_secret(deletionTimestamp=long_ago)))
    assert answer.body["metadata"]["creationTimestamp"] == created.body["metadata"]["creationTimestamp"]
    assert deleted.message.endswith(f'metadata.deletionTimestamp: Invalid value: "{long_ago}": field is immutable')


def test_put_that_sends_the_owners_back_keeps_them(both: Both, place: str) -> None:
    """Who reads, edits and replaces the whole object takes over only what it changed."""
    both.each(lambda side: side.client.apply(place, pull_secret(labels={"a": "1"})))

    def edited(side: Side) -> Any:  # noqa: ANN401  (decoded JSON)
        body = side.client.get(place).body
        body["metadata"]["labels"]["b"] = "2"
        return body

    answer = both.ask(lambda side: side.client.put(place, edited(side), fieldManager="kubectl-edit"))
    assert managers(answer.body)["kubectl-edit", "Update"] == {"f:metadata": {"f:labels": {"f:b": {}}}}
    assert f"f:{DATA}" in managers(answer.body)["rotator", "Apply"]["f:data"]


# Delete


@pytest.mark.parametrize(
    ("field", "words"),
    [("uid", "The object might have been deleted and then recreated"), ("resourceVersion", "might have been modified")],
)
def test_delete_has_preconditions(both: Both, secrets: str, place: str, field: str, words: str) -> None:
    """A uid or resourceVersion that is not the object's is 409, and the object stays."""
    both.each(lambda side: side.client.post(secrets, pull_secret()))
    wrong = FOREIGN_UID if field == "uid" else "1"
    answer = both.ask(lambda side: side.client.delete(place, {"preconditions": {field: wrong}}))
    assert (answer.status, answer.reason) == (409, "Conflict")
    assert words in answer.message
    assert both.ask(lambda side: side.client.get(place)).status == 200


def test_delete_of_the_right_one(both: Both, secrets: str, place: str) -> None:
    """With its own uid and version a Secret is deleted; the answer is a Status that repeats the uid and no data."""
    both.each(lambda side: side.client.post(secrets, pull_secret()))

    def delete(side: Side) -> Answer:
        right = {"uid": uid(side, place), "resourceVersion": version(side, place)}
        return side.client.delete(place, {"preconditions": right})

    answer = both.ask(delete)
    assert (answer.status, answer.body["status"]) == (200, "Success")
    assert sorted(answer.body["details"]) == ["kind", "name", "uid"]
    assert both.ask(lambda side: side.client.get(place)).status == 404


def test_delete_of_an_absent_object_is_not_found(both: Both, place: str) -> None:
    """A second delete is 404."""
    answer = both.ask(lambda side: side.client.delete(place))
    assert (answer.status, answer.reason) == (404, "NotFound")


def test_recreated_object_has_another_uid(both: Both, secrets: str, place: str) -> None:
    """A name that comes back is another object: a kubelet forgets what it pulled with the first."""
    first = both.ask(lambda side: side.client.post(secrets, pull_secret()))
    both.each(lambda side: side.client.delete(place))
    second = both.ask(lambda side: side.client.post(secrets, pull_secret()))
    for side in both.sides:
        assert first.on(side).body["metadata"]["uid"] != second.on(side).body["metadata"]["uid"]


def test_finalizer_holds_an_object(both: Both, secrets: str, place: str) -> None:
    """A deleted object with a finalizer stays, marked; rotator may still write it; it goes with the finalizer."""
    both.each(lambda side: side.client.post(secrets, pull_secret(finalizers=["example.com/wait"])))
    marked = both.ask(lambda side: side.client.delete(place), seen=without_owners)
    assert marked.body["metadata"]["deletionGracePeriodSeconds"] == 0
    applied = both.ask(
        lambda side: side.client.apply(place, pull_secret(OTHER_AUTHS), force="true"), seen=without_owners
    )
    assert applied.body["metadata"]["deletionTimestamp"] == marked.body["metadata"]["deletionTimestamp"]
    both.each(lambda side: side.client.patch(place, {"metadata": {"finalizers": None}}, MERGE_PATCH))
    assert both.ask(lambda side: side.client.get(place)).status == 404


def test_delete_of_an_account_returns_it(both: Both, namespace: str) -> None:
    """A deleted ServiceAccount is the answer itself, not a Status."""
    accounts = path("serviceaccounts", namespace)
    both.each(lambda side: side.client.post(accounts, {"metadata": {"name": "worker"}}))
    assert both.ask(lambda side: side.client.delete(f"{accounts}/worker")).body["kind"] == "ServiceAccount"


def test_delete_answers_a_status_whatever_is_accepted(both: Both, secrets: str, place: str) -> None:
    """A dry run answers as if, too."""
    both.each(lambda side: side.client.post(secrets, pull_secret(), accept=PARTIAL))
    answer = both.ask(lambda side: side.client.delete(place, {"dryRun": ["All"]}))
    assert answer.body["status"] == "Success"
    assert both.ask(lambda side: side.client.get(place)).body["data"] == {DATA: EMPTY_AUTHS}


# Leases

NOON = "2026-11-23T12:00:00.000000Z"


def lease(holder: str = "one", version: str | None = None, **spec: object) -> dict[str, Any]:
    """The Lease of a leader."""
    meta = {"name": "leader"} | ({"resourceVersion": version} if version else {})
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": meta,
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": NOON, **spec},
    }


@pytest.fixture
def leader(namespace: str) -> str:
    """The path of the Lease, which does not exist yet."""
    return lease_path(namespace, "leader")


def test_two_who_create_a_lease(both: Both, namespace: str, leader: str) -> None:
    """The second POST is 409: it is not the leader."""
    first = both.ask(lambda side: side.client.post(lease_path(namespace), lease(acquireTime=NOON, leaseTransitions=0)))
    second = both.ask(lambda side: side.client.post(lease_path(namespace), lease("two")))
    assert (first.status, second.status, second.reason) == (201, 409, "AlreadyExists")
    assert both.ask(lambda side: side.client.get(leader)).body["spec"]["holderIdentity"] == "one"


def test_absent_lease_is_not_found(both: Both, leader: str) -> None:
    """The message and the details name the group."""
    answer = both.ask(lambda side: side.client.get(leader))
    assert answer.message == 'leases.coordination.k8s.io "leader" not found'
    assert answer.body["details"] == {"name": "leader", "group": "coordination.k8s.io", "kind": "leases"}


def test_lease_is_renewed_with_its_version(both: Both, leader: str) -> None:
    """A PUT with the version read last renews (200); of two who take over, one gets 409."""
    both.each(lambda side: side.client.put(leader, lease()))
    read = {side.name: version(side, leader) for side in both.sides}
    won = both.ask(lambda side: side.client.put(leader, lease("two", read[side.name])))
    lost = both.ask(lambda side: side.client.put(leader, lease("three", read[side.name])))
    assert (won.status, lost.status, lost.reason) == (200, 409, "Conflict")


def test_put_creates_a_lease_and_then_needs_a_version(both: Both, leader: str) -> None:
    """An absent Lease is created by a PUT (201), whatever its version; a PUT without version is then 422."""
    created = both.ask(lambda side: side.client.put(leader, lease(version="5")))
    answer = both.ask(lambda side: side.client.put(leader, lease("two")))
    assert (created.status, answer.status, answer.reason) == (201, 422, "Invalid")
    assert answer.message.endswith("metadata.resourceVersion: Invalid value: 0: must be specified for an update")


def test_put_with_a_uid_creates_no_lease(both: Both, leader: str) -> None:
    """A uid is a precondition of the PUT also where nothing stands (409)."""
    ours = lease() | {"metadata": {"name": "leader", "uid": FOREIGN_UID}}
    answer = both.ask(lambda side: side.client.put(leader, ours))
    assert (answer.status, answer.reason) == (409, "Conflict")
    assert both.ask(lambda side: side.client.get(leader)).status == 404


def test_released_lease_has_no_holder_and_lasts_a_second(both: Both, leader: str) -> None:
    """An empty holder is kept as such; a duration of 0 or less is 422, so who releases writes 1."""
    both.each(lambda side: side.client.put(leader, lease()))
    released = both.ask(
        lambda side: side.client.put(leader, lease("", version(side, leader), leaseDurationSeconds=1, renewTime=None))
    )
    assert released.body["spec"] == {"holderIdentity": "", "leaseDurationSeconds": 1}
    refused = both.ask(lambda side: side.client.put(leader, lease("", version(side, leader), leaseDurationSeconds=0)))
    assert refused.message.endswith("spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0")


TIMES = {
    NOON: (201, NOON),
    "2026-11-23T13:00:00.000000+01:00": (201, NOON),
    "2026-11-23T12:00:00.000000+00:00": (201, NOON),
    "2026-11-23T12:00:00Z": (400, None),
    "2026-11-23T12:00:00.123Z": (400, None),
    "2026-11-23T12:00:00.123456789Z": (400, None),
    "2026-11-23 12:00:00.000000Z": (400, None),
    "": (400, None),
}


@pytest.mark.parametrize("time", TIMES)
def test_micro_time_has_six_digits(both: Both, namespace: str, time: str) -> None:
    """RenewTime is taken with exactly six digits and any offset, and given back in UTC."""
    status, shown = TIMES[time]
    answer = both.ask(lambda side: side.client.post(lease_path(namespace), lease(renewTime=time)), words=False)
    assert answer.status == status
    if shown:
        assert answer.body["spec"]["renewTime"] == shown


@pytest.mark.parametrize(
    "spec", [{"leaseDurationSeconds": "15"}, {"holderIdentity": 5}, {"renewTime": 5}, {"leaseTransitions": 1.5}]
)
def test_lease_is_typed(both: Both, namespace: str, spec: dict[str, object]) -> None:
    """A value of another type is 400."""
    body = lease()
    body["spec"] |= spec
    answer = both.ask(lambda side: side.client.post(lease_path(namespace), body), words=False)
    assert (answer.status, answer.reason) == (400, "BadRequest")


def test_lease_by_apply(both: Both, leader: str) -> None:
    """Applying a Lease works, with its version as precondition; another manager conflicts whatever the time."""
    both.each(lambda side: side.client.apply(leader, lease(), manager="one"))
    renewed = both.ask(lambda side: side.client.apply(leader, lease(version=version(side, leader)), manager="one"))
    stale = both.ask(lambda side: side.client.apply(leader, lease(version="1"), manager="one"))
    other = both.ask(lambda side: side.client.apply(leader, lease("two"), manager="two"))
    assert (renewed.status, stale.status, other.status) == (200, 409, 409)
    assert other.message == 'Apply failed with 1 conflict: conflict with "one": .spec.holderIdentity'


def test_lease_by_merge_patch(both: Both, leader: str) -> None:
    """A merge patch needs no version, and heeds one that is stale."""
    both.each(lambda side: side.client.put(leader, lease()))
    any_version = {"spec": {"holderIdentity": "two"}}
    stale = {"metadata": {"resourceVersion": "1"}, "spec": {"holderIdentity": "three"}}
    assert both.ask(lambda side: side.client.patch(leader, any_version, MERGE_PATCH)).status == 200
    assert both.ask(lambda side: side.client.patch(leader, stale, MERGE_PATCH)).status == 409


def test_lease_is_deleted_with_preconditions(both: Both, leader: str) -> None:
    """The message names the kind with its group."""
    both.each(lambda side: side.client.put(leader, lease()))
    answer = both.ask(lambda side: side.client.delete(leader, {"preconditions": {"uid": FOREIGN_UID}}))
    assert answer.message.startswith('Operation cannot be fulfilled on Lease.coordination.k8s.io "leader": the UID')
    assert both.ask(lambda side: side.client.delete(leader)).body["status"] == "Success"


# Events


def event(namespace: str, name: str = "worker-pull.1", **more: object) -> dict[str, Any]:
    """An Event about the pull secret."""
    about = {"apiVersion": "v1", "kind": "Secret", "namespace": namespace, "name": NAME, "uid": FOREIGN_UID}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name},
        "involvedObject": about,
        "reason": "SecretHealed",
        "message": "it was deleted, and is there again",
        "type": "Normal",
        "source": {"component": "rotator"},
        "firstTimestamp": "2026-11-23T12:00:00Z",
        "lastTimestamp": "2026-11-23T12:00:00Z",
        "count": 1,
        **more,
    }


@pytest.fixture
def events(namespace: str) -> str:
    """The path of the namespace's Events."""
    return path("events", namespace)


def test_event_is_created_beside_its_object(both: Both, events: str, namespace: str) -> None:
    """An Event is created in its object's namespace, and says what is not given as null or empty text."""
    answer = both.ask(lambda side: side.client.post(events, event(namespace)))
    assert answer.status == 201
    assert answer.body["eventTime"] is None
    assert answer.body["reportingComponent"] == ""


def test_event_about_an_object_elsewhere_is_refused(both: Both, events: str, namespace: str) -> None:
    """Another namespace than the object's is 422, and so is an object without namespace, but in `default`."""
    elsewhere = event(namespace, involvedObject={"kind": "Secret", "name": NAME, "namespace": "elsewhere"})
    clusterwide = event(namespace, involvedObject={"kind": "Namespace", "name": namespace})
    far = both.ask(lambda side: side.client.post(events, elsewhere))
    wide = both.ask(lambda side: side.client.post(events, clusterwide))
    assert (far.status, wide.status) == (422, 422)
    assert far.body["details"]["causes"][0]["field"] == "involvedObject.namespace"
    assert wide.body["details"]["causes"][0]["field"] == "involvedObject.namespace"
    named = clusterwide | {"metadata": {"name": f"{namespace}.1"}}
    assert both.ask(lambda side: side.client.post(path("events", "default"), named)).status == 201


@pytest.mark.parametrize("media_type", [MERGE_PATCH, STRATEGIC_PATCH])
def test_event_is_counted_up_by_a_patch(both: Both, events: str, namespace: str, media_type: str) -> None:
    """One that happens again raises count and lastTimestamp."""
    both.each(lambda side: side.client.post(events, event(namespace)))
    more = {"count": 2, "lastTimestamp": "2026-11-23T12:05:00Z"}
    answer = both.ask(lambda side: side.client.patch(f"{events}/worker-pull.1", more, media_type))
    assert (answer.body["count"], answer.body["firstTimestamp"]) == (2, "2026-11-23T12:00:00Z")


def test_event_by_apply_is_one_request(both: Both, events: str, namespace: str) -> None:
    """An apply under a name that follows from object and reason creates the Event, and later counts it up."""
    place = f"{events}/worker-pull.1"
    first = both.ask(lambda side: side.client.apply(place, event(namespace)))
    again = both.ask(lambda side: side.client.apply(place, event(namespace, count=2)))
    assert (first.status, again.status, again.body["count"]) == (201, 200, 2)
    assert managers(again.body)["rotator", "Apply"]["f:involvedObject"] == {}


def test_event_by_put(both: Both, events: str, namespace: str) -> None:
    """A PUT creates an Event, and replaces it without a version."""
    place = f"{events}/worker-pull.1"
    assert both.ask(lambda side: side.client.put(place, event(namespace))).status == 201
    assert both.ask(lambda side: side.client.put(place, event(namespace, count=2))).body["count"] == 2


def test_event_with_a_generated_name(both: Both, events: str, namespace: str) -> None:
    """As every other object."""
    body = event(namespace) | {"metadata": {"generateName": "worker-pull."}}
    answer = both.ask(lambda side: side.client.post(events, body), seen=lambda made: made["count"])
    assert answer.status == 201


def test_times_of_an_event_have_whole_seconds(both: Both, events: str, namespace: str) -> None:
    """A fraction is cut off; what is no time is 400."""
    precise = event(namespace, firstTimestamp="2026-11-23T13:00:00.9+01:00")
    answer = both.ask(lambda side: side.client.post(events, precise))
    assert answer.body["firstTimestamp"] == "2026-11-23T12:00:00Z"
    wrong = both.ask(lambda side: side.client.post(events, event(namespace, firstTimestamp="noon")), words=False)
    assert wrong.status == 400


NEWER = {"eventTime": NOON, "reportingComponent": "rotator", "reportingInstance": "rotator-0", "action": "Heal"}


@pytest.mark.parametrize("field", ["reportingComponent", "reportingInstance", "action", "reason"])
def test_event_with_an_event_time_needs_more(both: Both, events: str, namespace: str, field: str) -> None:
    """An eventTime makes it one of the newer kind, which must say who reports what action (422)."""
    answer = both.ask(lambda side: side.client.post(events, event(namespace, **(NEWER | {field: ""}))))
    assert answer.status == 422
    assert answer.body["details"]["causes"][0]["field"] == field
    assert both.ask(lambda side: side.client.post(events, event(namespace, **NEWER))).status == 201


def test_message_of_a_newer_event_is_bounded(both: Both, events: str, namespace: str) -> None:
    """At most 1024 characters with an eventTime; without one the length is free."""
    long = {"message": "x" * 1025}
    refused = both.ask(lambda side: side.client.post(events, event(namespace, **(NEWER | long))))
    assert refused.message.endswith('message: Invalid value: "": can have at most 1024 characters')
    assert both.ask(lambda side: side.client.post(events, event(namespace, **long))).status == 201


def test_series_of_an_event(both: Both, events: str, namespace: str) -> None:
    """A newer Event that happens again gets a series."""
    both.each(lambda side: side.client.post(events, event(namespace, **NEWER)))
    series = {"series": {"count": 2, "lastObservedTime": NOON}}
    answer = both.ask(lambda side: side.client.patch(f"{events}/worker-pull.1", series, MERGE_PATCH))
    assert answer.body["series"] == {"count": 2, "lastObservedTime": NOON}
