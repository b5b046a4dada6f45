"""How the program ends: well, by a mistake that is named in one line, or by a signal."""

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

import click

from rotator import logs
from rotator.errors import RotatorError

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""From the kubelet, from Ctrl-C, and from a terminal that was closed."""

STOPPED = 128
"""The exit code of a program that a signal ended is this much more than the signal's number, as in every shell."""

DETAILED = "--detailed-exitcode"
"""As terraform plan has it: there 2 means changes, so everything that is no answer is a 1."""


def run_to_its_end(command: click.Command) -> None:
    """Run it as the console script. No stack trace is ever the answer to a user's mistake."""
    logs.install_hooks(say)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a table is no reason to fail on a terminal without its characters
    try:
        command.main(prog_name="rotator", standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        sys.exit(130)
    except click.exceptions.NoArgsIsHelpError as question:
        question.show()
        sys.exit(2)
    except click.ClickException as error:
        say(_usage(error))
        sys.exit(_failed(2))
    except RotatorError as error:
        say(str(error))
        sys.exit(_failed(error.exit_code))
    except BrokenPipeError:
        sys.exit(1)
    finally:
        _settle(sys.stdout, sys.stderr)


def _failed(code: int) -> int:
    """The exit code for a failure; also of a command line that cannot be read the flag is to be heeded."""
    return 1 if DETAILED in sys.argv[1:] else code


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
def output_named() -> Iterator[None]:
    """Say that it is standard output which cannot be written: a full disk is no defect of ours."""
    try:
        yield
    except BrokenPipeError:
        raise  # whoever read it has had enough
    except OSError as error:
        msg = f"standard output cannot be written ({os.strerror(error.errno or 0)})"
        raise RotatorError(msg) from error


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[list[int]]:
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


def end_now() -> None:
    """End the process now, and well.

    The interpreter would wait for threads that wait for a peer, and a second SIGTERM would find nobody who minds it.
    """
    _settle(sys.stdout, sys.stderr)
    os._exit(0)


def say(line: str) -> None:
    """What the program has to say beside its output, on standard error."""
    click.echo(f"rotator: {logs.printable(line)}", err=True)
