"""`doctor`, `explain` and `status`: how things stand."""

import json
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import click
from rich.live import Live
from rich.text import Text

from rotator import config as configuration
from rotator import explain, logs, screens
from rotator.cli.ending import output_named, stopped_by_signals
from rotator.cli.options import Account, Name, Options, context_option, kubeconfig_option, with_options
from rotator.clock import utc_now
from rotator.cluster.client import Cluster
from rotator.cluster.login import own_namespace
from rotator.doctor import CHECKS, examine
from rotator.errors import RotatorError
from rotator.rbac import Subject
from rotator.status import Status, status

CHECK = click.Choice([check.name for check in CHECKS])

LOOK_AGAIN = timedelta(seconds=3)
"""Between two looks of `status --watch`."""


@click.command(
    "explain",
    epilog="\b\nExit codes:\n  0  it pulls\n  1  it does not, or nobody can tell\n  2, 3  as for every command",
)
@click.argument("image")
@click.option("--namespace", "-n", type=Name(dots=False), required=True, help="Where the Pod is, or would be.")
@click.option("--service-account", "-s", type=Name(), help="Of a Pod that would be created now.")
@click.option("--pod", "-p", type=Name(), help="A Pod that is there, with the pull secrets that it got.")
@click.option("--output", "-o", type=click.Choice(("table", "json")), default="table", show_default=True)
@kubeconfig_option
@context_option
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
    with output_named():
        if output == "json":
            click.echo(json.dumps(explanation.record(), indent=2))
        else:
            screens.Screen().print(screens.explanation_screen(explanation, utc_now()))
    sys.exit(explanation.exit_code)


@click.command("status")
@with_options
@click.option(
    "--namespace",
    "-n",
    type=Name(dots=False),
    help="Where rotator runs, and so its Lease is.  [default: that of the Pod, or of the context]",
)
@click.option("--watch", "-w", is_flag=True, help="Look again every few seconds, until Ctrl-C.")
@click.option("--output", "-o", type=click.Choice(("table", "json")), default="table", show_default=True)
def show_status(options: Options, namespace: str | None, watch: bool, output: str) -> None:
    """How things stand, from the cluster alone: no cloud is asked, and nothing is written."""
    logs.configure(options.log_level or "critical", "console")
    config = configuration.load(options.config_file)
    cluster = Cluster.connect(options.kubeconfig, options.context)
    home = namespace or own_namespace(options.kubeconfig, options.context)
    stop = threading.Event()
    try:
        cluster.check_reachable()
        with output_named(), stopped_by_signals(stop.set):
            if watch and output == "table":
                _watch_status(lambda: status(cluster, config, home, utc_now()), stop)
            elif output == "json":
                click.echo(json.dumps(status(cluster, config, home, utc_now()).record(), indent=2))
            else:
                screens.Screen().print(screens.status_screen(status(cluster, config, home, utc_now()), utc_now()))
    finally:
        cluster.close()


@click.command(epilog="\b\nExit codes:\n  0  no problem, warnings or not\n  1  problems\n  2, 3  as for every command")
@with_options
@click.option("--namespace", "-n", type=Name(dots=False), help="Look into this one, covered or not.")
@click.option("--check", "names", type=CHECK, multiple=True, metavar="CHECK", help="Only this one; may be repeated.")
@click.option("--skip", "skipped", type=CHECK, multiple=True, metavar="CHECK", help="Not this one; may be repeated.")
@click.option(
    "--rotator",
    metavar="NAMESPACE/NAME",
    type=Account(),
    help="The ServiceAccount that rotator runs as.  [default: the one that runs this, else rotator/rotator]",
)
@click.option("--output", "-o", type=click.Choice(("table", "json")), default="table", show_default=True)
def doctor(
    options: Options,
    namespace: str | None,
    names: tuple[str, ...],
    skipped: tuple[str, ...],
    rotator: Subject | None,
    output: str,
) -> None:
    """Check everything that decides whether Pods can pull, before one fails; nothing is written."""
    checks = [check for check in CHECKS if check.name in (names or CHECK.choices) and check.name not in skipped]
    if not checks:
        msg = "no check is left: --skip names all that --check does"
        raise click.UsageError(msg)
    logs.configure(options.log_level or "critical", "console")
    config = configuration.load(options.config_file)
    cluster = Cluster.connect(options.kubeconfig, options.context)
    try:
        cluster.check_reachable()
        with screens.reading_shown(screens.Screen(stderr=True)) as progress:
            diagnosis = examine(cluster, config, utc_now(), checks, namespace, progress, rotator)
    finally:
        cluster.close()
    with output_named():
        if output == "json":
            click.echo(json.dumps(diagnosis.record(), indent=2))
        else:
            screens.Screen().print(screens.diagnosis_screen(diagnosis))
    sys.exit(diagnosis.exit_code)


def _watch_status(look: Callable[[], Status], stop: threading.Event) -> None:
    """Show it anew until `stop` is set; what cannot be read for once is said in its place."""
    console = screens.Screen()
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
