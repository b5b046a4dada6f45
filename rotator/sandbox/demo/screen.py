"""What a person watches: tokens running out and being renewed, Pods pulling, and what happens on the way."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from rich import box
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from rotator.sandbox.demo.stage import LIFE, REGISTRIES
from rotator.sandbox.demo.workers import Tally, Verdict

MARKS = {Verdict.PULLED: ("●", "green"), Verdict.EXCUSED: ("○", "yellow"), Verdict.FAILED: ("✗", "bold red")}
LEGEND = Text("● pulled   ○ could not yet: namespace new, or changed by hand   ✗ failed", style="dim")
STORY = 7
BAR = 16


@dataclass
class View:
    """What the screen shows now. Expiries and mints are by registry, `left` in seconds."""

    seconds: float
    elapsed: float = 0.0
    program: str = ""
    left: Mapping[str, float] = field(default_factory=dict)
    mints: Mapping[str, int] = field(default_factory=dict)
    writes: int = 0
    story: deque[Text] = field(default_factory=lambda: deque(maxlen=STORY))


def live(view: View, tally: Tally) -> RenderableType:
    """The whole screen, in 80 columns and 24 lines."""
    head = Text.assemble(
        ("rotator demo", "bold"), f"  {view.elapsed:4.0f}s of {view.seconds:.0f}s   ", (view.program, "cyan")
    )
    return Group(head, _registries(view, tally), _namespaces(tally), LEGEND, *view.story)


def plain(view: View, tally: Tally) -> str:
    """The same in one line, for logs."""
    lives = " ".join(f"{name}={view.left.get(name, 0):.0f}s" for name in REGISTRIES)
    pulls = " ".join(f"{verdict}={tally.counts[verdict]}" for verdict in Verdict)
    return f"token life left: {lives} | pulls: {pulls} | Secret writes: {view.writes}"


def summary(tally: Tally, lines: list[str]) -> RenderableType:
    """The end of the show."""
    parts: list[RenderableType] = [Text(line) for line in lines]
    failures = Counter((pull.image.host, pull.message) for pull in tally.failures)
    parts += [Text(f"✗ {count} pulls from {host}: {why}", style="red") for (host, why), count in failures.items()]
    return Group(*parts)


def verdict(*, good: bool) -> Text:
    """The last line."""
    if good:
        return Text("✓ every Pod that should pull could pull", style="bold green")
    return Text("✗ Pods failed to pull that should not have", style="bold red")


def _registries(view: View, tally: Tally) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("registry", "kind", "published token", "left", "mints", "pulls", "failed"):
        table.add_column(column, justify="left" if column in {"registry", "kind", "published token"} else "right")
    for name, kind in REGISTRIES.items():
        left = view.left.get(name, 0.0)
        pulls = _pulls_of(kind, tally)
        failed = pulls[Verdict.FAILED]
        table.add_row(
            name,
            kind,
            _bar(left),
            f"{left:.0f}s" if left > 0 else Text("expired", style="red"),
            str(view.mints.get(name, 0)),
            str(pulls[Verdict.PULLED]),
            Text(str(failed), style="bold red" if failed else "green"),
        )
    return table


def _pulls_of(kind: str, tally: Tally) -> Counter[Verdict]:
    marks = {"ecr": ".dkr.ecr.", "gar": "-docker.pkg.dev", "acr": ".azurecr.io"}
    return sum((count for host, count in tally.by_host.items() if marks[kind] in host), Counter())


def _bar(left: float) -> Text:
    share = max(0.0, min(1.0, left / LIFE.total_seconds()))
    full = round(share * BAR)
    style = "green" if share > 0.5 else "yellow" if share > 0.2 else "red"  # noqa: PLR2004  (half: renewal is due)
    return Text.assemble(("█" * full, style), ("░" * (BAR - full), "dim"))


def _namespaces(tally: Tally) -> RenderableType:
    lines = []
    for name in sorted(tally.recent):
        line = Text(f"{name:<12} ")
        for verdict in list(tally.recent[name]):
            mark, style = MARKS[verdict]
            line.append(mark, style=style)
        lines.append(line)
    return Columns(lines, width=38, column_first=True)


def span(seconds: float) -> str:
    """Seconds as the story's clock."""
    return str(timedelta(seconds=int(seconds)))[2:]


def width(console: Console) -> int:
    """The screen is made for 80 columns; wider terminals get no more."""
    return min(console.width, 80)
