"""Server-side apply, as rotator writes Secrets with it: the emulation answers as kube-apiserver does."""

from dataclasses import replace
from typing import Any

import pytest

from rotator.cluster import request
from rotator.errors import Conflict, Invalid, NotFound, ServerFailed
from rotator.model import DesiredSecret, SecretText
from tests.apiclient import APPLY, EMPTY_AUTHS, JSON_PATCH, MERGE_PATCH, PARTIAL, secret
from tests.conformance.both import Both, Side
from tests.conformance.writing import (
    DATA,
    FOREIGN_UID,
    NAME,
    OTHER_AUTHS,
    THIRD_AUTHS,
    account,
    causes_in_order,
    encoded,
    managers,
    path,
    pull_secret,
    send,
    told,
    uid,
    unchanged,
    version,
)


@pytest.fixture
def namespace(both: Both) -> str:
    """A fresh namespace on both sides."""
    return both.namespace()


@pytest.fixture
def place(namespace: str) -> str:
    """The path of the pull secret, which does not exist yet."""
    return path("secrets", namespace, NAME)


@pytest.fixture
def desired(namespace: str) -> DesiredSecret:
    """The pull secret as rotator wants it."""
    return DesiredSecret(
        namespace, NAME, SecretText('{"auths":{}}'), {"a.example/by": "rotator"}, {"a.example/at": "1"}
    )


# What rotator sends


def test_apply_creates_and_then_changes_nothing(both: Both, place: str, desired: DesiredSecret) -> None:
    """Rotator's own request creates (201); the same one again is 200 and keeps version and times: a no-op is safe."""
    asked = request.apply_secret(desired, force=False)
    created = both.ask(lambda side: send(side.client, asked))
    first = both.ask(lambda side: side.client.get(place))
    again = both.ask(lambda side: send(side.client, asked))
    assert (created.status, again.status) == (201, 200)
    unchanged(both, place, first)


def test_answer_holds_metadata_only(both: Both, desired: DesiredSecret) -> None:
    """The answer to rotator's write is a PartialObjectMetadata: the Secret's data does not travel back."""
    answer = both.ask(lambda side: send(side.client, request.apply_secret(desired, force=False)))
    assert sorted(answer.body) == ["apiVersion", "kind", "metadata"]
    assert answer.body["kind"] == "PartialObjectMetadata"


def test_apply_records_what_it_states(both: Both, place: str, desired: DesiredSecret) -> None:
    """Rotator owns one data key, the type, its labels and its annotations, and nothing around them."""
    both.each(lambda side: send(side.client, request.apply_secret(desired, force=False)))
    body = both.ask(lambda side: side.client.get(place)).body
    assert managers(body) == {
        ("rotator", "Apply"): {
            "f:data": {f"f:{DATA}": {}},
            "f:metadata": {"f:labels": {"f:a.example/by": {}}, "f:annotations": {"f:a.example/at": {}}},
            "f:type": {},
        }
    }


def test_update_keeps_the_uid_and_raises_the_version(both: Both, place: str, desired: DesiredSecret) -> None:
    """A rotation writes in place (200): a new resourceVersion, the same UID."""
    both.each(lambda side: send(side.client, request.apply_secret(desired, force=False)))
    before = both.ask(lambda side: side.client.get(place))

    def rotated(side: Side) -> DesiredSecret:
        meta = before.on(side).body["metadata"]
        text = SecretText('{"auths":{"r":{}}}')
        return replace(desired, text=text, uid=meta["uid"], resource_version=meta["resourceVersion"])

    answer = both.ask(lambda side: send(side.client, request.apply_secret(rotated(side), force=False)))
    assert answer.status == 200
    for side in both.sides:
        assert answer.on(side).body["metadata"]["uid"] == before.on(side).body["metadata"]["uid"]
        assert int(answer.on(side).version) > int(before.on(side).version)


def test_stale_version_is_a_conflict(both: Both, place: str, desired: DesiredSecret) -> None:
    """A resourceVersion in the body is a precondition: an older one is 409, which rotator reads as "changed"."""
    old = both.ask(lambda side: side.client.apply(place, pull_secret()))
    both.each(lambda side: side.client.apply(place, pull_secret(OTHER_AUTHS)))
    before = both.ask(lambda side: side.client.get(place))

    def stale(side: Side) -> DesiredSecret:
        return replace(desired, uid=uid(side, place), resource_version=old.on(side).version)

    answer = both.ask(lambda side: send(side.client, request.apply_secret(stale(side), force=True)))
    assert (answer.status, answer.reason) == (409, "Conflict")
    assert answer.message.endswith(
        "the object has been modified; please apply your changes to the latest version and try again"
    )
    error = told(answer, request.apply_secret(desired, force=True))
    assert isinstance(error, Conflict)
    assert error.managers == ()
    unchanged(both, place, before)


def test_wrong_uid_is_invalid(both: Both, place: str, desired: DesiredSecret) -> None:
    """A uid in the body that is not the object's is 422 for an immutable field, where the version is right."""
    both.each(lambda side: side.client.apply(place, pull_secret()))

    def mistaken(side: Side) -> DesiredSecret:
        return replace(desired, uid=FOREIGN_UID, resource_version=version(side, place))

    answer = both.ask(lambda side: send(side.client, request.apply_secret(mistaken(side), force=False)))
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert answer.body["details"]["causes"][0]["field"] == "metadata.uid"
    assert isinstance(told(answer, request.apply_secret(desired, force=False)), Invalid)


def test_stale_version_counts_before_a_wrong_uid(both: Both, place: str, desired: DesiredSecret) -> None:
    """Where a Secret was deleted and made again, both preconditions fail, and the answer is the conflict (409)."""
    first = both.ask(lambda side: side.client.apply(place, pull_secret()))
    both.each(lambda side: side.client.delete(place))
    both.each(lambda side: side.client.apply(place, pull_secret(OTHER_AUTHS)))

    def outdated(side: Side) -> DesiredSecret:
        meta = first.on(side).body["metadata"]
        return replace(desired, uid=meta["uid"], resource_version=meta["resourceVersion"])

    answer = both.ask(lambda side: send(side.client, request.apply_secret(outdated(side), force=False)))
    assert (answer.status, answer.reason) == (409, "Conflict")


def test_uid_never_creates(both: Both, place: str, desired: DesiredSecret) -> None:
    """Where the Secret was deleted meanwhile, an apply with its uid is 409 and creates nothing."""
    both.each(lambda side: side.client.apply(place, pull_secret()))
    last = {side.name: side.client.get(place).body["metadata"] for side in both.sides}
    both.each(lambda side: side.client.delete(place))

    def late(side: Side) -> DesiredSecret:
        return replace(desired, uid=last[side.name]["uid"], resource_version=last[side.name]["resourceVersion"])

    answer = both.ask(lambda side: send(side.client, request.apply_secret(late(side), force=False)))
    assert (answer.status, answer.reason) == (409, "Conflict")
    assert "and no existing object was found" in answer.message
    assert isinstance(told(answer, request.apply_secret(desired, force=False)), Conflict)
    assert both.ask(lambda side: side.client.get(place)).status == 404


def test_version_alone_does_create(both: Both, place: str) -> None:
    """A resourceVersion without a uid is no precondition where nothing stands: the Secret comes into being (201)."""
    assert both.ask(lambda side: side.client.apply(place, pull_secret(resourceVersion="1"))).status == 201


def test_version_zero_is_no_precondition(both: Both, place: str) -> None:
    """Version 0 means any version, as an empty one does."""
    both.each(lambda side: side.client.apply(place, pull_secret()))
    assert both.ask(lambda side: side.client.apply(place, pull_secret(resourceVersion="0"))).status == 200


def test_version_must_be_a_number(both: Both, place: str) -> None:
    """Any other text is no conflict but a failure of the server (500 without a reason)."""
    both.each(lambda side: side.client.apply(place, pull_secret()))
    answer = both.ask(lambda side: side.client.apply(place, pull_secret(resourceVersion="abc")))
    assert (answer.status, "reason" in answer.body) == (500, False)


def test_absent_namespace_is_not_found(both: Both, namespace: str, desired: DesiredSecret) -> None:
    """An apply into a namespace that does not exist is 404, and names the namespace."""
    lost = replace(desired, namespace=f"{namespace}-not")
    answer = both.ask(lambda side: send(side.client, request.apply_secret(lost, force=False)))
    assert answer.message == f'namespaces "{namespace}-not" not found'
    assert isinstance(told(answer, request.apply_secret(lost, force=False)), NotFound)


# Conflicts with other managers

WRITERS: dict[str, Any] = {
    "kubectl create": lambda side, secrets: side.client.post(secrets, pull_secret(OTHER_AUTHS), fieldManager="them"),
    "kubectl replace": lambda side, secrets: (
        side.client.post(secrets, pull_secret(), fieldManager="first"),
        side.client.put(f"{secrets}/{NAME}", pull_secret(OTHER_AUTHS), fieldManager="them"),
    )[1],
    "kubectl edit": lambda side, secrets: (
        side.client.apply(f"{secrets}/{NAME}", pull_secret()),
        side.client.patch(f"{secrets}/{NAME}", {"data": {DATA: OTHER_AUTHS}}, MERGE_PATCH, fieldManager="them"),
    )[1],
    "a JSON Patch": lambda side, secrets: (
        side.client.apply(f"{secrets}/{NAME}", pull_secret()),
        side.client.patch(
            f"{secrets}/{NAME}",
            [{"op": "replace", "path": f"/data/{DATA}", "value": OTHER_AUTHS}],
            JSON_PATCH,
            fieldManager="them",
        ),
    )[1],
}


@pytest.mark.parametrize("writer", WRITERS)
def test_conflict_names_who_wrote_last(both: Both, namespace: str, desired: DesiredSecret, writer: str) -> None:
    """Whoever wrote the data otherwise than by apply is named with its API version, and nothing is written."""
    both.each(lambda side: WRITERS[writer](side, path("secrets", namespace)))
    before = both.ask(lambda side: side.client.get(path("secrets", namespace, NAME)))
    asked = request.apply_secret(desired, force=False)
    answer = both.ask(lambda side: send(side.client, asked))
    assert (answer.status, answer.reason) == (409, "Conflict")
    assert answer.message == f'Apply failed with 1 conflict: conflict with "them" using v1: .data.{DATA}'
    assert answer.body["details"] == {
        "causes": [
            {"reason": "FieldManagerConflict", "message": 'conflict with "them" using v1', "field": f".data.{DATA}"}
        ]
    }
    error = told(answer, asked)
    assert isinstance(error, Conflict)
    assert error.managers == ("them",)
    unchanged(both, path("secrets", namespace, NAME), before)


def test_conflict_with_one_who_applies(both: Both, place: str, desired: DesiredSecret) -> None:
    """A manager that applies is named without a version."""
    both.each(lambda side: side.client.apply(place, pull_secret(OTHER_AUTHS), manager="argocd"))
    asked = request.apply_secret(desired, force=False)
    answer = both.ask(lambda side: send(side.client, asked))
    assert answer.message == f'Apply failed with 1 conflict: conflict with "argocd": .data.{DATA}'
    assert told(answer, asked).message.endswith(f"field manager argocd owns .data.{DATA}")


def test_conflicts_are_listed_by_manager(both: Both, place: str, namespace: str) -> None:
    """Several managers at once: each with its fields in the message, each pair once in the causes."""
    both.each(lambda side: side.client.post(path("secrets", namespace), pull_secret(), fieldManager="helm"))
    edit = {"metadata": {"labels": {"team": "a"}}, "data": {DATA: OTHER_AUTHS}}
    both.each(lambda side: side.client.patch(place, edit, MERGE_PATCH, fieldManager="kubectl-edit"))
    both.each(lambda side: side.client.apply(place, pull_secret(OTHER_AUTHS), manager="argocd"))
    wanted = pull_secret(labels={"team": "b"})
    answer = both.ask(lambda side: causes_in_order(side.client.apply(place, wanted)))
    assert answer.message == (
        f'Apply failed with 3 conflicts: conflicts with "argocd":\n- .data.{DATA}\n'
        f'conflicts with "kubectl-edit" using v1:\n- .data.{DATA}\n- .metadata.labels.team'
    )
    assert len(answer.body["details"]["causes"]) == 3


def test_odd_name_is_quoted(both: Both, place: str, desired: DesiredSecret) -> None:
    """A manager's name with quotes is escaped as in Go, and rotator still reads one name."""
    both.each(lambda side: side.client.apply(place, pull_secret(OTHER_AUTHS), manager='a "b"'))
    asked = request.apply_secret(desired, force=False)
    answer = both.ask(lambda side: send(side.client, asked))
    assert r'conflict with "a \"b\""' in answer.message
    error = told(answer, asked)
    assert isinstance(error, Conflict)
    assert len(error.managers) == 1


def test_same_name_is_two_managers(both: Both, namespace: str, desired: DesiredSecret) -> None:
    """One who updates under rotator's own name is another manager than rotator, who applies."""
    both.each(
        lambda side: side.client.post(path("secrets", namespace), pull_secret(OTHER_AUTHS), fieldManager="rotator")
    )
    answer = both.ask(lambda side: send(side.client, request.apply_secret(desired, force=False)))
    assert '"rotator" using v1' in answer.message
    forced = both.ask(lambda side: send(side.client, request.apply_secret(desired, force=True)))
    assert set(managers(forced.body)) == {("rotator", "Apply"), ("rotator", "Update")}


def test_equal_value_is_shared(both: Both, place: str, namespace: str) -> None:
    """Applying what stands there already is no conflict: both own it."""
    both.each(lambda side: side.client.post(path("secrets", namespace), pull_secret(), fieldManager="kubectl-create"))
    answer = both.ask(lambda side: side.client.apply(place, pull_secret()))
    assert answer.status == 200
    assert set(managers(answer.body)) == {("kubectl-create", "Update"), ("rotator", "Apply")}


def test_force_takes_the_field_over(both: Both, place: str, namespace: str, desired: DesiredSecret) -> None:
    """force=true writes, and whoever owned the data no longer does; what else it wrote stays its own."""
    theirs = pull_secret(OTHER_AUTHS, labels={"team": "a"})
    both.each(lambda side: side.client.post(path("secrets", namespace), theirs, fieldManager="helm"))
    both.each(lambda side: send(side.client, request.apply_secret(desired, force=True)))
    answer = both.ask(lambda side: side.client.get(place))
    assert answer.body["data"] == {DATA: EMPTY_AUTHS}
    assert managers(answer.body)["helm", "Update"] == {
        "f:data": {},
        "f:metadata": {"f:labels": {".": {}, "f:team": {}}},
        "f:type": {},
    }


def test_conflict_counts_before_everything_else(both: Both, place: str) -> None:
    """An apply that conflicts, is stale and is invalid at once answers with the conflict."""
    both.each(lambda side: side.client.apply(place, pull_secret(OTHER_AUTHS), manager="argocd"))
    wrong = pull_secret(THIRD_AUTHS, resourceVersion="1") | {"type": "Opaque"}
    answer = both.ask(lambda side: causes_in_order(side.client.apply(place, wrong)))
    assert answer.message.startswith("Apply failed with 2 conflicts")


def test_first_apply_of_an_object_without_owners(both: Both, place: str, namespace: str) -> None:
    """Who has wiped the managedFields is not known any more: the conflict names `before-first-apply`."""
    both.each(lambda side: side.client.post(path("secrets", namespace), pull_secret(OTHER_AUTHS)))
    wiped = both.ask(lambda side: side.client.patch(place, {"metadata": {"managedFields": [{}]}}, MERGE_PATCH))
    assert "managedFields" not in wiped.body["metadata"]
    answer = both.ask(lambda side: side.client.apply(place, pull_secret()))
    assert answer.message == f'Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .data.{DATA}'
    forced = both.ask(lambda side: side.client.apply(place, pull_secret(), force="true"))
    assert set(managers(forced.body)) == {("before-first-apply", "Update"), ("rotator", "Apply")}


# What stays, and what goes


def test_everything_else_is_kept(both: Both, place: str, namespace: str, desired: DesiredSecret) -> None:
    """Other data keys, labels, annotations, owners and finalizers of a Secret survive rotator's forced apply."""

    def theirs(side: Side) -> dict[str, Any]:
        owner = {"apiVersion": "v1", "kind": "ServiceAccount", "name": "default"}
        owner["uid"] = uid(side, path("serviceaccounts", namespace, "default"))
        labels, annotations, finalizers = {"x": "1"}, {"y": "2"}, ["example.com/wait"]
        body = pull_secret(
            OTHER_AUTHS, labels=labels, annotations=annotations, finalizers=finalizers, ownerReferences=[owner]
        )
        return body | {"data": body["data"] | {"extra": encoded("kept")}}

    def of_rotator(body: dict[str, Any]) -> dict[str, Any]:
        """Without the owners of the finalizers, which the emulation owns as a whole."""
        owners = [entry for entry in body["metadata"]["managedFields"] if entry["manager"] == "rotator"]
        return body | {"metadata": body["metadata"] | {"managedFields": owners}}

    both.each(lambda side: side.client.post(path("secrets", namespace), theirs(side), fieldManager="helm"))
    both.each(lambda side: send(side.client, request.apply_secret(desired, force=True)))
    body = both.ask(lambda side: side.client.get(place), seen=of_rotator).body
    assert body["data"] == {DATA: EMPTY_AUTHS, "extra": encoded("kept")}
    assert body["metadata"]["labels"] == {"a.example/by": "rotator", "x": "1"}
    assert body["metadata"]["annotations"] == {"a.example/at": "1", "y": "2"}
    assert body["metadata"]["finalizers"] == ["example.com/wait"]
    assert [owner["name"] for owner in body["metadata"]["ownerReferences"]] == ["default"]
    both.each(lambda side: side.client.patch(place, {"metadata": {"finalizers": None}}, MERGE_PATCH))


def test_what_is_no_longer_applied_goes(both: Both, place: str) -> None:
    """A label or annotation that a manager applied and now leaves out is removed; another's label stays."""
    both.each(lambda side: side.client.apply(place, pull_secret(labels={"a": "1", "b": "2"}, annotations={"c": "3"})))
    both.each(lambda side: side.client.patch(place, {"metadata": {"labels": {"theirs": "4"}}}, MERGE_PATCH))
    answer = both.ask(lambda side: side.client.apply(place, pull_secret(labels={"a": "1"})))
    assert answer.body["metadata"]["labels"] == {"a": "1", "theirs": "4"}
    assert "annotations" not in answer.body["metadata"]


def test_what_another_applies_too_stays(both: Both, place: str) -> None:
    """A label that two managers apply goes only when neither applies it any more."""
    both.each(lambda side: side.client.apply(place, pull_secret(labels={"a": "1"}), manager="argocd"))
    both.each(lambda side: side.client.apply(place, pull_secret(labels={"a": "1"})))
    one_left = both.ask(lambda side: side.client.apply(place, pull_secret()))
    none_left = both.ask(lambda side: side.client.apply(place, pull_secret(), manager="argocd"))
    assert one_left.body["metadata"]["labels"] == {"a": "1"}
    assert "labels" not in none_left.body["metadata"]


def test_last_owner_cannot_drop_the_data(both: Both, place: str) -> None:
    """An apply that leaves out the data that its manager alone owns would remove it, and is invalid (422)."""
    both.each(lambda side: side.client.apply(place, pull_secret()))
    bare = {name: value for name, value in pull_secret().items() if name != "data"}
    answer = both.ask(lambda side: side.client.apply(place, bare))
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert answer.message == f'Secret "{NAME}" is invalid: data[{DATA}]: Required value'


def test_last_owner_cannot_drop_the_type(both: Both, place: str) -> None:
    """An apply that leaves out the type makes it the default, which is a change of type (422)."""
    both.each(lambda side: side.client.apply(place, pull_secret()))
    bare = {name: value for name, value in pull_secret().items() if name != "type"}
    answer = both.ask(lambda side: side.client.apply(place, bare))
    assert answer.message == f'Secret "{NAME}" is invalid: type: Invalid value: "Opaque": field is immutable'


def test_line_ends_in_base64_are_dropped(both: Both, place: str) -> None:
    """Base64 with line ends is taken, and stored without them."""
    folded = f"{EMPTY_AUTHS[:8]}\n{EMPTY_AUTHS[8:]}\n"
    assert both.ask(lambda side: side.client.apply(place, pull_secret(folded))).body["data"] == {DATA: EMPTY_AUTHS}


def test_dry_run_leaves_no_trace(both: Both, place: str) -> None:
    """dryRun=All answers as if: 201 or 200 with what would be, and nothing is there."""
    assert both.ask(lambda side: side.client.apply(place, pull_secret(), dryRun="All"), seen=_data).status == 201
    assert both.ask(lambda side: side.client.get(place)).status == 404
    both.each(lambda side: side.client.apply(place, pull_secret()))
    before = both.ask(lambda side: side.client.get(place))
    assert both.ask(lambda side: side.client.apply(place, pull_secret(OTHER_AUTHS), dryRun="All")).status == 200
    unchanged(both, place, before)


def _data(body: dict[str, Any]) -> Any:  # noqa: ANN401  (decoded JSON)
    return body["data"]


# What is refused


def test_type_is_immutable(both: Both, place: str, namespace: str, desired: DesiredSecret) -> None:
    """A Secret of another type keeps it, force or not: 422 for the field `type`."""
    opaque = secret(type="Opaque")
    both.each(lambda side: side.client.post(path("secrets", namespace), opaque, fieldManager="kubectl-create"))
    before = both.ask(lambda side: side.client.get(place))
    asked = request.apply_secret(desired, force=True)
    answer = both.ask(lambda side: send(side.client, asked))
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert answer.body["details"]["causes"][0]["field"] == "type"
    assert told(answer, asked).message.endswith("type: field is immutable")
    unchanged(both, place, before)


def test_immutable_secret_keeps_its_data(both: Both, place: str, namespace: str, desired: DesiredSecret) -> None:
    """`immutable: true` refuses other data (422), and takes labels."""
    locked = pull_secret(OTHER_AUTHS) | {"immutable": True}
    both.each(lambda side: side.client.post(path("secrets", namespace), locked, fieldManager="kubectl-create"))
    asked = request.apply_secret(desired, force=True)
    answer = both.ask(lambda side: send(side.client, asked))
    assert answer.message == f'Secret "{NAME}" is invalid: data: Forbidden: field is immutable when `immutable` is set'
    assert told(answer, asked).message.endswith("data: field is immutable")
    labelled = both.ask(lambda side: side.client.apply(place, pull_secret(OTHER_AUTHS, labels={"a": "1"})))
    assert labelled.status == 200


def test_immutable_stays_immutable(both: Both, place: str, namespace: str) -> None:
    """The lock itself cannot be taken off."""
    both.each(lambda side: side.client.post(path("secrets", namespace), pull_secret() | {"immutable": True}))
    unlocked = pull_secret() | {"immutable": False}
    answer = both.ask(lambda side: side.client.apply(place, unlocked, force="true"))
    assert (answer.status, answer.body["details"]["causes"][0]["field"]) == (422, "immutable")


MISPLACED: dict[str, tuple[dict[str, Any], str]] = {
    "another name": (secret("other"), f"the name of the object (other) does not match the name on the URL ({NAME})"),
    "another namespace": (
        pull_secret(namespace="elsewhere"),
        "the namespace of the provided object does not match the namespace sent on the request",
    ),
    "another version": (secret(apiVersion="v2"), "invalid object type: /v2, Kind=Secret"),
    "another group": (secret(apiVersion="apps/v1"), "invalid object type: apps/v1, Kind=Secret"),
    "another kind": (secret(kind="ConfigMap"), "invalid object type: /v1, Kind=ConfigMap"),
    "no version": ({**secret(), "apiVersion": ""}, "invalid object type: /, Kind=Secret"),
    "managed fields": (pull_secret(managedFields=[]), "metadata.managedFields must be nil"),
}


@pytest.mark.parametrize("exists", [False, True], ids=["absent", "existing"])
@pytest.mark.parametrize("case", MISPLACED)
def test_misplaced_configuration_is_a_bad_request(both: Both, place: str, case: str, *, exists: bool) -> None:
    """What does not fit its URL is 400, whether or not the object exists."""
    if exists:
        both.each(lambda side: side.client.apply(place, pull_secret()))
    config, problem = MISPLACED[case]
    answer = both.ask(lambda side: side.client.apply(place, config))
    assert (answer.status, answer.reason, answer.message) == (400, "BadRequest", problem)


def test_name_must_be_in_the_body_to_create(both: Both, place: str) -> None:
    """Without metadata.name an apply cannot create (400); it updates what exists."""
    absent = both.ask(lambda side: side.client.apply(place, secret(metadata={})))
    both.each(lambda side: side.client.apply(place, pull_secret()))
    existing = both.ask(lambda side: side.client.apply(place, secret(metadata={})))
    assert (absent.status, existing.status) == (400, 200)
    assert absent.message.endswith("name must be provided")


INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "an unfinished document": (pull_secret(encoded("{")), f"data[{DATA}]"),
    "a list for a document": (pull_secret(encoded("[]")), f"data[{DATA}]"),
    "an empty document": (pull_secret(""), f"data[{DATA}]"),
    "no document": (secret(data={}), f"data[{DATA}]"),
    "more than 1 MiB": (secret(data={"a": encoded("x" * (1024 * 1024 + 1))}, type="Opaque"), "data"),
    "a label of 64 characters": (pull_secret(labels={"a": "x" * 64}), "metadata.labels"),
    "annotations of more than 256 KiB": (pull_secret(annotations={"a": "x" * 256 * 1024}), "metadata.annotations"),
}


@pytest.mark.parametrize("case", INVALID)
def test_invalid_secret_is_refused(both: Both, place: str, case: str) -> None:
    """What validation refuses is 422 with the field, and is not stored. (What Go's decoders say is left out.)"""
    config, field = INVALID[case]
    answer = both.ask(lambda side: side.client.apply(place, config), words=False)
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert [cause["field"] for cause in answer.body["details"]["causes"]] == [field]
    assert both.ask(lambda side: side.client.get(place)).status == 404


def test_refusal_of_a_document_does_not_repeat_it(both: Both, place: str) -> None:
    """The words about a malformed document hide it on both servers."""
    answer = both.ask(lambda side: side.client.apply(place, pull_secret(encoded('{"s3cret'))), words=False)
    for side in both.sides:
        assert "<secret contents redacted>" in answer.on(side).message
        assert "s3cret" not in answer.on(side).message


def test_null_is_a_document(both: Both, place: str) -> None:
    """`null` passes: Go decodes it into an empty map. rotator must not take that for a valid pull secret."""
    assert both.ask(lambda side: side.client.apply(place, pull_secret(encoded("null")))).status == 201


def test_one_mebibyte_is_accepted(both: Both, place: str) -> None:
    """The limit itself is allowed; the request is larger by a third."""
    largest = secret(data={"a": encoded("x" * 1024 * 1024)}, type="Opaque")
    assert both.ask(lambda side: side.client.apply(place, largest)).status == 201


def test_request_of_more_than_three_mebibytes_is_too_large(both: Both, place: str) -> None:
    """A body over 3 MiB is 413 before it is decoded."""
    huge = secret(data={"a": encoded("x" * 3 * 1024 * 1024)}, type="Opaque")
    answer = both.ask(lambda side: side.client.apply(place, huge))
    assert (answer.status, answer.reason) == (413, "RequestEntityTooLarge")


UNTYPED: dict[str, dict[str, Any]] = {
    "no base64": pull_secret("s3cret!"),
    "a number for a text": pull_secret(labels={"a": 1}),
    "a map for a text": pull_secret(labels={"a": {}}),
    "a number for data": secret(data={DATA: 1}),
    "an unknown field": secret(nonsense=1),
    "an unknown field of the metadata": pull_secret(nonsense=1),
}


@pytest.mark.parametrize("case", UNTYPED)
def test_what_is_no_secret_fails_the_server(both: Both, place: str, desired: DesiredSecret, case: str) -> None:
    """What does not fit the type is a 500 without a reason: no API error, and for rotator a server that failed."""
    answer = both.ask(lambda side: side.client.apply(place, UNTYPED[case]), words=False)
    assert (answer.status, "reason" in answer.body) == (500, False)
    error = told(answer, request.apply_secret(desired, force=False))
    assert isinstance(error, ServerFailed)
    assert both.ask(lambda side: side.client.get(place)).status == 404


@pytest.mark.parametrize("validation", ["Ignore", "Warn", "Strict"])
def test_unknown_field_is_refused_whatever_the_validation(both: Both, place: str, validation: str) -> None:
    """An apply needs the schema, so fieldValidation does not let an unknown field pass."""
    answer = both.ask(lambda side: side.client.apply(place, secret(nonsense=1), fieldValidation=validation))
    assert answer.message.endswith(".nonsense: field not declared in schema")


@pytest.mark.parametrize("manager", ["", "x" * 129, "x\n"], ids=["none", "long", "unprintable"])
def test_field_manager_is_checked(both: Both, place: str, manager: str) -> None:
    """An apply needs a fieldManager of at most 128 printable characters: anything else is 422, as an option."""
    answer = both.ask(lambda side: side.client.apply(place, pull_secret(), manager=manager))
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert answer.body["details"]["causes"][0]["field"] == "fieldManager"


def test_missing_field_manager_is_refused(both: Both, place: str) -> None:
    """The User-Agent does not stand in for it."""
    answer = both.ask(lambda side: side.client.patch(place, pull_secret(), APPLY))
    assert answer.message.endswith("fieldManager: Required value: is required for apply patch")


def test_force_is_for_apply_only(both: Both, place: str) -> None:
    """Any other patch with `force` is 422."""
    both.each(lambda side: side.client.apply(place, pull_secret()))
    answer = both.ask(lambda side: side.client.patch(place, {}, MERGE_PATCH, force="true"))
    assert answer.message.endswith("force: Forbidden: may not be specified for non-apply patch")


@pytest.mark.parametrize("body", [[], "x"], ids=["a list", "a text"])
def test_body_must_be_an_object(both: Both, place: str, body: object) -> None:
    """A list or a text is 400."""
    answer = both.ask(lambda side: side.client.apply(place, body), words=False)
    assert (answer.status, answer.reason) == (400, "BadRequest")


def test_partial_answer_is_asked_for_by_accept(both: Both, place: str) -> None:
    """Any write may ask for the metadata alone."""
    both.each(lambda side: side.client.apply(place, pull_secret()))
    answer = both.ask(lambda side: side.client.patch(place, {}, MERGE_PATCH, accept=PARTIAL))
    assert "data" not in answer.body


# ServiceAccounts: why rotator does not apply them


def test_two_who_apply_the_references_conflict(both: Both, namespace: str) -> None:
    """ImagePullSecrets is one field: even a list that only adds a reference conflicts."""
    place = path("serviceaccounts", namespace, "worker")
    both.each(lambda side: side.client.apply(place, account("worker", "theirs"), manager="argocd"))
    answer = both.ask(lambda side: side.client.apply(place, account("worker", "theirs", "ours")))
    assert answer.message == 'Apply failed with 1 conflict: conflict with "argocd": .imagePullSecrets'


def test_forced_list_drops_the_others(both: Both, namespace: str) -> None:
    """With force the whole list is the new one: the other's reference is lost."""
    place = path("serviceaccounts", namespace, "worker")
    both.each(lambda side: side.client.apply(place, account("worker", "theirs"), manager="argocd"))
    answer = both.ask(lambda side: side.client.apply(place, account("worker", "ours"), force="true"))
    assert answer.body["imagePullSecrets"] == [{"name": "ours"}]


def test_empty_list_is_a_list(both: Both, namespace: str) -> None:
    """Who applies an empty list owns it: forced, it takes every reference away."""
    place = path("serviceaccounts", namespace, "worker")
    both.each(lambda side: side.client.apply(place, account("worker", "theirs")))
    empty = account("worker") | {"imagePullSecrets": []}
    refused = both.ask(lambda side: side.client.apply(place, empty, manager="argocd"))
    forced = both.ask(lambda side: side.client.apply(place, empty, manager="argocd", force="true"))
    assert refused.status == 409
    assert "imagePullSecrets" not in forced.body
    assert managers(forced.body) == {("argocd", "Apply"): {"f:imagePullSecrets": {}}}


def test_duplicate_references_are_allowed(both: Both, namespace: str) -> None:
    """An atomic list may name one twice."""
    place = path("serviceaccounts", namespace, "worker")
    answer = both.ask(lambda side: side.client.apply(place, account("worker", "a", "a")))
    assert answer.body["imagePullSecrets"] == [{"name": "a"}, {"name": "a"}]
