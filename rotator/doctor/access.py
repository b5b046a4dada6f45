"""Ask the API server what rotator's ServiceAccount may do: a bounded number of questions, side by side."""

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from rotator.cluster.client import Cluster
from rotator.config import Config
from rotator.doctor import rights
from rotator.model import Subject
from rotator.rbac import Right
from rotator.rbac import Subject as Rotator

MOST = 3000
"""Questions at most, and a second or so for each thousand; those of the needed rights come first."""

WORKERS = 16


def asked(
    cluster: Cluster,
    config: Config,
    rotator: Rotator,
    account: Subject | None,
    absent: Collection[str],
    most: int = MOST,
) -> tuple[dict[Right, bool], int]:
    """Whether it has each right that it needs, and each that it does not; and how many were not asked for.

    `account` None: about ourselves. In `absent` namespaces nothing can be granted, so nothing is asked. What is held in
    all namespaces, or on every name, is not asked for again in one. Raises ClusterError.
    """
    ask = partial(cluster.allows, account=account)
    needed = _less(absent, rights.needed(config, rotator))
    surplus = _less(absent, rights.surplus(config, rotator))
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="access") as pool:
        first = [*needed, *(right for right in surplus if right.namespace is None)]
        found = dict(zip(first, pool.map(ask, first[:most]), strict=False))
        held = {right for right, allowed in found.items() if allowed}
        then = [right for right in surplus if right.namespace and not rights.is_part(right, held)]
        found |= dict(zip(then, pool.map(ask, then[: max(most - len(first), 0)]), strict=False))
    return found, len(first) + len(then) - len(found)


def _less(absent: Collection[str], found: Collection[Right]) -> list[Right]:
    return [right for right in found if right.namespace not in absent]
