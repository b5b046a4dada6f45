"""`run`: the daemon; and `demo`, in which it runs on an emulated cluster."""

import sys
import threading
from collections.abc import Callable
from datetime import timedelta

import click

from rotator.cli.ending import end_now, stopped_by_signals
from rotator.cli.options import EXIT_CODES, Options, configure_logs, with_options
from rotator.providers import provider_for
from rotator.serving import parse_address


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


@click.command(epilog=EXIT_CODES)
@with_options
@_address("health", "[::]:8081", "/healthz and /readyz, for the kubelet's probes")
@_address("metrics", "[::]:8080", "/metrics, for Prometheus")
def run(options: Options, health_address: str, metrics_address: str) -> None:
    """Renew for as long as it runs: what a Deployment runs."""
    from rotator.daemon import Daemon, be_frugal  # noqa: PLC0415  (the scheduler is not needed elsewhere)

    be_frugal()
    configure_logs(options, quiet=False)
    stop = threading.Event()
    with stopped_by_signals(stop.set):
        Daemon(
            options.config_file,
            provider_for,
            kubeconfig=options.kubeconfig,
            context=options.context,
            health_address=parse_address(health_address),
            metrics_address=parse_address(metrics_address),
        ).run(stop)
        end_now()


@click.command()
@click.option("--seconds", type=click.IntRange(10, 3600), default=60, show_default=True, help="How long to watch.")
@click.option("--plain", is_flag=True, help="Lines instead of a live screen: for logs and CI.")
@click.option("--without-rotator", is_flag=True, help="The same minute without rotator: life as it is today.")
def demo(seconds: int, plain: bool, without_rotator: bool) -> None:
    """Watch a minute of rotation on an emulated cluster, three clouds and their registries, all on loopback."""
    from rotator.sandbox.demo import Demo  # noqa: PLC0415  (the sandbox is not needed elsewhere)

    sys.exit(Demo(timedelta(seconds=seconds), plain=plain, with_rotator=not without_rotator).run())
