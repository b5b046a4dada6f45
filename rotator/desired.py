"""A pull secret as it is to be: what one write sends. Pure; invariants 1 and 3 are kept here.

Only entries that a change needs are set, from credentials that are alive; everything else in the Secret stays.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from rotator import annotations, dockerconfig, selection
from rotator.annotations import Note
from rotator.config import Config, PullSecret
from rotator.model import Change, Credential, DesiredSecret, SecretRecord


def desired_secret(
    change: Change,
    pull_secret: PullSecret,
    record: SecretRecord | None,
    supply: Mapping[str, Credential],
    config: Config,
    now: datetime,
) -> DesiredSecret | None:
    """The Secret after this change. `supply`: by host, the credentials that may be published.

    None where nothing alive is at hand for it: then the Secret stays as it is, byte for byte. Raises DockerConfigError
    for a text that the plan would have called malformed.
    """
    registry_of = selection.hosts(pull_secret, config)
    needed = {host: supply[host] for host, name in registry_of.items() if name in change.needs and host in supply}
    found = _Found.of(record, tuple(registry_of))
    alive = {host: credential for host, credential in needed.items() if credential.expires_at > now}
    new = {host: _note(registry_of[host], credential) for host, credential in alive.items()}
    entries = {host: credential for host, credential in alive.items() if not found.has(host, new[host])}
    if not entries:
        return None
    return DesiredSecret(
        namespace=change.subject.namespace,
        name=change.subject.name,
        text=dockerconfig.merge(record.text if record else None, entries, drop=found.left_over(registry_of)),
        labels=annotations.labels(pull_secret.name, record),
        annotations=annotations.write(found.kept(registry_of) | {host: new[host] for host in entries}),
        uid=record.uid if record else None,
        resource_version=record.resource_version if record else None,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """What a Secret holds before the write: our notes, and the digest of what stands under each key."""

    notes: Mapping[str, Note]
    digests: Mapping[str, str]

    @classmethod
    def of(cls, record: SecretRecord | None, ours: tuple[str, ...]) -> Self:
        digests = dockerconfig.digests(record.text, ours) if record and record.text else {}
        return cls(annotations.read(record.annotations) if record else {}, digests)

    def has(self, host: str, new: Note) -> bool:
        """Whether these very bytes are published: a metadata server gives the same token until it is nearly spent."""
        old = self.notes.get(host)
        return old is not None and self.digests.get(host) == new.digest and replace(old, issued_at=new.issued_at) == new

    def kept(self, wanted: Collection[str]) -> dict[str, Note]:
        """The notes of configured hosts, which stay."""
        return {host: note for host, note in self.notes.items() if host in wanted and host in self.digests}

    def left_over(self, wanted: Collection[str]) -> set[str]:
        """The hosts that left the configuration while their entry is still as we wrote it."""
        gone = self.notes.keys() - set(wanted)
        return {host for host in gone if self.digests.get(host) == self.notes[host].digest}


def _note(registry: str, credential: Credential) -> Note:
    return Note(registry, credential.issued_at, credential.expires_at, dockerconfig.digest_of(credential))
