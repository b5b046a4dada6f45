"""Logging: structlog, JSON or a console, dotted event names with fixed keys, and no secret whatever the level.

Secret values mask themselves by their type (`SecretText`). The processor here is the second line: it masks by key and
by shape, so that a value which slipped into a message is still not written. The SDKs' own loggers are the third: boto3
prints tokens at DEBUG and azure-identity the server's answer at WARNING. They are silenced: what fails in them reaches
us as an exception, which is reported in our words. Of any other library we say that it warned, and where, but not what.
"""

import logging
import re
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from rotator.model import MASK

LEVELS = ("debug", "info", "warning", "error", "critical")
LogFormat = Literal["json", "console"]

_SILENT = ("azure", "boto3", "botocore", "google", "kubernetes", "msal", "requests", "urllib3")

_SECRET_KEYS = re.compile(
    r"passw|token|secret_(value|text)|credential_value|authorization|assertion|private_?key", re.IGNORECASE
)
# A JWT, a Google access token, or any run of base64 too long to be a name of Kubernetes (63 characters) or a digest.
_SECRET_SHAPES = re.compile(r"eyJ[\w-]{8,}\.[\w.-]+|ya29\.[\w.-]+|[A-Za-z0-9+/=_-]{80,}")


def configure(level: str = "info", form: LogFormat = "json", stream: TextIO | None = None) -> None:
    """Send our log and what libraries log to `stream` (default: standard error)."""
    out = cast("TextIO", Steady(stream or sys.stderr))
    renderers: list[Processor] = (
        [structlog.processors.JSONRenderer(sort_keys=False)]
        if form == "json"
        else [_shown, structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=_no_traceback)]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            mask,
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_LibraryHandler()], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    for name in _SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


class Steady:
    """A stream whose failures end here: a full disk, or a reader that left, must not decide what is renewed.

    It is no `io.TextIOBase`, which would be flushed once more when Python ends and our modules are gone.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what can be written."""
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Hand on what can be handed on."""
        with suppress(OSError, ValueError):
            self._stream.flush()

    def isatty(self) -> bool:
        """Whether a person reads it."""
        return self._stream.isatty()


def mask(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace what is secret by its key or by its shape, in nested values too."""
    return {key: MASK if _SECRET_KEYS.search(key) else _masked(value) for key, value in event.items()}


def masked(text: str) -> str:
    """The text with everything that has the shape of a token replaced."""
    return _SECRET_SHAPES.sub(MASK, text)


def printable(text: str) -> str:
    """The text in which what would drive a terminal, or turn the direction of writing, is shown as an escape."""
    return "".join(each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in text)


def where(error: BaseException) -> str:
    """Where an unexpected error was raised: file, line, function; never its message, which may hold anything."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"at {frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""


def install_hooks(report: Callable[[str], None]) -> None:
    """Say an unexpected error in one line, from whichever thread: a traceback prints chained SDK errors with it."""
    is_ending = sys.is_finalizing  # then the modules that `report` needs may be gone, and the exit code is decided

    def tell(error: BaseException | None) -> None:
        if error is not None and not isinstance(error, SystemExit) and not is_ending():
            report(f"unexpected {type(error).__name__} {where(error)}; please report this")

    sys.excepthook = lambda _type, error, _trace: tell(error)
    sys.unraisablehook = lambda event: tell(event.exc_value)
    threading.excepthook = lambda event: tell(event.exc_value)


def _masked(value: object) -> object:
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, dict):
        return {key: MASK if _SECRET_KEYS.search(str(key)) else _masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(item) for item in value]
    if isinstance(value, BaseException):
        return type(value).__name__
    return value if isinstance(value, int | float | bool | None) else masked(str(value))


def _shown(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """JSON has escapes of its own; in lists and mappings so has Python."""
    return {key: printable(value) if isinstance(value, str) else value for key, value in event.items()}


def _no_traceback(_stream: TextIO, _info: object) -> None:
    """No event of ours carries a traceback; one that did would print chained SDK errors."""


class _LibraryHandler(logging.Handler):
    """Says that a library logged something, and where, but not what: its text may hold the server's answer."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger("rotator.library").warning(
            "library.logged", library=record.name, severity=record.levelname.lower(), line=record.lineno
        )
