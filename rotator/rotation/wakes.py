"""What is published now, and when the daemon wakes up to renew it. Pure: chance comes in as an argument."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from rotator import annotations, renewal, selection
from rotator.config import Config
from rotator.model import Change, Credential, Kind, Snapshot, State
from rotator.rotation.report import Result


@dataclass(frozen=True, slots=True)
class Published:
    """What Pods use for one host now: the first expiry in any Secret, and whether each Secret has an entry at all."""

    first_expiry: datetime | None
    everywhere: bool

    @property
    def until(self) -> datetime | None:
        """Until when every Pod can pull from this host; None where some cannot now."""
        return self.first_expiry if self.everywhere else None


def published(config: Config, snapshot: Snapshot, changes: Iterable[Change]) -> dict[str, Published]:
    """By host, what the Secrets hold that are ours to write: a foreign or broken one is not served, so not counted."""
    found: dict[str, list[datetime | None]] = {}
    for change in changes:
        if change.subject.kind is Kind.SECRET and change.pull_secret and not change.is_problem:
            record = snapshot.secrets.get((change.subject.namespace, change.subject.name))
            notes = annotations.read(record.annotations) if record else {}
            for host in selection.hosts(config.pull_secret(change.pull_secret), config):
                found.setdefault(host, []).append(notes[host].expires_at if host in notes else None)
    return {host: Published(min(filter(None, ends), default=None), None not in ends) for host, ends in found.items()}


def wakes(
    config: Config,
    snapshot: Snapshot,
    results: Iterable[Result],
    held: Mapping[str, Credential],
    now: datetime,
    draw: Callable[[], float],
) -> dict[str, datetime]:
    """By registry: when the next of its published credentials is due, plus jitter."""
    ends: dict[str, set[tuple[datetime, datetime]]] = {}
    for result in results:
        change = result.change
        if change.subject.kind is not Kind.SECRET:
            continue
        for name in change.needs & held.keys():
            ends.setdefault(name, set()).add((held[name].issued_at, held[name].expires_at))
        record = snapshot.secrets.get((change.subject.namespace, change.subject.name))
        if record is not None and (change.state is State.UP_TO_DATE or change.needs):
            for note in annotations.read(record.annotations).values():
                if note.registry not in change.needs:
                    ends.setdefault(note.registry, set()).add((note.issued_at, note.expires_at))
    return {name: min(_wake(config, pair, now, draw()) for pair in pairs) for name, pairs in ends.items()}


def _wake(config: Config, times: tuple[datetime, datetime], now: datetime, draw: float) -> datetime:
    issued_at, expires_at = times
    due = renewal.due_at(issued_at, expires_at, config.renewal.at)
    return renewal.wake_at(due, expires_at, jitter=config.renewal.jitter, draw=draw, now=now)
