"""What the screens are made of: a table, a span of time, names of namespaces, a line beneath another."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from rotator.logs import printable

SHOWN = 20
"""Lines of detail before the rest is only counted: a rotation of 10,000 namespaces is still one screen."""


class Screen(Console):
    """A terminal, or what stands for one; no text from a cluster or a registry can drive it."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is written for it; rich itself lets escape sequences through."""
        if isinstance(renderable, Text) and (plain := printable(renderable.plain)) != renderable.plain:
            renderable = Text(plain, style=renderable.style)
        if isinstance(renderable, str):
            renderable = printable(renderable)
        return super().render(renderable, options)


def table_of(*columns: str) -> Table:
    """An empty table; what is too wide for its column goes on below."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


@contextmanager
def reading_shown(console: Console) -> Iterator[Callable[[str, int], None]]:
    """A line on a terminal that is told what is being read, and how much of it; gone when it is done."""
    if not console.is_terminal:
        yield lambda _what, _count: None
        return
    columns = (SpinnerColumn(), TextColumn("reading {task.description}"), TextColumn("{task.completed}"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda what, count: progress.update(task, description=what, completed=count)


def span(duration: timedelta) -> str:
    """A duration as a person says it: 47s, 12m, 11h 58m."""
    seconds = int(duration.total_seconds())
    if seconds < 0:
        return f"-{span(-duration)}"
    if seconds < 60:  # noqa: PLR2004  (seconds in a minute)
        return f"{seconds}s"
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours}h {minutes:02}m" if hours else f"{minutes}m"


def places(names: Sequence[str]) -> str:
    """One namespace by name, several by number and a few names."""
    if len(names) == 1:
        return "all namespaces" if names[0] == "*" else names[0]
    return f"{len(names)} namespaces ({', '.join(names[:2])}{', ...' if len(names) > 2 else ''})"  # noqa: PLR2004


def indented(text: str) -> Padding:
    """A line that belongs to the one above it."""
    return Padding(Text(text), (0, 0, 0, 4))
