"""What goes on beside a test: a look every so often, in a thread, and its failure is the test's."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Beside:
    """A context manager that calls `look` every so many seconds until it ends."""

    def __init__(self, look: Callable[[], None], every: float) -> None:
        self._look = look
        self._every = every
        self._stop = threading.Event()
        self._defect: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="beside")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._defect and not error:
            raise self._defect

    def _run(self) -> None:
        try:
            while not self._stop.wait(self._every):
                self._look()
        except BaseException as error:  # noqa: BLE001  (raised where the test ends)
            self._defect = error
