"""What Pods use now: per host, the first expiry in any Secret that is ours to write. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from rotator import annotations, renewal, selection
from rotator.annotations import Note
from rotator.config import Config
from rotator.model import Change, Kind, Snapshot, State


@dataclass(frozen=True, slots=True)
class Published:
    """What is published for one host, of all Secrets the first issue, expiry and due renewal, and the last issue.

    `everywhere` says whether each Secret has an entry at all.
    """

    first_expiry: datetime | None
    everywhere: bool
    first_issue: datetime | None
    first_due: datetime | None
    last_issue: datetime | None

    @property
    def until(self) -> datetime | None:
        """Until when every Pod can pull from this host; None where some cannot now."""
        return self.first_expiry if self.everywhere else None


def published(config: Config, snapshot: Snapshot, changes: Iterable[Change], now: datetime) -> dict[str, Published]:
    """By host, what the Secrets hold that are ours to write: a foreign, broken or orphaned one is not served."""
    found: dict[str, set[Note | None]] = {}
    for name, texts in _noted(snapshot, changes).items():
        hosts = selection.hosts(config.pull_secret(name), config)
        for notes in (_notes(text, now) for text in texts):
            for host in hosts:
                found.setdefault(host, set()).add(notes.get(host))
    return {host: _summed_up(notes, config.renewal.at) for host, notes in found.items()}


def _noted(snapshot: Snapshot, changes: Iterable[Change]) -> dict[str, set[str]]:
    """By pull secret, what is noted on its Secrets, all of which say the same after a rotation."""
    found: dict[str, set[str]] = {}
    for change in changes:
        if change.subject.kind is Kind.SECRET and change.pull_secret and not _is_left_alone(change):
            record = snapshot.secrets.get((change.subject.namespace, change.subject.name))
            found.setdefault(change.pull_secret, set()).add(annotations.noted(record))
    return found


def _is_left_alone(change: Change) -> bool:
    return change.is_problem or change.state is State.ORPHAN


def first(moments: Iterable[datetime | None]) -> datetime | None:
    """The first of those that are known."""
    return min(filter(None, moments), default=None)


def _summed_up(entries: set[Note | None], at: float) -> Published:
    notes = [note for note in entries if note]
    return Published(
        first_expiry=first(note.expires_at for note in notes),
        everywhere=None not in entries,
        first_issue=first(note.issued_at for note in notes),
        first_due=first(renewal.due_at(note.issued_at, note.expires_at, at) for note in notes),
        last_issue=max((note.issued_at for note in notes), default=None),
    )


def _notes(text: str, now: datetime) -> dict[str, Note]:
    return {host: note for host, note in annotations.notes(text).items() if note.believable(now)}
