"""Lists, pages, selectors and watches."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from rotator.sandbox.apiserver import ApiServer
from rotator.sandbox.apiserver.objects import Object
from tests.apiclient import PARTIAL, PARTIAL_LIST, Client, client_of

ALL_SECRETS = "/api/v1/secrets"
SECRETS = "/api/v1/namespaces/a/secrets"
NAMESPACES = "/api/v1/namespaces"


@pytest.fixture
def api() -> Iterator[ApiServer]:
    """A running server with the namespaces `a` and `b`."""
    with ApiServer() as server:
        for name in ("a", "b"):
            server.store.create_namespace(name, {"pull": "private"} if name == "a" else None)
        yield server


@pytest.fixture
def client(api: ApiServer) -> Iterator[Client]:
    """A client that may do everything."""
    with client_of(api) as admin:
        yield admin


def put(api: ApiServer, namespace: str, name: str, **labels: str) -> None:
    """A Secret with these labels."""
    api.store.put_secret(namespace, name, {"x": "y"}, type="Opaque", labels=labels)


def names(body: Object) -> list[str]:
    """namespace/name of each item of a list."""
    return [f"{item['metadata'].get('namespace', '')}/{item['metadata']['name']}" for item in body["items"]]


def seen(event: Object) -> tuple[str, str]:
    """Type and name of a watch event."""
    return event["type"], event["object"]["metadata"]["name"]


def test_list_has_kind_and_version(api: ApiServer, client: Client) -> None:
    """A list names its kind, its items do not, and its version is that of the last write."""
    put(api, "a", "one")
    last = api.store.create_namespace("c")
    answer = client.get(ALL_SECRETS)
    assert (answer.body["kind"], answer.body["apiVersion"]) == ("SecretList", "v1")
    assert "kind" not in answer.body["items"][0]
    assert int(answer.version) >= int(last["metadata"]["resourceVersion"])


def test_list_of_one_namespace_has_no_neighbours(api: ApiServer, client: Client) -> None:
    """A namespaced list holds that namespace only, even where another name begins alike."""
    api.store.create_namespace("a-b")
    for namespace in ("a", "a-b", "b"):
        put(api, namespace, "one")
    assert names(client.get(SECRETS).body) == ["a/one"]
    assert names(client.get(ALL_SECRETS).body) == ["a-b/one", "a/one", "b/one"]


def test_pages_are_of_one_version(api: ApiServer, client: Client) -> None:
    """Later pages show the cluster as it was at the first one, whatever was written in between."""
    for name in ("1", "2", "3", "4"):
        put(api, "a", name)
    first = client.get(SECRETS, limit=2)
    assert names(first.body) == ["a/1", "a/2"]
    assert first.body["metadata"]["remainingItemCount"] == 2
    api.store.delete("secrets", "a", "3")
    put(api, "a", "5")
    for late in ("once", "twice"):
        put(api, "a", "4", late=late)
    second = client.get(SECRETS, **{"limit": 2, "continue": first.body["metadata"]["continue"]})
    assert names(second.body) == ["a/3", "a/4"]
    assert "labels" not in second.body["items"][1]["metadata"]
    assert second.version == first.version
    assert "continue" not in second.body["metadata"]


def test_old_continue_token_is_gone(api: ApiServer, client: Client) -> None:
    """A token from before the history is 410 Expired, with another one to go on with what there is now."""
    for name in ("1", "2", "3"):
        put(api, "a", name)
    token = client.get(SECRETS, limit=1).body["metadata"]["continue"]
    api.store.compact()
    answer = client.get(SECRETS, **{"limit": 1, "continue": token})
    assert (answer.status, answer.reason) == (410, "Expired")
    rest = client.get(SECRETS, **{"continue": answer.body["metadata"]["continue"]})
    assert names(rest.body) == ["a/2", "a/3"]
    assert client.get(SECRETS, **{"continue": "nonsense"}).status == 400


SELECTORS = {
    "app": ["a/1", "a/2", "a/3"],
    "!app": ["a/4"],
    "app=x": ["a/1", "a/2"],
    "app==x,tier": ["a/2"],
    "app!=x": ["a/3", "a/4"],
    "app in (x, y)": ["a/1", "a/2", "a/3"],
    "app notin (x),tier notin (z)": ["a/3", "a/4"],
    "app=": [],
}


@pytest.mark.parametrize("selector", SELECTORS)
def test_label_selector(api: ApiServer, client: Client, selector: str) -> None:
    """Equality and sets select as in Kubernetes: != and notin take objects without the label, too."""
    put(api, "a", "1", app="x")
    put(api, "a", "2", app="x", tier="z")
    put(api, "a", "3", app="y")
    put(api, "a", "4")
    assert names(client.get(SECRETS, labelSelector=selector).body) == SELECTORS[selector]


@pytest.mark.parametrize("selector", ["a=b=c", "a in b", "=x", "a in (x", "a b"])
def test_bad_label_selector_is_a_bad_request(client: Client, selector: str) -> None:
    """What is no selector is 400, not everything."""
    answer = client.get(SECRETS, labelSelector=selector)
    assert (answer.status, answer.reason) == (400, "BadRequest")


def test_field_selector(api: ApiServer, client: Client) -> None:
    """Names across namespaces, types of Secrets, phases of namespaces; any other field is 400."""
    for namespace in ("a", "b"):
        put(api, namespace, "worker-pull")
        put(api, namespace, "other")
    assert names(client.get(ALL_SECRETS, fieldSelector="metadata.name=worker-pull").body) == [
        "a/worker-pull",
        "b/worker-pull",
    ]
    both = "metadata.namespace=b,metadata.name!=other"
    assert names(client.get(ALL_SECRETS, fieldSelector=both).body) == ["b/worker-pull"]
    assert names(client.get(SECRETS, fieldSelector="metadata.name=other").body) == ["a/other"]
    assert names(client.get(ALL_SECRETS, fieldSelector="type=kubernetes.io/tls").body) == []
    assert "/a" in names(client.get(NAMESPACES, fieldSelector="status.phase=Active").body)
    assert names(client.get(NAMESPACES, fieldSelector="status.phase=Terminating").body) == []
    unknown = client.get(SECRETS, fieldSelector="data.x=y")
    assert unknown.status == 400
    assert "field label not supported: data.x" in unknown.message


def test_pages_of_one_name(api: ApiServer, client: Client) -> None:
    """The list of one name across namespaces comes in pages as well."""
    for namespace in ("a", "b"):
        put(api, namespace, "worker-pull")
    first = client.get(ALL_SECRETS, fieldSelector="metadata.name=worker-pull", limit=1)
    assert names(first.body) == ["a/worker-pull"]
    token = first.body["metadata"]["continue"]
    rest = client.get(ALL_SECRETS, **{"fieldSelector": "metadata.name=worker-pull", "limit": 1, "continue": token})
    assert names(rest.body) == ["b/worker-pull"]


def test_partial_metadata(api: ApiServer, client: Client) -> None:
    """PartialObjectMetadata serves one object or a watch, PartialObjectMetadataList a list; else 406."""
    put(api, "a", "one")
    single = client.get(f"{SECRETS}/one", PARTIAL)
    several = client.get(SECRETS, PARTIAL_LIST)
    assert sorted(single.body) == ["apiVersion", "kind", "metadata"]
    assert several.body["kind"] == "PartialObjectMetadataList"
    assert sorted(several.body["items"][0]) == ["apiVersion", "kind", "metadata"]
    assert client.get(SECRETS, PARTIAL).reason == "NotAcceptable"
    assert client.get(f"{SECRETS}/one", PARTIAL_LIST).status == 406
    assert client.get(SECRETS, "application/xml").status == 406


def test_watch_shows_what_follows_a_list(api: ApiServer, client: Client) -> None:
    """A watch from a list's version gives every later write, and none before."""
    put(api, "a", "before")
    version = client.get(SECRETS).version
    put(api, "a", "one")
    with client.watching(SECRETS, resourceVersion=version) as events:
        assert seen(next(events)) == ("ADDED", "one")
        put(api, "b", "elsewhere")
        put(api, "a", "one", changed="yes")
        event = next(events)
        assert seen(event) == ("MODIFIED", "one")
        assert event["object"]["kind"] == "Secret"
        api.store.delete("secrets", "a", "one")
        deleted = next(events)
        assert seen(deleted) == ("DELETED", "one")
        assert int(deleted["object"]["metadata"]["resourceVersion"]) > int(
            event["object"]["metadata"]["resourceVersion"]
        )


def test_watch_without_version_begins_with_what_there_is(api: ApiServer, client: Client) -> None:
    """No resourceVersion: every present object comes as ADDED first."""
    put(api, "a", "one")
    put(api, "a", "two")
    with client.watching(SECRETS) as events:
        assert [seen(next(events)) for _ in range(2)] == [("ADDED", "one"), ("ADDED", "two")]
        put(api, "a", "three")
        assert seen(next(events)) == ("ADDED", "three")


def test_watch_sees_objects_begin_and_cease_to_match(api: ApiServer, client: Client) -> None:
    """An object that starts to match is ADDED, one that stops is DELETED with its last matching content."""
    with client.watching(SECRETS, labelSelector="app=x") as events:
        put(api, "a", "one")
        put(api, "a", "one", app="x")
        assert seen(next(events)) == ("ADDED", "one")
        put(api, "a", "one", app="y")
        deleted = next(events)
        assert seen(deleted) == ("DELETED", "one")
        assert deleted["object"]["metadata"]["labels"] == {"app": "x"}


def test_watch_by_name_in_all_namespaces(api: ApiServer, client: Client) -> None:
    """A watch of one name sees it in every namespace, and nothing else."""
    with client.watching(ALL_SECRETS, PARTIAL, fieldSelector="metadata.name=worker-pull") as events:
        put(api, "a", "other")
        put(api, "b", "worker-pull")
        event = next(events)
        assert (event["object"]["kind"], event["object"]["metadata"]["namespace"]) == ("PartialObjectMetadata", "b")
        assert "data" not in event["object"]


def test_watch_ends_after_its_timeout(client: Client) -> None:
    """A watch with timeoutSeconds ends cleanly."""
    with client.watching(SECRETS, timeoutSeconds=1) as events:
        assert list(events) == []


def test_watch_gets_bookmarks_if_it_wants_them(api: ApiServer, client: Client) -> None:
    """A bookmark holds a version from which a watch goes on without a gap; nobody else gets one."""
    api.bookmark_every(0.05)
    start = client.get(SECRETS).version
    with client.watching(SECRETS, resourceVersion=start, allowWatchBookmarks="true") as events:
        put(api, "b", "elsewhere")
        version = api.store.get("secrets", "b", "elsewhere")["metadata"]["resourceVersion"]  # type: ignore[index]
        bookmark = next(event for event in events if event["object"]["metadata"]["resourceVersion"] == version)
        assert bookmark["type"] == "BOOKMARK"
        assert bookmark["object"] == {"kind": "Secret", "apiVersion": "v1", "metadata": {"resourceVersion": version}}
    put(api, "a", "one")
    with client.watching(SECRETS, resourceVersion=version, timeoutSeconds=1) as events:
        assert [seen(event) for event in events] == [("ADDED", "one")]


def test_idle_watch_gets_no_bookmarks(api: ApiServer, client: Client) -> None:
    """While nothing of its resource is written anywhere, a watcher learns nothing new (seen on a real server, too)."""
    api.bookmark_every(0.01)
    start = client.get(SECRETS).version
    with client.watching(SECRETS, resourceVersion=start, allowWatchBookmarks="true", timeoutSeconds=1) as events:
        api.store.create_service_account("b", "another-resource")
        assert list(events) == []


def test_watch_from_an_old_version_gets_an_error_event(api: ApiServer, client: Client) -> None:
    """410 comes as an ERROR event in a 200 answer, as from the watch cache; then the stream ends."""
    version = client.get(SECRETS).version
    api.store.compact()
    with client.watching(SECRETS, resourceVersion=version) as events:
        (event,) = events
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")


def test_history_is_bounded() -> None:
    """Of a busy resource only the latest events are kept."""
    with ApiServer(history=5) as api, client_of(api) as client:
        version = client.get("/api/v1/namespaces/default/secrets").version
        for number in range(12):
            put(api, "default", "one", n=str(number))
        with client.watching("/api/v1/namespaces/default/secrets", resourceVersion=version) as events:
            assert next(events)["object"]["reason"] == "Expired"


def test_open_watch_survives_compaction(api: ApiServer, client: Client) -> None:
    """Compaction and the end of history concern who comes anew, not who listens already."""
    with client.watching(SECRETS) as events:
        put(api, "a", "one")
        next(events)
        api.store.compact()
        put(api, "a", "two")
        assert seen(next(events)) == ("ADDED", "two")


def test_watches_can_be_ended(api: ApiServer, client: Client) -> None:
    """The server may end all watches; new ones are welcome."""
    with client.watching(SECRETS) as events:
        put(api, "a", "one")
        next(events)
        api.end_watches()
        assert list(events) == []
    with client.watching(SECRETS) as events:
        assert seen(next(events)) == ("ADDED", "one")


def test_namespace_goes_through_terminating(api: ApiServer, client: Client) -> None:
    """A deleted namespace is Terminating first, then its content goes, then itself."""
    put(api, "a", "one")
    version = client.get(NAMESPACES).version
    with (
        client.watching(SECRETS, resourceVersion=version) as secrets,
        client.watching(NAMESPACES, resourceVersion=version) as namespaces,
    ):
        answer = client.delete(f"{NAMESPACES}/a")
        assert answer.body["status"] == {"phase": "Terminating"}
        assert seen(next(secrets)) == ("DELETED", "one")
        assert [seen(next(namespaces)) for _ in range(2)] == [("MODIFIED", "a"), ("DELETED", "a")]
    assert client.get(f"{NAMESPACES}/a").status == 404


def test_terminating_namespace_takes_no_new_objects(api: ApiServer, client: Client) -> None:
    """While it terminates, a create there is 403 with the cause NamespaceTerminating; what is there can be read."""
    put(api, "a", "one")
    api.store.hold_terminating = True
    api.store.delete_namespace("a")
    answer = client.apply(f"{SECRETS}/two", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "two"}})
    assert (answer.status, answer.reason) == (403, "Forbidden")
    assert answer.message == (
        'secrets "two" is forbidden: unable to create new content in namespace a because it is being terminated'
    )
    (cause,) = answer.body["details"]["causes"]
    assert (cause["reason"], cause["field"]) == ("NamespaceTerminating", "metadata.namespace")
    assert client.get(f"{SECRETS}/one").status == 200
    assert names(client.get(NAMESPACES, fieldSelector="status.phase=Terminating").body) == ["/a"]
    api.store.finish_namespace("a")
    assert client.get(f"{SECRETS}/one").status == 404


def test_absent_namespace_takes_no_objects(client: Client) -> None:
    """A create in a namespace that is not there is 404 for the namespace; its list is empty."""
    path = "/api/v1/namespaces/nowhere/secrets"
    answer = client.apply(f"{path}/x", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}})
    assert (answer.status, answer.message) == (404, 'namespaces "nowhere" not found')
    assert client.get(path).body["items"] == []


def test_path_is_decoded(api: ApiServer, client: Client) -> None:
    """An escaped path names the same object."""
    put(api, "a", "one")
    assert client.get(quote(f"{SECRETS}/one", safe="/").replace("one", "%6Fne")).status == 200
