"""What the reflectors hear, as namespaces that want a pass.

An event leads to a pass only where that could find something to do: a Secret that somebody else changed, a reference
that is missing, a namespace that is new. What we wrote ourselves comes back as an event too, and is passed over.
"""

import threading
from collections.abc import Callable
from datetime import timedelta

from rotator import selection
from rotator.cluster.client import Cluster
from rotator.cluster.watch import Seen
from rotator.config import Config, Namespaces, PullSecret
from rotator.model import Kind, NamespaceRecord, ServiceAccountRecord, Subject
from rotator.scopes import Scope
from rotator.workqueue import Workqueue

SETTLING = timedelta(milliseconds=30)
"""From the first event about a namespace to its pass: a burst of them is one, and the answer to a write of ours has
come by then, which tells its echo from an edit."""


KINDS = {"namespaces": Kind.NAMESPACE, "secrets": Kind.SECRET, "serviceaccounts": Kind.SERVICE_ACCOUNT}


class Hearing:
    """Hears from every reflector, and fills the queue.

    Events about an object that `spare` says are left unheard. `resync` is called when anything may have changed so.
    """

    def __init__(
        self,
        config: Config,
        cluster: Cluster,
        queue: Workqueue,
        *,
        spare: Callable[[Subject], bool],
        resync: Callable[[], None],
    ) -> None:
        self._config = config
        self._cluster = cluster
        self._queue = queue
        self._spare = spare
        self._resync = resync
        self._heard: dict[str, dict[tuple[str, str], str | None]] = {}
        self._lock = threading.Lock()

    def changed(self, seen: Seen) -> None:
        """Ask for a pass over its namespace, if one could have something to do."""
        if self._cluster.wrote(seen.resource, seen.namespace, seen.name, seen.version):
            self._settle(seen)
            return
        subject = Subject(KINDS[seen.resource], seen.namespace, seen.name)
        if wants_a_pass(self._config, seen) and not self._spare(subject):
            with self._lock:
                self._heard.setdefault(seen.namespace, {})[seen.resource, seen.name] = seen.version
            self._queue.add(seen.namespace, SETTLING)

    def _settle(self, seen: Seen) -> None:
        """It is an echo, whose answer came first: our write was made on top of all that was heard of this object."""
        with self._lock:
            heard = self._heard.get(seen.namespace, {})
            if (seen.resource, seen.name) in heard:
                heard[seen.resource, seen.name] = None

    def resync(self, _scope: Scope) -> None:
        """Anything may have changed."""
        self._resync()

    def is_only_echo(self, namespace: str) -> bool:
        """Whether all that was heard of this namespace are our own writes; what was heard is forgotten with that."""
        with self._lock:
            heard = self._heard.pop(namespace, {})
        echoes = [
            version is None or self._cluster.wrote(resource, namespace, name, version)
            for (resource, name), version in heard.items()
        ]
        return bool(echoes) and all(echoes)


def wants_a_pass(config: Config, seen: Seen) -> bool:
    """Whether a pass over the event's namespace could find something to do."""
    near = [pull_secret for pull_secret in config.pull_secrets if _may_cover(pull_secret.namespaces, seen)]
    match seen.resource:
        case "namespaces":
            return seen.event != "DELETED" and not seen.terminating and bool(near)
        case "secrets":
            return any(pull_secret.name == seen.name for pull_secret in near)
        case _:
            return seen.event != "DELETED" and any(_lacks_reference(pull_secret, seen) for pull_secret in near)


def _may_cover(namespaces: Namespaces, seen: Seen) -> bool:
    """Whether the namespace may be meant: only of a Namespace itself are the labels known here."""
    if seen.resource == "namespaces":
        return selection.covers(namespaces, NamespaceRecord(seen.namespace, seen.labels, terminating=False))
    return selection.names(namespaces, seen.namespace)


def _lacks_reference(pull_secret: PullSecret, seen: Seen) -> bool:
    account = ServiceAccountRecord(
        namespace=seen.namespace,
        name=seen.name,
        uid="",
        resource_version=seen.version,
        labels=seen.labels,
        pull_secrets=seen.pull_secrets,
    )
    wanted = selection.wants(pull_secret.service_accounts, account)
    return wanted and pull_secret.name not in (seen.pull_secrets or ())
