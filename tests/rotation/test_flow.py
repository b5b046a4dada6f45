"""How many write at a time: fewer while the API server is slow, and never more than there are writers."""

import threading

from rotator.rotation.flow import SLOW, Flow
from tests.waiting import eventually


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def seconds(self) -> float:
        """As it stands."""
        return self.now


def written(flow: Flow, hand: Hand, seconds: float, times: int = 1) -> None:
    """Writes that take so long each, one after the other."""
    for _ in range(times):
        began = hand.now
        hand.now += seconds
        flow.note(began, 1)


def test_a_fast_server_has_all_writers() -> None:
    """And never more."""
    hand = Hand()
    flow = Flow(16, hand.seconds)
    assert flow.width == 16
    written(flow, hand, 0.01, 100)
    assert flow.width == 16


def test_a_slow_server_has_half_of_them_and_one_at_least() -> None:
    """A throttled request is slow by the Retry-After that was waited for."""
    hand = Hand()
    flow = Flow(16, hand.seconds)
    widths = []
    for _ in range(6):
        written(flow, hand, 2 * SLOW)
        widths.append(flow.width)
    assert widths == [8, 4, 2, 1, 1, 1]


def test_writes_that_were_slow_together_count_once() -> None:
    """All sixteen waited in the same queue."""
    hand = Hand()
    flow = Flow(16, hand.seconds)
    began, hand.now = hand.now, hand.now + 2 * SLOW
    for _ in range(16):
        flow.note(began, 1)
    assert flow.width == 8


def test_after_a_slow_time_writers_come_back_one_by_one() -> None:
    """One more with each round, so that the server is not at its end again at once."""
    hand = Hand()
    flow = Flow(16, hand.seconds)
    written(flow, hand, 2 * SLOW)
    written(flow, hand, 0.01, 8)
    assert flow.width in {8, 9}
    written(flow, hand, 0.01, 200)
    assert flow.width == 16


def test_several_writes_of_one_namespace_may_take_as_often_as_long() -> None:
    """References and Secrets of a namespace are written one after the other."""
    hand = Hand()
    flow = Flow(16, hand.seconds)
    hand.now = 3 * SLOW
    flow.note(0.0, 4)
    assert flow.width == 16
    flow.note(0.0, 2)
    assert flow.width == 8


def test_who_may_not_write_waits_until_it_may_or_all_is_done() -> None:
    """And is not forgotten when the queue is empty."""
    hand = Hand()
    flow = Flow(4, hand.seconds)
    written(flow, hand, 2 * SLOW)
    joined: dict[int, bool] = {}
    threads = [threading.Thread(target=lambda n=n: joined.update({n: flow.join(n)})) for n in range(4)]
    for thread in threads:
        thread.start()
    eventually(lambda: joined == {0: True, 1: True}, "the first two go on")
    written(flow, hand, 0.01, 3)
    eventually(lambda: joined == {0: True, 1: True, 2: True}, "and then a third")
    flow.end()
    for thread in threads:
        thread.join()
    assert joined == {0: True, 1: True, 2: True, 3: False}
