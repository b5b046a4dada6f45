"""Fixtures of the providers' tests."""

from collections.abc import Iterator

import pytest

from rotator.sandbox.internet import Internet
from tests.providers.world import pod_on


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> Iterator[Internet]:
    """A running internet, and this process as a Pod in it."""
    with Internet() as net, pod_on(net, monkeypatch):
        yield net
