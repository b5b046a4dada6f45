"""What is seen of the cluster, of the clouds, and of one pass."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rotator.cluster.client import Cluster
from rotator.rotation import Report, Rotation
from rotator.sandbox.apiserver import Record, Store
from tests.scenarios.machine.reading import Object, Standing, Times
from tests.scenarios.machine.setting import COVERED, REGISTRIES_OF, Key, hosts_of


@dataclass
class Issued:
    """One token: when it was given to a process, and what each host said of it then. A cloud may give it again."""

    registry: str
    expires_at: datetime
    given_at: list[datetime] = field(default_factory=list)
    verdicts: dict[tuple[int, str], set[str]] = field(default_factory=dict)  # by process and host


@dataclass
class Process:
    """One rotator, and what it went through. Times of failure count the time that passed, whatever the clock says."""

    number: int
    rotation: Rotation
    cluster: Cluster
    failed_at: dict[str, timedelta] = field(default_factory=dict)
    held: dict[str, Times] = field(default_factory=dict)
    cached: set[str] = field(default_factory=set)  # registries whose cloud gave it a token that need not be new


@dataclass(frozen=True)
class Sight:
    """Everything in the cluster at one moment."""

    namespaces: dict[str, Object]
    secrets: dict[Key, Object]
    accounts: dict[Key, Object]
    pods: dict[Key, Object]

    @classmethod
    def of(cls, store: Store) -> "Sight":
        """What there is now."""

        def found(resource: str) -> dict[Key, Object]:
            objects = store.list(resource)
            return {(obj["metadata"]["namespace"], obj["metadata"]["name"]): obj for obj in objects}

        namespaces = {obj["metadata"]["name"]: obj for obj in store.list("namespaces")}
        return cls(namespaces, found("secrets"), found("serviceaccounts"), found("pods"))

    def serves(self, namespace: str) -> bool:
        """Whether this is a namespace of ours that lives."""
        found = self.namespaces.get(namespace)
        return namespace in COVERED and found is not None and found["status"]["phase"] != "Terminating"


@dataclass(frozen=True)
class Write:
    """One write of rotator's: the object before and after it."""

    resource: str
    key: Key
    before: Object | None
    after: Object | None

    @property
    def took_effect(self) -> bool:
        """Whether it changed anything."""
        return self.before != self.after

    def entries(self) -> dict[str, Standing]:
        """By host, the entries of ours that this write set."""
        found = {}
        for host in hosts_of(self.key[1]):
            then, now = Standing.of(self.before, host), Standing.of(self.after, host)
            if now is not None and (then is None or now.entry != then.entry):
                found[host] = now
        return found


@dataclass(frozen=True)
class Pass:
    """One pass, as it was seen from outside."""

    process: Process
    writing: bool
    only: str | None
    now: datetime
    before: Sight
    after: Sight
    writes: tuple[Write, ...]
    requests: tuple[Record, ...]
    report: Report
    logged: str
    asked: dict[str, int]  # requests to each registry's cloud
    minted: dict[str, int]  # tokens that it issued
    needed: dict[Key, set[str]]  # by Secret, the hosts whose entries could need a write
    tried: set[str]  # registries that were not waiting for their next try
    sound: dict[str, Times]  # what the process had in hand before, of registries without any trouble
    disturbed: frozenset[str]  # namespaces in which somebody else did something meanwhile
    broken_off: bool
    unreferenced: tuple[str, ...]  # Secrets that were written before their reference stood

    def places(self) -> Iterator[Key]:
        """Each Secret that this pass had to look after, in namespaces that nobody touched meanwhile."""
        for namespace in COVERED:
            in_scope = self.only in {None, namespace} and namespace not in self.disturbed
            if in_scope and self.before.serves(namespace) and self.after.serves(namespace):
                yield from ((namespace, name) for name in REGISTRIES_OF)

    def written(self, resource: str) -> list[Write]:
        """The writes of this resource that took effect, on objects that were still there after them."""
        return [write for write in self.writes if write.resource == resource and write.took_effect and write.after]
