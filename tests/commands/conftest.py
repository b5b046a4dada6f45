"""The shell that the commands are typed into."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.shell import Shell, shell_on


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A shell whose cluster has the namespaces of `TEAMS`, in a world where tokens have their natural lives."""
    with shell_on(tmp_path) as made:
        yield made
