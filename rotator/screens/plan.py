"""`check`: what would change, why and where, what cannot be done, and the sum of it in the last line."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rotator.diff import Diff, Entry, Sign, Step
from rotator.model import Kind
from rotator.screens.parts import SHOWN, indented, places

HOSTS_SHOWN = 6
"""Entries of one Secret before the rest is only counted."""

STYLES = {Sign.ADD: "green", Sign.CHANGE: "yellow", Sign.REMOVE: "red", Sign.CANNOT: "red", Sign.NOTICE: "dim"}


def plan_screen(found: Diff) -> RenderableType:
    """The steps, then what cannot be done, then what is worth a notice: the sum is what stands before the prompt."""
    sections = (("", found.changes), ("Cannot be done:", found.impossible), ("Worth knowing:", found.notices))
    parts = [part for title, steps in sections if steps for part in _section(title, steps)]
    return Group(*parts, Text(f"{found.summary}.", style="bold"))


def _section(title: str, steps: Sequence[Step]) -> Iterator[RenderableType]:
    if title:
        yield Text(title)
    for step in steps[:SHOWN]:
        yield from _step(step)
    if len(steps) > SHOWN:
        yield Text(f"... and {len(steps) - SHOWN} more; --output json has them all")
    yield Text()


def _step(step: Step) -> Iterator[RenderableType]:
    yield _signed(step.sign, _title(step))
    if step.reason and not (step.entries and step.sign is Sign.CHANGE):  # then each entry says why
        yield indented(step.reason)
    for entry in step.entries[:HOSTS_SHOWN]:
        yield Padding(_signed(entry.sign, _told(entry)), (0, 0, 0, 4))
    if len(step.entries) > HOSTS_SHOWN:
        yield indented(f"... and {len(step.entries) - HOSTS_SHOWN} more hosts")


def _title(step: Step) -> str:
    if step.what == Kind.NAMESPACE:
        return f"{step.what} {step.namespaces[0]}" if len(step.namespaces) == 1 else places(step.namespaces)
    return f"{step.what} in {places(step.namespaces)}" if step.namespaces else step.what


def _told(entry: Entry) -> str:
    reason = f": {entry.reason}" if entry.reason else ""
    return f"{entry.host} ({entry.registry}){reason}"


def _signed(sign: Sign, text: str) -> RenderableType:
    """The sign, and beside it the text, whose further lines begin where its first does."""
    line = Table.grid(padding=(0, 1))
    line.add_column(width=1)
    line.add_column(overflow="fold")
    line.add_row(Text(sign, style=STYLES[sign]), Text(text))
    return line
