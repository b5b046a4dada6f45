"""When the daemon wakes up for each registry. Pure: chance comes in as an argument."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from rotator import annotations, renewal, selection
from rotator.config import Config
from rotator.model import PENDING, Change, Credential, Kind, Snapshot, State
from rotator.rotation.report import Result

Times = tuple[datetime, datetime]
"""Issue and expiry of a credential."""


def wakes(
    config: Config,
    snapshot: Snapshot,
    results: Iterable[Result],
    held: Mapping[str, Credential],
    now: datetime,
    draw: Callable[[], float],
) -> dict[str, datetime]:
    """By registry: when the next of its published credentials is due, plus jitter."""
    alarms: dict[str, set[Times]] = {}
    for result in results:
        for registry, times in _times(config, snapshot, result.change, held):
            alarms.setdefault(registry, set()).add(times)
    return {name: min(_wake(config, times, now, draw()) for times in found) for name, found in alarms.items()}


def _times(
    config: Config, snapshot: Snapshot, change: Change, held: Mapping[str, Credential]
) -> Iterator[tuple[str, Times]]:
    """What one Secret holds after the pass: the held credential where it was needed, else what the plan found good.

    Only what the plan accepted counts: a note of a host that left the configuration, or one that a tenant planted,
    would be overdue for good, and the alarm with it.
    """
    if change.subject.kind is not Kind.SECRET or change.state not in PENDING | {State.UP_TO_DATE}:
        return
    for name in set(change.needs.values()) & held.keys():
        yield name, (held[name].issued_at, held[name].expires_at)
    record = snapshot.secrets.get((change.subject.namespace, change.subject.name))
    notes = annotations.read(record.annotations) if record else {}
    for host, name in selection.hosts(config.pull_secret(change.pull_secret), config).items():
        if host not in change.needs and host in notes:  # absent: made since it was read, and judged again on a conflict
            yield name, (notes[host].issued_at, notes[host].expires_at)


def _wake(config: Config, times: Times, now: datetime, draw: float) -> datetime:
    issued_at, expires_at = times
    due = renewal.due_at(issued_at, expires_at, config.renewal.at)
    return renewal.wake_at(due, expires_at, jitter=config.renewal.jitter, draw=draw, now=now)
