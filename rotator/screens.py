"""What a person sees on a terminal: a table per registry and pull secret, a progress bar, one line per trouble."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from rotator.annotations import Note, stamp
from rotator.config import Config
from rotator.explain import Explanation, Step
from rotator.model import FINE, NOTICES, PROBLEMS, Kind, State
from rotator.probe import Verdict
from rotator.rotation import Outcome, RegistryStatus, Report, Result
from rotator.status import RegistryRow, Status

SHOWN = 20
"""Lines of detail before the rest is only counted: a rotation of 10,000 namespaces is still one screen."""

VERDICTS = {
    Verdict.ACCEPTED: ("✓", "green"),
    Verdict.OPEN: ("✓", "green"),
    Verdict.REFUSED: ("✗", "red"),
    Verdict.UNKNOWN: ("?", "yellow"),
}

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
    """The progress of the fan-out; gone when it is done."""
    return Progress(
        TextColumn("writing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console, transient=True
    )


def report_screen(report: Report, config: Config, now: datetime) -> RenderableType:
    """The whole report: registries, pull secrets, then what is worth a line each."""
    parts: list[RenderableType] = [_registries(report, now), _pull_secrets(report, config)]
    lines = _lines(report.notable())
    parts += lines[:SHOWN]
    if len(lines) > SHOWN:
        parts.append(Text(f"... and {len(lines) - SHOWN} more lines; --output json has them all", style="dim"))
    parts += [Text(f"✗ {status.error}", style="red") for status in report.registries if status.error]
    return Group(*parts)


def explanation_screen(explanation: Explanation, now: datetime) -> RenderableType:
    """Each step with what comes of it, in the kubelet's order, and the verdict in one line."""
    head = Text(f"{explanation.image}\nfor {explanation.puller} in {explanation.namespace}\n")
    mark, style = ("✓", "green") if explanation.prospect.is_good else ("✗", "red")
    verdict = Text(f"{mark} {explanation.prospect}: {explanation.message}", style=style)
    steps = [part for step in explanation.steps for part in _step(step, now)]
    return Group(head, *steps, *([Text()] if steps else []), verdict)


def _step(step: Step, now: datetime) -> list[RenderableType]:
    if step.finding is None:
        return [Text(f"· {step.secret}", style="yellow"), _indented(step.problem)]
    mark, style = VERDICTS[step.finding.verdict]
    said = [f"key {step.key}", _whose(step.note, now), step.finding.message]
    return [Text(f"{mark} {step.secret}", style=style), *map(_indented, said)]


def _whose(note: Note | None, now: datetime) -> str:
    if note is None:
        return "not written by rotator, or changed since"
    ends = "expires in" if note.expires_at > now else "expired"
    ago = "" if note.expires_at > now else " ago"
    age, left = span(now - note.issued_at), span(abs(note.expires_at - now))
    return f"rotator's, for registry {note.registry}: issued {age} ago, {ends} {left}{ago}"


def _indented(text: str) -> Padding:
    return Padding(Text(text), (0, 0, 0, 4))


def status_screen(status: Status, now: datetime) -> RenderableType:
    """Who leads, the registries, the pull secrets: in each the worst first."""
    registries = _table("registry", "kind", "issued", "due", "expires", "")
    for row in status.registries:
        registries.add_row(row.name, row.kind, *_times(row, now), _published(row, now))
    pull_secrets = _table("pull secret", "Secrets", "ServiceAccounts")
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


def span(duration: timedelta) -> str:
    """A duration as a person says it: 47s, 12m, 11h 58m."""
    seconds = int(duration.total_seconds())
    if seconds < 0:
        return f"-{span(-duration)}"
    if seconds < 60:  # noqa: PLR2004  (seconds in a minute)
        return f"{seconds}s"
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours}h {minutes:02}m" if hours else f"{minutes}m"


def _registries(report: Report, now: datetime) -> Table:
    table = _table("registry", "kind", "hosts", "expires", "in", "state")
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
    table = _table("pull secret", "Secrets", "ServiceAccounts", "outcome")
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
    what = (
        str(change.subject) if len(group) == 1 else f"{change.subject.kind} {change.subject.name} in {_places(group)}"
    )
    return Text(f"{mark} {what}: {change.state}{outcome}, {detail}", style=style)


def _places(group: list[Result]) -> str:
    names = [result.change.subject.namespace for result in group]
    return f"{len(names)} namespaces ({', '.join(names[:2])}{', ...' if len(names) > 2 else ''})"  # noqa: PLR2004


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
