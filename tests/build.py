"""Short ways to the model's objects, so that a test shows only what it is about."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from rotator import annotations, dockerconfig
from rotator.annotations import Note
from rotator.config import Config, parse
from rotator.model import (
    Credential,
    NamespaceRecord,
    Offer,
    SecretRecord,
    SecretText,
    ServiceAccountRecord,
    Snapshot,
)

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
GAR = "europe-west1-docker.pkg.dev"
SECRET = "worker-pull"
ALWAYS = datetime.max.replace(tzinfo=UTC)

CONFIG = f"""
registries:
  - name: prod
    ecr: {{hosts: [{ECR}]}}
  - name: images
    gar: {{hosts: [{GAR}]}}
pullSecrets:
  - name: {SECRET}
    registries: [prod, images]
    namespaces: {{names: [team-a, "shuffle*"], exclude: [shuffle-legacy]}}
    serviceAccounts: {{names: [workers]}}
"""


def config(text: str = CONFIG, **replace: str) -> Config:
    """The configuration, with pieces of its text replaced."""
    for old, new in replace.items():
        text = text.replace(old, new)
    return parse(text, "test.yaml")


def credential(
    password: str = "hunter2", *, issued: datetime = NOW, life: timedelta = timedelta(hours=12), username: str = "AWS"
) -> Credential:
    """A credential that was issued at `issued` with this much life left."""
    return Credential(username, SecretText(password), issued, issued + life)


def proven(supply: Mapping[str, Credential]) -> dict[str, tuple[Offer, ...]]:
    """Offers of credentials that their registries accepted."""
    return {host: (Offer(held, ALWAYS),) for host, held in supply.items()}


def secret(
    entries: Mapping[str, tuple[str, Credential]],
    *,
    namespace: str = "team-a",
    name: str = SECRET,
    text: SecretText | None = None,
    ours: bool = True,
    **fields: object,
) -> SecretRecord:
    """A Secret as rotator writes it: entries by host, each with the name of its registry. `text` overrides its data."""
    credentials = {host: held for host, (_, held) in entries.items()}
    notes = {
        host: Note(registry, held.issued_at, held.expires_at, dockerconfig.digest_of(held))
        for host, (registry, held) in entries.items()
    }
    return SecretRecord(
        namespace=namespace,
        name=name,
        uid=f"uid-{namespace}",
        resource_version="7",
        text=text if text is not None else dockerconfig.merge(None, credentials),
        labels=annotations.labels(name, None) if ours else {},
        annotations=annotations.write(notes) if ours and notes else {},
        **fields,  # type: ignore[arg-type]
    )


def account(
    name: str = "workers", *, namespace: str = "team-a", pull_secrets: tuple[str, ...] | None = None
) -> ServiceAccountRecord:
    """A ServiceAccount with this list of references (None: no list at all)."""
    return ServiceAccountRecord(namespace, name, f"uid-{name}", "3", pull_secrets=pull_secrets)


def snapshot(
    *records: SecretRecord | ServiceAccountRecord | NamespaceRecord, namespaces: tuple[str, ...] = ("team-a",)
) -> Snapshot:
    """A snapshot of these records; the namespaces exist besides those given as records."""
    found = {name: NamespaceRecord(name) for name in namespaces}
    found |= {record.name: record for record in records if isinstance(record, NamespaceRecord)}
    return Snapshot(
        found,
        {(record.namespace, record.name): record for record in records if isinstance(record, SecretRecord)},
        {(record.namespace, record.name): record for record in records if isinstance(record, ServiceAccountRecord)},
    )
