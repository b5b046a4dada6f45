"""`once`: a table per registry and pull secret, a progress bar, one line per trouble."""

from collections import Counter
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from rotator.annotations import stamp
from rotator.config import Config
from rotator.model import NOTICES, Kind, State
from rotator.rotation import Outcome, RegistryStatus, Report, Result
from rotator.screens.parts import SHOWN, places, span, table_of

STYLES = {
    Outcome.NOTHING: "green",
    Outcome.WRITTEN: "green",
    Outcome.ATTACHED: "green",
    Outcome.DETACHED: "green",
    Outcome.REMOVED: "green",
    Outcome.PLANNED: "cyan",
    Outcome.WAITING: "yellow",
    Outcome.GONE: "yellow",
    Outcome.BLOCKED: "red",
    Outcome.FAILED: "red",
}


def progress_bar(console: Console) -> Progress:
    """The progress of a pass, and of its fan-out; gone when it is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True)


def report_screen(report: Report, config: Config, now: datetime) -> RenderableType:
    """The whole report: registries, pull secrets, then what is worth a line each."""
    parts: list[RenderableType] = [_registries(report, now), _pull_secrets(report, config)]
    lines = _lines(report.notable())
    parts += lines[:SHOWN]
    if len(lines) > SHOWN:
        parts.append(Text(f"... and {len(lines) - SHOWN} more lines; --output json has them all", style="dim"))
    parts += [Text(f"✗ {status.error}", style="red") for status in report.registries if status.error]
    return Group(*parts)


def _registries(report: Report, now: datetime) -> Table:
    table = table_of("registry", "kind", "hosts", "expires", "in", "state")
    for status in report.registries:
        until = status.expires_at
        table.add_row(
            status.name,
            status.kind,
            str(len(status.hosts)),
            stamp(until) if until else "-",
            span(until - now) if until else "-",
            _state(status, now),
        )
    return table


def _state(status: RegistryStatus, now: datetime) -> Text:
    if status.error:
        return Text(status.error.reason, style="red")
    if status.minted:
        return Text("minted", style="green")
    if status.expires_at is None:
        return Text("not needed", style="dim")
    return Text("fresh", style="green") if status.expires_at > now else Text("expired", style="red")


def _pull_secrets(report: Report, config: Config) -> Table:
    table = table_of("pull secret", "Secrets", "ServiceAccounts", "outcome")
    for pull_secret in config.pull_secrets:
        results = [result for result in report.results if result.change.pull_secret == pull_secret.name]
        secrets = [result for result in results if result.change.subject.kind is Kind.SECRET]
        accounts = [result for result in results if result.change.subject.kind is Kind.SERVICE_ACCOUNT]
        table.add_row(pull_secret.name, str(len(secrets)), str(len(accounts)), _outcomes(results))
    return table


def _outcomes(results: list[Result]) -> Text:
    counts = Counter(_word(result) for result in results)
    return Text(", ").join(
        Text(f"{count} {word}", style="red" if word == "problem" else "") for word, count in counts.items()
    )


def _word(result: Result) -> str:
    if result.change.is_problem:
        return "problem"
    if result.change.state is State.ORPHAN:
        return "left over" if result.outcome is Outcome.NOTHING else str(result.outcome)
    if result.change.state in NOTICES:
        return "absent"
    return "in order" if result.outcome is Outcome.NOTHING else str(result.outcome)


def _lines(results: list[Result]) -> list[Text]:
    """A line for all that are alike but for their namespace, failures first."""
    alike: dict[tuple[str, ...], list[Result]] = {}
    for result in sorted(results, key=lambda result: not result.failed):
        change = result.change
        error = str(result.error or "").replace(change.subject.namespace, "*")
        key = (change.subject.kind, change.subject.name, change.state, change.message, error)
        alike.setdefault((*key, result.outcome), []).append(result)
    return [_line(group) for group in alike.values()]


def _line(group: list[Result]) -> Text:
    result = group[0]
    change = result.change
    mark, style = ("✗", "red") if result.failed else ("·", STYLES[result.outcome])
    outcome = "" if result.outcome is Outcome.NOTHING else f" [{result.outcome}]"
    detail = f"{change.message}: {result.error}" if result.error else change.message
    where = places([each.change.subject.namespace for each in group])
    what = str(change.subject) if len(group) == 1 else f"{change.subject.kind} {change.subject.name} in {where}"
    return Text(f"{mark} {what}: {change.state}{outcome}, {detail}", style=style)
