"""The scene of the faults."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlplane.server import ControlPlane
from tests.faults.scene import Scene, scene_on


@pytest.fixture
def scene(controlplane: ControlPlane, tmp_path: Path) -> Iterator[Scene]:
    """Rotator on a real cluster, with tokens that live as long as the real ones."""
    with scene_on(controlplane, tmp_path) as made:
        yield made
