"""The configuration's file is followed: told once of each change that counts, whatever way it was written."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.config import Config
from rotator.daemon.following import Follower, digest
from rotator.errors import ConfigError
from tests.outside import CONFIG, ECR_ONLY
from tests.waiting import eventually, wait_until

OFTEN = timedelta(milliseconds=20)
BROKEN = CONFIG.replace("registries:", "registers:")


@dataclass
class Told:
    """What the follower told, in order."""

    good: list[tuple[Config, str]] = field(default_factory=list)
    bad: list[ConfigError] = field(default_factory=list)

    def take(self, config: Config, content: str) -> None:
        """A good one."""
        self.good.append((config, content))


@contextmanager
def following(path: Path, every: timedelta = OFTEN) -> Iterator[Told]:
    """Follow the file, after it was loaded."""
    told = Told()
    follower = Follower(path, told.take, told.bad.append, every=every)
    follower.load()
    follower.start()
    try:
        yield told
    finally:
        follower.stop()


def in_place(path: Path, text: str) -> None:
    """As `echo > file` does."""
    path.write_text(text)


def as_an_editor(path: Path, text: str) -> None:
    """A new file in place of the old one."""
    other = path.with_name("other")
    other.write_text(text)
    other.rename(path)


def as_the_kubelet(path: Path, text: str) -> None:
    """A ConfigMap's volume: the file is a symlink to `..data/config.yaml`, and `..data` one to a new directory."""
    volume = path.parent
    version = volume / f"..{len(list(volume.iterdir()))}"
    version.mkdir()
    (version / path.name).write_text(text)
    link = volume / "..data_tmp"
    link.symlink_to(version.name)
    link.rename(volume / "..data")
    if not path.is_symlink():
        path.unlink(missing_ok=True)
        path.symlink_to(Path("..data") / path.name)


@pytest.mark.parametrize("write", [in_place, as_an_editor, as_the_kubelet])
def test_each_way_to_write_a_file_is_noticed(tmp_path: Path, write: Callable[[Path, str], None]) -> None:
    """Twice: the second change is a change of what the first one left."""
    path = tmp_path / "config.yaml"
    write(path, CONFIG)
    with following(path) as told:
        write(path, ECR_ONLY)
        eventually(lambda: told.good, "the first change")
        write(path, CONFIG)
        eventually(lambda: len(told.good) == 2, "the second")
        assert [content for _, content in told.good] == [digest(ECR_ONLY), digest(CONFIG)]
        assert [len(config.registries) for config, _ in told.good] == [1, 3]
        assert told.bad == []


def test_a_bad_one_is_told_of_once_and_the_good_one_after_it_again(tmp_path: Path) -> None:
    """Also where the good one is the one from before: whoever was told of the bad one wants to know."""
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    with following(path) as told:
        path.write_text(BROKEN)
        eventually(lambda: told.bad, "the bad one")
        assert "registers" in str(told.bad[0])
        as_an_editor(path, BROKEN)
        path.write_text(BROKEN + "\n")
        eventually(lambda: len(told.bad) == 2, "another bad one")
        path.write_text(CONFIG)
        eventually(lambda: told.good, "the good one")
        assert (len(told.bad), len(told.good)) == (2, 1)


def test_a_file_that_is_gone_for_a_while_is_a_bad_one(tmp_path: Path) -> None:
    """It is named, once; and when it is back, it counts."""
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    with following(path) as told:
        path.unlink()
        eventually(lambda: told.bad, "that it is gone")
        assert "there is no such file" in str(told.bad[0])
        path.write_text(CONFIG)
        eventually(lambda: told.good, "that it is back")
        assert len(told.bad) == 1


def test_a_file_that_is_still_being_written_is_not_read(tmp_path: Path) -> None:
    """It has changed at each look: only what stays from one look to the next counts."""
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    done = threading.Event()

    def write() -> None:
        written = BROKEN
        while not done.wait(0.001):
            written += "#"
            path.write_text(written)
        path.write_text(ECR_ONLY)

    with following(path, every=timedelta(seconds=0.4)) as told:
        writer = threading.Thread(target=write)
        writer.start()
        assert not wait_until(lambda: told.bad or told.good, 1.5)
        done.set()
        writer.join()
        eventually(lambda: told.good, "what stays")
        assert told.bad == []


def test_a_pipe_in_the_files_place_is_a_bad_one(tmp_path: Path) -> None:
    """Nobody writes to it, so it must not be opened: what stands there afterwards counts."""
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    with following(path) as told:
        path.unlink()
        os.mkfifo(path)
        eventually(lambda: told.bad, "that it is a pipe")
        assert "is a pipe" in str(told.bad[0])
        as_an_editor(path, ECR_ONLY)
        eventually(lambda: told.good, "the file in its place")


def test_the_same_content_written_again_is_no_change(tmp_path: Path) -> None:
    """A kubelet writes a ConfigMap's volume anew without need: nothing is told until there is something new."""
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    with following(path) as told:
        as_an_editor(path, CONFIG)
        path.write_text(CONFIG)
        path.write_text(ECR_ONLY)
        eventually(lambda: told.good, "the change")
        assert [content for _, content in told.good] == [digest(ECR_ONLY)]


def test_a_file_that_never_comes_to_rest_is_read_all_the_same(tmp_path: Path) -> None:
    """Somebody writes it anew all the time: not each version is read, but what it says is taken."""
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    with following(path) as told:
        stop = threading.Event()

        def write() -> None:
            number = 0
            while not stop.wait(OFTEN.total_seconds() / 4):
                number += 1
                as_an_editor(path, f"{ECR_ONLY}# {number}\n")

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        try:
            eventually(lambda: told.good, "the change")
        finally:
            stop.set()
            writer.join()
    assert told.bad == []
