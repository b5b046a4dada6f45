"""The cluster as rotator sees it: Namespaces, its own Secrets, ServiceAccounts, and few kinds of write."""

import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

import msgspec
from kubernetes.client.configuration import Configuration

from rotator.cluster import answers, failures, request, workloads
from rotator.cluster.login import log_in
from rotator.cluster.request import Request
from rotator.cluster.transport import Transport
from rotator.cluster.watch import Hearer, Reflector
from rotator.errors import ClusterError, ClusterUnusable, Forbidden, NotFound
from rotator.events import Event, Series
from rotator.keyring import PullSecretData
from rotator.leadership import Record
from rotator.model import (
    DATA_KEY,
    FIELD_MANAGER,
    LEGACY_TYPE,
    SECRET_TYPE,
    DesiredSecret,
    Kind,
    NamespaceRecord,
    SecretRecord,
    SecretText,
    ServiceAccountRecord,
    Subject,
)
from rotator.rbac import Right
from rotator.scopes import Scope
from rotator.workloads import Account, Maker, Workload

T = TypeVar("T")

PAGE = 500
"""Secrets per page: what kubectl asks for. Memory is bounded by one page, whatever the size of the cluster."""

LIGHT = 5
"""So many times as many are on a page of anything else: a ServiceAccount has 0.5 kB where a Secret has 10. A sweep of
10,000 namespaces with 50,000 ServiceAccounts is 44 requests."""

DATE_LIMIT = timedelta(seconds=10)
"""For the whole of a small answer."""

RESTARTS = 3
"""How often one list may expire while it is read."""

_SERVICE_ACCOUNT_USER = re.compile(r"system:serviceaccount:([^:]+):([^:]+)")

_CONTESTED: Mapping[Kind, Sequence[Sequence[str]]] = {
    Kind.SECRET: (("f:data", f"f:{DATA_KEY}"), ("f:type",)),
    Kind.SERVICE_ACCOUNT: (("f:imagePullSecrets",),),
}
"""The fields that rotator and others may want to be different, as `managedFields` names them."""


class Cluster:
    """One API server, for many threads. Every call raises a ClusterError, and nothing else.

    Each try is bounded by `timeout` to connect and again for the whole answer, and each call with its tries by
    `deadline`. No write begins while `may_write` says no: then it is a NotLeading.
    """

    def __init__(
        self,
        log_in: Callable[[], Configuration],
        *,
        workers: int = 16,
        timeout: timedelta = timedelta(seconds=10),
        deadline: timedelta = timedelta(seconds=30),
        page: int = PAGE,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        self._transport = Transport(log_in, workers=workers, timeout=timeout, deadline=deadline, may_write=may_write)
        self._page = page
        self._host = socket.gethostname()  # in a Pod: its name
        self._written: dict[tuple[str, str, str], str] = {}

    @classmethod
    def connect(
        cls,
        kubeconfig: Path | None = None,
        context: str | None = None,
        *,
        workers: int = 16,
        timeout: timedelta = timedelta(seconds=10),
        may_write: Callable[[], bool] = lambda: True,
    ) -> Self:
        """The cluster of a kubeconfig's context, or the one that we run in; nothing is sent yet.

        Without a kubeconfig (argument, KUBECONFIG) the Pod's own cluster comes before ~/.kube/config. Raises
        ClusterUnusable.
        """
        return cls(partial(log_in, kubeconfig, context), workers=workers, timeout=timeout, may_write=may_write)

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def check_reachable(self) -> None:
        """Raise ClusterUnusable unless a Kubernetes API server answers that knows us."""
        asked = request.version()
        try:
            self._read(asked, _VERSION)
        except Forbidden:
            return  # it knows us, and keeps its version to itself
        except ClusterUnusable:
            raise
        except ClusterError as error:
            hint = error.hint or "check the server's address, and that it is a Kubernetes API server"
            raise ClusterUnusable(error.message, hint=hint, status=error.status) from error

    def namespaces(self, labels: str | None = None) -> Iterator[NamespaceRecord]:
        """All Namespaces, or those that the label selector chooses."""
        return (item.record() for item in self._list(request.list_namespaces(labels), _NAMESPACES))

    def namespace(self, name: str) -> NamespaceRecord:
        """One Namespace. Raises NotFound."""
        return self._read(request.get_namespace(name), _NAMESPACE).record()

    def secrets(self, name: str) -> Iterator[SecretRecord]:
        """The Secrets of that name in all namespaces; equal texts are one object."""
        shared = answers.Shared()
        return (item.record(shared) for item in self._list(request.list_all("secrets", None, name), _SECRETS))

    def secret(self, namespace: str, name: str) -> SecretRecord:
        """One Secret. Raises NotFound."""
        return self._read(request.get("secrets", namespace, name), _SECRET).record(answers.Shared())

    def pull_secret(self, namespace: str, name: str) -> tuple[SecretRecord, SecretText | None]:
        """Any Secret that a Pod may name, with the text of the old type kubernetes.io/dockercfg. Raises NotFound."""
        found = self._read(request.get("secrets", namespace, name), _SECRET)
        return found.record(answers.Shared()), found.legacy_text()

    def pod_pull_secrets(self, namespace: str, name: str) -> tuple[str, ...]:
        """The pull secrets that a Pod names, after admission. Raises NotFound."""
        pod = self._read(request.get("pods", namespace, name), _POD)
        return tuple(reference.name for reference in pod.spec.image_pull_secrets or ())

    def pull_secrets(self, namespace: str | None) -> Iterator[tuple[str, PullSecretData]]:
        """Every Secret that a Pod may name to pull with, of one namespace or of all, with its namespace."""
        shared = answers.Shared()
        for kind in (SECRET_TYPE, LEGACY_TYPE):
            for item in self._list(request.list_secrets_of_type(kind, namespace), _SECRETS):
                yield item.metadata.namespace, item.for_keyring(shared)

    def workloads(self, kind: Maker, namespace: str | None) -> Iterator[Workload]:
        """The Pods that have not ended, or the templates that nothing else made, of one namespace or of all."""
        where = workloads.COLLECTIONS[kind]
        for item in self._list(request.list_workloads(where.resource, where.prefix, namespace), where.decoder):
            if (record := item.record(kind)) is not None:
                yield record

    def accounts(self, namespace: str | None) -> Iterator[Account]:
        """All ServiceAccounts of one namespace or of all, as their Pods meet them."""
        asked = request.list_all("serviceaccounts", namespace)
        return (item.record() for item in self._list(asked, workloads.ACCOUNTS))

    def date(self) -> str:
        """What time the API server says that it is, as in HTTP; empty where it does not."""
        with self._transport.stream(request.version(), DATE_LIMIT) as stream:
            stream.read()
            return stream.date

    def service_account_that_asks(self) -> Subject | None:
        """Our own ServiceAccount; None where a person, or anything else, asks."""
        return self._whoami()[0]

    def allows(self, right: Right, account: Subject | None = None) -> bool:
        """Whether the ServiceAccount may do that, or (None) we ourselves; to ask about others takes a right too."""
        asked = request.may_account(right, account.namespace, account.name) if account else request.may_i(right)
        return self._read(asked, _ACCESS).status.allowed

    def lease(self, namespace: str, name: str) -> tuple[Record, Mapping[str, str]]:
        """What a Lease says of its holder, and its annotations. Raises NotFound."""
        found = self._read(request.get_lease(namespace, name), _LEASE)
        return found.record(), found.metadata.annotations or {}

    def service_accounts(
        self, *, namespace: str | None = None, name: str | None = None, labels: str | None = None
    ) -> Iterator[ServiceAccountRecord]:
        """The ServiceAccounts of one namespace or of all, or those of that name or label selector among them."""
        asked = request.list_all("serviceaccounts", namespace, name, labels)
        return (item.record() for item in self._list(asked, _SERVICE_ACCOUNTS))

    def service_account(self, namespace: str, name: str) -> ServiceAccountRecord:
        """One ServiceAccount. Raises NotFound."""
        return self._read(request.get("serviceaccounts", namespace, name), _SERVICE_ACCOUNT).record()

    def apply_secret(self, desired: DesiredSecret, *, force: bool = False) -> None:
        """Create or update the Secret by server-side apply; `force` takes fields over from other managers.

        Raises Conflict when the resourceVersion is stale or another manager owns a field (then it names the manager),
        and Invalid when the UID is not that of the Secret, its type is another, or it is immutable.
        """
        self._write(request.apply_secret(desired, force=force))

    def attach(self, account: ServiceAccountRecord, names: Sequence[str]) -> None:
        """Append references to these pull secrets. Raises Invalid when the ServiceAccount changed since it was read."""
        self._transport.send(request.attach(account, names))

    def rivals(self, subject: Subject) -> tuple[str, ...]:
        """The field managers beside rotator that own what rotator writes there, the latest first; one request.

        To be asked before a repair: that takes the field from them. Who removed a field, or the object, owns nothing
        there, so Kubernetes does not know them. Raises NotFound.
        """
        return self._read(request.get_metadata(subject), _OWNED).managers(_CONTESTED[subject.kind], FIELD_MANAGER)

    def record(self, event: Event, series: Series) -> None:
        """Tell the Event beside its object: a new one, or the same once more."""
        subject, found = (event.subject, event) if event.subject else self._told_beside_us(event)
        if subject is None:
            return  # a person runs it, beside whom nothing can stand
        asked = request.apply_event(found if found.uid else self._found(found, subject), subject, series, self._host)
        self._transport.send(asked)

    def _told_beside_us(self, event: Event) -> tuple[Subject | None, Event]:
        """Our own ServiceAccount, and the Event with its UID."""
        subject, uid = self._whoami()
        return subject, replace(event, uid=uid)

    def _whoami(self) -> tuple[Subject | None, str]:
        user = self._read(request.whoami(), _REVIEW).status.user_info
        ours = _SERVICE_ACCOUNT_USER.fullmatch(user.username)
        return Subject(Kind.SERVICE_ACCOUNT, ours[1], ours[2]) if ours else None, user.uid

    def _found(self, event: Event, subject: Subject) -> Event:
        """The Event with its object's UID, by which `kubectl describe` finds it; an object may be gone by now."""
        try:
            metadata = self._read(request.get_metadata(subject), _OWNED).metadata
        except (Forbidden, NotFound):
            return event
        return replace(event, uid=metadata.uid, resource_version=metadata.resource_version)

    def detach(self, account: ServiceAccountRecord, name: str) -> None:
        """Take the references to this pull secret out. Raises Invalid when the ServiceAccount changed since."""
        self._transport.send(request.detach(account, name))

    def delete_secret(self, record: SecretRecord) -> None:
        """Delete just this Secret. Raises Conflict when it was changed or replaced since, NotFound when it is gone."""
        self._transport.send(request.delete_secret(record))

    def wrote(self, resource: str, namespace: str, name: str, version: str) -> bool:
        """Whether our own last write made this version of the object: then a watch's event tells nothing new.

        Each write is known once, so that nothing has to be kept of what was heard. Those of Secrets alone are kept:
        a reference that was attached is heard of by nobody (`hearing.wants_a_pass`), and would never be dropped again.
        """
        key = (resource, namespace, name)
        if self._written.get(key) != version:
            return False
        self._written.pop(key, None)
        return True

    def reflector(self, scope: Scope, hearer: Hearer, draw: Callable[[], float]) -> Reflector:
        """Whoever tells of changes in this collection, from `start` on; to be stopped before this is closed."""
        return Reflector(self._transport, scope, hearer, draw)

    def _write(self, asked: Request) -> None:
        body = self._transport.send(asked)
        try:
            version = _WRITTEN.decode(body).metadata.resource_version
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # it was written all the same; only its echo will not be known
        self._written[asked.resource, asked.namespace or "", asked.name or ""] = version

    def _read(self, asked: Request, decoder: msgspec.json.Decoder[T]) -> T:
        body = self._transport.send(asked)
        try:
            return decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise failures.malformed(asked) from error

    def _list(self, asked: Request, decoder: msgspec.json.Decoder[answers.Page[T]]) -> Iterator[T]:
        """The items, page by page.

        A list that expired is continued as the server offers, no longer as of one moment, or else begun again: then an
        item may come twice, and the later one is the newer.
        """
        size = self._page * (1 if asked.resource == "secrets" else LIGHT)
        token, expired = "", 0
        while True:
            try:
                page = self._read(asked.page(size, token), decoder)
            except failures.Gone as gone:
                token, expired = gone.token, expired + 1
                if expired > RESTARTS:
                    raise
                continue
            yield from page.items or ()
            token = page.metadata.token
            if not token:
                return


class _Written(msgspec.Struct):
    """The answer to a write, as far as it is read."""

    metadata: answers.Metadata


_WRITTEN = msgspec.json.Decoder(_Written)
_OWNED = msgspec.json.Decoder(answers.OwnedObject)
_ACCESS = msgspec.json.Decoder(answers.AccessReview)
_REVIEW = msgspec.json.Decoder(answers.SelfSubjectReview)
_VERSION = msgspec.json.Decoder(answers.Version)
_NAMESPACE = msgspec.json.Decoder(answers.Namespace)
_NAMESPACES = msgspec.json.Decoder(answers.Page[answers.Namespace])
_LEASE = msgspec.json.Decoder(answers.Lease)
_POD = msgspec.json.Decoder(answers.Pod)
_SECRET = msgspec.json.Decoder(answers.Secret)
_SECRETS = msgspec.json.Decoder(answers.Page[answers.Secret])
_SERVICE_ACCOUNT = msgspec.json.Decoder(answers.ServiceAccount)
_SERVICE_ACCOUNTS = msgspec.json.Decoder(answers.Page[answers.ServiceAccount])
