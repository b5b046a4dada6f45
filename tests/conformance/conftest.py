"""Fixtures of the conformance suites."""

from tests.providers.conftest import internet

__all__ = ["internet"]
