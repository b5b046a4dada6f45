"""The commands. Each reads its options, builds what it needs, and leaves the work to the module of that name.

Exit codes: 0 all well; 1 something failed and the rest was done; 2 configuration or usage; 3 the cluster cannot be
used.
"""

import io
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import reduce, wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TextIO

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from rotator import __version__, explain, logs, rbac, screens
from rotator import config as configuration
from rotator.clock import utc_now
from rotator.cluster.client import Cluster
from rotator.cluster.login import own_namespace
from rotator.config import Config
from rotator.errors import RotatorError
from rotator.eventing import Eventing
from rotator.providers import provider_for
from rotator.rotation import Minting, Report, Rotation
from rotator.rotation.passes import WORKERS
from rotator.sending import Sender
from rotator.serving import parse_address
from rotator.status import Status, status

P = ParamSpec("P")

EXIT_CODES = """
\b
Exit codes:
  0  all well
  1  something failed and the rest was done
  2  the configuration or the command line cannot be used
  3  the cluster cannot be used
"""


LOOK_AGAIN = timedelta(seconds=3)
"""Between two looks of `status --watch`."""

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""From the kubelet, from Ctrl-C, and from a terminal that was closed."""

STOPPED = 128
"""The exit code of a program that a signal ended is this much more than the signal's number, as in every shell."""


def main() -> None:
    """The console script. No stack trace is ever the answer to a user's mistake."""
    logs.install_hooks(_say)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a table is no reason to fail on a terminal without its characters
    try:
        cli.main(prog_name="rotator", standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        sys.exit(130)
    except click.exceptions.NoArgsIsHelpError as question:
        question.show()
        sys.exit(2)
    except click.ClickException as error:
        _say(_usage(error))
        sys.exit(2)
    except RotatorError as error:
        _say(str(error))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(1)
    finally:
        _settle(sys.stdout, sys.stderr)


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="rotator")
def cli() -> None:
    """Keep the image pull Secrets of a cluster fresh: ECR, Artifact Registry and ACR, in place."""


@dataclass(frozen=True, slots=True)
class Options:
    """What every command that works on a cluster is told."""

    config_file: Path
    kubeconfig: Path | None
    context: str | None
    log_level: str | None
    log_format: str


_config = click.option(
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
_kubeconfig = click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path, readable=False),
    help="Default: KUBECONFIG, inside a cluster the Pod's ServiceAccount, else ~/.kube/config.",
)
_context = click.option("--context", help="The kubeconfig's context.  [default: its current one]")
_OPTIONS = (
    _config,
    _kubeconfig,
    _context,
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


class _Name(click.ParamType[str]):
    """The name of an object of the cluster: a DNS label, or with `dots` several."""

    name = "name"

    def __init__(self, *, dots: bool = True) -> None:
        label = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
        self._form = re.compile(rf"(?=.{{1,253}}$){label}(?:\.{label})*" if dots else rf"(?=.{{1,63}}$){label}")

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name itself."""
        if not self._form.fullmatch(value):
            self.fail("write a name of a-z, 0-9 and -, as in rotator", param, ctx)
        return value


def _with_options(command: Callable[Concatenate[Options, P], None]) -> Callable[..., None]:
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


_output = click.option(
    "--output",
    "-o",
    type=click.Choice(("auto", "table", "json", "logs")),
    default="auto",
    show_default=True,
    help="auto: tables on a terminal, else logs only.",
)


def _address(name: str, default: str, what: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """An option that says where something is served."""
    return click.option(
        f"--{name}-address",
        metavar="ADDRESS",
        default=default,
        envvar=f"ROTATOR_{name.upper()}_ADDRESS",
        show_default=True,
        show_envvar=True,
        help=f"IP address and port of {what}; or off.",
    )


@cli.command(epilog=EXIT_CODES)
@_with_options
@_output
def once(options: Options, output: str) -> None:
    """One pass, then exit: what a CronJob runs."""
    sys.exit(_one_pass(options, output, write=True))


@cli.command(epilog=EXIT_CODES)
@_with_options
@_output
def check(options: Options, output: str) -> None:
    """The same pass, mints and probes included, up to the first write."""
    sys.exit(_one_pass(options, output, write=False))


@cli.command(epilog=EXIT_CODES)
@_with_options
@_address("health", "0.0.0.0:8081", "/healthz and /readyz, for the kubelet's probes")
@_address("metrics", "0.0.0.0:8080", "/metrics, for Prometheus")
def run(options: Options, health_address: str, metrics_address: str) -> None:
    """Renew for as long as it runs: what a Deployment runs."""
    from rotator.daemon import Daemon, be_frugal  # noqa: PLC0415  (the scheduler is not needed elsewhere)

    be_frugal()
    _configure_logs(options, quiet=False)
    stop = threading.Event()
    with _stopped_by_signals(stop.set):
        Daemon(
            options.config_file,
            provider_for,
            kubeconfig=options.kubeconfig,
            context=options.context,
            health_address=parse_address(health_address),
            metrics_address=parse_address(metrics_address),
        ).run(stop)
        _end_now()


@cli.command(
    "explain",
    epilog="\b\nExit codes:\n  0  it pulls\n  1  it does not, or nobody can tell\n  3  the cluster cannot be used",
)
@click.argument("image")
@click.option("--namespace", "-n", type=_Name(dots=False), required=True, help="Where the Pod is, or would be.")
@click.option("--service-account", "-s", type=_Name(), help="Of a Pod that would be created now.")
@click.option("--pod", "-p", type=_Name(), help="A Pod that is there, with the pull secrets that it got.")
@click.option("--output", "-o", type=click.Choice(("table", "json")), default="table", show_default=True)
@_kubeconfig
@_context
def explain_image(
    image: str,
    namespace: str,
    service_account: str | None,
    pod: str | None,
    output: str,
    kubeconfig: Path | None,
    context: str | None,
) -> None:
    """Tell what a kubelet would do for IMAGE now, credential by credential, and whether it pulls."""
    if (service_account is None) == (pod is None):
        msg = "name a Pod with --pod, or a ServiceAccount with --service-account"
        raise click.UsageError(msg)
    logs.configure("critical", "console")
    cluster = Cluster.connect(kubeconfig, context)
    try:
        cluster.check_reachable()
        if service_account:
            explanation = explain.of_service_account(cluster, image, namespace, service_account)
        else:
            explanation = explain.of_pod(cluster, image, namespace, pod or "")
    finally:
        cluster.close()
    with _output_named():
        if output == "json":
            click.echo(json.dumps(explanation.record(), indent=2))
        else:
            Console().print(screens.explanation_screen(explanation, utc_now()))
    sys.exit(explanation.exit_code)


@cli.command("status")
@_with_options
@click.option("--watch", "-w", is_flag=True, help="Look again every few seconds, until Ctrl-C.")
@click.option("--output", "-o", type=click.Choice(("table", "json")), default="table", show_default=True)
def show_status(options: Options, watch: bool, output: str) -> None:
    """How things stand, from the cluster alone: no cloud is asked, and nothing is written."""
    logs.configure(options.log_level or "critical", "console")
    config = configuration.load(options.config_file)
    cluster = Cluster.connect(options.kubeconfig, options.context)
    namespace = own_namespace(options.kubeconfig, options.context)
    stop = threading.Event()
    try:
        cluster.check_reachable()
        with _output_named(), _stopped_by_signals(stop.set):
            if watch and output == "table":
                _watch_status(lambda: status(cluster, config, namespace, utc_now()), stop)
            elif output == "json":
                click.echo(json.dumps(status(cluster, config, namespace, utc_now()).record(), indent=2))
            else:
                Console().print(screens.status_screen(status(cluster, config, namespace, utc_now()), utc_now()))
    finally:
        cluster.close()


def _watch_status(look: Callable[[], Status], stop: threading.Event) -> None:
    """Show it anew until `stop` is set; what cannot be read for once is said in its place."""
    console = Console()
    with Live(console=console, auto_refresh=False) if console.is_terminal else nullcontext() as live:
        while not stop.is_set():
            try:
                shown = screens.status_screen(look(), utc_now())
            except RotatorError as error:
                shown = Text(str(error), style="red")
            if live is None:
                console.print(shown)
            else:
                live.update(shown, refresh=True)
            stop.wait(LOOK_AGAIN.total_seconds())


@cli.command()
def schema() -> None:
    """Print the JSON Schema of the configuration."""
    with _output_named():
        click.echo(json.dumps(configuration.schema(), indent=2))


@cli.command("rbac")
@_config
@click.option("--namespace", type=_Name(dots=False), default="rotator", show_default=True, help="Where rotator runs.")
@click.option("--service-account", type=_Name(), default="rotator", show_default=True, help="Its ServiceAccount there.")
@click.option("--name", type=_Name(), default="rotator", show_default=True, help="Of the roles and their bindings.")
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
    with _output_named():
        click.echo(rbac.text(rbac.manifests(config, subject, watching=mode == "deployment")), nl=False)


@cli.command()
@click.option("--seconds", type=click.IntRange(10, 3600), default=60, show_default=True, help="How long to watch.")
@click.option("--plain", is_flag=True, help="Lines instead of a live screen: for logs and CI.")
@click.option("--without-rotator", is_flag=True, help="The same minute without rotator: life as it is today.")
def demo(seconds: int, plain: bool, without_rotator: bool) -> None:
    """Watch a minute of rotation on an emulated cluster, three clouds and their registries, all on loopback."""
    from rotator.sandbox.demo import Demo  # noqa: PLC0415  (the sandbox is not needed elsewhere)

    sys.exit(Demo(timedelta(seconds=seconds), plain=plain, with_rotator=not without_rotator).run())


def _one_pass(options: Options, output: str, *, write: bool) -> int:
    console = Console()
    shown = ("table" if console.is_terminal else "logs") if output == "auto" else output
    _configure_logs(options, quiet=shown == "table")
    with _rotation(options) as rotation, _stopped_by_signals(rotation.stop) as signals:
        report = _watched_pass(rotation, console, write=write) if shown == "table" else rotation.run(write=write)
        if write and not signals:
            _tell_events(rotation.cluster, report)
    with _output_named():
        _print_report(report, rotation.config, shown, console)
    if signals:
        _say("stopped by a signal: what was written is whole, and the next run does the rest")
        return STOPPED + signals[0]
    return report.exit_code


def _watched_pass(rotation: Rotation, console: Console, *, write: bool) -> Report:
    with screens.progress_bar(console) as bar:
        task = bar.add_task("writing", total=None)
        return rotation.run(write=write, progress=lambda done, total: bar.update(task, completed=done, total=total))


def _tell_events(cluster: Cluster, report: Report) -> None:
    """As many as can be sent in a moment: they are for people, and the pass is done."""
    sender = Sender(cluster.record, utc_now, time.monotonic)
    sender.start()
    Eventing(sender.offer).passed(report)
    sender.stop(timedelta(seconds=3))


def _print_report(report: Report, config: Config, shown: str, console: Console) -> None:
    if shown == "json":
        click.echo(json.dumps(report.record(), indent=2))
    elif shown == "table":
        console.print(screens.report_screen(report, config, utc_now()))


@contextmanager
def _rotation(options: Options) -> Iterator[Rotation]:
    """The pass and all that it needs. One pass waits for no API server that does not answer; a daemon does."""
    config = configuration.load(options.config_file)
    cluster = Cluster.connect(options.kubeconfig, options.context, workers=WORKERS)
    try:
        cluster.check_reachable()
        yield Rotation(config, cluster, Minting(config, provider_for, utc_now))
    finally:
        cluster.close()


def _configure_logs(options: Options, *, quiet: bool) -> None:
    """On a terminal the table says it all: nothing is logged beside it unless a level was asked for."""
    console = sys.stderr.isatty() if options.log_format == "auto" else options.log_format == "console"
    logs.configure(options.log_level or ("critical" if quiet else "info"), "console" if console else "json")


def _usage(error: click.ClickException) -> str:
    """The mistake on the command line, and where help is: one line, as for every other mistake."""
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "rotator"
    return f"{error.format_message().rstrip('.')}; see {command} --help"


def _settle(*streams: TextIO) -> None:
    """Write out what is left; drop what cannot be written, or the interpreter would try again, and exit with 120."""
    for stream in streams:
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def _output_named() -> Iterator[None]:
    """Say that it is standard output which cannot be written: a full disk is no defect of ours."""
    try:
        yield
    except BrokenPipeError:
        raise  # whoever read it has had enough
    except OSError as error:
        msg = f"standard output cannot be written ({os.strerror(error.errno or 0)})"
        raise RotatorError(msg) from error


@contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[list[int]]:
    """Call `stop` on the signals of ENDING, which a container's PID 1 would not notice; yields those that came."""
    came: list[int] = []

    def note(number: int, _frame: object) -> None:
        came.append(number)
        stop()

    ours = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]  # nohup ignores SIGHUP
    before = {number: signal.signal(number, note) for number in ours}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_now() -> None:
    """End the process now, and well.

    The interpreter would wait for threads that wait for a peer, and a second SIGTERM would find nobody who minds it.
    """
    _settle(sys.stdout, sys.stderr)
    os._exit(0)


def _say(line: str) -> None:
    click.echo(f"rotator: {line}", err=True)
