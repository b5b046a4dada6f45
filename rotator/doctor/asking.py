"""Ask about rotator itself, topic by topic. What gets no answer becomes a gap, and stops nothing else.

It is meant where it runs. So where doctor runs as a ServiceAccount, in rotator's Pod, that is whose permissions and
Lease are looked at; where a person runs it, those of the one that `rotator rbac` grants rights to by default.
"""

from collections.abc import Callable, Collection
from typing import TypeVar

from rotator.cluster.client import Cluster
from rotator.config import Config
from rotator.doctor import access
from rotator.doctor.clocks import clocks
from rotator.doctor.clouds import identities, mints
from rotator.doctor.diagnosis import Gap
from rotator.doctor.evidence import OF_OBJECTS, Topic
from rotator.doctor.ourselves import Ourselves
from rotator.errors import ClusterError, Forbidden, NotFound
from rotator.leadership import Record
from rotator.model import Kind, Subject
from rotator.rbac import Right
from rotator.rbac import Subject as Rotator

T = TypeVar("T")


class Asking:
    """One round of questions. `rotator` is whom they are about, if it was said; `absent` namespaces do not exist."""

    def __init__(
        self,
        cluster: Cluster,
        config: Config,
        topics: Collection[Topic],
        progress: Callable[[Topic, int], None],
        rotator: Rotator | None,
        absent: Collection[str],
    ) -> None:
        self._cluster = cluster
        self._config = config
        self._topics = topics
        self._progress = progress
        self._rotator = rotator
        self._absent = absent
        self.gaps: dict[Topic, Gap] = {}

    def answers(self) -> Ourselves:
        """The answers to all questions of the topics."""
        if OF_OBJECTS.issuperset(self._topics):
            return Ourselves()
        account = self._account()
        rotator = self._rotator or (Rotator(account.namespace, account.name) if account else Rotator())
        ours = Subject(Kind.SERVICE_ACCOUNT, rotator.namespace, rotator.service_account)
        here = account == ours
        nobody_asked: tuple[dict[Right, bool], int] = ({}, 0)
        rights, unasked = self._ask(Topic.ACCESS, lambda: self._access(rotator, None if here else ours), nobody_asked)
        return Ourselves(
            rotator,
            here,
            rights,
            unasked,
            identities=self._ask(Topic.IDENTITIES, lambda: identities(self._config), {}),
            mints=self._ask(Topic.MINTS, lambda: mints(self._config), {}),
            clocks=self._ask(Topic.CLOCKS, lambda: clocks(self._cluster, self._config), {}),
            lease=self._ask(Topic.LEASE, lambda: self._lease(rotator), None),
        )

    def _account(self) -> Subject | None:
        """The ServiceAccount that doctor runs as; None: a person, or an API server before 1.28, which does not say."""
        try:
            return self._cluster.service_account_that_asks()
        except ClusterError:
            return None

    def _access(self, rotator: Rotator, account: Subject | None) -> tuple[dict[Right, bool], int]:
        return access.asked(self._cluster, self._config, rotator, account, self._absent)

    def _lease(self, rotator: Rotator) -> Record | None:
        namespace = Ourselves(rotator).lease_namespace(self._config)
        try:
            return self._cluster.lease(namespace, self._config.leader_election.name)[0]
        except NotFound:
            return None
        except Forbidden as error:  # its own hint is to grant what `rotator once` can do without
            hint = "ask as somebody who may; for rotator once, say leaderElection.enabled: false"
            raise Forbidden(error.message, hint=hint, status=error.status) from error

    def _ask(self, topic: Topic, ask: Callable[[], T], nothing: T) -> T:
        if topic not in self._topics or (topic is Topic.LEASE and not self._config.leader_election.enabled):
            return nothing
        self._progress(topic, 0)
        try:
            return ask()
        except ClusterError as error:
            self.gaps[topic] = Gap(topic, error.message, error.hint)
            return nothing
