"""What Pods use now: per host, the first expiry in any Secret that is ours to write. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from rotator import annotations, selection
from rotator.config import Config
from rotator.model import Change, Kind, SecretRecord, Snapshot, State


@dataclass(frozen=True, slots=True)
class Published:
    """What is published for one host: the first expiry in any Secret, and whether each Secret has an entry at all."""

    first_expiry: datetime | None
    everywhere: bool

    @property
    def until(self) -> datetime | None:
        """Until when every Pod can pull from this host; None where some cannot now."""
        return self.first_expiry if self.everywhere else None


def published(config: Config, snapshot: Snapshot, changes: Iterable[Change], now: datetime) -> dict[str, Published]:
    """By host, what the Secrets hold that are ours to write: a foreign, broken or orphaned one is not served."""
    found: dict[str, list[datetime | None]] = {}
    for change in changes:
        if change.subject.kind is Kind.SECRET and change.pull_secret and not _is_left_alone(change):
            record = snapshot.secrets.get((change.subject.namespace, change.subject.name))
            expiries = _expiries(record, now)
            for host in selection.hosts(config.pull_secret(change.pull_secret), config):
                found.setdefault(host, []).append(expiries.get(host))
    return {host: Published(min(filter(None, ends), default=None), None not in ends) for host, ends in found.items()}


def _is_left_alone(change: Change) -> bool:
    return change.is_problem or change.state is State.ORPHAN


def _expiries(record: SecretRecord | None, now: datetime) -> dict[str, datetime]:
    notes = annotations.read(record.annotations) if record else {}
    return {host: note.expires_at for host, note in notes.items() if note.believable(now)}
