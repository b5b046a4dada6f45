"""rotator's own requests about Events, and those behind them: who am I, whose object is it, who owns which field."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from rotator.cluster import answers, request
from rotator.cluster.request import Request
from rotator.events import Event, Reason, Series
from rotator.model import DATA_KEY, FIELD_MANAGER, Kind, Subject
from rotator.sandbox.apiserver import Rule
from tests.apiclient import EMPTY_AUTHS, JSON_PATCH, MERGE_PATCH, Answer, Client
from tests.conformance.both import Agreed, Both, Side
from tests.conformance.writing import FOREIGN_UID, NAME, OTHER_AUTHS, account, path, pull_secret, send, told

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def namespace(both: Both) -> str:
    """A fresh namespace on both."""
    return both.namespace()


def event_request(subject: Subject, reason: Reason = Reason.HEALED, count: int = 1, uid: str = FOREIGN_UID) -> Request:
    """The request that tells this."""
    event = Event(reason, subject, "it was deleted, and is there again", NAME, uid, "41" if uid else "")
    series = Series(count, NOON, NOON + timedelta(minutes=count - 1))
    return request.apply_event(event, subject, series, "rotator-0")


def get(client: Client, asked: Request) -> Answer:
    """Send a GET exactly as rotator does."""
    return client.get(asked.path, accept=asked.accept, **dict(asked.query))


@pytest.mark.parametrize("kind", [Kind.SECRET, Kind.SERVICE_ACCOUNT])
@pytest.mark.parametrize("uid", [FOREIGN_UID, ""])
def test_an_event_is_made_and_counted_up(both: Both, namespace: str, kind: Kind, uid: str) -> None:
    """The same request makes it (201) and later raises count and lastTimestamp of the same one (200)."""
    subject = Subject(kind, namespace, NAME)
    made = both.ask(lambda side: send(side.client, event_request(subject, uid=uid)))
    again = both.ask(lambda side: send(side.client, event_request(subject, count=2, uid=uid)))
    assert (made.status, again.status) == (201, 200)
    (found,) = both.ask(lambda side: side.client.get(path("events", namespace))).body["items"]
    times = found["firstTimestamp"], found["lastTimestamp"]
    assert (found["count"], *times) == (2, "2026-11-23T12:00:00Z", "2026-11-23T12:01:00Z")
    assert (found["type"], found["source"]["component"], found["eventTime"]) == ("Normal", "rotator", None)


def test_an_event_about_a_namespace_stands_in_it(both: Both, namespace: str) -> None:
    """Where the object is said to be in the namespace that it is: without one it would have to be in `default`."""
    subject = Subject(Kind.NAMESPACE, namespace, namespace)
    assert both.ask(lambda side: send(side.client, event_request(subject))).status == 201


def test_an_event_for_each_reason_is_taken(both: Both, namespace: str) -> None:
    """Each with a name of its own."""
    subject = Subject(Kind.SECRET, namespace, NAME)
    for reason in Reason:
        assert both.ask(lambda side, why=reason: send(side.client, event_request(subject, why))).status == 201  # type: ignore[misc]
    found = both.ask(lambda side: side.client.get(path("events", namespace))).body["items"]
    assert {each["reason"] for each in found} == set(Reason)


def test_an_event_that_somebody_edited_is_counted_all_the_same(both: Both, namespace: str) -> None:
    """Events are nobody's to argue about: rotator takes its fields back by force."""
    asked = event_request(Subject(Kind.SECRET, namespace, NAME))
    both.each(lambda side: send(side.client, asked))
    both.each(lambda side: side.client.patch(asked.path, {"count": 9, "message": "mine"}, MERGE_PATCH))
    again = both.ask(lambda side: send(side.client, event_request(Subject(Kind.SECRET, namespace, NAME), count=2)))
    assert again.status == 200
    assert both.ask(lambda side: side.client.get(asked.path)).body["count"] == 2


def test_it_takes_create_and_patch_on_events_and_no_more(both: Both, namespace: str) -> None:
    """Without either it is 403, and rotator's words for that name the rule."""
    asked = event_request(Subject(Kind.SECRET, namespace, NAME))
    only = (namespace,)
    allowed = both.user(Rule(("create", "patch"), ("events",), namespaces=only))
    for verb in ("create", "patch"):
        user = both.user(Rule((verb,), ("events",), namespaces=only))
        refused = both.ask(lambda side, who=user: send(side.of(who), asked))  # type: ignore[misc]
        assert refused.status == 403
        assert f"grant verbs [create, patch] on events in namespace {namespace}" in told(refused, asked).hint
    assert both.ask(lambda side: send(side.of(allowed), asked)).status == 201
    assert both.ask(lambda side: send(side.of(allowed), asked)).status == 200


def test_an_event_in_a_namespace_that_is_not_there(both: Both) -> None:
    """404, which rotator takes for gone."""
    asked = event_request(Subject(Kind.SECRET, "nowhere-at-all", NAME))
    assert both.ask(lambda side: send(side.client, asked)).status == 404


def test_whoever_has_a_token_may_ask_who_it_is(both: Both, namespace: str) -> None:
    """Without any rule: the ServiceAccount's name and UID."""
    user = both.user(Rule(("get",), ("pods",), namespaces=(namespace,)))
    asked = request.whoami()
    body = json.loads(asked.body)

    def info(answer: Any) -> dict[str, Any]:  # noqa: ANN401  (decoded JSON)
        return {key: answer["status"]["userInfo"][key] for key in ("username", "uid")}

    answer = both.ask(lambda side: side.of(user).post(asked.path, body), seen=info)
    known = msgspec.convert(answer.body, answers.SelfSubjectReview).status.user_info
    assert known.username == user
    place, name = user.split(":")[2:]
    assert known.uid == both.real.client.get(path("serviceaccounts", place, name)).body["metadata"]["uid"]


# Who owns which field ------------------------------------------------------------------------------------------------

DATA = (("f:data", f"f:{DATA_KEY}"),)
REFERENCES = (("f:imagePullSecrets",),)


def owners(agreed: Agreed, side: Side, paths: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """Who else owns these fields, as rotator reads it."""
    return msgspec.convert(agreed.on(side).body, answers.OwnedObject).managers(paths, FIELD_MANAGER)


def test_who_changed_a_secret_is_told_by_its_metadata(both: Both, namespace: str) -> None:
    """By edit and by apply; its data does not travel; and after our repair by force they own it no more."""
    place = path("secrets", namespace, NAME)
    both.each(lambda side: side.client.apply(place, pull_secret()))
    edit = {"data": {DATA_KEY: OTHER_AUTHS}}
    both.each(lambda side: side.client.patch(place, edit, MERGE_PATCH, fieldManager="kubectl-edit"))
    both.each(
        lambda side: side.client.patch(place, {"metadata": {"labels": {"a": "b"}}}, MERGE_PATCH, fieldManager="x")
    )
    asked = request.get_metadata(Subject(Kind.SECRET, namespace, NAME))
    seen = both.ask(lambda side: get(side.client, asked))
    assert "data" not in seen.body
    for side in both.sides:
        assert owners(seen, side, DATA) == ("kubectl-edit",)
    both.each(lambda side: side.client.apply(place, pull_secret(EMPTY_AUTHS), force="true"))
    seen = both.ask(lambda side: get(side.client, asked))
    for side in both.sides:
        assert owners(seen, side, DATA) == ()


def test_who_replaced_the_references_is_told_and_who_removed_them_is_not(both: Both, namespace: str) -> None:
    """A list of their own is theirs; a list that is gone is nobody's, so Kubernetes does not know."""
    place = path("serviceaccounts", namespace, "workers")
    both.each(lambda side: side.client.post(path("serviceaccounts", namespace), account("workers", "theirs")))
    add = [{"op": "add", "path": "/imagePullSecrets/-", "value": {"name": NAME}}]
    both.each(lambda side: side.client.patch(place, add, JSON_PATCH, fieldManager=FIELD_MANAGER))
    asked = request.get_metadata(Subject(Kind.SERVICE_ACCOUNT, namespace, "workers"))
    own = {"imagePullSecrets": [{"name": "theirs"}]}
    both.each(lambda side: side.client.patch(place, own, MERGE_PATCH, fieldManager="terraform"))
    seen = both.ask(lambda side: get(side.client, asked))
    for side in both.sides:
        assert owners(seen, side, REFERENCES) == ("terraform",)
    both.each(lambda side: side.client.patch(place, {"imagePullSecrets": None}, MERGE_PATCH, fieldManager="rude"))
    seen = both.ask(lambda side: get(side.client, asked))
    for side in both.sides:
        assert owners(seen, side, REFERENCES) == ()


def test_who_changes_an_account_that_was_made_bare_is_never_known(both: Both, namespace: str) -> None:
    """Without any field at first it has no `managedFields`, and then the API server does not begin to keep them.

    So it is with each namespace's `default` (apimachinery, managedfields/internal: skipNonAppliedManager).
    """
    place = path("serviceaccounts", namespace, "workers")
    both.each(lambda side: side.client.post(path("serviceaccounts", namespace), account("workers")))
    own = {"imagePullSecrets": [{"name": "theirs"}]}
    both.each(lambda side: side.client.patch(place, own, MERGE_PATCH, fieldManager="terraform"))
    asked = request.get_metadata(Subject(Kind.SERVICE_ACCOUNT, namespace, "workers"))
    seen = both.ask(lambda side: get(side.client, asked))
    assert "managedFields" not in seen.body["metadata"]
    for side in both.sides:
        assert owners(seen, side, REFERENCES) == ()
