"""Fixtures of the conformance suites."""

from collections.abc import Iterator

import pytest

from rotator.sandbox.apiserver import ApiServer
from tests.conformance.both import Both
from tests.controlplane.server import ControlPlane
from tests.providers.conftest import internet

__all__ = ["internet"]


@pytest.fixture
def both(controlplane: ControlPlane) -> Iterator[Both]:
    """A fresh emulation beside the real control plane."""
    with ApiServer() as api, Both(api, controlplane) as pair:
        yield pair
