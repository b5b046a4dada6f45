"""The world of the daemon's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.shell import Shell, shell_on
from tests.scenarios.world import World
from tests.scenarios.world import world as make_world


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A cluster, three clouds and a clock."""
    with make_world(tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A shell in that world, where `rotator` is a program."""
    with shell_on(tmp_path) as made:
        yield made
