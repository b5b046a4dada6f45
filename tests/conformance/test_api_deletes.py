"""How rotator takes out what left its configuration: a reference from a list, and a Secret just as it was read."""

from typing import Any

import pytest

from rotator.cluster import request
from rotator.cluster.request import Request
from rotator.errors import Conflict, Forbidden, Invalid, NotFound
from rotator.model import SecretRecord, ServiceAccountRecord
from rotator.sandbox.apiserver import Rule
from tests.apiclient import MERGE_PATCH
from tests.conformance.both import Both, Side
from tests.conformance.writing import FOREIGN_UID, NAME, account, managers, path, pull_secret, send, told, unchanged

NOTE = {"metadata": {"annotations": {"rival": "was here"}}}


@pytest.fixture
def namespace(both: Both) -> str:
    """A fresh namespace on both sides."""
    return both.namespace()


def detach(side: Side, place: str, name: str = NAME) -> Request:
    """Rotator's own patch, for the ServiceAccount as it stands there."""
    body = side.client.get(place).body
    meta, held = body["metadata"], body.get("imagePullSecrets", [])
    names = tuple(item.get("name", "") for item in held)
    record = ServiceAccountRecord(
        meta["namespace"], meta["name"], meta["uid"], meta["resourceVersion"], pull_secrets=names
    )
    return request.detach(record, name)


def delete(side: Side, place: str) -> Request:
    """Rotator's own delete, for the Secret as it stands there."""
    meta = side.client.get(place).body["metadata"]
    return request.delete_secret(SecretRecord(meta["namespace"], meta["name"], meta["uid"], meta["resourceVersion"]))


# References

LISTS = {
    "the first": ([NAME, "a", "b"], ["a", "b"]),
    "one in between": (["a", NAME, "b"], ["a", "b"]),
    "the last": (["a", "b", NAME], ["a", "b"]),
    "the same one twice": ([NAME, "a", NAME, "b"], ["a", "b"]),
    "the only one": ([NAME], []),
}


def made(both: Both, namespace: str, *references: str) -> str:
    """Make the ServiceAccount `worker` as Helm would; its path."""
    accounts = path("serviceaccounts", namespace)
    both.each(lambda side: side.client.post(accounts, account("worker", *references), fieldManager="helm"))
    return f"{accounts}/worker"


def references(both: Both, place: str) -> list[str]:
    """The names in the list, which both sides must hold alike."""
    return [item["name"] for item in both.ask(lambda side: side.client.get(place)).body.get("imagePullSecrets", [])]


@pytest.mark.parametrize("case", LISTS)
def test_a_reference_is_taken_out_and_the_others_stay_in_their_order(both: Both, namespace: str, case: str) -> None:
    """Wherever it stands and however often; an empty list is none."""
    before, after = LISTS[case]
    place = made(both, namespace, *before)
    answer = both.ask(lambda side: send(side.client, detach(side, place)))
    assert (answer.status, answer.body["kind"]) == (200, "PartialObjectMetadata")
    assert references(both, place) == after
    body = both.ask(lambda side: side.client.get(place)).body
    assert (managers(body) == {("rotator", "Update"): {"f:imagePullSecrets": {}}}) == bool(after)


def test_a_stale_list_is_refused(both: Both, namespace: str) -> None:
    """The indexes are those of the version that was read: any other is 422, and nothing changes."""
    place = made(both, namespace, "a", NAME)
    stale = {side.name: detach(side, place) for side in both.sides}
    both.each(lambda side: side.client.patch(place, NOTE, MERGE_PATCH))
    before = both.ask(lambda side: side.client.get(place))
    answer = both.ask(lambda side: send(side.client, stale[side.name]))
    assert isinstance(told(answer, stale["emulation"]), Invalid)
    unchanged(both, place, before)


# Secrets


@pytest.fixture
def place(both: Both, namespace: str) -> str:
    """The path of a pull secret."""
    secrets = path("secrets", namespace)
    both.each(lambda side: side.client.post(secrets, pull_secret()))
    return f"{secrets}/{NAME}"


def test_the_secret_that_was_read_is_deleted(both: Both, place: str) -> None:
    """The answer is a Status; whoever sends the same again, for the first answer was lost, is told that it is gone."""
    asked = {side.name: delete(side, place) for side in both.sides}
    answer = both.ask(lambda side: send(side.client, asked[side.name]))
    assert (answer.status, answer.body["kind"], answer.body["status"]) == (200, "Status", "Success")
    again = both.ask(lambda side: send(side.client, asked[side.name]))
    assert isinstance(told(again, asked["emulation"]), NotFound)


@pytest.mark.parametrize("what", ["changed", "replaced"])
def test_a_secret_that_is_not_as_it_was_read_stays(both: Both, namespace: str, place: str, what: str) -> None:
    """Changed since, or another one in its place: 409, which names no field manager."""
    asked = {side.name: delete(side, place) for side in both.sides}
    if what == "changed":
        both.each(lambda side: side.client.patch(place, NOTE, MERGE_PATCH))
    else:
        both.each(lambda side: side.client.delete(place))
        both.each(lambda side: side.client.post(path("secrets", namespace), pull_secret()))
    answer = both.ask(lambda side: send(side.client, asked[side.name]))
    error = told(answer, asked["emulation"])
    assert isinstance(error, Conflict)
    assert (error.managers, error.message.rpartition(": ")[2]) == ((), "it changed since it was read")
    assert both.ask(lambda side: side.client.get(place)).status == 200


def test_another_uid_at_the_same_version_is_refused(both: Both, place: str) -> None:
    """The UID is a precondition of its own: the version alone would be no proof in a cluster restored from a backup."""

    def mistaken(side: Side) -> Request:
        meta = side.client.get(place).body["metadata"]
        return request.delete_secret(
            SecretRecord(meta["namespace"], meta["name"], FOREIGN_UID, meta["resourceVersion"])
        )

    asked = {side.name: mistaken(side) for side in both.sides}
    answer = both.ask(lambda side: send(side.client, asked[side.name]))
    assert isinstance(told(answer, asked["emulation"]), Conflict)
    assert both.ask(lambda side: side.client.get(place)).status == 200


def test_one_that_a_finalizer_holds_comes_back_without_its_data(both: Both, namespace: str) -> None:
    """It is only marked, and the answer is the object: of a Secret its metadata is all that may travel."""
    secrets = path("secrets", namespace)
    place = f"{secrets}/held"
    both.each(lambda side: side.client.post(secrets, pull_secret(name="held", finalizers=["example.com/wait"])))
    answer = both.ask(lambda side: send(side.client, delete(side, place)), seen=_is_bare)
    assert answer.status == 200
    assert _is_bare(answer.body)
    both.each(lambda side: side.client.patch(place, {"metadata": {"finalizers": None}}, MERGE_PATCH))


def _is_bare(body: Any) -> bool:  # noqa: ANN401  (decoded JSON)
    """Times and owners differ between two servers; that there is nothing but metadata does not."""
    return sorted(body) == ["apiVersion", "kind", "metadata"]


def test_delete_by_name_is_a_right_of_its_own(both: Both, namespace: str, place: str) -> None:
    """Who may do everything else to it is refused, and told the rule; with the rule for the name it is deleted."""
    without = both.user(Rule(("get", "patch"), ("secrets",), (NAME,), (namespace,)))
    allowed = both.user(Rule(("delete",), ("secrets",), (NAME,), (namespace,)))
    asked = {side.name: delete(side, place) for side in both.sides}
    refused = both.ask(lambda side: send(side.of(without), asked[side.name]))
    error = told(refused, asked["emulation"])
    assert isinstance(error, Forbidden)
    assert error.hint == f"grant verbs [delete] on secrets named {NAME} in namespace {namespace}"
    assert both.ask(lambda side: send(side.of(allowed), asked[side.name])).status == 200
