"""What left the configuration: Secrets of ours that no pull secret covers any more, and whether they may go. Pure.

An orphan is not renewed, so what it holds ends by itself, and only then may it be removed: whatever took it out of the
configuration, a typing error or a label that was lost for a moment, takes no working credential from any Pod.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from rotator import annotations, dockerconfig, selection
from rotator.annotations import Note
from rotator.config import Config
from rotator.errors import DockerConfigError
from rotator.model import SECRET_TYPE, Action, Change, Kind, SecretRecord, Snapshot, State, Subject


@dataclass(frozen=True)
class Orphans:
    """The orphans of one snapshot of everything; a look at one namespace finds none."""

    snapshot: Snapshot
    config: Config
    now: datetime

    def found(self) -> Iterator[SecretRecord]:
        """Those in namespaces that were read and live; of a Secret that is not ours nothing is said."""
        if self.snapshot.only is None:
            yield from (record for record in self.snapshot.secrets.values() if self._is_orphan(record))

    def judge(self, record: SecretRecord) -> Change:
        """Whether this orphan may go, or why not: the first check that objects keeps it."""
        subject = Subject(Kind.SECRET, record.namespace, record.name)
        reason = next(filter(None, (check(self, record) for check in CHECKS)), "")
        action = Action.NOTHING if reason else Action.REMOVE
        message = f"no pull secret covers it any more; {reason or 'its last credential has expired'}"
        return Change(subject, record.name, State.ORPHAN, message, action)

    def _is_orphan(self, record: SecretRecord) -> bool:
        namespace = self.snapshot.namespaces.get(record.namespace)
        if namespace is None or namespace.terminating or not annotations.is_ours(record):
            return False
        return not any(
            pull_secret.name == record.name and selection.covers(pull_secret.namespaces, namespace)
            for pull_secret in self.config.pull_secrets
        )

    def is_former(self, record: SecretRecord) -> bool:
        """Whether the configuration says that it was covered once."""
        namespace = self.snapshot.namespaces[record.namespace]
        return any(
            former.name == record.name and selection.covers(former.namespaces, namespace)
            for former in self.config.prune.former
        )

    @cached_property
    def lost(self) -> frozenset[str]:
        """The pull secrets that cover no namespace at all."""
        return frozenset(
            pull_secret.name
            for pull_secret in self.config.pull_secrets
            if not any(selection.covers(pull_secret.namespaces, place) for place in self.snapshot.namespaces.values())
        )

    @cached_property
    def unread(self) -> frozenset[str]:
        """The namespaces whose ServiceAccounts could not be read."""
        return frozenset(gap.namespace for gap in self.snapshot.gaps if gap.kind is Kind.SERVICE_ACCOUNT)


# The checks, in the order in which they object -----------------------------------------------------------------------


def _holds_more(orphans: Orphans, record: SecretRecord) -> str:
    more = _not_written_by_us(record, orphans.now)
    return f"left alone, for {more}; delete it when nobody needs it" if more else ""


def _is_switched_off(orphans: Orphans, _: SecretRecord) -> str:
    remedy = "delete it, let rotator do that (prune.enabled), or cover its namespace again"
    return "" if orphans.config.prune.enabled else remedy


def _may_be_a_mistake(orphans: Orphans, record: SecretRecord) -> str:
    if record.name not in orphans.lost or orphans.is_former(record):
        return ""
    return "kept, for its pull secret covers no namespace at all; correct that, or write it under prune.former"


def _still_opens(orphans: Orphans, record: SecretRecord) -> str:
    until = max(note.expires_at for note in annotations.read(record.annotations).values())
    return f"it is removed after {annotations.stamp(until)}, when it has expired" if until > orphans.now else ""


def _is_referenced_unseen(orphans: Orphans, record: SecretRecord) -> str:
    # The reference goes first, or new Pods would name a Secret that is not there.
    return "kept, for the ServiceAccounts there could not be read" if {record.namespace, "*"} & orphans.unread else ""


CHECKS: tuple[Callable[[Orphans, SecretRecord], str], ...] = (
    _holds_more,
    _is_switched_off,
    _may_be_a_mistake,
    _still_opens,
    _is_referenced_unseen,
)


# What a Secret holds -------------------------------------------------------------------------------------------------


def _not_written_by_us(record: SecretRecord, now: datetime) -> str:
    """What would be lost with this Secret that rotator did not put there, for a message; empty: nothing."""
    if record.labels.get(annotations.MANAGED_BY_LABEL) != annotations.MANAGER:
        return f"its label {annotations.MANAGED_BY_LABEL} does not say {annotations.MANAGER}"
    if record.type != SECRET_TYPE or record.text is None:
        return "its content is not rotator's"
    if record.has_more:
        return "it has other data keys"
    try:
        digests, has_settings = dockerconfig.digests(record.text), dockerconfig.holds_more(record.text)
    except DockerConfigError:
        return "its content cannot be parsed"
    return "it holds more than entries" if has_settings else _strange_entries(record, digests, now)


def _strange_entries(record: SecretRecord, digests: dict[str, str], now: datetime) -> str:
    notes = annotations.read(record.annotations)
    strange = [key for key, digest in digests.items() if not _is_as_noted(notes.get(key), digest, now)]
    if strange:
        return f"{len(strange)} of its {len(digests)} entries are not as rotator wrote them"
    return "" if notes else "it says nothing of what rotator wrote"


def _is_as_noted(note: Note | None, digest: str, now: datetime) -> bool:
    return note is not None and note.digest == digest and note.believable(now)
