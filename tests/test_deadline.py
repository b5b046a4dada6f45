"""A call that is late is left behind, and what is left behind stays bounded."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import timedelta

import pytest

from rotator.deadline import MOST_ABANDONED, DeadlineExceeded, TooManyHanging, within

LONG = timedelta(seconds=30)
SHORT = timedelta(milliseconds=20)
INHERITED: ContextVar[str] = ContextVar("INHERITED", default="nothing")


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What hanging calls wait for; it opens after the test, so no thread is left."""
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name of the test's own, since the bound is kept per name."""
    return str(request.node.name)


def _threads(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def _hang(gate: threading.Event, name: str, times: int) -> None:
    for _ in range(times):
        with pytest.raises(DeadlineExceeded):
            within(SHORT, gate.wait, name=name)


def test_result(name: str) -> None:
    """A call that is in time gives its result, and its thread is gone."""
    assert within(LONG, lambda: 42, name=name) == 42
    assert not _threads(name)


def test_exception(name: str) -> None:
    """What the call raises arrives as the same object, its class and cause untouched."""
    error = KeyError("lost")

    def call() -> None:
        raise error

    with pytest.raises(KeyError) as caught:
        within(LONG, call, name=name)
    assert caught.value is error


def test_timeout_of_the_call_itself(name: str) -> None:
    """A TimeoutError that the call raises is its own, and is not taken for a missed deadline."""

    def call() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError) as caught:
        within(LONG, call, name=name)
    assert not isinstance(caught.value, DeadlineExceeded)


def test_context_variables(name: str) -> None:
    """The call sees the caller's context variables (structlog keeps a log's keys there) and cannot change them."""

    def call() -> str:
        seen = INHERITED.get()
        INHERITED.set("changed")
        return seen

    INHERITED.set("from the caller")
    assert within(LONG, call, name=name) == "from the caller"
    assert INHERITED.get() == "from the caller"


def test_late(gate: threading.Event, name: str) -> None:
    """A late call is abandoned in a daemon thread, and the message says what was late and after how long."""
    with pytest.raises(DeadlineExceeded, match=rf"^{name}: no result within 0.02 s$"):
        within(SHORT, gate.wait, name=name)
    (thread,) = _threads(name)
    assert thread.daemon


def test_abandoned_calls_are_bounded(gate: threading.Event, name: str) -> None:
    """With too many hanging calls the next one is refused without being begun, and says why."""
    _hang(gate, name, MOST_ABANDONED)
    begun: list[int] = []
    with pytest.raises(TooManyHanging, match=rf"^{name}: {MOST_ABANDONED} earlier calls still hang"):
        within(LONG, lambda: begun.append(1), name=name)
    assert not begun
    assert len(_threads(name)) == MOST_ABANDONED


def test_bound_is_per_name(gate: threading.Event, name: str) -> None:
    """Hanging calls of one name keep no place from those of another."""
    _hang(gate, name, MOST_ABANDONED)
    assert within(LONG, lambda: "served", name=f"{name} of another") == "served"


def test_ended_threads_free_their_place(gate: threading.Event, name: str) -> None:
    """When abandoned calls come to their end after all, the name is served again."""
    _hang(gate, name, MOST_ABANDONED)
    gate.set()
    for thread in _threads(name):
        thread.join()
    assert within(LONG, lambda: "served", name=name) == "served"


@pytest.mark.parametrize("seconds", [0, -1])
def test_no_time_left(name: str, seconds: float) -> None:
    """A call is not begun when its time is over already."""
    begun: list[int] = []
    with pytest.raises(DeadlineExceeded, match="no time left"):
        within(timedelta(seconds=seconds), lambda: begun.append(1), name=name)
    assert not begun


def test_a_hanging_call_does_not_keep_the_interpreter() -> None:
    """A process with an abandoned call ends when its main thread does."""
    script = (
        "import threading; from datetime import timedelta; from rotator.deadline import within\n"
        "try: within(timedelta(milliseconds=20), threading.Event().wait, name='x')\n"
        "except TimeoutError: print('left behind')\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)  # noqa: S603  (our own interpreter)
    assert ended.stdout == "left behind\n"
