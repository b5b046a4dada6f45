"""How long until what was lost is back, on a real API server: python -m bench.heal

1,000 namespaces, and others who write to them all the while. A reference is taken away, a Secret deleted, a namespace
made; the time runs from the sending of that request until a watch of ours shows the repair. Beside it, how long a bare
client's own write takes to come back by such a watch: no repair can be sooner. Takes about three minutes.
"""

# ruff: noqa: S311, TID251  (benchmarks are modules of no package; chance decides whom they meet)

import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import urllib3

from bench.installed import add_namespace, installed, populate
from bench.tables import show
from tests.apiclient import MERGE_PATCH, Client
from tests.installation import Installation
from tests.outside import SECRET
from tests.program import Running
from tests.waiting import eventually

NAMESPACES, SAMPLES = 1000, 200
WRITERS, PAUSE = 2, 0.05
"""Others who write, and the seconds that each rests between two writes: about forty a second."""

PATIENCE = 20.0
NOTE = "example.com/written-at"

Event = dict[str, Any]
"""One line of a watch."""


class Onlooker:
    """Watches one collection, and knows when each namespace's object was first seen so."""

    def __init__(self, client: Client, resource: str, name: str) -> None:
        self._client = client
        self._path, self._name = f"/api/v1/{resource}", name
        self._seen = threading.Condition()
        self._wanted: tuple[str, Callable[[Event], bool]] = ("", lambda _: False)
        self._at = 0.0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Begin to watch, from now."""
        self._thread.start()
        self._ready.wait(PATIENCE)

    def expect(self, namespace: str, is_it: Callable[[Event], bool]) -> None:
        """Look out for an event of this namespace's object."""
        with self._seen:
            self._wanted, self._at = (namespace, is_it), 0.0

    def seen_at(self) -> float:
        """When it was seen, by time.monotonic. Raises TimeoutError."""
        with self._seen:
            if not self._seen.wait_for(lambda: self._at, PATIENCE):
                msg = f"{self._path}: nothing in {self._wanted[0]} within {PATIENCE:.0f} s"
                raise TimeoutError(msg)
            return self._at

    def _watch(self) -> None:
        chosen = {"fieldSelector": f"metadata.name={self._name}"}
        version = self._client.get(self._path, limit=1, **chosen).version
        with self._client.watching(self._path, resourceVersion=version, timeoutSeconds=3600, **chosen) as events:
            self._ready.set()
            with suppress(urllib3.exceptions.HTTPError):  # the API server ends before we do
                for event in events:
                    self._note(event)

    def _note(self, event: Event) -> None:
        with self._seen:
            namespace, is_it = self._wanted
            if not self._at and event["object"]["metadata"].get("namespace") == namespace and is_it(event):
                self._at = time.monotonic()
                self._seen.notify_all()


class Bench:
    """The deeds and their repairs."""

    def __init__(self, installation: Installation, secrets: Onlooker, accounts: Onlooker) -> None:
        self._installation = installation
        self._client = installation.controlplane.admin
        self._secrets, self._accounts = secrets, accounts

    def reference_lost(self, namespace: str) -> float:
        """Seconds from the loss of a reference to its return."""
        self._accounts.expect(namespace, _has_reference)
        began = time.monotonic()
        self._patch(f"{namespace}/serviceaccounts/workers", {"imagePullSecrets": None})
        return self._accounts.seen_at() - began

    def secret_deleted(self, namespace: str) -> float:
        """Seconds from the deletion of a Secret to the new one."""
        self._secrets.expect(namespace, lambda event: event["type"] == "ADDED")
        began = time.monotonic()
        self._client.delete(f"/api/v1/namespaces/{namespace}/secrets/{SECRET}")
        return self._secrets.seen_at() - began

    def namespace_made(self, namespace: str) -> float:
        """Seconds from the request for a namespace, with its ServiceAccount, until its Pods can pull."""
        self._secrets.expect(namespace, lambda event: event["type"] == "ADDED")
        self._accounts.expect(namespace, _has_reference)
        began = time.monotonic()
        add_namespace(self._client, namespace, ["workers"])
        return max(self._secrets.seen_at(), self._accounts.seen_at()) - began

    def round_trip(self, namespace: str) -> float:
        """Seconds from a write of ours until our watch shows it."""
        mark = str(random.random())
        self._accounts.expect(namespace, lambda event: _note_of(event) == mark)
        began = time.monotonic()
        self._patch(f"{namespace}/serviceaccounts/workers", _annotated(mark))
        return self._accounts.seen_at() - began

    def _patch(self, path: str, change: dict[str, Any]) -> None:
        self._client.patch(f"/api/v1/namespaces/{path}", change, MERGE_PATCH)


def _annotated(mark: str) -> dict[str, Any]:
    return {"metadata": {"annotations": {NOTE: mark}}}


def _note_of(event: Event) -> str | None:
    note: str | None = event["object"]["metadata"].get("annotations", {}).get(NOTE)
    return note


def _has_reference(event: Event) -> bool:
    return {"name": SECRET} in event["object"].get("imagePullSecrets", [])


@contextmanager
def others_writing(installation: Installation, namespaces: list[str]) -> Iterator[None]:
    """People and controllers who change objects next to ours, and notes on ours, all the while."""
    stopped = threading.Event()

    def write(client: Client) -> None:
        kinds = (
            "serviceaccounts/workers",
            f"secrets/{SECRET}",
            "serviceaccounts/default",
            "configmaps/kube-root-ca.crt",
        )
        while not stopped.wait(PAUSE):
            path = f"/api/v1/namespaces/{random.choice(namespaces)}/{random.choice(kinds)}"
            client.patch(path, _annotated(str(random.random())), MERGE_PATCH)

    threads = [threading.Thread(target=write, args=[installation.controlplane.admin]) for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def has_rolled_out(running: Running) -> bool:
    """Whether the first pass over everything is done."""
    return any(event["namespace"] is None for event in running.events("pass.finished"))


def row(what: str, seconds: list[float], bare: float) -> list[object]:
    """One line of the table: milliseconds, and the median as a multiple of the bare client's."""
    percentiles = statistics.quantiles(seconds, n=100)
    p50, p99 = percentiles[49], percentiles[98]
    return [what, len(seconds), f"{1000 * p50:.0f} ms", f"{1000 * p99:.0f} ms", f"{p50 / bare:.1f}"]


def main() -> None:
    """Measure and print."""
    with installed() as installation, ExitStack() as stack:
        names = [installation.full(f"team-{number}") for number in range(NAMESPACES)]
        populate(installation.controlplane.admin, names, ["workers"])
        running = stack.enter_context(installation.start("run"))
        eventually(lambda: has_rolled_out(running), "the roll-out", 120)
        admin = installation.controlplane.admin
        onlookers = Onlooker(admin, "secrets", SECRET), Onlooker(admin, "serviceaccounts", "workers")
        for onlooker in onlookers:
            onlooker.start()
        bench = Bench(installation, *onlookers)
        stack.enter_context(others_writing(installation, names))
        bare = [bench.round_trip(name) for name in names[:SAMPLES]]
        middle = statistics.median(bare)
        deeds: dict[str, tuple[Callable[[str], float], list[str]]] = {
            "reference lost": (bench.reference_lost, names[:SAMPLES]),
            "Secret deleted": (bench.secret_deleted, names[SAMPLES : 2 * SAMPLES]),
            "namespace made": (bench.namespace_made, [installation.full(f"team-new-{n}") for n in range(SAMPLES)]),
        }
        rows = [row(what, [deed(name) for name in where], middle) for what, (deed, where) in deeds.items()]
    rows.append(row("a bare client's write and watch", bare, middle))
    show(f"Healed, {NAMESPACES} namespaces, others writing", ("what", "samples", "p50", "p99", "p50 / bare"), rows)


if __name__ == "__main__":
    main()
