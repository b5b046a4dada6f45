"""`make sbom` and `make audit`: the bill of materials, and known vulnerabilities of what is locked.

An audit asks the advisories of the package index. Where the index has none to ask, as some mirrors, it says so: then
nothing was audited, and only the lock file's own tests (`test_locks.py`) hold.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click

from tests.supply.auditing import audit_command, report_command, verdict, yanked
from tests.supply.bill import DEV, RUNTIME, write


@click.group()
def main() -> None:
    """What rotator is made of."""


@main.command()
@click.argument("path", type=click.Path(path_type=Path))
def sbom(path: Path) -> None:
    """Write the bill of materials."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path)
    click.echo(f"{path}: CycloneDX, from locks/{RUNTIME.name}")


@main.command()
def audit() -> None:
    """Exit code 1 if anything is known against what is shipped, builds it or tests it, or if an audit failed."""
    codes = [_told(audit_command(DEV), verdict), _told(report_command(DEV), yanked)]
    sys.exit(max(codes))


def _told(words: list[str], judge: Callable[[str, str], tuple[str, int]]) -> int:
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603  (programs of our environment)
    line, code = judge(done.stdout, done.stderr)
    click.echo(line, err=code > 0)
    return code


if __name__ == "__main__":
    main()
