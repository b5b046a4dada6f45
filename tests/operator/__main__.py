"""Part of `make controlplane`: fetch the operator's definitions if they are not there, and say how that goes."""

import subprocess
import sys

import click

from tests.controlplane.binaries import find_go
from tests.operator import definitions


def main(*, where_possible: bool) -> int:
    """The exit code: 0 when they are there, or need not be."""
    go = find_go()
    if definitions.find():
        return 0
    if go is None:
        click.echo(f"no Prometheus operator, and no Go to fetch it: {definitions.HOW_TO_GET_THEM}", err=True)
        return 0 if where_possible else 1
    click.echo(f"Fetching the definitions of the Prometheus operator {definitions.OPERATOR.version} for the tests")
    try:
        definitions.fetch(go)
    except (subprocess.CalledProcessError, OSError):
        click.echo("the Prometheus operator could not be fetched; Go says why above", err=True)
        return 0 if where_possible else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(where_possible="--where-possible" in sys.argv))
