"""A hard limit on how long a call may take, whatever the peer does.

The time limits of the SDKs and of `requests` are limits between two bytes: a server that sends one byte at a time
defeats every one of them. So a call that talks to a network runs in a thread of its own, which is abandoned when it is
late. It is a daemon thread, because the interpreter waits at its exit for the threads of an executor, however long they
hang. Python cannot end a thread, so an abandoned one lives until its peer lets go; their number is bounded.
"""

from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import Context, copy_context
from datetime import timedelta
from threading import Lock, Thread
from typing import TypeVar

T = TypeVar("T")

MOST_ABANDONED = 4
"""How many late calls of one name may still hang before the next one is refused at once."""


class DeadlineExceeded(TimeoutError):
    """The call gave no result in time."""


class TooManyHanging(DeadlineExceeded):
    """The call was not begun: too many earlier ones of its name still hang."""


def within(deadline: timedelta, call: Callable[[], T], *, name: str) -> T:
    """What `call` returns or raises, if it does so within the deadline; it sees the caller's context variables.

    `name` says what is done, for messages and for the bound on abandoned calls: those of one name that hang keep no
    place from those of another. Raises DeadlineExceeded or its subclass TooManyHanging.
    """
    _refuse_when_full(name)
    seconds = deadline.total_seconds()
    if seconds <= 0:
        msg = f"{name}: no time left to begin"
        raise DeadlineExceeded(msg)
    outcome: Future[T] = Future()
    thread = Thread(target=_run, args=(copy_context(), call, outcome), name=name, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome.done():
        _abandon(name, thread)
        msg = f"{name}: no result within {seconds:g} s"
        raise DeadlineExceeded(msg)
    return outcome.result()


def _run(context: Context, call: Callable[[], T], outcome: Future[T]) -> None:
    try:
        result = context.run(call)
    except BaseException as error:  # noqa: BLE001  (it is raised again, in the thread that waits)
        outcome.set_exception(error)
    else:
        outcome.set_result(result)


_abandoned: defaultdict[str, list[Thread]] = defaultdict(list)
_lock = Lock()


def _abandon(name: str, thread: Thread) -> None:
    with _lock:
        _abandoned[name].append(thread)


def _refuse_when_full(name: str) -> None:
    with _lock:
        hanging = [thread for thread in _abandoned.pop(name, ()) if thread.is_alive()]
        if hanging:
            _abandoned[name] = hanging
    if len(hanging) >= MOST_ABANDONED:
        msg = f"{name}: {len(hanging)} earlier calls still hang, so no other is begun until one of them ends"
        raise TooManyHanging(msg)
