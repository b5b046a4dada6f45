"""What rotator notes on its own Secrets, so that a restart needs no other memory and kubectl shows expiry and renewal.

The notes hold times and digests, never a credential. They stand in a tenant's namespace, so they are hints and no
proof: `believable` bounds what a planted note can do to a delay of one day in the tenant's own namespace.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from rotator.model import SecretRecord

PULL_SECRET_LABEL = "rotator.dev/pull-secret"  # noqa: S105  (the name of a label, no secret)
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGER = "rotator"

ENTRIES = "rotator.dev/entries"
EXPIRES_AT = "rotator.dev/expires-at"
RENEWED_AT = "rotator.dev/renewed-at"

LAST_SWEEP = "rotator.dev/last-sweep"
"""On the Lease: when the leader's last pass over everything ended."""

LONGEST_LIFE = timedelta(hours=24)
"""No supported cloud gives a token a longer life than 12 h; a note that claims more than this is not believed."""

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far another replica's clock may run ahead of ours before its notes are not believed."""


@dataclass(frozen=True, slots=True)
class Note:
    """What we noted about one entry when we wrote it. `digest` is that of the entry (see `dockerconfig.digest_of`)."""

    registry: str
    issued_at: datetime
    expires_at: datetime
    digest: str

    def believable(self, now: datetime) -> bool:
        """Whether the times could be a real credential's."""
        life = self.expires_at - self.issued_at
        return timedelta(0) < life <= LONGEST_LIFE and self.issued_at <= now + CLOCK_TOLERANCE


def is_ours(record: SecretRecord) -> bool:
    """Whether rotator made or adopted this Secret."""
    return PULL_SECRET_LABEL in record.labels or ENTRIES in record.annotations


def labels(pull_secret: str, record: SecretRecord | None) -> dict[str, str]:
    """The labels of a pull secret. An adopted Secret keeps its own `managed-by`, which another tool may rely on."""
    ours = {PULL_SECRET_LABEL: pull_secret}
    manager = MANAGER if record is None else record.labels.get(MANAGED_BY_LABEL, MANAGER)
    return ours | {MANAGED_BY_LABEL: MANAGER} if manager == MANAGER else ours


def write(notes: Mapping[str, Note]) -> dict[str, str]:
    """The annotations for these notes by host: one that we read again, and two for a person's eyes."""
    return dict(_written(tuple(notes.items())))


@lru_cache(maxsize=16)
def _written(notes: tuple[tuple[str, Note], ...]) -> Mapping[str, str]:
    """Worked out once for the thousands of namespaces that get the same."""
    entries = {
        host: {
            "registry": note.registry,
            "issuedAt": stamp(note.issued_at),
            "expiresAt": stamp(note.expires_at),
            "digest": note.digest,
        }
        for host, note in notes
    }
    return {
        ENTRIES: json.dumps(entries, separators=(",", ":")),
        EXPIRES_AT: stamp(min(note.expires_at for _, note in notes)),
        RENEWED_AT: stamp(max(note.issued_at for _, note in notes)),
    }


def read(annotations: Mapping[str, str]) -> dict[str, Note]:
    """The notes by host. What somebody made unreadable counts as not noted: its entry is then written anew."""
    return dict(notes(annotations.get(ENTRIES, "{}")))


def noted(record: SecretRecord | None) -> str:
    """The text of the notes: after a rotation all namespaces carry the same, so whoever looks at many groups by it."""
    return record.annotations.get(ENTRIES, "{}") if record else "{}"


@lru_cache(maxsize=1024)
def notes(text: str) -> Mapping[str, Note]:
    """What `noted` says, as `read` reads it."""
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(entries, dict):
        return {}
    found = {host: _note(entry) for host, entry in entries.items()}
    return {host: note for host, note in found.items() if note is not None}


def stamp(moment: datetime) -> str:
    """RFC 3339 in UTC and whole seconds, as Kubernetes writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _note(entry: object) -> Note | None:
    match entry:
        case {"registry": str(registry), "issuedAt": str(issued), "expiresAt": str(expires), "digest": str(digest)}:
            issued_at, expires_at = moment(issued), moment(expires)
            return Note(registry, issued_at, expires_at, digest) if issued_at and expires_at else None
        case _:
            return None


def moment(text: str) -> datetime | None:
    """What `stamp` wrote; None for anything else."""
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
