"""`schema`, `rbac` and `manifests`: what is printed for other tools."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from rotator import config as configuration
from rotator import logs, manifests, rbac, schemas
from rotator.cli.ending import output_named, say
from rotator.cli.options import (
    FILE_NAME,
    LABEL,
    Annotation,
    Image,
    Name,
    PodLabel,
    Schedule,
    Token,
    Variable,
    config_option,
    pairs_option,
)
from rotator.errors import ConfigError


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


mode_option = click.option(
    "--mode",
    type=click.Choice(("deployment", "cronjob")),
    default="deployment",
    show_default=True,
    help="For rotator run, which watches, or for rotator once, which need not.",
)
namespace_option = click.option(
    "--namespace", type=Name(dots=False), default="rotator", show_default=True, help="Where rotator runs."
)


@click.command("rbac")
@config_option
@namespace_option
@click.option("--service-account", type=Name(), default="rotator", show_default=True, help="Its ServiceAccount there.")
@click.option(
    "--name",
    type=Name(longest=LABEL),
    default="rotator",
    show_default=True,
    help="Of the roles and their bindings, after the namespace where that differs.",
)
@mode_option
def print_rbac(config_file: Path, namespace: str, service_account: str, name: str, mode: str) -> None:
    """Print the smallest roles for the configuration, for `kubectl apply -f -`."""
    config, subject = configuration.load(config_file), rbac.Subject(namespace, service_account, name)
    with output_named():
        click.echo(rbac.text(rbac.manifests(config, subject, watching=mode == "deployment")), nl=False)


@click.command("manifests")
@config_option
@mode_option
@namespace_option
@click.option(
    "--name",
    type=Name(dots=False),
    default="rotator",
    show_default=True,
    help="Of every object; of roles after the namespace, where that differs.",
)
@click.option(
    "--image", type=Image(), default=manifests.Wanted().image, show_default=True, help="As your nodes pull it."
)
@click.option(
    "--schedule",
    type=Schedule(),
    default=manifests.Wanted().schedule,
    show_default=True,
    help="Of the CronJob, in the form of cron.",
)
@click.option(
    "--log-level", type=click.Choice(logs.LEVELS), default="info", show_default=True, help="What rotator logs there."
)
@pairs_option("--annotation", "annotations", Annotation(), help="One of the ServiceAccount: KEY=VALUE.")
@pairs_option("--pod-label", "pod_labels", PodLabel(), help="One more label of the Pods: KEY=VALUE.")
@pairs_option("--env", "variables", Variable(), help="A variable of the environment: NAME=VALUE.")
@pairs_option(
    "--token",
    "tokens",
    Token(),
    help=f"A token of the ServiceAccount for a cloud, in {manifests.TOKENS}: FILE=AUDIENCE.",
)
@click.option(
    "--file",
    "files",
    type=click.Path(path_type=Path, readable=False),
    multiple=True,
    help=f"A file that holds no secret, to stand in {manifests.FILES} beside the configuration.",
)
@click.option(
    "--secret",
    "secrets",
    type=Name(),
    multiple=True,
    help=f"A Secret of that namespace, to be mounted in {manifests.SECRETS} under its name.",
)
@click.option(
    "--port", "ports", type=click.IntRange(1, 65535), multiple=True, help="One more TCP port that rotator may call."
)
def print_manifests(
    config_file: Path,
    files: Sequence[Path],
    **others: Any,  # noqa: ANN401  (as click gives them: the rest of Wanted)
) -> None:
    """Print all that rotator needs in a cluster, for `kubectl apply --server-side -f -`."""
    content = configuration.read(config_file)
    config = configuration.parse(content, str(config_file))
    wanted = manifests.Wanted(files=_beside(files), **others)
    if problem := _misfit(wanted):
        raise click.UsageError(problem)
    if wanted.image == manifests.Wanted().image:
        say(f"the image {wanted.image} is in no registry: unless it is on the nodes, name yours with --image")
    for path in manifests.unmounted(content, wanted):
        option = "--token" if path.startswith(manifests.TOKENS) else "--file"
        say(f"{path} is named, and nothing is mounted there: give it with {option}")
    with output_named():
        click.echo(manifests.text(manifests.manifests(config, content, wanted)), nl=False)


def _misfit(wanted: manifests.Wanted) -> str:
    """Which options do not go together; empty where all do."""
    if not wanted.runs and len(wanted.name) > manifests.LONGEST_CRON_JOB:
        return f"--name: a CronJob's has {manifests.LONGEST_CRON_JOB} characters at most"
    repeated = (f"--secret: {name} is given twice" for name, count in Counter(wanted.secrets).items() if count > 1)
    return next(repeated, "")


def _beside(paths: Sequence[Path]) -> dict[str, str]:
    """The texts by the name that each file has beside the configuration. Raises ConfigError."""
    found: dict[str, str] = {}
    for path in paths:
        if not FILE_NAME.fullmatch(path.name):
            words = "has a name that no ConfigMap may have; write it of letters, digits, '-', '_' and '.'"
            raise ConfigError(str(path), (words,))
        if path.name in found:
            raise ConfigError(str(path), (f"would take the place of another {path.name}; give it another name",))
        found[path.name] = _harmless(path)
    return found


def _harmless(path: Path) -> str:
    """The file's text. Raises ConfigError for one that holds a private key: everybody reads a ConfigMap."""
    if not path.exists():
        raise ConfigError(str(path), ("there is no such file; give the path of one to stand beside the configuration",))
    content = configuration.read(path)
    if path.name == "config.yaml":
        raise ConfigError(str(path), ("is what the configuration is called there; give it another name",))
    if any(mark in content for mark in ("PRIVATE KEY-----", '"private_key"', "aws_secret_access_key")):
        raise ConfigError(str(path), ("holds a secret; put it into a Secret, and mount that with --secret",))
    return content
