"""A pull secret as it is to be: what one write sends. Pure; invariants 1 and 3 are kept here.

Only entries that a change needs are set, from credentials that are alive; everything else in the Secret stays.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from rotator import annotations, dockerconfig, selection
from rotator.annotations import Note
from rotator.config import Config, PullSecret
from rotator.entries import Entries
from rotator.model import Change, Credential, DesiredSecret, Offer, SecretRecord

SAME_EXPIRY = timedelta(seconds=10)
"""A metadata server says how long the same token still lives, in whole seconds: its expiry moves by one or two."""

Offers = Mapping[str, tuple[Offer, ...]]
"""By host, the credentials that may be published, the best first."""


def desired_secret(
    change: Change, pull_secret: PullSecret, record: SecretRecord | None, offers: Offers, config: Config, now: datetime
) -> DesiredSecret | None:
    """The Secret after this change; None where nothing better is at hand: then it stays as it is, byte for byte.

    Raises DockerConfigError for a text that the plan would have called malformed.
    """
    entries = Entries.of(record, selection.hosts(pull_secret, config))
    chosen = {host: _best(offers.get(host, ()), entries.intact(host, now), now) for host in change.needs}
    better = {host: credential for host, credential in chosen.items() if credential is not None}
    notes = {host: _note(change.needs[host], credential) for host, credential in better.items()}
    new = {host: credential for host, credential in better.items() if not entries.stand_as(host, notes[host])}
    if not new:
        return None
    return DesiredSecret(
        namespace=change.subject.namespace,
        name=change.subject.name,
        text=dockerconfig.merge(record.text if record else None, new, drop=entries.spent()),
        labels=annotations.labels(pull_secret.name, record),
        annotations=annotations.write(entries.kept_notes() | notes),
        uid=record.uid if record else None,
        resource_version=record.resource_version if record else None,
    )


def changed_entries(desired: DesiredSecret, record: SecretRecord | None, hosts: Mapping[str, str]) -> tuple[str, ...]:
    """Those of the hosts whose entry would be another, or our note of it; each comes with its registry."""
    after = annotations.read(desired.annotations)
    before = Entries.of(record, hosts)
    return tuple(host for host in hosts if host in after and not before.stand_as(host, after[host]))


def _best(offers: Iterable[Offer], published: Note | None, now: datetime) -> Credential | None:
    """The first living credential that may replace what is published, and is something else."""
    for offer in offers:
        if offer.credential.expires_at > now and (published is None or _improves(offer, published, now)):
            return offer.credential
    return None


def _improves(offer: Offer, published: Note, now: datetime) -> bool:
    """A metadata server gives the same token until it is nearly spent: that is no reason to write it again.

    What has expired is worse than anything that lives, also when the offer was made for an earlier end.
    """
    moved = abs(offer.credential.expires_at - published.expires_at)
    same = dockerconfig.digest_of(offer.credential) == published.digest and moved <= SAME_EXPIRY
    return not same and published.expires_at <= max(offer.replaces, now)


def _note(registry: str, credential: Credential) -> Note:
    return Note(registry, credential.issued_at, credential.expires_at, dockerconfig.digest_of(credential))
