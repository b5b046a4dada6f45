"""What the checks look at: everything that was read, as of one moment. Pure; `gathering.py` fills it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from rotator import selection
from rotator.config import Config, PullSecret
from rotator.doctor.diagnosis import Gap
from rotator.doctor.ourselves import Ourselves
from rotator.keyring import PullSecretData
from rotator.model import Change, Snapshot
from rotator.workloads import Account, Workload


class Topic(StrEnum):
    """What a check may look at; each is read, or cannot be read, on its own."""

    OURS = "our Secrets and the ServiceAccounts that are to reference them"
    ACCOUNTS = "ServiceAccounts"
    PULL_SECRETS = "other pull secrets"
    PODS = "Pods"
    TEMPLATES = "Deployments, StatefulSets, DaemonSets, Jobs and CronJobs"
    ACCESS = "rotator's permissions"
    IDENTITIES = "who we are to each cloud"
    MINTS = "a new credential of each registry"
    CLOCKS = "the clocks of the API server and the registries"
    LEASE = "the Lease"


OF_OBJECTS = frozenset({Topic.OURS, Topic.ACCOUNTS, Topic.PULL_SECRETS, Topic.PODS, Topic.TEMPLATES})
"""What is read in namespaces; the other topics are about rotator itself."""


@dataclass(frozen=True)
class Evidence:
    """All that was read, of the namespaces that are covered, or of the one that was asked for.

    `gaps` says of each topic that could not be read why: then nothing is concluded from what is not there. Keys of
    objects are namespace and name. `ourselves` is what was asked about rotator itself.
    """

    config: Config
    now: datetime
    snapshot: Snapshot = field(default_factory=lambda: Snapshot({}, {}, {}))
    changes: tuple[Change, ...] = ()
    accounts: Mapping[tuple[str, str], Account] = field(default_factory=dict)
    pull_secrets: Mapping[tuple[str, str], PullSecretData] = field(default_factory=dict)
    pods: tuple[Workload, ...] = ()
    templates: tuple[Workload, ...] = ()
    gaps: Mapping[Topic, Gap] = field(default_factory=dict)
    ourselves: Ourselves = field(default_factory=Ourselves)

    @property
    def workloads(self) -> tuple[Workload, ...]:
        """Pods and templates."""
        return self.pods + self.templates

    @cached_property
    def hosts(self) -> frozenset[str]:
        """The hosts of all registries."""
        return frozenset(host for registry in self.config.registries for host in registry.hosts)

    @cached_property
    def meant(self) -> Mapping[tuple[str, str], tuple[PullSecret, ...]]:
        """The pull secrets that each ServiceAccount is to reference, if any."""
        return {key: tuple(self._meant(key)) for key in self.snapshot.service_accounts}

    def _meant(self, key: tuple[str, str]) -> Iterator[PullSecret]:
        record = self.snapshot.service_accounts[key]
        namespace = self.snapshot.namespaces.get(record.namespace)
        for pull_secret in self.config.pull_secrets:
            if (
                namespace is not None
                and selection.covers(pull_secret.namespaces, namespace)
                and selection.wants(pull_secret.service_accounts, record)
            ):
                yield pull_secret

    def keyring(self, namespace: str, names: tuple[str, ...]) -> tuple[PullSecretData, ...]:
        """The pull secrets of these names that are there, each once, in their order."""
        keys = ((namespace, name) for name in dict.fromkeys(names))
        return tuple(self.pull_secrets[key] for key in keys if key in self.pull_secrets)
