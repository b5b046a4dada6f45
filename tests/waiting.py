"""Waiting for conditions, never for a fixed time."""

import time
from collections.abc import Callable

PATIENCE = 60.0
"""Seconds that a process has for what it usually does in one: the machine may be busy."""


def wait_until(condition: Callable[[], object], seconds: float) -> bool:
    """Whether the condition came true within so many seconds."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def eventually(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait until the condition holds; `what` says which one did not."""
    assert wait_until(condition, seconds), f"not within {seconds:g} s: {what}"
