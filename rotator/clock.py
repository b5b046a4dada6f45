"""The wall clock: read here and nowhere else, and handed to every room that needs the time."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time now, aware and in UTC."""
    return datetime.now(UTC)
