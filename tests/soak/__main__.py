"""`make soak`: minutes of faults, and a table of figures. Exit code 1, with the seed, where something was wrong."""

import os
import secrets
import shutil
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.soak.soaking import LONG, Demands, Figures, Soak

LIFE = timedelta(seconds=40)
SECONDS = 300.0
LINES = 4
SHOWN = 20


def main() -> int:
    """Run one; the exit code."""
    seed = int(os.environ.get("SOAK_SEED") or secrets.randbelow(1_000_000))
    seconds = float(os.environ.get("SOAK_SECONDS") or SECONDS)
    console = Console()
    console.print(f"soaking for {seconds:.0f} s with SOAK_SEED={seed}")
    directory = Path(tempfile.mkdtemp(prefix="rotator-soak-"))
    figures = Soak(directory, seed, seconds, LIFE, LINES, LONG if seconds >= SECONDS else Demands()).run()
    console.print(_table(figures))
    for problem in figures.wrong[:SHOWN]:
        console.print(f"✗ {problem}", style="red", markup=False)
    if figures.wrong:
        console.print(f"{len(figures.wrong)} things were wrong")
        console.print(f"to do it again: make soak SOAK_SEED={seed} SOAK_SECONDS={seconds:.0f}; its logs: {directory}")
    else:
        shutil.rmtree(directory)
    return 1 if figures.wrong else 0


def _table(figures: Figures) -> Table:
    table = Table("what", "seen")
    for row in figures.rows():
        table.add_row(*row)
    for name, times in sorted(figures.harms.items()):
        table.add_row(f"  {name}", str(times))
    return table


if __name__ == "__main__":
    sys.exit(main())
