"""`rotator demo` as one starts it: the show, the life without rotator, and its end by hand."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.waiting import wait_until

PATIENCE = 90.0
"""Seconds until a show that lasts half a minute is over: it sets up a cluster and clouds first."""


@contextmanager
def demo(directory: Path, *words: str) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """Start the demo in a process group of its own, as a shell does; with the file that it writes to."""
    directory.mkdir(exist_ok=True)
    screen = directory / "screen"
    with screen.open("wb") as to_screen:
        process = subprocess.Popen(  # noqa: S603  (our own program)
            [sys.executable, "-m", "rotator", "demo", *words],
            stdin=subprocess.DEVNULL,
            stdout=to_screen,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process, screen
    finally:
        if group_lives(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def group_lives(group: int) -> bool:
    """Whether any process of this group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def lines_with(text: str, words: str) -> list[str]:
    """The lines that hold these words."""
    return [line for line in text.splitlines() if words in line]


def test_the_same_show_with_rotator_and_without(tmp_path: Path) -> None:
    """Side by side, for longer than a token lives: exit code 0 with rotator, 1 without, and nobody is left behind."""
    words = ("--plain", "--seconds", "25")
    with (
        demo(tmp_path / "with", *words) as (kept, screen),
        demo(tmp_path / "without", *words, "--without-rotator") as (
            left_alone,
            other_screen,
        ),
    ):
        codes = kept.wait(timeout=PATIENCE), left_alone.wait(timeout=PATIENCE)
        assert not group_lives(kept.pid)
        assert not group_lives(left_alone.pid)
    assert codes == (0, 1), screen.read_text()
    check_every_pod_pulled(screen.read_text())
    check_pods_failed(other_screen.read_text())


def check_every_pod_pulled(text: str) -> None:
    """Through all misfortunes: at least two mints for each registry, no failed pull, no secret in the log."""
    (pods,) = lines_with(text, " pulled, ")
    assert re.fullmatch(r"\d+ Pods: \d+ pulled, 0 failed", pods)
    (mints,) = lines_with(text, "mints: ")
    counts = dict(re.findall(r"(prod|images|contoso) (\d+)", mints))
    assert set(counts) == {"prod", "images", "contoso"}
    assert all(int(count) >= 2 for count in counts.values()), mints
    for words in ("✓ every Pod that should pull could pull", "✓ no secret value in", "start-up to first write: "):
        assert lines_with(text, words)
    for misfortune in (
        "edits the Secret in team-b by hand",
        "deletes the Secret in team-d",
        "resets the ServiceAccount in team-f",
        "a namespace is added",
        "the leader is killed",
        "the Deployment starts another replica",
        "Azure's token endpoints",
    ):
        assert lines_with(text, misfortune), text
    assert "\x1b" not in text
    assert "Traceback" not in text


def check_pods_failed(text: str) -> None:
    """After the tokens' twenty seconds: it says what happened, in the registry's words."""
    assert lines_with(text, "without rotator: somebody makes the Secrets once, and that is all")
    assert lines_with(text, "✗ Pods failed to pull that should not have")
    assert lines_with(text, "FAILED pull in ")
    assert lines_with(text, "the registry answered 40")
    assert "misfortune" not in text


def ctrl_c(group: int) -> None:
    """As the terminal does it: the whole group gets SIGINT."""
    os.killpg(group, signal.SIGINT)


def interrupt(process: int) -> None:
    """As `kill -INT` does it: the demo alone."""
    os.kill(process, signal.SIGINT)


def terminate(process: int) -> None:
    """As `timeout` and CI do it."""
    os.kill(process, signal.SIGTERM)


@pytest.mark.parametrize("end", [ctrl_c, interrupt, terminate])
def test_its_end_by_hand_leaves_nobody_behind(tmp_path: Path, end: Callable[[int], None]) -> None:
    """A summary of what was seen so far, and the program that was on the stage has ended before it."""
    with demo(tmp_path, "--plain", "--seconds", "60") as (process, screen):
        assert wait_until(lambda: "pulled=" in screen.read_text(), PATIENCE)
        end(process.pid)
        code = process.wait(timeout=PATIENCE)
        assert not group_lives(process.pid)
        text = screen.read_text()
    assert lines_with(text, "stopped by hand")
    assert lines_with(text, "mints: prod ")
    assert "✓ every Pod" not in text
    assert code == 130
    assert "Traceback" not in text
