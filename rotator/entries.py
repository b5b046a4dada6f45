"""What a Secret holds for the hosts that it is to have: which entries stand as we wrote them? Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from rotator import annotations, dockerconfig
from rotator.annotations import Note
from rotator.model import SecretRecord


@dataclass(frozen=True, slots=True)
class Entries:
    """The entries of one Secret, seen from the configuration: `registry_of` names the registry of each host."""

    registry_of: Mapping[str, str]
    notes: Mapping[str, Note]
    digests: Mapping[str, str]
    keys: Mapping[str, tuple[str, ...]]
    broken: frozenset[str]

    @classmethod
    def of(cls, record: SecretRecord | None, registry_of: Mapping[str, str]) -> Self:
        """Read them. Raises DockerConfigError for a text in which nothing could be kept."""
        text = record.text if record else None
        digests = dockerconfig.digests(text, tuple(registry_of)) if text else {}
        notes = annotations.read(record.annotations) if record else {}
        broken = dockerconfig.broken(text, tuple(registry_of)) if text else frozenset[str]()
        return cls(registry_of, notes, digests, _keys(digests, registry_of), broken)

    def is_absent(self, host: str) -> bool:
        """Whether no key names this host."""
        return host not in self.keys

    def intact(self, host: str, now: datetime) -> Note | None:
        """The note of an entry that stands as we wrote it: one spelling, the digest that we noted, times to believe."""
        note = self.notes.get(host)
        if note is None or not self.stand_as(host, note):
            return None
        ours = note.registry == self.registry_of[host] and note.believable(now)
        return note if ours else None

    def stand_as(self, host: str, note: Note) -> bool:
        """Whether the host's one entry is the one that this note speaks of, and the note stands beside it."""
        return self.notes.get(host) == note and self.keys.get(host) == (host,) and self.digests[host] == note.digest

    def kept_notes(self) -> dict[str, Note]:
        """The notes of configured hosts that have an entry: they stay as they are."""
        held = self.digests.keys() - self.broken
        return {host: note for host, note in self.notes.items() if host in self.registry_of and host in held}

    def spent(self) -> set[str]:
        """The keys that go with the next write.

        Those of hosts that left the configuration, while their entry is still as we wrote it; and those of ours that
        somebody broke: where there is nothing to put in their place, they would fail the other registries' too.
        """
        gone = self.notes.keys() - set(self.registry_of)
        return {host for host in gone if self.digests.get(host) == self.notes[host].digest} | self.broken


def _keys(digests: Mapping[str, str], hosts: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The keys that name each host, as it is or spelled otherwise; each key is looked at once, of however many."""
    found: dict[str, tuple[str, ...]] = {}
    for key in digests:
        host = key if key in hosts else dockerconfig.location(key)
        if host is not None and host in hosts:
            found[host] = (*found.get(host, ()), key)
    return found
