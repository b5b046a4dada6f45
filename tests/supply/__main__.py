"""`make sbom` and `make audit`: the bill of materials, and known vulnerabilities of what is locked.

An audit asks the advisories of the package index. Where the index has none to ask, as some mirrors, it says so: then
nothing was audited, and only the lock file's own tests (`test_locks.py`) hold.
"""

import json
import subprocess
import sys
from pathlib import Path

import click

from tests.supply.bill import RUNTIME, write


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
    """Exit code 1 if anything is known against a locked package."""
    program = Path(sys.executable).with_name("pip-audit")
    words = ("-r", str(RUNTIME), "--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off")
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False)  # noqa: S603  (ours)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        click.echo(f"nothing was audited: {(done.stderr.strip().splitlines() or ['no answer'])[-1]}", err=True)
        return
    unknown = [each for each in packages if "skip_reason" in each]
    known = [(each["name"], each["version"], bug["id"]) for each in packages for bug in each.get("vulns", ())]
    for name, version, bug in known:
        click.echo(f"{name} {version}: {bug}", err=True)
    click.echo(f"{len(packages) - len(unknown)} of {len(packages)} packages were audited, {len(known)} advisories")
    if unknown:
        click.echo(f"not audited, for the index here knows no advisories of them: {len(unknown)}")
    sys.exit(1 if known else 0)


if __name__ == "__main__":
    main()
