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
    parser.add_argument("--where-possible", action="store_true", help="where it cannot be built, say so and go on")
    options = parser.parse_args()
    try:
        built = _build(binaries.missing())
    except OSError as error:
        click.echo(f"{binaries.cache_folder()} cannot be written ({error.strerror}): set XDG_CACHE_HOME", err=True)
        built = False
    except KeyboardInterrupt:
        click.echo("stopped; what is built stays, and the next run builds the rest", err=True)
        return 130
    if built and not options.where_possible:
        click.echo(f"Kubernetes {binaries.kubernetes_version()} is built: {binaries.cache_folder()}")
    return 0 if built or options.where_possible else 1


def _build(programs: list[str]) -> bool:
    """Whether they are all there now."""
    if not programs:
        return True
    go = binaries.find_go()
    if go is None:
        click.echo(f"no {', '.join(programs)}, and no Go to build them: {binaries.HOW_TO_GET_THEM}", err=True)
        return False
    click.echo(
        f"Building Kubernetes {binaries.kubernetes_version()} from source for the tests: {', '.join(programs)}.\n"
        f"Once, about ten minutes for all of it on two cores, into {binaries.cache_folder()}"
    )
    for program in programs:
        begun = time.monotonic()
        try:
            binaries.build(program, go=go)
        except subprocess.CalledProcessError:
            click.echo(f"{program} could not be built; Go says why above", err=True)
            return False
        click.echo(f"  {program}: {time.monotonic() - begun:.0f} s")
    return True


if __name__ == "__main__":
    sys.exit(main())
