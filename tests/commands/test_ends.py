"""Ends that nobody planned: signals at any moment, outputs that cannot be written, files without an end."""

import resource
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from rotator.sandbox.faults import Fault
from tests.commands.shell import Shell
from tests.outside import SECRET
from tests.waiting import PATIENCE, eventually


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_once_ends_soon_on_a_signal_and_says_so(shell: Shell, number: signal.Signals) -> None:
    """While a cloud hangs: what is written is whole, a line says that the rest waits, the exit code is the signal's."""
    shell.configure((shell.directory / "config.yaml").read_text().replace("deadline: 2s", "deadline: 60s"))
    shell.net.azure.fault = Fault.HUNG
    with shell.start("once") as running:
        eventually(lambda: shell.api.store.get("secrets", "team-a", SECRET), "the first Secret")
        assert running.end(number) == 128 + number
        assert "rotator: stopped by a signal: what was written is whole" in running.log
        assert "Traceback" not in running.log


@pytest.mark.parametrize("command", ["once", "run"])
def test_a_signal_in_the_first_moments_prints_no_traceback(shell: Shell, command: str) -> None:
    """Ctrl-C while the program is still starting ends it, without a word about its insides."""
    for megabytes in (15, 20, 30, 40, 50, 60):
        with shell.start(command) as running:
            # Before that the interpreter itself starts, and answers with a traceback whatever the program does.
            eventually(partial(has_grown_to, running.process.pid, megabytes), f"{megabytes} MB of imports")
            running.end(signal.SIGINT)
            assert "Traceback" not in running.err.read_text()


def has_grown_to(pid: int, megabytes: int) -> bool:
    """Whether the process holds that much memory, which tells how far its imports have come; or has ended."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages == 0 or pages * resource.getpagesize() >= megabytes * 1_000_000


def test_a_log_that_cannot_be_written_decides_nothing(shell: Shell) -> None:
    """Standard error is a full disk: the Secrets are written all the same, and the exit code is right."""
    with open("/dev/full", "w") as full:  # noqa: PTH123  (a device)
        done = subprocess.run(
            [sys.executable, "-m", "rotator", "once"],
            env=shell.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=full,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 0
    assert shell.auths("team-a")


@pytest.mark.parametrize("words", [["schema"], ["once", "--output", "json"]])
def test_an_output_that_cannot_be_written_is_one_line(shell: Shell, words: list[str]) -> None:
    """A full disk behind standard output is no defect of ours: it is named, with exit code 1."""
    with open("/dev/full", "w") as full:  # noqa: PTH123  (a device)
        done = subprocess.run(  # noqa: S603  (our own program)
            [sys.executable, "-m", "rotator", *words, *([] if words == ["schema"] else ["--log-level", "critical"])],
            env=shell.environment,
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (
        1,
        "rotator: standard output cannot be written (No space left on device)\n",
    )


def test_a_kubeconfig_without_an_end_is_refused(shell: Shell) -> None:
    """`/dev/zero` is read no further than a kubeconfig can be long."""
    done = shell.run("once", "--kubeconfig", "/dev/zero")
    assert done.returncode == 3
    assert done.stderr == "rotator: kubeconfig /dev/zero: it is larger than 1 MiB; name a kubeconfig\n"


def test_a_terminal_without_the_tables_characters_gets_the_table_all_the_same(shell: Shell) -> None:
    """What cannot be shown is replaced; the pass and its exit code are what they are."""
    done = shell.run("once", "--output", "table", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "worker-pull" in done.stdout
