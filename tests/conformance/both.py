"""The emulated API server and a real one, side by side: each request goes to both, and their answers must agree."""

import re
import secrets
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from rotator.sandbox.apiserver import ApiServer, Rule
from tests.apiclient import Answer, Client
from tests.controlplane.server import ControlPlane
from tests.waiting import eventually

RBAC = "/apis/rbac.authorization.k8s.io/v1"
NAMESPACES = "/api/v1/namespaces"

Body = Any
"""Decoded JSON, or text."""


class Side(ABC):
    """One of the two servers. `client` may do everything."""

    name: str
    client: Client

    def __init__(self) -> None:
        self._clients = ExitStack()
        self._tokens: dict[str, str] = {}
        self._users: dict[str, Client] = {}

    def add_user(self, user: str, rules: Sequence[Rule]) -> None:
        """Let `system:serviceaccount:NAMESPACE:NAME`, of a ServiceAccount that exists, do this and no more."""
        self._tokens[user] = self._grant(user, rules)
        self._users[user] = self.connect(self._tokens[user])

    def of(self, user: str) -> Client:
        """The client of a user."""
        return self._users[user]

    def token(self, user: str) -> str:
        """The bearer token of a user."""
        return self._tokens[user]

    def connect(self, token: str | None) -> Client:
        """A client with any token, or without one; it is closed with this side."""
        return self._clients.enter_context(closing(self._client(token)))

    def close(self) -> None:
        """Close the clients, and remove what has no namespace."""
        self._clients.close()

    @abstractmethod
    def compact(self) -> None:
        """Forget the history of everything."""

    @abstractmethod
    def _client(self, token: str | None) -> Client: ...

    @abstractmethod
    def _grant(self, user: str, rules: Sequence[Rule]) -> str: ...


class Emulation(Side):
    """Ours. `api` is for what only it can do."""

    name = "emulation"

    def __init__(self, api: ApiServer) -> None:
        super().__init__()
        self.api = api
        self.client = self.connect(api.add_user("admin"))

    def compact(self) -> None:
        """Forget the history."""
        self.api.store.compact()

    def _client(self, token: str | None) -> Client:
        return Client(self.api.url, token)

    def _grant(self, user: str, rules: Sequence[Rule]) -> str:
        return self.api.add_user(user, rules)


class Real(Side):
    """kube-apiserver, where rules are Roles and ClusterRoles."""

    name = "kube-apiserver"

    def __init__(self, controlplane: ControlPlane) -> None:
        super().__init__()
        self.controlplane = controlplane
        self.client = controlplane.admin

    def compact(self) -> None:
        """Have etcd forget the history."""
        self.controlplane.compact()

    def _client(self, token: str | None) -> Client:
        return self.controlplane.client(token)

    def _grant(self, user: str, rules: Sequence[Rule]) -> str:
        namespace, name = user.split(":")[2:]
        by_place: defaultdict[str, list[Rule]] = defaultdict(list)
        for rule in rules:
            for place in ("",) if rule.namespaces is None else rule.namespaces:
                by_place[place].append(rule)
        for place, granted in by_place.items():
            self._bind(place, f"{namespace}-{name}", user, granted)
        return self.controlplane.service_account_token(namespace, name)

    def _bind(self, place: str, name: str, user: str, rules: Sequence[Rule]) -> None:
        """A role and its binding, in one namespace or in the whole cluster, and the wait until they hold."""
        path = f"{RBAC}/namespaces/{place}" if place else RBAC
        kind, role, binding = (
            ("Role", f"{path}/roles", f"{path}/rolebindings")
            if place
            else ("ClusterRole", f"{path}/clusterroles", f"{path}/clusterrolebindings")
        )
        namespace, account = user.split(":")[2:]
        subject = {"kind": "ServiceAccount", "namespace": namespace, "name": account}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
        self._create(role, {"metadata": {"name": name}, "rules": [_policy(rule) for rule in rules]})
        self._create(binding, {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]})
        eventually(lambda: self._may(user, place, rules[0]), f"{user} may {rules[0]}")

    def _create(self, path: str, obj: Mapping[str, object]) -> None:
        answer = self.client.post(path, obj)
        assert answer.status == 201, answer
        if "/namespaces/" not in path:
            self._clients.callback(self.client.delete, f"{path}/{answer.body['metadata']['name']}")

    def _may(self, user: str, place: str, rule: Rule) -> bool:
        """Does the authorizer know the rule already? It learns of roles by a watch."""
        resource, _, subresource = rule.resources[0].partition("/")
        asked = {
            "verb": rule.verbs[0],
            "group": rule.api_groups[0],
            "resource": resource,
            "subresource": subresource,
            "name": rule.resource_names[0] if rule.resource_names else "",
            "namespace": place,
        }
        review = {"spec": {"user": user, "resourceAttributes": asked}}
        answer = self.client.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        return bool(answer.body["status"]["allowed"])


def _policy(rule: Rule) -> dict[str, list[str]]:
    policy = {"verbs": rule.verbs, "apiGroups": rule.api_groups, "resources": rule.resources}
    if rule.resource_names:
        policy["resourceNames"] = rule.resource_names
    return {name: list(words) for name, words in policy.items()}


@dataclass(frozen=True)
class Agreed:
    """The answers of both sides, which agree. Its properties are those of the real server's."""

    emulated: Answer
    real: Answer

    def on(self, side: Side) -> Answer:
        """The answer of this side, for its own versions, UIDs and tokens."""
        return self.emulated if isinstance(side, Emulation) else self.real

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.real.status

    @property
    def body(self) -> Body:
        """The body."""
        return self.real.body

    @property
    def reason(self) -> str:
        """The Status's reason."""
        return self.real.reason

    @property
    def message(self) -> str:
        """The Status's message."""
        return self.real.message

    @property
    def version(self) -> str:
        """The object's or list's resourceVersion, on the real side."""
        return self.real.version

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers."""
        return self.real.headers


class Both:
    """Both servers. Closing it closes its clients."""

    def __init__(self, api: ApiServer, controlplane: ControlPlane) -> None:
        self.emulation = Emulation(api)
        self.real = Real(controlplane)
        self.sides: tuple[Side, Side] = (self.emulation, self.real)
        self._users_namespace = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for side in self.sides:
            side.close()

    def namespace(self, **labels: str) -> str:
        """Make the same fresh namespace on both, with its ServiceAccount `default`; its name."""
        name = unique("ns")
        self.each(lambda side: side.client.post(NAMESPACES, {"metadata": {"name": name, "labels": labels}}))
        account = f"{NAMESPACES}/{name}/serviceaccounts/default"  # a controller makes it
        eventually(lambda: all(side.client.get(account).status == 200 for side in self.sides), account)
        return name

    def user(self, *rules: Rule) -> str:
        """Add a user on both who may do this, and nothing else; its name, for `side.of`."""
        self._users_namespace = self._users_namespace or self.namespace()
        name = unique("user")
        path = f"{NAMESPACES}/{self._users_namespace}/serviceaccounts"
        self.each(lambda side: side.client.post(path, {"metadata": {"name": name}}))
        user = f"system:serviceaccount:{self._users_namespace}:{name}"
        for side in self.sides:
            side.add_user(user, rules)
        return user

    def compact(self) -> None:
        """Make both forget their history."""
        for side in self.sides:
            side.compact()

    def each(self, request: Callable[[Side], Answer]) -> None:
        """Prepare both alike: the request must succeed; how it is answered is not compared."""
        for side in self.sides:
            answer = request(side)
            assert answer.status < 300, f"{side.name}: {answer.status} {answer.body}"

    def ask(
        self, request: Callable[[Side], Answer], *, seen: Callable[[Body], Any] | None = None, words: bool = True
    ) -> Agreed:
        """Make the same request of both, whose answers must agree in all but what is never the same twice.

        `seen` picks what is compared of a success; without `words` the messages of a failure may differ.
        """
        agreed = Agreed(*(request(side) for side in self.sides))
        emulated, real = (comparable(answer, seen) for answer in (agreed.emulated, agreed.real))
        agree(emulated, real, words=words or agreed.real.status < 300)
        return agreed

    @contextmanager
    def watching(
        self, watch: Callable[[Side], AbstractContextManager[Iterator[Body]]], *, words: bool = True
    ) -> Iterator[Iterator["Notice"]]:
        """The same watch on both: its events, which must agree one by one, up to the end of both streams."""
        with ExitStack() as stack:
            streams = [stack.enter_context(watch(side)) for side in self.sides]
            yield _paired(streams[0], streams[1], words=words)


@dataclass(frozen=True)
class Notice:
    """An event of a watch as both sides sent it."""

    emulated: Body
    real: Body

    def on(self, side: Side) -> Body:
        """The event of this side."""
        return self.emulated if isinstance(side, Emulation) else self.real

    @property
    def type(self) -> str:
        """ADDED, MODIFIED, DELETED, BOOKMARK or ERROR."""
        return str(self.real["type"])

    @property
    def object(self) -> Body:
        """The object, of the real side."""
        return self.real["object"]


def _paired(emulated: Iterator[Body], real: Iterator[Body], *, words: bool) -> Iterator[Notice]:
    while True:
        notice = Notice(next(emulated, None), next(real, None))
        agree(notice.emulated, notice.real, words=words)
        if notice.real is None:
            return
        yield notice


def unique(prefix: str) -> str:
    """A name that no other test has."""
    return f"{prefix}-{secrets.token_hex(5)}"


def agree(emulated: Body, real: Body, *, words: bool = True) -> None:
    """Two bodies must be the same in all but what is never the same twice; without `words`, in all but messages."""
    differences = list(differing("", _stable(emulated, words=words), _stable(real, words=words)))
    assert not differences, "\n".join(["the emulation and kube-apiserver differ:", *differences])


def comparable(answer: Answer, seen: Callable[[Body], Any] | None) -> dict[str, Any]:
    """What must agree of an answer."""
    return {
        "status": answer.status,
        "Content-Type": answer.headers.get("Content-Type"),
        "Retry-After": answer.headers.get("Retry-After"),
        "body": seen(answer.body) if seen and answer.status < 300 else answer.body,
    }


_VOLATILE = frozenset(
    (
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "deletionTimestamp",
        "expirationTimestamp",
        "time",
        "continue",
        "token",
    )
)
"""Fields whose values are never the same twice; whether they are there is compared."""

_UID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_SPEAKS_OF_VERSIONS = re.compile(r"resource ?version", re.IGNORECASE)


def _stable(value: Any, *, words: bool, name: str = "") -> Any:  # noqa: ANN401  (any JSON value)
    """The value without what is never the same twice."""
    if name in _VOLATILE and isinstance(value, str) and value:
        return "(volatile)"
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if words or key != "message"}
        return {key: _stable(item, words=words, name=key) for key, item in kept.items()}
    if isinstance(value, list):
        items = [_stable(item, words=words) for item in value]
        # They come in the order of their times, which have whole seconds.
        return sorted(items, key=_manager) if name == "managedFields" else items
    if isinstance(value, str):
        text = _UID.sub("(uid)", value)
        return re.sub(r"\d+", "(number)", text) if _SPEAKS_OF_VERSIONS.search(text) else text
    return value


def _manager(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(entry.get(name, "")) for name in ("manager", "operation", "subresource", "apiVersion"))


_ABSENT = object()


def differing(path: str, emulated: Any, real: Any) -> Iterator[str]:  # noqa: ANN401  (any JSON values)
    """A line for each place where the two differ."""
    if isinstance(emulated, dict) and isinstance(real, dict):
        for name in _in_order([*emulated, *real]):
            yield from differing(f"{path}.{name}", emulated.get(name, _ABSENT), real.get(name, _ABSENT))
    elif isinstance(emulated, list) and isinstance(real, list):
        for index in range(max(len(emulated), len(real))):
            here = [items[index] if index < len(items) else _ABSENT for items in (emulated, real)]
            yield from differing(f"{path}[{index}]", *here)
    elif emulated != real or type(emulated) is not type(real):
        yield f"{path.removeprefix('.')}\n    emulation:      {_shown(emulated)}\n    kube-apiserver: {_shown(real)}"


def _in_order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _shown(value: object) -> str:
    return "(absent)" if value is _ABSENT else repr(value)
