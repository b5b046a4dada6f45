"""`status`: who leads, the registries, the pull secrets."""

from collections.abc import Mapping
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text

from rotator.model import FINE, PROBLEMS, State
from rotator.screens.parts import span, table_of
from rotator.status import RegistryRow, Status


def status_screen(status: Status, now: datetime) -> RenderableType:
    """Who leads, the registries, the pull secrets: in each the worst first."""
    registries = table_of("registry", "kind", "issued", "due", "expires", "")
    for row in status.registries:
        registries.add_row(row.name, row.kind, *_times(row, now), _published(row, now))
    pull_secrets = table_of("pull secret", "Secrets", "ServiceAccounts")
    for each in status.pull_secrets:
        cells = (_states(each.secrets), _states({**each.service_accounts, **each.namespaces}))
        pull_secrets.add_row(each.name or "(not read)", *cells)
    return Group(_leader(status), registries, pull_secrets)


def _leader(status: Status) -> Text:
    if status.lease is None:
        return Text(f"leader: {status.lease_problem}", style="yellow")
    if not status.lease.holder:
        return Text("leader: none", style="red")
    return Text(f"leader: {status.lease.holder}, last heard of at {status.lease.renewed[:19]}Z")


def _times(row: RegistryRow, now: datetime) -> list[str]:
    """How long ago it was issued, in how long it is due and ends; negative: since when it should have."""
    issued = f"{span(now - row.issued_at)} ago" if row.issued_at else "-"
    return [issued, *(span(moment - now) if moment else "-" for moment in (row.due_at, row.expires_at))]


def _published(row: RegistryRow, now: datetime) -> Text:
    if row.expires_at is None:
        return Text("not published", style="red")
    if row.expires_at <= now:
        return Text("expired", style="red")
    return Text("published", style="green") if row.everywhere else Text("not everywhere", style="yellow")


def _states(counts: Mapping[State, int]) -> Text:
    if not counts:
        return Text("-")
    return Text(", ").join(
        Text(f"{count} {state}", style="green" if state in FINE else "red" if state in PROBLEMS else "yellow")
        for state, count in counts.items()
    )
