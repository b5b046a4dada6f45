"""Read what the checks look at, topic by topic. What cannot be read becomes a gap, and stops nothing else."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

from rotator import selection
from rotator.cluster.client import Cluster
from rotator.cluster.gather import gather
from rotator.config import Config
from rotator.doctor.evidence import Evidence, Topic
from rotator.errors import ClusterError, ClusterUnusable, NotFound
from rotator.model import Snapshot
from rotator.plan import plan
from rotator.workloads import Maker

T = TypeVar("T")

Progress = Callable[[Topic, int], None]
"""Told what is being read, and how much of it is there so far."""

STRIDE = 500
"""Objects between two words about progress."""

TEMPLATES = tuple(kind for kind in Maker if kind is not Maker.POD)


def gathered(
    cluster: Cluster, config: Config, topics: Collection[Topic], only: str | None, now: datetime, progress: Progress
) -> Evidence:
    """What these topics ask for, of every covered namespace, or of `only` one, covered or not.

    Raises ClusterUnusable where nothing can be read at all, NotFound where there is no such namespace.
    """
    progress(Topic.OURS, 0)
    snapshot = gather(cluster, config, only)
    if only is not None and only not in snapshot.namespaces:
        msg = f"there is no namespace {only}"
        raise NotFound(msg, hint="check its name, and the kubeconfig's context")
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
        plan(snapshot, config, {}, now).changes,
        {(account.namespace, account.name): account for account in accounts},
        {(namespace, secret.name): secret for namespace, secret in secrets},
        tuple(pods),
        tuple(templates),
        reading.gaps,
    )


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
        self.gaps: dict[Topic, str] = {}

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
        except ClusterError as error:
            self.gaps[topic] = str(error)
            return []

    def _counted(self, topic: Topic, items: Iterator[T]) -> Iterator[T]:
        for number, item in enumerate(items):
            if number % STRIDE == 0:
                self._progress(topic, number)
            yield item
