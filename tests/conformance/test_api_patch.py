"""JSON Patch, merge and strategic merge patches: how references are attached, and how others replace the list."""

from typing import Any

import pytest

from rotator.cluster import request
from rotator.cluster.request import Request
from rotator.errors import Invalid, NotFound
from rotator.model import ServiceAccountRecord
from tests.apiclient import EMPTY_AUTHS, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, Answer, Client
from tests.conformance.both import Both, Side
from tests.conformance.writing import (
    DATA,
    NAME,
    account,
    encoded,
    managers,
    path,
    pull_secret,
    send,
    told,
    unchanged,
    version,
)

REFUSED = "the server rejected our request due to an error in our request"


@pytest.fixture
def namespace(both: Both) -> str:
    """A fresh namespace on both sides."""
    return both.namespace()


def made(both: Both, namespace: str, *references: str) -> str:
    """Make the ServiceAccount `worker` as Helm would; its path."""
    accounts = path("serviceaccounts", namespace)
    both.each(lambda side: side.client.post(accounts, account("worker", *references), fieldManager="helm"))
    return f"{accounts}/worker"


def attach(side: Side, place: str, *names: str) -> Request:
    """Rotator's own patch, for the ServiceAccount as it stands there."""
    body = side.client.get(place).body
    held = body.get("imagePullSecrets")
    meta = body["metadata"]
    record = ServiceAccountRecord(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        pull_secrets=None if held is None else tuple(item["name"] for item in held),
    )
    return request.attach(record, names)


def patched(client: Client, place: str, *steps: dict[str, Any]) -> Answer:
    """A JSON Patch of these steps."""
    return client.patch(place, list(steps), JSON_PATCH, fieldManager="rotator")


def references(both: Both, place: str) -> list[str]:
    """The names in the list, which both sides must hold alike."""
    return [item["name"] for item in both.ask(lambda side: side.client.get(place)).body.get("imagePullSecrets", [])]


# What rotator sends


def test_append_keeps_the_others(both: Both, namespace: str) -> None:
    """Rotator's patch appends, in order, behind the references of others, and answers with the metadata."""
    place = made(both, namespace, "theirs", "more")
    answer = both.ask(lambda side: send(side.client, attach(side, place, "ours", "ours-too")))
    assert (answer.status, answer.body["kind"]) == (200, "PartialObjectMetadata")
    assert references(both, place) == ["theirs", "more", "ours", "ours-too"]


def test_append_takes_the_list_over(both: Both, namespace: str) -> None:
    """The whole list belongs to who wrote last: Helm, which made it, is left without a field."""
    place = made(both, namespace, "theirs")
    both.each(lambda side: send(side.client, attach(side, place, "ours")))
    body = both.ask(lambda side: side.client.get(place)).body
    assert managers(body) == {("rotator", "Update"): {"f:imagePullSecrets": {}}}


def test_list_is_added_where_there_is_none(both: Both, namespace: str) -> None:
    """A ServiceAccount without a list gets the whole list. Nobody is recorded for it, as nobody was before."""
    place = made(both, namespace)
    answer = both.ask(lambda side: send(side.client, attach(side, place, "ours")))
    assert answer.status == 200
    assert references(both, place) == ["ours"]
    assert "managedFields" not in answer.body["metadata"]


def test_default_account_begins_without_a_list(both: Both, namespace: str) -> None:
    """The ServiceAccount `default` of every namespace has neither list nor owners, and takes a reference."""
    place = path("serviceaccounts", namespace, "default")
    assert sorted(both.ask(lambda side: side.client.get(place)).body) == ["apiVersion", "kind", "metadata"]
    both.each(lambda side: send(side.client, attach(side, place, "ours")))
    assert references(both, place) == ["ours"]


def test_empty_list_is_stored_as_none(both: Both, namespace: str) -> None:
    """A ServiceAccount made with an empty list has no list, so there is nothing to append to."""
    accounts = path("serviceaccounts", namespace)
    empty = account("worker") | {"imagePullSecrets": []}
    answer = both.ask(lambda side: side.client.post(accounts, empty))
    assert "imagePullSecrets" not in answer.body


@pytest.mark.parametrize("held", [(), ("theirs",)], ids=["no list", "a list"])
def test_stale_version_is_invalid(both: Both, namespace: str, held: tuple[str, ...]) -> None:
    """The test of the resourceVersion fails as 422 without a cause, which rotator reads as a failed precondition."""
    place = made(both, namespace, *held)
    stale = {side.name: attach(side, place, "ours") for side in both.sides}
    both.each(lambda side: side.client.patch(place, {"metadata": {"labels": {"a": "1"}}}, MERGE_PATCH))
    before = both.ask(lambda side: side.client.get(place))
    answer = both.ask(lambda side: send(side.client, stale[side.name]))
    assert (answer.status, answer.reason, answer.message) == (422, "Invalid", REFUSED)
    assert answer.body["details"] == {}
    error = told(answer, stale["emulation"])
    assert isinstance(error, Invalid)
    assert error.message.endswith("a precondition failed")
    unchanged(both, place, before)


def test_append_without_a_list_is_invalid(both: Both, namespace: str) -> None:
    """Had the list been removed since it was read, the append would fail as a stale version does."""
    place = made(both, namespace)
    step = {"op": "add", "path": "/imagePullSecrets/-", "value": {"name": "ours"}}
    answer = both.ask(lambda side: patched(side.client, place, step))
    assert (answer.status, answer.message) == (422, REFUSED)


@pytest.mark.parametrize("suffix", ["", "-not"], ids=["namespace", "no namespace"])
def test_absent_account_is_not_found(both: Both, namespace: str, suffix: str) -> None:
    """A patch of a ServiceAccount that is gone is 404, and so is one in a namespace that is gone."""
    asked = request.attach(ServiceAccountRecord(namespace + suffix, "gone", "", "1"), ["ours"])
    answer = both.ask(lambda side: send(side.client, asked))
    assert (answer.status, answer.message) == (404, 'serviceaccounts "gone" not found')
    assert isinstance(told(answer, asked), NotFound)


def test_append_that_comes_twice_stands_twice(both: Both, namespace: str) -> None:
    """Nothing removes duplicates: only the version keeps a repeated request from appending again."""
    place = made(both, namespace, "theirs")
    both.each(lambda side: send(side.client, attach(side, place, "theirs")))
    assert references(both, place) == ["theirs", "theirs"]


# Other JSON Patches

STEPS: dict[str, tuple[list[dict[str, Any]], list[str]]] = {
    "insert": ([{"op": "add", "path": "/imagePullSecrets/0", "value": {"name": "c"}}], ["c", "a", "b"]),
    "replace": ([{"op": "replace", "path": "/imagePullSecrets/1", "value": {"name": "c"}}], ["a", "c"]),
    "replace the list": ([{"op": "replace", "path": "/imagePullSecrets", "value": [{"name": "c"}]}], ["c"]),
    "add over the list": ([{"op": "add", "path": "/imagePullSecrets", "value": [{"name": "c"}]}], ["c"]),
    "remove": ([{"op": "remove", "path": "/imagePullSecrets/0"}], ["b"]),
    "remove the last": ([{"op": "remove", "path": "/imagePullSecrets/-1"}], ["a"]),
    "add behind the last": ([{"op": "add", "path": "/imagePullSecrets/-1", "value": {"name": "c"}}], ["a", "b", "c"]),
    "remove the list": ([{"op": "remove", "path": "/imagePullSecrets"}], []),
    "add nothing": ([{"op": "add", "path": "/imagePullSecrets"}], []),
    "copy": ([{"op": "copy", "from": "/imagePullSecrets/0", "path": "/imagePullSecrets/-"}], ["a", "b", "a"]),
    "move": ([{"op": "move", "from": "/imagePullSecrets/0", "path": "/imagePullSecrets/-"}], ["b", "a"]),
    "test what is there": ([{"op": "test", "path": "/imagePullSecrets/0/name", "value": "a"}], ["a", "b"]),
    "test what is not": ([{"op": "test", "path": "/secrets", "value": None}], ["a", "b"]),
    "replace what is not there": ([{"op": "replace", "path": "/secrets", "value": []}], ["a", "b"]),
    "an unknown field": ([{"op": "add", "path": "/nonsense", "value": 1}], ["a", "b"]),
    "no step": ([], ["a", "b"]),
}


@pytest.mark.parametrize("case", STEPS)
def test_steps_do_what_they_say(both: Both, namespace: str, case: str) -> None:
    """Each operation leaves the same list on both sides."""
    place = made(both, namespace, "a", "b")
    steps, left = STEPS[case]
    assert both.ask(lambda side: patched(side.client, place, *steps)).status == 200
    assert references(both, place) == left


REFUSED_STEPS: dict[str, dict[str, Any]] = {
    "an unknown operation": {"op": "nonsense", "path": "/kind"},
    "no path": {"op": "add", "value": 1},
    "a path without a slash": {"op": "add", "path": "imagePullSecrets", "value": []},
    "an absent parent": {"op": "add", "path": "/nonsense/x", "value": 1},
    "remove what is not there": {"op": "remove", "path": "/secrets"},
    "an index behind the end": {"op": "add", "path": "/imagePullSecrets/9", "value": {"name": "x"}},
    "an index before the beginning": {"op": "remove", "path": "/imagePullSecrets/-3"},
    "a document that is none": {"op": "replace", "path": "", "value": 1},
    "a number for a text": {"op": "test", "path": "/metadata/resourceVersion", "value": 1},
}


@pytest.mark.parametrize("case", REFUSED_STEPS)
def test_step_that_does_not_apply_is_invalid(both: Both, namespace: str, case: str) -> None:
    """Whatever the reason, it is one 422 in one wording, and nothing is written."""
    place = made(both, namespace, "a", "b")
    before = both.ask(lambda side: side.client.get(place))
    good = {"op": "remove", "path": "/imagePullSecrets/0"}
    answer = both.ask(lambda side: patched(side.client, place, good, REFUSED_STEPS[case]))
    assert (answer.status, answer.reason, answer.message) == (422, "Invalid", REFUSED)
    unchanged(both, place, before)


@pytest.mark.parametrize("body", [{}, "x", ["x"]], ids=["an object", "a text", "a list of texts"])
def test_what_is_no_json_patch_is_a_bad_request(both: Both, namespace: str, body: object) -> None:
    """A body of another shape is 400."""
    place = made(both, namespace, "a")
    answer = both.ask(lambda side: side.client.patch(place, body, JSON_PATCH), words=False)
    assert (answer.status, answer.reason) == (400, "BadRequest")


def test_at_most_ten_thousand_steps(both: Both, namespace: str) -> None:
    """One more is 413."""
    place = made(both, namespace)
    step = {"op": "test", "path": "/kind", "value": "ServiceAccount"}
    assert both.ask(lambda side: patched(side.client, place, *[step] * 10_000)).status == 200
    answer = both.ask(lambda side: patched(side.client, place, *[step] * 10_001))
    assert (answer.status, answer.reason) == (413, "RequestEntityTooLarge")
    assert answer.message.endswith("The allowed maximum operations in a JSON patch is 10000, got 10001")


def test_version_in_the_result_is_a_precondition(both: Both, namespace: str) -> None:
    """A patch that sets another resourceVersion is stale (409); one that removes it applies to any version."""
    place = made(both, namespace)
    label = {"op": "add", "path": "/metadata/labels", "value": {"a": "1"}}
    stale = {"op": "replace", "path": "/metadata/resourceVersion", "value": "1"}
    answer = both.ask(lambda side: patched(side.client, place, stale, label))
    assert (answer.status, answer.reason) == (409, "Conflict")
    anyway = {"op": "remove", "path": "/metadata/resourceVersion"}
    assert both.ask(lambda side: patched(side.client, place, anyway, label)).status == 200


IDENTITY: dict[str, tuple[str, int]] = {"name": ("other", 400), "namespace": ("other", 400), "uid": ("other", 422)}


@pytest.mark.parametrize("field", IDENTITY)
def test_identity_cannot_be_patched(both: Both, namespace: str, field: str) -> None:
    """Another name or namespace does not fit the URL (400), and a uid is immutable (422)."""
    place = made(both, namespace)
    value, status = IDENTITY[field]
    answer = both.ask(lambda side: side.client.patch(place, {"metadata": {field: value}}, MERGE_PATCH))
    assert answer.status == status


WRONG_TYPES: dict[str, dict[str, Any]] = {
    "a text for the list": {"imagePullSecrets": "x"},
    "texts in the list": {"imagePullSecrets": ["x"]},
    "a number for a name": {"imagePullSecrets": [{"name": 1}]},
    "a number for a label": {"metadata": {"labels": {"a": 1}}},
    "another kind": {"kind": "Secret"},
}


@pytest.mark.parametrize("case", WRONG_TYPES)
def test_result_must_be_of_its_kind(both: Both, namespace: str, case: str) -> None:
    """A patch whose result does not decode is 422 for the field `patch`, and nothing is written."""
    place = made(both, namespace, "a")
    before = both.ask(lambda side: side.client.get(place))
    answer = both.ask(lambda side: side.client.patch(place, WRONG_TYPES[case], MERGE_PATCH), words=False)
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert [cause["field"] for cause in answer.body["details"]["causes"]] == ["patch"]
    unchanged(both, place, before)


@pytest.mark.parametrize("media_type", [MERGE_PATCH, STRATEGIC_PATCH, JSON_PATCH])
def test_data_must_be_base64(both: Both, namespace: str, media_type: str) -> None:
    """A patched value that is no base64 is 422. The real server repeats the whole Secret there: rotator shows none."""
    both.each(lambda side: side.client.post(path("secrets", namespace), pull_secret()))
    step = {"op": "replace", "path": f"/data/{DATA}", "value": "s3cret!"}
    body = [step] if media_type == JSON_PATCH else {"data": {DATA: "s3cret!"}}
    place = path("secrets", namespace, NAME)
    answer = both.ask(lambda side: side.client.patch(place, body, media_type), words=False)
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert "s3cret!" in answer.message
    error = told(answer, request.get("secrets", namespace, NAME))
    assert "s3cret!" not in f"{error!r} {error} {error.hint}"


def test_patch_needs_a_known_type(both: Both, namespace: str) -> None:
    """Any other Content-Type is 415."""
    place = made(both, namespace)
    answer = both.ask(lambda side: side.client.patch(place, {}, "application/json"))
    assert (answer.status, answer.reason) == (415, "UnsupportedMediaType")


# How others write the list


@pytest.mark.parametrize("media_type", [MERGE_PATCH, STRATEGIC_PATCH])
def test_merge_replaces_the_list(both: Both, namespace: str, media_type: str) -> None:
    """`kubectl patch`, of either type, drops every other reference: this is how rotator's gets lost."""
    place = made(both, namespace, "theirs", "ours")
    body = {"imagePullSecrets": [{"name": "new"}]}
    both.ask(lambda side: side.client.patch(place, body, media_type, fieldManager="kubectl-patch"))
    assert references(both, place) == ["new"]
    owners = managers(both.ask(lambda side: side.client.get(place)).body)
    assert owners == {("kubectl-patch", "Update"): {"f:imagePullSecrets": {}}}


@pytest.mark.parametrize("media_type", [MERGE_PATCH, STRATEGIC_PATCH])
@pytest.mark.parametrize("value", [None, []], ids=["null", "empty"])
def test_merge_removes_the_list(both: Both, namespace: str, media_type: str, value: object) -> None:
    """Null removes the list, an empty one does too; nobody owns anything then."""
    place = made(both, namespace, "ours")
    answer = both.ask(lambda side: side.client.patch(place, {"imagePullSecrets": value}, media_type))
    assert "imagePullSecrets" not in answer.body
    assert "managedFields" not in answer.body["metadata"]


def test_put_without_the_list_removes_it(both: Both, namespace: str) -> None:
    """`kubectl replace` writes the whole object: what it leaves out is gone."""
    place = made(both, namespace, "ours")
    both.each(lambda side: side.client.put(place, account("worker"), fieldManager="kubectl-replace"))
    assert references(both, place) == []


@pytest.mark.parametrize("media_type", [MERGE_PATCH, STRATEGIC_PATCH])
def test_stale_merge_is_a_conflict(both: Both, namespace: str, media_type: str) -> None:
    """A resourceVersion in the patch is a precondition (409)."""
    place = made(both, namespace)
    stale = {"metadata": {"resourceVersion": "1", "labels": {"a": "1"}}}
    answer = both.ask(lambda side: side.client.patch(place, stale, media_type))
    assert (answer.status, answer.reason) == (409, "Conflict")


@pytest.mark.parametrize("media_type", [MERGE_PATCH, STRATEGIC_PATCH])
def test_merge_removes_with_null(both: Both, namespace: str, media_type: str) -> None:
    """Null removes a key, everything else merges."""
    secrets, place = path("secrets", namespace), path("secrets", namespace, NAME)
    both.each(lambda side: side.client.post(secrets, pull_secret(labels={"a": "1", "b": "2"})))
    body = {"metadata": {"labels": {"a": None, "c": "3"}}, "data": {"extra": encoded("x")}}
    answer = both.ask(lambda side: side.client.patch(place, body, media_type))
    assert answer.body["metadata"]["labels"] == {"b": "2", "c": "3"}
    assert answer.body["data"] == {DATA: EMPTY_AUTHS, "extra": encoded("x")}


@pytest.mark.parametrize("media_type", [MERGE_PATCH, STRATEGIC_PATCH])
@pytest.mark.parametrize("body", [[], "x"], ids=["a list", "a text"])
def test_merge_must_be_an_object(both: Both, namespace: str, media_type: str, body: object) -> None:
    """A list or a text is 400."""
    place = made(both, namespace)
    answer = both.ask(lambda side: side.client.patch(place, body, media_type), words=False)
    assert (answer.status, answer.reason) == (400, "BadRequest")


# Rotator and a GitOps controller on one ServiceAccount


def test_append_to_an_applied_list(both: Both, namespace: str) -> None:
    """Rotator's patch takes an applied list over; the one who applied it then conflicts, or drops ours by force."""
    place = path("serviceaccounts", namespace, "worker")
    theirs = account("worker", "theirs")
    both.each(lambda side: side.client.apply(place, theirs, manager="argocd"))
    both.each(lambda side: send(side.client, attach(side, place, "ours")))
    refused = both.ask(lambda side: side.client.apply(place, theirs, manager="argocd"))
    assert refused.message == 'Apply failed with 1 conflict: conflict with "rotator" using v1: .imagePullSecrets'
    forced = both.ask(lambda side: side.client.apply(place, theirs, manager="argocd", force="true"))
    assert forced.body["imagePullSecrets"] == [{"name": "theirs"}]


def test_apply_without_the_list_leaves_ours(both: Both, namespace: str) -> None:
    """A GitOps controller that stops stating the list does not remove it, since rotator wrote it last."""
    place = path("serviceaccounts", namespace, "worker")
    both.each(lambda side: side.client.apply(place, account("worker", "theirs"), manager="argocd"))
    both.each(lambda side: send(side.client, attach(side, place, "ours")))
    both.each(lambda side: side.client.apply(place, account("worker"), manager="argocd", force="true"))
    assert references(both, place) == ["theirs", "ours"]


def test_first_apply_of_a_patched_account(both: Both, namespace: str) -> None:
    """Nobody owns what rotator attached to a bare ServiceAccount: the first to apply another list conflicts with that.

    It is named `before-first-apply`, not rotator. One who applies no list leaves ours.
    """
    place = path("serviceaccounts", namespace, "default")
    both.each(lambda side: send(side.client, attach(side, place, "ours")))
    refused = both.ask(lambda side: side.client.apply(place, account("default", "theirs"), manager="argocd"))
    assert '"before-first-apply" using v1' in refused.message
    labelled = account("default") | {"metadata": {"name": "default", "labels": {"a": "1"}}}
    answer = both.ask(lambda side: side.client.apply(place, labelled, manager="argocd"))
    assert set(managers(answer.body)) == {("argocd", "Apply"), ("before-first-apply", "Update")}
    assert references(both, place) == ["ours"]


def test_no_op_patch_keeps_the_version(both: Both, namespace: str) -> None:
    """A patch that changes nothing writes nothing."""
    place = made(both, namespace, "ours")
    before = {side.name: version(side, place) for side in both.sides}
    both.each(lambda side: side.client.patch(place, {"imagePullSecrets": [{"name": "ours"}]}, MERGE_PATCH))
    assert {side.name: version(side, place) for side in both.sides} == before
