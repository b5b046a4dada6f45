"""`status`: who leads, the registries, the pull secrets."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from rich.console import Group, RenderableType
from rich.text import Text

from rotator.model import FINE, PROBLEMS, State
from rotator.screens.parts import span, table_of
from rotator.status import RegistryRow, Status


def status_screen(status: Status, now: datetime) -> RenderableType:
    """Who leads, the registries, the pull secrets: in each the worst first."""
    registries = table_of("registry", "kind", "renewed", "due", "expires", "")
    for row in status.registries:
        registries.add_row(row.name, row.kind, *_times(row, now), _published(row, now))
    pull_secrets = table_of("pull secret", "Secrets", "ServiceAccounts")
    for each in status.pull_secrets:
        cells = (_states(each.secrets), _states({**each.service_accounts, **each.namespaces}))
        pull_secrets.add_row(each.name or "(not read)", *cells)
    return Group(_leader(status, now), _last_sweep(status, now), registries, pull_secrets)


def _leader(status: Status, now: datetime) -> Text:
    if status.lease is None:
        return Text(f"leader: {status.lease_problem}", style="yellow")
    if not status.lease.holder:
        return Text("leader: none, the last one gave its Lease back", style="red")
    heard = _read(status.lease.renewed)
    return Text(f"leader: {status.lease.holder}{f', last heard of {_ago(heard, now)}' if heard else ''}")


def _last_sweep(status: Status, now: datetime) -> Text:
    """Only a leader notes it: of the passes of `rotator once` the cluster shows what they renewed."""
    if status.last_sweep or status.lease:
        return Text(f"last sweep: {_ago(status.last_sweep, now)}")
    return Text(f"last sweep: not noted without a Lease; last renewal: {_ago(status.last_renewal, now)}")


def _read(text: str) -> datetime | None:
    """A time of the Lease, which anybody may have edited."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None


def _ago(moment: datetime | None, now: datetime) -> str:
    return f"{span(max(now - moment, timedelta(0)))} ago" if moment else "not known"


def _times(row: RegistryRow, now: datetime) -> list[str]:
    """How long ago it was renewed, in how long it is due and ends; negative: since when it should have."""
    renewed = _ago(row.renewed_at, now) if row.renewed_at else "-"
    return [renewed, *(span(moment - now) if moment else "-" for moment in (row.due_at, row.expires_at))]


def _published(row: RegistryRow, now: datetime) -> Text:
    if row.expires_at is None:
        return Text("not published", style="red")
    if row.expires_at <= now:
        return Text("expired", style="red")
    return Text("published", style="green") if row.everywhere else Text("not everywhere", style="yellow")


def _states(counts: Mapping[State, int]) -> Text:
    """Each on a line of its own."""
    if not counts:
        return Text("-")
    return Text("\n").join(
        Text(f"{count} {state}", style="green" if state in FINE else "red" if state in PROBLEMS else "yellow")
        for state, count in counts.items()
    )
