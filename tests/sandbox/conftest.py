"""The sandbox's internet, and this process made to use it as an unchanged program would."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from rotator.sandbox.internet import Internet, without_ambient


class Clock:
    """A wall clock that a test moves."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        """Now."""
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def clock() -> Clock:
    """The clouds' clock."""
    return Clock()


@pytest.fixture
def net(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Internet]:
    """A running internet; the environment of this process leads to it and to nothing else."""
    with Internet(clock=clock) as internet:
        for name in set(os.environ) - set(without_ambient(os.environ)):
            monkeypatch.delenv(name)
        for name, value in internet.environment().items():
            monkeypatch.setenv(name, value)
        yield internet
