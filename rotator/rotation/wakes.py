"""When the daemon wakes up for each registry. Pure: chance comes in as an argument."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from rotator import annotations, renewal, selection
from rotator.config import Config
from rotator.model import Credential, Kind, Snapshot, State
from rotator.rotation.report import Result


def published_until(config: Config, snapshot: Snapshot, registry: str) -> dict[str, datetime | None]:
    """By host of the registry: when the first of the published credentials expires; None where a Secret has none."""
    found: dict[str, datetime | None] = {}
    for pull_secret in config.pull_secrets:
        if registry not in pull_secret.registries:
            continue
        for namespace in snapshot.namespaces.values():
            if not namespace.terminating and selection.covers(pull_secret.namespaces, namespace):
                record = snapshot.secrets.get((namespace.name, pull_secret.name))
                notes = annotations.read(record.annotations) if record else {}
                for host in config.registry(registry).hosts:
                    until = notes[host].expires_at if host in notes else None
                    found[host] = _earlier(found.get(host, until), until)
    return found


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


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return None if one is None or other is None else min(one, other)
