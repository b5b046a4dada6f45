"""`schema` and `rbac`: what is printed for other tools."""

import json
from pathlib import Path

import click

from rotator import config as configuration
from rotator import rbac, schemas
from rotator.cli.ending import output_named
from rotator.cli.options import Name, config_option


@click.command("schema")
@click.option(
    "--of",
    "what",
    type=click.Choice(("config", *schemas.RECORDS)),
    default="config",
    show_default=True,
    help="The configuration, or what this command prints with --output json.",
)
def print_schema(what: str) -> None:
    """Print the JSON Schema of the configuration, or of what a command prints as JSON."""
    found = configuration.schema() if what == "config" else schemas.schema(what)
    with output_named():
        click.echo(json.dumps(found, indent=2))


@click.command("rbac")
@config_option
@click.option("--namespace", type=Name(dots=False), default="rotator", show_default=True, help="Where rotator runs.")
@click.option("--service-account", type=Name(), default="rotator", show_default=True, help="Its ServiceAccount there.")
@click.option("--name", type=Name(), default="rotator", show_default=True, help="Of the roles and their bindings.")
@click.option(
    "--mode",
    type=click.Choice(("deployment", "cronjob")),
    default="deployment",
    show_default=True,
    help="For rotator run, which watches, or for rotator once, which need not.",
)
def print_rbac(config_file: Path, namespace: str, service_account: str, name: str, mode: str) -> None:
    """Print the smallest roles for the configuration, for `kubectl apply -f -`."""
    config, subject = configuration.load(config_file), rbac.Subject(namespace, service_account, name)
    with output_named():
        click.echo(rbac.text(rbac.manifests(config, subject, watching=mode == "deployment")), nl=False)
