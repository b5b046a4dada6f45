"""The emulated Kubernetes API: a loopback server that answers as kube-apiserver 1.36 does, for what rotator asks of it.

It holds Namespaces, Secrets, ServiceAccounts, Pods, Events and Leases in memory, with watches, server-side apply, RBAC
and the admission that matters here; it answers access reviews and gives out tokens. tests/conformance holds it to the
real one. Deviations are named where they are: lists are owned and merged as a whole (fields.py, patch.py), controllers
act at once. What a decoder says about a body that does not decode is not worded as in Go, and no body is repeated.
`fieldValidation` is not read, of a nested object's fields none is unknown, Pods get few defaults, and managers of old
edits are never put together as `ancient-changes`. A compaction also empties the watch cache, as a restart would; a
version that is still to come is not waited for; a token outlives its ServiceAccount; Tables, subresources but for
`token`, and deletions of a collection are not served.
"""

import base64
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from rotator.sandbox.apiserver.etcd import Etcd
from rotator.sandbox.apiserver.faults import Faults
from rotator.sandbox.apiserver.handler import Handler, Hook
from rotator.sandbox.apiserver.journal import Journal, Record
from rotator.sandbox.apiserver.rbac import Rbac, Rule
from rotator.sandbox.apiserver.reading import Reading
from rotator.sandbox.apiserver.reviews import Reviews
from rotator.sandbox.apiserver.route import Call
from rotator.sandbox.apiserver.serving import Serving
from rotator.sandbox.apiserver.status import StatusError
from rotator.sandbox.apiserver.store import Store
from rotator.sandbox.apiserver.verbs import Verbs
from rotator.sandbox.authority import Authority
from rotator.sandbox.server import LOOPBACK, Server

__all__ = ["ApiServer", "Call", "Faults", "Journal", "Record", "Rule", "StatusError", "Store"]

FIRST_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


def _now() -> datetime:
    return datetime.now(UTC)


class ApiServer:
    """The server and its cluster. `stop` and `start` keep the state and the address: an API server that was down.

    Serves TLS with a certificate of `authority`, plain HTTP without one. `history` events of each resource are kept
    for watches; `clock` dates objects.
    """

    def __init__(
        self, authority: Authority | None = None, *, clock: Callable[[], datetime] = _now, history: int = 10_000
    ) -> None:
        self._authority = authority
        self._etcd = Etcd(history)
        verbs = Verbs(self._etcd, clock)
        self._reading = Reading(self._etcd)
        self._rbac = Rbac()
        reviews = Reviews(verbs, self._rbac, clock)
        self._handler = Handler(Serving(self._reading, verbs), reviews, self._rbac, clock)
        self._server = Server(self._handler, tls=authority.context(LOOPBACK, "localhost") if authority else None)
        self.store = Store(self._etcd, verbs)
        for name in FIRST_NAMESPACES:
            self.store.create_namespace(name)

    @property
    def url(self) -> str:
        """The server's address."""
        return self._server.url

    @property
    def faults(self) -> Faults:
        """What goes wrong, now."""
        return self._handler.faults

    @property
    def journal(self) -> Journal:
        """What was asked."""
        return self._handler.journal

    def before_request(self, hook: Hook | None) -> None:
        """Run this before each permitted request for a resource: time to change what the client has just read."""
        self._handler.before_request = hook

    def bookmark_every(self, seconds: float) -> None:
        """How often watches that begin from now on get a bookmark, if they want some."""
        self._reading.bookmark_every = seconds

    def end_watches(self) -> None:
        """End every open watch cleanly, as a server does now and then."""
        self._reading.generation += 1
        self._etcd.wake()

    def add_user(self, name: str, rules: Iterable[Rule] | None = None) -> str:
        """Add a user, or set its rules anew, and return its bearer token. Without rules it may do everything."""
        return self._rbac.add_user(name, rules)

    def replace_token(self, name: str) -> str:
        """Give a user a new token; the old one is refused from now on."""
        return self._rbac.replace_token(name)

    def kubeconfig(self, path: Path, user: str = "rotator") -> Path:
        """Write a kubeconfig for this user, who may do everything if it was not added before; return the path.

        Once the server has started: before that it has no port.
        """
        token = self._rbac.token(user) or self.add_user(user)
        path.touch(mode=0o600)
        path.write_text(json.dumps(_kubeconfig(self.url, self._authority, user, token)), encoding="utf-8")
        return path

    def start(self) -> None:
        """Listen; on the same port as before."""
        self._server.start()

    def stop(self) -> None:
        """Refuse connections and end those that are open."""
        self._server.stopping.set()
        self._etcd.wake()
        self._server.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _kubeconfig(url: str, authority: Authority | None, user: str, token: str) -> dict[str, object]:
    cluster = {"server": url}
    if authority:
        cluster["certificate-authority-data"] = base64.b64encode(authority.ca_pem).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "sandbox", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": user}}],
        "current-context": "sandbox",
    }
