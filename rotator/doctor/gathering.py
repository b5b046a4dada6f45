"""Read what the checks look at, topic by topic. What cannot be read becomes a gap, and stops nothing else."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

from rotator import selection
from rotator.cluster.client import Cluster
from rotator.cluster.gather import gather
from rotator.config import Config
from rotator.doctor.asking import Asking
from rotator.doctor.diagnosis import Gap
from rotator.doctor.evidence import OF_OBJECTS, Evidence, Topic
from rotator.errors import ClusterError, ClusterUnusable, Forbidden, NotFound
from rotator.model import Snapshot, State
from rotator.plan import plan
from rotator.rbac import Subject
from rotator.workloads import Maker

T = TypeVar("T")

Progress = Callable[[Topic, int], None]
"""Told what is being read, and how much of it is there so far."""

STRIDE = 500
"""Objects between two words about progress."""

TEMPLATES = tuple(kind for kind in Maker if kind is not Maker.POD)


def gathered(
    cluster: Cluster,
    config: Config,
    topics: Collection[Topic],
    only: str | None,
    now: datetime,
    progress: Progress,
    rotator: Subject | None = None,
) -> Evidence:
    """What these topics ask for, of every covered namespace, or of `only` one, covered or not.

    `rotator` is whose permissions and Lease are meant (None: see `asking.py`). Raises ClusterUnusable where nothing can
    be read at all, NotFound where there is no such namespace.
    """
    progress(Topic.OURS, 0)
    try:
        snapshot = gather(cluster, config, only)
    except ClusterUnusable as error:
        if error.status or OF_OBJECTS.issuperset(topics):
            raise
        return _of_ourselves_alone(cluster, config, topics, now, progress, rotator, error)
    if only is not None and only not in snapshot.namespaces:
        msg = f"there is no namespace {only}"
        raise NotFound(msg, hint="check its name, and the kubeconfig's context")
    changes = plan(snapshot, config, {}, now).changes
    absent = frozenset(change.subject.name for change in changes if change.state is State.NAMESPACE_MISSING)
    asking = Asking(cluster, config, topics, progress, rotator, absent)
    ourselves = asking.answers()
    reading = _Reading(topics, _places(config, only), _inside(config, snapshot, only), progress)
    accounts = reading.read(Topic.ACCOUNTS, [cluster.accounts], lambda account: account.namespace)
    secrets = reading.read(Topic.PULL_SECRETS, [cluster.pull_secrets], lambda found: found[0])
    pods = reading.read(Topic.PODS, [partial(cluster.workloads, Maker.POD)], lambda pod: pod.namespace)
    listings = [partial(cluster.workloads, kind) for kind in TEMPLATES]
    templates = reading.read(Topic.TEMPLATES, listings, lambda template: template.namespace)
    return Evidence(
        config,
        now,
        snapshot,
        changes,
        {(account.namespace, account.name): account for account in accounts},
        {(namespace, secret.name): secret for namespace, secret in secrets},
        tuple(pods),
        tuple(templates),
        reading.gaps | asking.gaps,
        ourselves,
    )


def _of_ourselves_alone(
    cluster: Cluster,
    config: Config,
    topics: Collection[Topic],
    now: datetime,
    progress: Progress,
    rotator: Subject | None,
    error: ClusterUnusable,
) -> Evidence:
    """Where no namespace can be read, it may be the permissions that are missing: so those are looked at."""
    asking = Asking(cluster, config, topics, progress, rotator, frozenset())
    answers = asking.answers()
    gaps = {topic: Gap(topic, error.message, error.hint) for topic in OF_OBJECTS & set(topics)} | asking.gaps
    return Evidence(config, now, gaps=gaps, ourselves=answers)


def _places(config: Config, only: str | None) -> Sequence[str | None]:
    """Where to list: in the one namespace, in each that is named, or (None) in all of them at once."""
    if only is not None:
        return (only,)
    if all(selection.is_listed(pull_secret.namespaces) for pull_secret in config.pull_secrets):
        names = (name for pull_secret in config.pull_secrets for name in selection.named(pull_secret.namespaces))
        return tuple(dict.fromkeys(names))
    return (None,)


def _inside(config: Config, snapshot: Snapshot, only: str | None) -> frozenset[str]:
    """The namespaces that are looked into: one that is being deleted is left alone."""
    return frozenset(
        record.name
        for record in snapshot.namespaces.values()
        if not record.terminating
        and (only or any(selection.covers(pull_secret.namespaces, record) for pull_secret in config.pull_secrets))
    )


class _Reading:
    """What was read so far, and what could not be."""

    def __init__(
        self, topics: Collection[Topic], places: Sequence[str | None], inside: Collection[str], progress: Progress
    ) -> None:
        self._topics = topics
        self._places = places
        self._inside = inside
        self._progress = progress
        self.gaps: dict[Topic, Gap] = {}

    def read(
        self,
        topic: Topic,
        listings: Iterable[Callable[[str | None], Iterator[T]]],
        namespace: Callable[[T], str],
    ) -> list[T]:
        """All of it in the namespaces that are looked into; nothing where it is not asked for, or leaves a gap."""
        if topic not in self._topics:
            return []
        try:
            listed = (item for listing in listings for place in self._places for item in listing(place))
            return [item for item in self._counted(topic, listed) if namespace(item) in self._inside]
        except ClusterUnusable:
            raise
        except Forbidden as error:
            self.gaps[topic] = Gap(topic, error.message, f"{error.hint}, to a person: rotator needs no such right")
            return []
        except ClusterError as error:
            self.gaps[topic] = Gap(topic, error.message, error.hint)
            return []

    def _counted(self, topic: Topic, items: Iterator[T]) -> Iterator[T]:
        for number, item in enumerate(items):
            if number % STRIDE == 0:
                self._progress(topic, number)
            yield item
