"""Part of `make controlplane`: build Helm if it is not there, and say how that goes."""

import subprocess
import sys

import click

from tests.controlplane.binaries import find_go
from tests.helm import binary


def main(*, where_possible: bool) -> int:
    """The exit code: 0 when it is there, or need not be."""
    go = find_go()
    if binary.find():
        return 0
    if go is None:
        click.echo(f"no helm, and no Go to build it: {binary.HOW_TO_GET_IT}", err=True)
        return 0 if where_possible else 1
    click.echo(f"Building Helm {binary.HELM.version} from source for the tests, into {binary.HELM.path.parent}")
    try:
        binary.build(go)
    except (subprocess.CalledProcessError, OSError):
        click.echo("helm could not be built; Go says why above", err=True)
        return 0 if where_possible else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(where_possible="--where-possible" in sys.argv))
