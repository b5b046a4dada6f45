"""What every test that waits rests on: a condition that does not come true is a failure, and is named."""

import itertools

import pytest

from tests.waiting import eventually, wait_until


def test_a_condition_is_looked_at_until_it_holds() -> None:
    """And no longer: what is true at the third look is not looked at a fourth time."""
    looks = itertools.count(1)
    assert wait_until(lambda: next(looks) == 3, 60)
    assert next(looks) == 4


def test_what_never_comes_true_is_a_failure_that_is_named() -> None:
    """Nobody may take a time-out for success."""
    assert not wait_until(lambda: False, 0)
    with pytest.raises(AssertionError, match=r"not within 0 s: the moon is blue"):
        eventually(lambda: False, "the moon is blue", 0)
