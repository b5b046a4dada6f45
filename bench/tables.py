"""How a benchmark shows what it measured: as a table that docs/benchmarks.md can hold."""

# ruff: noqa: T201  (benchmarks are modules of no package, and print)

import os
from collections.abc import Sequence


def show(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table, and the machine's load, without which no figure can be judged."""
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"\n{title} ({os.cpu_count()} cores; load over 1, 5 and 15 minutes: {load})\n")
    for cells in (head, ["---"] * len(head), *rows):
        print(f"| {' | '.join(_text(cell) for cell in cells)} |")


def _text(cell: object) -> str:
    return f"{cell:.3g}" if isinstance(cell, float) else str(cell)
