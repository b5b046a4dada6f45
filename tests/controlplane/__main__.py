"""`make controlplane`: build what is missing of the control plane, and say how that goes."""

import argparse
import subprocess
import sys
import time

import click

from tests.controlplane import binaries


def main() -> int:
    """The exit code: 0 when all is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--where-possible", action="store_true", help="without Go, say so and leave it at that")
    options = parser.parse_args()
    missing = binaries.missing()
    if not missing:
        return 0
    go = binaries.find_go()
    if go is None:
        what = f"the control plane's {', '.join(missing)} cannot be built without Go: {binaries.HOW_TO_GET_THEM}"
        click.echo(what, err=True)
        return 0 if options.where_possible else 1
    click.echo(
        f"Building Kubernetes {binaries.kubernetes_version()} from source for the tests: {', '.join(missing)}.\n"
        f"Once, about ten minutes on two cores, into {binaries.cache_folder()}"
    )
    return _build(missing, go)


def _build(programs: list[str], go: str) -> int:
    for program in programs:
        begun = time.monotonic()
        try:
            binaries.build(program, go=go)
        except subprocess.CalledProcessError:
            click.echo(f"{program} could not be built; Go says why above", err=True)
            return 1
        click.echo(f"  {program}: {time.monotonic() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
