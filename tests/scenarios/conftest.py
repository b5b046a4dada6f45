"""The world of the scenarios."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlplane.server import ControlPlane
from tests.installation import Installation, installed_on
from tests.scenarios.world import World
from tests.scenarios.world import world as make_world


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A cluster, three clouds and a clock."""
    with make_world(tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def installation(controlplane: ControlPlane, tmp_path: Path) -> Iterator[Installation]:
    """Rotator on a real cluster, allowed to do everything there."""
    with installed_on(controlplane, tmp_path) as made:
        made.grant_everything()
        yield made
