"""How things stand, from the cluster alone: nothing is minted, shown to a registry or written.

What rotator notes on its Secrets says what is published and until when, the Lease who leads; so it needs no access to
any cloud, and may be asked by whoever may read these objects.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, TypedDict

from rotator.annotations import LAST_SWEEP, moment, stamp
from rotator.cluster.client import Cluster
from rotator.cluster.gather import gather
from rotator.config import Config, Registry
from rotator.errors import ClusterError, Forbidden, NotFound
from rotator.jsonrecord import Time, told
from rotator.leadership import Record
from rotator.model import FINE, NOTICES, PROBLEMS, Change, Kind, Snapshot, State
from rotator.plan import plan
from rotator.rotation.published import Published, first, published

WORST_FIRST = tuple(sorted(State, key=lambda state: (state in FINE, state in NOTICES, state not in PROBLEMS)))
"""What asks for a person comes before what rotator mends, that before what is worth a notice, and what is fine last."""


class RegistryRowRecord(TypedDict):
    """One registry, as its credentials stand in the cluster."""

    name: Annotated[str, told("its name in the configuration")]
    kind: Annotated[str, told("ecr, gar, acr, ...")]
    renewedAt: Annotated[Time | None, told("when the latest credential that is published was issued")]
    issuedAt: Annotated[Time | None, told("when the oldest credential that Pods still use was issued")]
    dueAt: Annotated[Time | None, told("when the first of them is due for renewal")]
    expiresAt: Annotated[Time | None, told("when the first of them expires; null: nothing is published")]
    everywhere: Annotated[bool, told("whether every Secret that is rotator's to write has an entry for every host")]


class PullSecretRowRecord(TypedDict):
    """One pull secret: how many objects are in which state."""

    name: Annotated[str, told("its name; empty: of what could not be read")]
    secrets: Annotated[dict[State, int], told("Secrets by state (see the states in the README), the worst first")]
    serviceAccounts: Annotated[dict[State, int], told("ServiceAccounts by state, the worst first")]
    namespaces: Annotated[dict[State, int], told("namespaces that are absent, terminating or unreadable, by state")]


class StatusRecord(TypedDict):
    """How things stand."""

    leader: Annotated[str | None, told("who holds the Lease; null: nobody, or that is not known")]
    leaderRenewedAt: Annotated[str | None, told("the Lease's renewTime, as it stands there")]
    leaderProblem: Annotated[str | None, told("why there is no Lease to be seen")]
    lastSweepAt: Annotated[Time | None, told("when the leader's last pass over everything ended, as the Lease says")]
    registries: Annotated[list[RegistryRowRecord], told("every configured registry, the worst first")]
    pullSecrets: Annotated[list[PullSecretRowRecord], told("every pull secret, the worst first")]


@dataclass(frozen=True, slots=True)
class RegistryRow:
    """One registry: when what Pods use was renewed and issued, is due and ends. None: nothing of it is published."""

    name: str
    kind: str
    renewed_at: datetime | None
    issued_at: datetime | None
    due_at: datetime | None
    expires_at: datetime | None
    everywhere: bool

    def record(self) -> RegistryRowRecord:
        """The row as JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "renewedAt": _stamped(self.renewed_at),
            "issuedAt": _stamped(self.issued_at),
            "dueAt": _stamped(self.due_at),
            "expiresAt": _stamped(self.expires_at),
            "everywhere": self.everywhere,
        }


@dataclass(frozen=True, slots=True)
class PullSecretRow:
    """One pull secret: how many of its Secrets and ServiceAccounts are in which state, the worst first."""

    name: str
    secrets: Mapping[State, int]
    service_accounts: Mapping[State, int]
    namespaces: Mapping[State, int]

    def record(self) -> PullSecretRowRecord:
        """The row as JSON."""
        return {
            "name": self.name,
            "secrets": dict(self.secrets),
            "serviceAccounts": dict(self.service_accounts),
            "namespaces": dict(self.namespaces),
        }


@dataclass(frozen=True, slots=True)
class Status:
    """Registries and pull secrets, the worst first, and the Lease (None: there is none, or it cannot be read).

    `last_sweep` is what its leader noted there.
    """

    registries: tuple[RegistryRow, ...]
    pull_secrets: tuple[PullSecretRow, ...]
    lease: Record | None
    lease_problem: str = ""
    last_sweep: datetime | None = None

    @property
    def last_renewal(self) -> datetime | None:
        """When the latest credential of all was issued."""
        return max((row.renewed_at for row in self.registries if row.renewed_at), default=None)

    def record(self) -> StatusRecord:
        """The status as JSON."""
        return {
            "leader": self.lease.holder or None if self.lease else None,
            "leaderRenewedAt": self.lease.renewed or None if self.lease else None,
            "leaderProblem": self.lease_problem or None,
            "lastSweepAt": _stamped(self.last_sweep),
            "registries": [row.record() for row in self.registries],
            "pullSecrets": [row.record() for row in self.pull_secrets],
        }


def status(cluster: Cluster, config: Config, own_namespace: str, now: datetime) -> Status:
    """How things stand now. Raises ClusterUnusable; what may not be read is Unreadable."""
    snapshot = gather(cluster, config, None)
    changes = plan(snapshot, config, {}, now).changes
    lease, swept, problem = _lease(cluster, config, own_namespace)
    return Status(_registries(config, snapshot, changes, now), _pull_secrets(config, changes), lease, problem, swept)


def _lease(cluster: Cluster, config: Config, own_namespace: str) -> tuple[Record | None, datetime | None, str]:
    """Who leads, when the last sweep ended, and why neither can be said."""
    election = config.leader_election
    if not election.enabled:
        return None, None, "none is needed, leaderElection is off"
    namespace = election.namespace or own_namespace
    try:
        lease, notes = cluster.lease(namespace, election.name)
    except NotFound:
        place = f"no Lease {election.name} in namespace {namespace}"
        where = "" if election.namespace else " (-n names another)"
        return None, None, f"none, there is {place}{where}: no rotator run has led, and rotator once needs none"
    except Forbidden as error:
        return None, None, f"not known, {error.message}: ask as somebody who may; rotator once needs no Lease"
    except ClusterError as error:
        return None, None, str(error)
    return lease, moment(notes.get(LAST_SWEEP, "")), ""


def _registries(
    config: Config, snapshot: Snapshot, changes: tuple[Change, ...], now: datetime
) -> tuple[RegistryRow, ...]:
    found = published(config, snapshot, changes, now)
    rows = [
        _registry(registry, [found[host] for host in registry.hosts if host in found]) for registry in config.registries
    ]
    return tuple(sorted(rows, key=lambda row: (row.everywhere, row.expires_at or now)))


def _registry(registry: Registry, hosts: Sequence[Published]) -> RegistryRow:
    return RegistryRow(
        name=registry.name,
        kind=registry.kind,
        renewed_at=max((host.last_issue for host in hosts if host.last_issue), default=None),
        issued_at=first(host.first_issue for host in hosts),
        due_at=first(host.first_due for host in hosts),
        expires_at=first(host.first_expiry for host in hosts),
        everywhere=bool(hosts) and all(host.everywhere for host in hosts),
    )


def _pull_secrets(config: Config, changes: tuple[Change, ...]) -> tuple[PullSecretRow, ...]:
    counts: Counter[tuple[str, Kind, State]] = Counter(
        (change.pull_secret, change.subject.kind, change.state) for change in changes
    )

    def of(name: str, kind: Kind) -> dict[State, int]:
        return {state: counts[name, kind, state] for state in WORST_FIRST if counts[name, kind, state]}

    served = [pull_secret.name for pull_secret in config.pull_secrets]
    names = dict.fromkeys([*served, *(name for name, _, _ in counts)])  # former ones too, and "" for what was not read
    rows = [
        PullSecretRow(name, of(name, Kind.SECRET), of(name, Kind.SERVICE_ACCOUNT), of(name, Kind.NAMESPACE))
        for name in names
    ]
    return tuple(sorted(rows, key=lambda row: -_troubles(row)))


def _troubles(row: PullSecretRow) -> int:
    parts = (row.secrets, row.service_accounts, row.namespaces)
    return sum(count for part in parts for state, count in part.items() if state not in FINE)


def _stamped(moment: datetime | None) -> str | None:
    return stamp(moment) if moment else None
