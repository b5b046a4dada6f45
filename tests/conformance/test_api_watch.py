"""Watches: the emulation sends what kube-apiserver sends."""

from itertools import islice
from typing import Any

import pytest

from tests.apiclient import MERGE_PATCH, PARTIAL, secret
from tests.conformance.both import NAMESPACES, Agreed, Both, Notice, Side, agree, unique
from tests.conformance.writing import account, path
from tests.waiting import eventually

ALL_SECRETS = "/api/v1/secrets"
INITIAL = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}


@pytest.fixture
def namespace(both: Both) -> str:
    """An empty namespace."""
    return both.namespace()


def put(both: Both, namespace: str, name: str, **labels: str) -> None:
    """A new Secret with these labels."""
    both.each(lambda side: create(side, namespace, name, **labels))


def create(side: Side, namespace: str, name: str, **labels: str) -> Any:  # noqa: ANN401  (an answer)
    """A new Secret, on one side."""
    return side.client.post(path("secrets", namespace), secret(name, metadata={"name": name, "labels": labels}))


def label(both: Both, namespace: str, name: str, **labels: str | None) -> None:
    """Set or remove labels of a Secret."""
    change = {"metadata": {"labels": labels}}
    both.each(lambda side: side.client.patch(path("secrets", namespace, name), change, MERGE_PATCH))


def listed(both: Both, place: str) -> Agreed:
    """A list, from whose version a watch begins."""
    return both.ask(lambda side: side.client.get(place), seen=lambda body: body["kind"])


def seen(notice: Notice) -> tuple[str, str]:
    """Type and name."""
    return notice.type, notice.object["metadata"]["name"]


def test_changes_after_a_list(both: Both, namespace: str) -> None:
    """From a list's version: each later write once, in order; a deletion has the last state under a new version."""
    secrets = path("secrets", namespace)
    put(both, namespace, "before")
    start = listed(both, secrets)
    put(both, namespace, "one")
    with both.watching(lambda side: side.client.watching(secrets, resourceVersion=start.on(side).version)) as notices:
        added = next(notices)
        assert seen(added) == ("ADDED", "one")
        assert (added.object["kind"], added.object["apiVersion"]) == ("Secret", "v1")
        put(both, both.namespace(), "elsewhere")
        label(both, namespace, "one", app="x")
        changed = next(notices)
        assert seen(changed) == ("MODIFIED", "one")
        both.each(lambda side: side.client.delete(f"{secrets}/one"))
        deleted = next(notices)
        assert seen(deleted) == ("DELETED", "one")
        assert deleted.object["metadata"]["labels"] == {"app": "x"}
        for side in both.sides:
            before, after = (notice.on(side)["object"]["metadata"]["resourceVersion"] for notice in (changed, deleted))
            assert int(after) > int(before)


@pytest.mark.parametrize("query", [{}, {"resourceVersion": "0"}])
def test_without_a_version_what_there_is_comes_first(both: Both, namespace: str, query: dict[str, str]) -> None:
    """Every present object is ADDED, then what happens."""
    put(both, namespace, "one")
    put(both, namespace, "two")
    with both.watching(lambda side: side.client.watching(path("secrets", namespace), **query)) as notices:
        assert [seen(next(notices)) for _ in range(2)] == [("ADDED", "one"), ("ADDED", "two")]
        put(both, namespace, "three")
        assert seen(next(notices)) == ("ADDED", "three")


def test_object_that_leaves_the_selection(both: Both, namespace: str) -> None:
    """It is DELETED, as it last was in the selection, though it still exists; one that enters it is ADDED."""
    put(both, namespace, "one", app="y")
    start = listed(both, path("secrets", namespace))
    with both.watching(
        lambda side: side.client.watching(
            path("secrets", namespace), labelSelector="app=x", resourceVersion=start.on(side).version
        )
    ) as notices:
        label(both, namespace, "one", app="x")
        assert seen(next(notices)) == ("ADDED", "one")
        label(both, namespace, "one", app=None)
        left = next(notices)
    assert seen(left) == ("DELETED", "one")
    assert left.object["metadata"]["labels"] == {"app": "x"}


def test_namespaces_by_label(both: Both) -> None:
    """A namespace that is new, and that is labelled later, is ADDED."""
    mark = unique("mark")
    start = listed(both, NAMESPACES)
    with both.watching(
        lambda side: side.client.watching(
            NAMESPACES, labelSelector=f"mark={mark}", resourceVersion=start.on(side).version
        )
    ) as notices:
        first = both.namespace(mark=mark)
        assert seen(next(notices)) == ("ADDED", first)
        second = both.namespace()
        change = {"metadata": {"labels": {"mark": mark}}}
        both.each(lambda side: side.client.patch(f"{NAMESPACES}/{second}", change, MERGE_PATCH))
        assert seen(next(notices)) == ("ADDED", second)


def test_service_account_that_loses_its_reference(both: Both, namespace: str) -> None:
    """MODIFIED shows the list as it is now."""
    accounts = path("serviceaccounts", namespace)
    both.each(lambda side: side.client.post(accounts, account("worker", "worker-pull")))
    start = listed(both, accounts)
    with both.watching(lambda side: side.client.watching(accounts, resourceVersion=start.on(side).version)) as notices:
        change = {"imagePullSecrets": None}
        both.each(lambda side: side.client.patch(f"{accounts}/worker", change, MERGE_PATCH))
        notice = next(notices)
    assert seen(notice) == ("MODIFIED", "worker")
    assert "imagePullSecrets" not in notice.object


def test_only_metadata(both: Both, namespace: str) -> None:
    """A watch of PartialObjectMetadata sends neither data nor type, in deletions neither."""
    put(both, namespace, "one")
    with both.watching(lambda side: side.client.watching(path("secrets", namespace), PARTIAL)) as notices:
        added = next(notices)
        both.each(lambda side: side.client.delete(path("secrets", namespace, "one")))
        deleted = next(notices)
    assert [added.type, deleted.type] == ["ADDED", "DELETED"]
    for notice in (added, deleted):
        assert notice.object["kind"] == "PartialObjectMetadata"
        assert notice.object.keys() == {"kind", "apiVersion", "metadata"}


def test_watch_ends_in_time(both: Both, namespace: str) -> None:
    """`timeoutSeconds` ends the stream cleanly, without an event about it."""
    with both.watching(lambda side: side.client.watching(path("secrets", namespace), timeoutSeconds=1)) as notices:
        assert list(notices) == []


def test_bookmark_before_the_end(both: Both, namespace: str) -> None:
    """Shortly before the end comes a bookmark, if anything of this resource changed: from it a watch goes on."""
    elsewhere = both.namespace()
    marks = [bookmark(side, namespace, elsewhere) for side in both.sides]
    agree(*marks)
    assert marks[1]["object"].keys() == {"kind", "apiVersion", "metadata"}
    assert marks[1]["object"]["kind"] == "Secret"
    versions = [mark["object"]["metadata"]["resourceVersion"] for mark in marks]
    put(both, namespace, "after")
    with both.watching(
        lambda side: side.client.watching(path("secrets", namespace), resourceVersion=versions[both.sides.index(side)])
    ) as notices:
        assert seen(next(notices)) == ("ADDED", "after")


def bookmark(side: Side, namespace: str, elsewhere: str) -> Any:  # noqa: ANN401  (decoded JSON)
    """The first bookmark of a watch; on a busy machine the server may miss the moment, so there are more watches."""
    found: list[Any] = []

    def watched() -> bool:
        start = side.client.get(path("secrets", namespace)).version
        with side.client.watching(
            path("secrets", namespace), resourceVersion=start, allowWatchBookmarks="true", timeoutSeconds=3
        ) as events:
            create(side, elsewhere, unique("other"))
            found.extend(islice(events, 1))
        return bool(found)

    eventually(watched, f"a bookmark from {side.name}")
    assert found[0]["type"] == "BOOKMARK"
    return found[0]


def test_no_bookmarks_unasked(both: Both, namespace: str) -> None:
    """Who does not ask for bookmarks gets none."""
    start = listed(both, path("secrets", namespace))
    with both.watching(
        lambda side: side.client.watching(
            path("secrets", namespace), resourceVersion=start.on(side).version, timeoutSeconds=3
        )
    ) as notices:
        put(both, both.namespace(), "elsewhere")
        assert list(notices) == []


def test_version_before_a_compaction(both: Both, namespace: str) -> None:
    """The answer is 200 and its one event an ERROR with 410 Expired; then the stream ends.

    With Events, which no watch cache holds: for other resources the cache still knows what etcd has forgotten.
    """
    events = path("events", namespace)
    start = listed(both, events)
    about = {"kind": "Secret", "namespace": namespace, "name": "worker-pull"}
    for name in ("one", "two"):  # the last version before a compaction is still known
        body = {"metadata": {"name": name}, "involvedObject": about}
        both.each(lambda side, event=body: side.client.post(events, event))  # type: ignore[misc]
    both.compact()
    with both.watching(
        lambda side: side.client.watching(events, resourceVersion=start.on(side).version), words=False
    ) as notices:
        (notice,) = notices
    assert notice.type == "ERROR"
    assert (notice.object["kind"], notice.object["code"], notice.object["reason"]) == ("Status", 410, "Expired")


def test_open_watch_survives_a_compaction(both: Both, namespace: str) -> None:
    """Who listens already misses nothing."""
    put(both, namespace, "one")
    with both.watching(lambda side: side.client.watching(path("secrets", namespace))) as notices:
        next(notices)
        both.compact()
        put(both, namespace, "two")
        assert seen(next(notices)) == ("ADDED", "two")


def test_version_that_is_still_to_come(both: Both, namespace: str) -> None:
    """A watch from the future is silent and ends in time: it is no error, so a restored etcd goes unnoticed."""
    put(both, namespace, "one")
    with both.watching(
        lambda side: side.client.watching(path("secrets", namespace), resourceVersion=10**9, timeoutSeconds=1)
    ) as notices:
        assert list(notices) == []


def test_list_by_watch(both: Both, namespace: str) -> None:
    """`sendInitialEvents`: what there is, a bookmark that says so, then what happens, in one request."""
    put(both, namespace, "one")
    put(both, namespace, "two")
    query = INITIAL | {"allowWatchBookmarks": "true"}
    with both.watching(lambda side: side.client.watching(path("secrets", namespace), PARTIAL, **query)) as notices:
        assert [seen(next(notices)) for _ in range(2)] == [("ADDED", "one"), ("ADDED", "two")]
        mark = next(notices)
        assert mark.type == "BOOKMARK"
        assert mark.object["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        put(both, namespace, "three")
        assert seen(next(notices)) == ("ADDED", "three")


REFUSED: list[tuple[int, dict[str, str]]] = [
    (422, {"sendInitialEvents": "true"}),
    (422, {"resourceVersionMatch": "NotOlderThan"}),
    (400, {"timeoutSeconds": "x"}),
    (400, {"fieldSelector": "data.x=y"}),
    (500, {"resourceVersion": "x"}),
]


@pytest.mark.parametrize(("status", "query"), REFUSED)
def test_watch_that_is_refused(both: Both, namespace: str, status: int, query: dict[str, str]) -> None:
    """What does not fit is refused before the stream begins, with a Status as for a list."""
    answer = both.ask(lambda side: side.client.get(path("secrets", namespace), watch="true", **query))
    assert (answer.status, answer.body["kind"]) == (status, "Status")


def test_bad_label_selector(both: Both, namespace: str) -> None:
    """400 as well."""
    answer = both.ask(
        lambda side: side.client.get(path("secrets", namespace), watch="true", labelSelector="a b"), words=False
    )
    assert (answer.status, answer.reason) == (400, "BadRequest")
