"""The commands. Each reads its options, builds what it needs, and leaves the work to the module of that name.

Exit codes: 0 all well; 1 something failed and the rest was done; 2 configuration or usage; 3 the cluster cannot be
used.
"""

import click

from rotator import __version__
from rotator.cli.ending import run_to_its_end
from rotator.cli.looking import doctor, explain_image, show_status
from rotator.cli.options import EXIT_CODES
from rotator.cli.passes import check, once
from rotator.cli.printing import print_manifests, print_rbac, print_schema
from rotator.cli.running import demo, run


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="rotator")
def cli() -> None:
    """Keep the image pull Secrets of a cluster fresh: ECR, Artifact Registry and ACR, in place."""


for command in (once, check, run, doctor, explain_image, show_status, print_schema, print_rbac, print_manifests, demo):
    cli.add_command(command)


def main() -> None:
    """The console script."""
    run_to_its_end(cli)
