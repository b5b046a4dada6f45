"""A reflector: what it hears, what it does about every fault, and how seldom it asks."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from rotator.cluster import request
from rotator.cluster.client import Cluster
from rotator.cluster.login import log_in
from rotator.cluster.stream import CHUNK, LONGEST
from rotator.cluster.transport import Transport
from rotator.cluster.watch import FLOOR, LONGEST_PAUSE, LONGEST_WISH, Reflector, Seen, pause_after
from rotator.sandbox.apiserver import ApiServer, Rule
from rotator.sandbox.authority import Authority
from rotator.sandbox.server import LOOPBACK, Request, Response, Server
from rotator.scopes import Scope
from tests.cluster.conftest import WriteKubeconfig
from tests.cluster.servers import drip, raw_server, say_nothing
from tests.cluster.watching import SECOND, Ear, following
from tests.waiting import eventually

SECRETS = Scope("secrets", "team-a", "worker-pull")
ACCOUNTS = Scope("serviceaccounts")
DATA = {".dockerconfigjson": '{"auths":{}}'}
GONE = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version: 1 (2)"}


# Servers that answer as they are told ---------------------------------------------------------------------------------


class Told:
    """A handler for one collection: the n-th watch is answered as the n-th script says, and as the last for good.

    A list before the first watch is of `version`, one after it of `later`. `seen` holds every request.
    """

    def __init__(self, *watches: Callable[[Request], Response], version: int = 7, later: int = 20) -> None:
        self._watches = list(watches)
        self._version = version
        self._later = later
        self.seen: list[Request] = []

    def __call__(self, asked: Request) -> Response:
        """The answer."""
        self.seen.append(asked)
        if "watch" not in asked.query:
            version = self._later if self.versions else self._version
            return Response.of_json(200, {"metadata": {"resourceVersion": str(version)}, "items": []})
        return (self._watches.pop(0) if len(self._watches) > 1 else self._watches[0])(asked)

    @property
    def versions(self) -> list[str]:
        """The resourceVersions that were watched from."""
        return [asked.query["resourceVersion"][0] for asked in self.seen if "watch" in asked.query]


def event(kind: str, content: object) -> bytes:
    """A line of a watch."""
    return json.dumps({"type": kind, "object": content}).encode() + b"\n"


def secret(version: int, name: str = "worker-pull") -> dict[str, object]:
    """A Secret's metadata."""
    return {"metadata": {"name": name, "namespace": "team-a", "resourceVersion": str(version)}}


def saying(*chunks: bytes) -> Callable[[Request], Response]:
    """A watch that says this, and ends cleanly."""
    return lambda _: Response(200, chunks=iter(chunks))


def lasting(*chunks: bytes) -> Callable[[Request], Response]:
    """A watch that says this, and then nothing more until its time is over, or the client leaves."""

    def said(asked: Request) -> Iterator[bytes]:
        until = time.monotonic() + int(asked.query["timeoutSeconds"][0])
        yield from chunks
        while time.monotonic() < until and not asked.gone():
            time.sleep(0.01)

    return lambda asked: Response(200, chunks=said(asked))


def answering(status: int, content: object = None, **headers: str) -> Callable[[Request], Response]:
    """A watch that is refused."""
    body = json.dumps(content or {"kind": "Status"}).encode()
    return lambda _: Response(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


# What is heard --------------------------------------------------------------------------------------------------------


def test_changes_are_heard_as_they_come(api: ApiServer, tmp_path: Path) -> None:
    """Creation, change and deletion of the one Secret, with their resourceVersions, and nothing of its neighbours."""
    with following(api.kubeconfig(tmp_path / "config"), SECRETS) as watch:
        watch.await_sync()
        created = api.store.put_secret("team-a", "worker-pull", DATA, labels={"a": "b"})
        api.store.put_secret("team-a", "other", DATA)
        api.store.put_secret("team-b", "worker-pull", DATA)
        api.store.change("secrets", "team-a", "worker-pull", lambda obj: obj["metadata"].update(labels={"a": "c"}))
        api.store.delete("secrets", "team-a", "worker-pull")
        eventually(lambda: len(watch.ear.seen) == 3, "three events")
    assert [(seen.event, seen.labels) for seen in watch.ear.seen] == [
        ("ADDED", {"a": "b"}),
        ("MODIFIED", {"a": "c"}),
        ("DELETED", {"a": "c"}),
    ]
    assert watch.ear.seen[0].version == created["metadata"]["resourceVersion"]
    assert {(seen.resource, seen.namespace, seen.name) for seen in watch.ear.seen} == {
        ("secrets", "team-a", "worker-pull")
    }


def test_a_service_account_is_heard_with_its_references(api: ApiServer, tmp_path: Path) -> None:
    """The names in imagePullSecrets, in their order; None where there is no list."""
    with following(api.kubeconfig(tmp_path / "config"), ACCOUNTS) as watch:
        watch.await_sync()
        api.store.create_service_account("team-a", "workers", ["b", "a"])
        api.store.create_service_account("team-b", "loners")
        watch.await_name("loners")
    found = {(seen.namespace, seen.name): seen.pull_secrets for seen in watch.ear.seen}
    assert found == {("team-a", "workers"): ("b", "a"), ("team-b", "loners"): None}


def test_a_namespace_is_heard_with_its_labels_and_its_end(api: ApiServer, tmp_path: Path) -> None:
    """Under its own name; one that is being deleted says so, without its status, which the metadata does not hold."""
    api.store.hold_terminating = True
    with following(api.kubeconfig(tmp_path / "config"), Scope("namespaces")) as watch:
        watch.await_sync()
        api.store.create_namespace("team-c", labels={"pull": "private"})
        api.store.delete_namespace("team-c")
        eventually(lambda: len(watch.ear.seen) == 2, "two events")
    assert [
        (seen.event, seen.namespace, seen.name, seen.labels["pull"], seen.terminating) for seen in watch.ear.seen
    ] == [("ADDED", "team-c", "team-c", "private", False), ("MODIFIED", "team-c", "team-c", "private", True)]


def test_what_there_is_already_is_left_to_a_sweep(api: ApiServer, tmp_path: Path) -> None:
    """The beginning is one resync and no event, however many objects there are; a page of one is all that is read."""
    for number in range(20):
        api.store.create_service_account("team-a", f"old-{number}")
    with following(api.kubeconfig(tmp_path / "config"), ACCOUNTS) as watch:
        watch.await_sync()
        api.store.create_service_account("team-a", "new")
        watch.await_name("new")
    assert (watch.ear.resyncs, watch.ear.names) == (1, ["new"])


@pytest.mark.parametrize(
    ("scope", "path", "selectors", "whole"),
    [
        (SECRETS, "/api/v1/namespaces/team-a/secrets", "fieldSelector=metadata.name%3Dworker-pull&", False),
        (Scope("secrets", name="x"), "/api/v1/secrets", "fieldSelector=metadata.name%3Dx&", False),
        (Scope("namespaces"), "/api/v1/namespaces", "", False),
        (
            Scope("serviceaccounts", "a", labels="b=c"),
            "/api/v1/namespaces/a/serviceaccounts",
            "labelSelector=b%3Dc&",
            True,
        ),
    ],
)
def test_the_requests_name_no_more_than_the_collection(scope: Scope, path: str, selectors: str, whole: bool) -> None:
    """A list of one, and a watch with bookmarks; of Secrets and Namespaces nothing but their metadata may travel."""
    listed, watched = request.position(scope), request.watch(scope, "7", 120)
    assert listed.target == f"{path}?{selectors}limit=1"
    terms = "watch=true&resourceVersion=7&allowWatchBookmarks=true&timeoutSeconds=120"
    assert watched.target == f"{path}?{selectors}{terms}"
    form = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"
    assert listed.accept == ("application/json" if whole else form.format("List"))
    assert watched.accept == ("application/json" if whole else form.format(""))
    assert (listed.verbs, watched.verbs) == (("list",), ("watch",))


# From one watch to the next -------------------------------------------------------------------------------------------


def test_a_watch_that_ended_in_time_is_followed_by_the_next(api: ApiServer, tmp_path: Path) -> None:
    """The next one goes on where the last one ended: no list, no failure, at most one watch in a second."""
    with following(api.kubeconfig(tmp_path / "config"), SECRETS, length=SECOND) as watch:
        eventually(lambda: watch.reflector.health.watches == 3, "three watches")
        counts = api.journal.counts
    assert counts["list", "secrets", 200] == 1
    assert watch.ear.resyncs == 1
    assert (watch.reflector.health.failures, watch.pauses.taken) == (0, [0.0] * len(watch.pauses.taken))


def test_an_idle_watch_stays_young_by_bookmarks(api: ApiServer, tmp_path: Path) -> None:
    """After a compaction the next watch is not too old, though nothing was heard for itself: nobody has to sweep."""
    api.bookmark_every(0.05)
    with following(api.kubeconfig(tmp_path / "config"), SECRETS) as watch:
        watch.await_sync()
        before = watch.reflector.health.last_contact
        api.store.compact()
        eventually(lambda: (watch.reflector.health.last_contact or 0) > (before or 0) + 0.1, "bookmarks")
        api.end_watches()
        eventually(lambda: watch.reflector.health.watches == 2, "a second watch")
        api.store.put_secret("team-a", "worker-pull", DATA)
        watch.await_name("worker-pull")
    assert watch.ear.resyncs == 1


def test_events_then_a_close_are_no_failure(kubeconfig: WriteKubeconfig) -> None:
    """The next watch begins after the last event, a second after the last one began, and never sooner."""
    told = Told(*(saying(event("MODIFIED", secret(version))) for version in range(8, 14)), lasting())
    with Server(told) as server, following(kubeconfig(server.url), SECRETS) as watch:
        pauses = watch.await_turns(6)
        eventually(lambda: len(told.versions) == 7, "seven watches")
    assert told.versions == ["7", "8", "9", "10", "11", "12", "13"]
    assert [seen.version for seen in watch.ear.seen] == ["8", "9", "10", "11", "12", "13"]
    assert all(FLOOR * 0.5 < pause <= FLOOR for pause in pauses)
    assert watch.ear.resyncs == 1


def test_an_event_in_pieces_is_one_event(kubeconfig: WriteKubeconfig) -> None:
    """Lines come as they are cut by networks: half a line, many at once."""
    text = b"".join(event("ADDED", secret(8 + number, f"s{number}")) for number in range(50))
    pieces = [text[start : start + 37] for start in range(0, len(text), 37)]
    with Server(Told(lasting(*pieces))) as server, following(kubeconfig(server.url), SECRETS) as watch:
        watch.await_name("s49")
    assert watch.ear.names == [f"s{number}" for number in range(50)]


def test_a_restored_server_is_noticed(kubeconfig: WriteKubeconfig) -> None:
    """Its resourceVersions begin again behind ours, and a watch from the future would be silent: so it is a resync."""
    restored = lasting(event("ADDED", secret(8, "after")))
    told = Told(saying(event("ADDED", secret(5000))), restored, version=4000, later=7)
    with Server(told) as server, following(kubeconfig(server.url), SECRETS) as watch:
        watch.await_name("after")
    assert told.versions == ["4000", "7"]
    assert watch.ear.resyncs == 2


# What is lost, and what is not ----------------------------------------------------------------------------------------


def test_a_change_behind_a_broken_watch_is_delivered(api: ApiServer, tmp_path: Path) -> None:
    """Whoever is back from an outage learns of each change in it, and needs no sweep for it."""
    with following(api.kubeconfig(tmp_path / "config"), SECRETS) as watch:
        watch.await_sync()
        api.stop()
        api.store.put_secret("team-a", "worker-pull", DATA)
        eventually(lambda: watch.reflector.health.failures > 3, "refused connections")
        assert not watch.reflector.health.synced
        api.start()
        watch.await_name("worker-pull")
        watch.await_sync()
    assert watch.ear.resyncs == 1
    assert watch.reflector.health.failures == 0


def test_a_change_behind_a_compaction_is_a_resync(api: ApiServer, tmp_path: Path) -> None:
    """410, as an event of an accepted watch: what cannot be delivered any more is said, at once and once."""
    with following(api.kubeconfig(tmp_path / "config"), SECRETS, length=SECOND) as watch:
        watch.await_sync()
        api.store.put_secret("team-b", "worker-pull", DATA)
        api.store.compact()
        eventually(lambda: watch.ear.resyncs == 2, "a resync")
        watch.await_sync()
        api.store.put_secret("team-a", "worker-pull", DATA)
        watch.await_name("worker-pull")
    assert watch.ear.resyncs == 2
    assert set(watch.pauses.taken) == {0.0}


def test_410_as_a_status_is_a_resync(kubeconfig: WriteKubeconfig) -> None:
    """The same where the server says so before it accepts the watch, in the same turn."""
    told = Told(lasting(event("ADDED", secret(8))), answering(410, GONE), lasting(event("ADDED", secret(22))))
    with Server(told) as server, following(kubeconfig(server.url), SECRETS, length=SECOND) as watch:
        eventually(lambda: len(watch.ear.seen) == 2, "the event after it")
    assert watch.ear.resyncs == 2
    assert watch.pauses.taken == [0.0]
    assert told.versions == ["7", "8", "20"]


@pytest.mark.parametrize(
    "rubbish",
    [
        pytest.param([b"<html><body>Please log in</body></html>\n"], id="HTML"),
        pytest.param([b'{"type":"ADDED","object":{"metadata":{"name":"x"'], id="half a line"),
        pytest.param([event("ADDED", {"metadata": {"name": "x"}})], id="no resourceVersion"),
        pytest.param([event("DANCED", secret(9))], id="unknown type"),
        pytest.param([b'{"type":"ADDED","object":"\xff\xfe"}\n'], id="no UTF-8"),
        pytest.param([b"[" * 100_000 + b"\n"], id="very deep"),
    ],
)
def test_what_cannot_be_read_is_not_met_again(kubeconfig: WriteKubeconfig, rubbish: list[bytes]) -> None:
    """It ends the watch; the next one begins behind it, with a resync for what else may have been there."""
    told = Told(saying(event("ADDED", secret(8)), *rubbish), lasting(event("ADDED", secret(22, "after"))))
    with Server(told) as server, following(kubeconfig(server.url), SECRETS) as watch:
        watch.await_name("after")
    assert told.versions == ["7", "20"]
    assert watch.ear.resyncs == 2


def test_a_line_without_end_is_not_kept(kubeconfig: WriteKubeconfig) -> None:
    """Memory stays bounded, whatever is sent: soon after the longest line there can be, the connection is closed."""
    sent: list[int] = []

    def endless() -> Iterator[bytes]:
        for _ in range(10 * LONGEST // CHUNK):
            yield b"x" * CHUNK
            sent.append(CHUNK)

    told = Told(lambda _: Response(200, chunks=endless()), lasting(event("ADDED", secret(22, "after"))))
    with Server(told) as server, following(kubeconfig(server.url), SECRETS) as watch:
        watch.await_name("after")
    assert LONGEST < sum(sent) < 3 * LONGEST


def test_a_defective_hearer_ends_nothing(api: ApiServer, tmp_path: Path) -> None:
    """What it could not take is followed by a resync, and the defect is named in the log without its words."""
    with following(api.kubeconfig(tmp_path / "config"), SECRETS) as watch, capture_logs() as logs:
        watch.await_sync()
        watch.ear.fail_next = True
        api.store.put_secret("team-a", "worker-pull", DATA)
        eventually(lambda: watch.ear.resyncs == 2, "a resync")
        watch.await_sync()
        api.store.delete("secrets", "team-a", "worker-pull")
        watch.await_name("worker-pull")
    failed = next(log for log in logs if log["event"] == "watch.failed")
    assert (failed["reason"], failed["hint"]) == ("ZeroDivisionError", "please report this")
    assert failed["message"].startswith("at watching.py:")


# Faults that last -----------------------------------------------------------------------------------------------------

LASTING: dict[str, Callable[[Request], Response]] = {
    "closed at once": saying(),
    "401": answering(401),
    "403": answering(403, {"kind": "Status", "message": 'secrets is forbidden: User "x" cannot watch'}),
    "404": answering(404),
    "410 as a status": answering(410, GONE),
    "410 as an event": saying(event("ERROR", GONE)),
    "500": answering(500),
    "500 as an event": saying(event("ERROR", {"kind": "Status", "code": 500})),
    "garbage": saying(b"garbage\n"),
    "the same bookmark": saying(event("BOOKMARK", {"metadata": {"resourceVersion": "7"}})),
}


@pytest.mark.parametrize("fault", LASTING)
def test_a_lasting_fault_is_asked_about_ever_more_seldom(kubeconfig: WriteKubeconfig, fault: str) -> None:
    """Doubled up to a minute, each after at least a second, with two requests in a turn, or a log-in more after a 401.

    Twelve turns stand for some nine minutes, in which it is logged once.
    """
    told = Told(LASTING[fault])
    with Server(told) as server, capture_logs() as logs, following(kubeconfig(server.url), SECRETS, draw=0.5) as watch:
        pauses = watch.await_turns(12)
        watch.reflector.stop()
        health = watch.reflector.health
    expected = [1.5, 3, 6, 12, 24, 45, 45, 45, 45, 45, 45, 45]
    assert pauses == pytest.approx(expected)
    assert len(told.seen) <= (len(watch.pauses.taken) + 1) * (3 if fault == "401" else 2)
    assert health.failures >= 12
    assert len([log for log in logs if log["event"] == "watch.failed"]) == 1
    assert watch.ear.seen == []


def test_the_failure_is_named_with_its_cure(api: ApiServer, tmp_path: Path) -> None:
    """Which collection, why, what to grant, and when it is tried again; the health says the same."""
    lists = Rule(verbs=("list",), resources=("secrets",), resource_names=("worker-pull",))
    api.add_user("lister", [lists])
    with (
        capture_logs() as logs,
        following(api.kubeconfig(tmp_path / "config", "lister"), SECRETS, draw=1.0) as watch,
    ):
        watch.await_turns(3)
        health = watch.reflector.health
    (failed,) = [log for log in logs if log["event"] == "watch.failed"]
    assert failed == {
        "event": "watch.failed",
        "log_level": "warning",
        "resource": "secrets",
        "namespace": "team-a",
        "name": "worker-pull",
        "reason": "Forbidden",
        "message": "watch secrets worker-pull in namespace team-a: forbidden",
        "hint": "grant verbs [watch] on secrets named worker-pull in namespace team-a",
        "next_attempt_in_s": 1.0,
    }
    assert (health.reason, health.synced, health.watches) == ("Forbidden", False, 0)


def test_what_is_well_again_may_fail_again(kubeconfig: WriteKubeconfig) -> None:
    """After something new was heard the pauses begin anew, and the next failure is told again."""
    well = saying(event("ADDED", secret(8)))
    told = Told(saying(), saying(), saying(), well, saying(), lasting(event("ADDED", secret(9))))
    with Server(told) as server, capture_logs() as logs, following(kubeconfig(server.url), SECRETS) as watch:
        pauses = watch.await_turns(5)
        eventually(lambda: len(watch.ear.seen) == 2, "the second event")
    assert pauses[:3] == [2, 4, 8]
    assert pauses[3] <= FLOOR
    assert pauses[4] == 2
    events = [log["event"] for log in logs if log["event"] in {"watch.failed", "watch.recovered"}]
    assert events == ["watch.failed", "watch.recovered", "watch.failed", "watch.recovered"]


def test_a_replaced_token_is_no_failure(api: ApiServer, tmp_path: Path) -> None:
    """A 401 leads to one log-in, and the watch goes on with the new token."""
    with following(api.kubeconfig(tmp_path / "config"), SECRETS, length=SECOND) as watch:
        watch.await_sync()
        api.replace_token("rotator")
        api.kubeconfig(tmp_path / "config")
        eventually(lambda: watch.reflector.health.watches == 2, "a second watch")
        api.store.put_secret("team-a", "worker-pull", DATA)
        watch.await_name("worker-pull")
    assert api.journal.counts["watch", "secrets", 401] == 1
    assert (watch.ear.resyncs, watch.reflector.health.failures) == (1, 0)


@pytest.mark.parametrize(("header", "least"), [("90", 90.0), ("999999", LONGEST_WISH), ("soon", 2.0)])
def test_retry_after_is_honoured(kubeconfig: WriteKubeconfig, header: str, least: float) -> None:
    """Never sooner than the server asks for, up to the time of a sweep."""
    told = Told(answering(429, Retry_After=header), lasting(event("ADDED", secret(8))))
    with Server(told) as server, following(kubeconfig(server.url), SECRETS) as watch:
        watch.await_name("worker-pull")
    assert watch.pauses.taken[0] == least


@pytest.mark.parametrize(
    ("failures", "retry_after", "draw", "seconds"),
    [
        (1, None, 0.0, 2),
        (1, None, 1.0, 1),
        (2, None, 1.0, 2),
        (5, None, 0.0, 32),
        (6, None, 0.0, LONGEST_PAUSE),
        (1000, None, 1.0, LONGEST_PAUSE / 2),
        (1, timedelta(seconds=1), 0.0, 2),
        (1, timedelta(seconds=30), 0.0, 30),
        (1, timedelta(seconds=30), 1.0, 33),
        (1000, timedelta(seconds=30), 1.0, 33),
        (1, timedelta(days=1), 0.0, LONGEST_WISH),
    ],
)
def test_the_pause(failures: int, retry_after: timedelta | None, draw: float, seconds: float) -> None:
    """Doubled from two seconds to a minute, less up to half by chance, and never sooner than the server asks for."""
    assert pause_after(failures, retry_after, draw) == pytest.approx(seconds)


# Streams that do not end ----------------------------------------------------------------------------------------------


def _silently(connection: socket.socket) -> None:
    _begin(connection)
    say_nothing(connection)


def _drop_by_drop(connection: socket.socket) -> None:
    _begin(connection)
    drip(connection, b"1\r\nx\r\n")


def _begin(connection: socket.socket) -> None:
    """Answer a list at once, and begin to answer a watch."""
    while b"watch=true" not in (asked := connection.recv(65536)):
        if not asked:
            raise ConnectionError
        body = b'{"metadata":{"resourceVersion":"7"}}'
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("script", [_silently, _drop_by_drop])
def test_a_watch_that_outstays_its_time_is_given_up(
    kubeconfig: WriteKubeconfig, script: Callable[[socket.socket], None]
) -> None:
    """Silent or dripping for ever: the connection is dead some time after the watch should have ended."""
    with raw_server(script) as port:
        grace = timedelta(seconds=0.1)
        with following(kubeconfig(f"http://{LOOPBACK}:{port}"), SECRETS, length=SECOND, grace=grace) as watch:
            began = time.monotonic()
            watch.await_turns(1)
            assert time.monotonic() - began < 10
            health = watch.reflector.health
    assert (health.reason, health.failures) == ("ServerFailed", 1)
    assert "no complete answer in time" in health.message


@pytest.mark.timeout(60)
@pytest.mark.parametrize("secured", [False, True])
def test_stopping_ends_a_silent_watch_at_once(kubeconfig: WriteKubeconfig, tmp_path: Path, secured: bool) -> None:
    """Whatever is being read, also under TLS: a daemon that is told to stop does not sit out a watch."""
    authority = Authority()
    ca = {"certificate-authority": str(authority.write(tmp_path / "ca.pem"))}
    with raw_server(_silently, authority.context(LOOPBACK) if secured else None) as port:
        path = kubeconfig(f"{'https' if secured else 'http'}://{LOOPBACK}:{port}", cluster=ca)
        with following(path, SECRETS) as watch:
            watch.await_sync()
            assert _seconds_to_stop(watch.reflector) < 1
    assert watch.reflector.health.failures == 0


def test_stopping_ends_a_pause_at_once(kubeconfig: WriteKubeconfig) -> None:
    """A Retry-After of minutes is not sat out either."""
    told = Told(answering(429, Retry_After="300"))
    with Server(told) as server, closing(_transport(kubeconfig(server.url))) as way:
        reflector = Reflector(way, SECRETS, Ear(), lambda: 0.0)
        reflector.start()
        eventually(lambda: reflector.health.failures, "the refusal")
        assert _seconds_to_stop(reflector) < 1


def test_stopping_amid_events_is_quiet(api: ApiServer, cluster: Cluster) -> None:
    """Nothing is heard after it, nothing is logged as a failure, and every thread ends."""
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            api.store.put_secret("team-a", "worker-pull", {**DATA, "n": str(time.monotonic())})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with capture_logs() as logs:
            for _ in range(10):
                ear = Ear()
                reflector = cluster.reflector(SECRETS, ear, lambda: 0.0)
                reflector.start()
                eventually(partial(_has_heard, ear), "events")
                assert _seconds_to_stop(reflector) < 1
    finally:
        stop.set()
        writer.join()
    assert [log for log in logs if log["log_level"] != "debug"] == []


class Leaver(Ear):
    """Stops its reflector with the first event that it hears."""

    leave: Callable[[], None]

    def changed(self, seen: Seen) -> None:
        """One more event, and no more after that."""
        super().changed(seen)
        self.leave()


def test_nothing_is_heard_after_a_stop(kubeconfig: WriteKubeconfig) -> None:
    """Also of what has come already: fifty events in one piece, and whoever is told of the first has had enough."""
    events = b"".join(event("ADDED", secret(8 + number, f"s{number}")) for number in range(50))
    with Server(Told(lasting(events))) as server, closing(_transport(kubeconfig(server.url))) as way:
        ear = Leaver()
        reflector = Reflector(way, SECRETS, ear, lambda: 0.0)
        ear.leave = reflector.stop
        reflector.start()
        eventually(lambda: ear.seen, "an event")
        assert reflector.join(SECOND * 10), "it did not end"
    assert ear.names == ["s0"]


def test_one_that_never_began_can_be_stopped(kubeconfig: WriteKubeconfig) -> None:
    """Whoever gives up while starting stops them all."""
    with closing(_transport(kubeconfig("http://127.0.0.1:1"))) as way:
        reflector = Reflector(way, SECRETS, Ear(), lambda: 0.0)
        reflector.stop()
        assert reflector.join(SECOND)


# Help -----------------------------------------------------------------------------------------------------------------


def _has_heard(ear: Ear) -> bool:
    return len(ear.seen) > 3


def _seconds_to_stop(reflector: Reflector) -> float:
    began = time.monotonic()
    reflector.stop()
    assert reflector.join(SECOND * 10), "it did not end"
    return time.monotonic() - began


def _transport(path: Path) -> Transport:
    return Transport(partial(log_in, path, None), workers=1, timeout=SECOND * 10, deadline=SECOND * 10)
