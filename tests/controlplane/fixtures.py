"""The control plane as a fixture: one for all tests of a process, which keep out of each other's way by namespace."""

from collections.abc import Iterator

import pytest

from tests.controlplane import binaries
from tests.controlplane.server import ControlPlane


@pytest.fixture(scope="session")
def controlplane() -> Iterator[ControlPlane]:
    """A running cluster with RBAC; skipped, in one line, where its programs are missing."""
    if missing := binaries.missing():
        pytest.skip(f"no {', '.join(missing)}: {binaries.HOW_TO_GET_THEM}")
    with ControlPlane() as running:
        yield running
