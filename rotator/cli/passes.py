"""`once` and `check`: one pass."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import click
from rich.console import Console

from rotator import config as configuration
from rotator import screens
from rotator.cli.ending import DETAILED, STOPPED, output_named, say, stopped_by_signals
from rotator.cli.options import EXIT_CODES, Options, configure_logs, with_options
from rotator.clock import utc_now
from rotator.cluster.client import Cluster
from rotator.config import Config
from rotator.diff import diff
from rotator.eventing import Eventing
from rotator.providers import provider_for
from rotator.rotation import Minting, Report, Rotation
from rotator.sending import Sender

_output = click.option(
    "--output",
    "-o",
    type=click.Choice(("auto", "table", "json", "logs")),
    default="auto",
    show_default=True,
    help="auto: tables on a terminal, else logs only.",
)


CHECK_EXIT_CODES = f"""
{EXIT_CODES.strip()}

\b
With {DETAILED}, as those of terraform plan:
  0  nothing to do
  1  something cannot be done, or nothing could be found out: errors of configuration, usage and cluster too
  2  there are changes, and all of them can be made
"""


@click.command(epilog=EXIT_CODES)
@with_options
@_output
def once(options: Options, output: str) -> None:
    """One pass, then exit: what a CronJob runs."""
    sys.exit(_one_pass(options, output, write=True))


@click.command(epilog=CHECK_EXIT_CODES)
@with_options
@_output
@click.option(DETAILED, "detailed", is_flag=True, help="Exit codes as those of terraform plan, see below.")
def check(options: Options, output: str, detailed: bool) -> None:
    """The same pass, mints and probes included, up to the first write: what would change, and what cannot."""
    sys.exit(_one_pass(options, output, write=False, detailed=detailed))


def _one_pass(options: Options, output: str, *, write: bool, detailed: bool = False) -> int:
    console = screens.Screen()
    shown = ("table" if console.is_terminal else "logs") if output == "auto" else output
    configure_logs(options, quiet=shown == "table")
    with _rotation(options) as rotation, stopped_by_signals(rotation.stop) as signals:
        report = _watched_pass(rotation, console, write=write) if shown == "table" else rotation.run(write=write)
        if write and not signals:
            _tell_events(rotation.cluster, report)
    with output_named():
        _print_report(report, rotation.config, shown, console, write=write)
    if signals:
        say("stopped by a signal: what was written is whole, and the next run does the rest")
        return STOPPED + signals[0]
    return 2 if detailed and report.has_changes and not report.exit_code else report.exit_code


def _watched_pass(rotation: Rotation, console: Console, *, write: bool) -> Report:
    with screens.progress_bar(console) as bar:
        task = bar.add_task("writing" if write else "checking", total=None)
        return rotation.run(write=write, progress=lambda done, total: bar.update(task, completed=done, total=total))


def _tell_events(cluster: Cluster, report: Report) -> None:
    """As many as can be sent in a moment: they are for people, and the pass is done."""
    sender = Sender(cluster.record, utc_now, time.monotonic)
    sender.start()
    Eventing(sender.offer).passed(report)
    sender.stop(timedelta(seconds=3))


def _print_report(report: Report, config: Config, shown: str, console: Console, *, write: bool) -> None:
    if shown == "json":
        click.echo(json.dumps(report.record(), indent=2))
    elif shown == "table" and write:
        console.print(screens.report_screen(report, config, utc_now()))
    elif shown == "table":
        console.print(screens.plan_screen(diff(report, config, utc_now())), highlight=False)


@contextmanager
def _rotation(options: Options) -> Iterator[Rotation]:
    """The pass and all that it needs. One pass waits for no API server that does not answer; a daemon does."""
    config = configuration.load(options.config_file)
    cluster = Cluster.connect(options.kubeconfig, options.context, workers=config.fan_out.concurrency)
    try:
        cluster.check_reachable()
        yield Rotation(config, cluster, Minting(config, provider_for, utc_now))
    finally:
        cluster.close()
