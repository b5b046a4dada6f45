"""When the daemon wakes up for each registry. Pure: chance comes in as an argument."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from rotator import annotations, renewal, selection
from rotator.config import Config
from rotator.model import PENDING, Change, Credential, Kind, Snapshot, State
from rotator.rotation.report import Result

Times = tuple[datetime, datetime]
"""Issue and expiry of a credential."""

Hold = tuple[str, frozenset[str], str]
"""What many Secrets have in common: the pull secret, the hosts that the pass was to write, and what is noted."""

COUNTED = PENDING | {State.UP_TO_DATE}


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
    for hold in {_hold(snapshot, result.change) for result in results if _counts(result.change)}:
        for registry, times in _times(config, hold, held):
            alarms.setdefault(registry, set()).add(times)
    return {name: min(_wake(config, times, now, draw()) for times in found) for name, found in alarms.items()}


def _counts(change: Change) -> bool:
    """Only what the plan accepted.

    A note of a host that left the configuration, or one that a tenant planted, would be overdue for good, and the alarm
    with it.
    """
    return change.subject.kind is Kind.SECRET and change.state in COUNTED


def _hold(snapshot: Snapshot, change: Change) -> Hold:
    record = snapshot.secrets.get((change.subject.namespace, change.subject.name))
    return change.pull_secret, frozenset(change.needs), annotations.noted(record)


def _times(config: Config, hold: Hold, held: Mapping[str, Credential]) -> Iterator[tuple[str, Times]]:
    """What such Secrets hold after the pass: the held credential where it was needed, else what the plan found good."""
    pull_secret, needs, noted = hold
    notes = annotations.notes(noted)
    for host, name in selection.hosts(config.pull_secret(pull_secret), config).items():
        if host in needs and name in held:
            yield name, (held[name].issued_at, held[name].expires_at)
        elif host not in needs and host in notes:  # absent: made since it was read, and judged again on a conflict
            yield name, (notes[host].issued_at, notes[host].expires_at)


def _wake(config: Config, times: Times, now: datetime, draw: float) -> datetime:
    issued_at, expires_at = times
    due = renewal.due_at(issued_at, expires_at, config.renewal.at)
    return renewal.wake_at(due, expires_at, jitter=config.renewal.jitter, draw=draw, now=now)
