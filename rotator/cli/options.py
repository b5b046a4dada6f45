"""What the commands are told: the options that several share, and what they become."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce, wraps
from pathlib import Path
from typing import Concatenate, ParamSpec

import click

from rotator import imagename, labels, logs, manifests
from rotator.errors import UnparsableImage
from rotator.rbac import Subject

P = ParamSpec("P")

EXIT_CODES = """
\b
Exit codes:
  0  all well
  1  something failed and the rest was done
  2  the configuration or the command line cannot be used
  3  the cluster cannot be used
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What every command that works on a cluster is told."""

    config_file: Path
    kubeconfig: Path | None
    context: str | None
    log_level: str | None
    log_format: str


config_option = click.option(
    "--config",
    "-c",
    "config_file",
    type=click.Path(path_type=Path, readable=False),  # whether it can be read is answered with a remedy
    default=Path("/etc/rotator/config.yaml"),
    envvar="ROTATOR_CONFIG",
    show_default=True,
    show_envvar=True,
    help="The configuration file.",
)
kubeconfig_option = click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path, readable=False),
    help="Default: KUBECONFIG, inside a cluster the Pod's ServiceAccount, else ~/.kube/config.",
)
context_option = click.option("--context", help="The kubeconfig's context.  [default: its current one]")
_OPTIONS = (
    config_option,
    kubeconfig_option,
    context_option,
    click.option(
        "--log-level",
        type=click.Choice(logs.LEVELS),
        envvar="ROTATOR_LOG_LEVEL",
        show_envvar=True,
        help="Default: info, or nothing beside a table. Secrets are masked at every level.",
    ),
    click.option(
        "--log-format",
        type=click.Choice(("auto", "json", "console")),
        default="auto",
        envvar="ROTATOR_LOG_FORMAT",
        show_default=True,
        show_envvar=True,
        help="auto: console on a terminal, else JSON.",
    ),
)


LABEL = 63
"""Characters of a DNS label, and of a label's value."""


class Name(click.ParamType[str]):
    """The name of an object of the cluster: a DNS label, or with `dots` several, of so many characters at most."""

    name = "name"

    def __init__(self, *, dots: bool = True, longest: int | None = None) -> None:
        label = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
        self._form = re.compile(rf"{label}(?:\.{label})*" if dots else label)
        self._longest = longest or (253 if dots else LABEL)

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name itself."""
        if not self._form.fullmatch(value):
            self.fail("write a name of a-z, 0-9 and -, as in rotator", param, ctx)
        if len(value) > self._longest:
            self.fail(f"has {len(value)} characters, and may have {self._longest}", param, ctx)
        return value


class Pair(click.ParamType[tuple[str, str]]):
    """A key and its value."""

    name = "key=value"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """The two."""
        key, equals, rest = value.partition("=")
        if not key or not equals:
            self.fail("write it as KEY=VALUE", param, ctx)
        return key, rest


class Variable(Pair):
    """A variable of the environment."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Name and value."""
        key, rest = super().convert(value, param, ctx)
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", key):
            self.fail(f"{key!r} is no name of a variable; write it of letters, digits and _", param, ctx)
        return key, rest


class Token(Pair):
    """A file for a token, and its audience."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """The two."""
        file, audience = super().convert(value, param, ctx)
        if not FILE_NAME.fullmatch(file) or not audience:
            self.fail("write it as FILE=AUDIENCE, with a file name of letters, digits, '-', '_' and '.'", param, ctx)
        return file, audience


FILE_NAME = re.compile(r"\.?[A-Za-z0-9_-][A-Za-z0-9_.-]{0,251}")
"""As a key of a ConfigMap ("ConfigMaps", kubernetes.io), which a kubelet makes a file of."""


class Annotation(Pair):
    """A key of the cluster's form, and any value."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """The two."""
        key, rest = super().convert(value, param, ctx)
        if not labels.is_key(key):
            self.fail(f"{key!r} is no key; write name or dns.prefix/name", param, ctx)
        return key, rest


class PodLabel(Annotation):
    """A label of the Pods that does not select them."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Key and value."""
        key, rest = super().convert(value, param, ctx)
        if not labels.is_value(rest):
            self.fail("write as value at most 63 letters, digits, '-', '_' and '.'", param, ctx)
        if key in manifests.Wanted().labels:
            self.fail(f"the Pods are selected by {key}; take another label", param, ctx)
        return key, rest


def pairs_option(
    name: str,
    parameter: str,
    pair: Pair,
    *,
    help: str,  # noqa: A002  (as click calls it)
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """An option that may be given several times, once for each key."""
    return click.option(name, parameter, type=pair, multiple=True, callback=_by_key, help=help)


def _by_key(ctx: click.Context, param: click.Parameter, pairs: tuple[tuple[str, str], ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in pairs:
        if key in found:
            msg = f"{key} is given twice; leave one out"
            raise click.BadParameter(msg, ctx, param)
        found[key] = value
    return found


class Image(click.ParamType[str]):
    """The name of an image."""

    name = "image"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name itself."""
        try:
            imagename.reference(value)
        except UnparsableImage as error:
            self.fail(str(error), param, ctx)
        return value


class Schedule(click.ParamType[str]):
    """When a CronJob runs."""

    name = "schedule"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The schedule itself."""
        if not re.fullmatch(manifests.CRON, value):
            self.fail('write the five fields of cron, as in "*/5 * * * *"', param, ctx)
        return value


class Account(click.ParamType[Subject]):
    """A ServiceAccount, with its namespace."""

    name = "account"

    def convert(self, value: str | Subject, param: click.Parameter | None, ctx: click.Context | None) -> Subject:
        """Namespace and name."""
        if isinstance(value, Subject):
            return value
        namespace, slash, name = value.partition("/")
        if not slash:
            self.fail("write NAMESPACE/NAME, as in rotator/rotator", param, ctx)
        return Subject(Name(dots=False).convert(namespace, param, ctx), Name().convert(name, param, ctx))


def with_options(command: Callable[Concatenate[Options, P], None]) -> Callable[..., None]:
    """Give the command the options above, as one argument."""

    @wraps(command)
    def gathered(
        config_file: Path,
        kubeconfig: Path | None,
        context: str | None,
        log_level: str | None,
        log_format: str,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        command(Options(config_file, kubeconfig, context, log_level, log_format), *args, **kwargs)

    return reduce(lambda inner, option: option(inner), reversed(_OPTIONS), gathered)


def configure_logs(options: Options, *, quiet: bool) -> None:
    """On a terminal the table says it all: nothing is logged beside it unless a level was asked for."""
    console = sys.stderr.isatty() if options.log_format == "auto" else options.log_format == "console"
    logs.configure(options.log_level or ("critical" if quiet else "info"), "console" if console else "json")
