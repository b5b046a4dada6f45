"""An answer that is read as it comes, by one thread, and that any other may end."""

from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

import urllib3

from rotator.cluster import failures
from rotator.cluster.request import Request
from rotator.errors import ServerFailed

CHUNK = 64 * 1024

LONGEST = 8 * 1024 * 1024
"""Bytes of a line, or of an answer that is read whole: etcd refuses objects of more than 1.5 MiB, and JSON spells the
odd byte in six."""


class Malformed(ServerFailed):
    """What came is nothing that a Kubernetes API server sends."""


class Stream:
    """A 2xx answer whose head has come. A context manager, for the thread that reads.

    Reading raises ServerFailed: the answer broke off, or did not come whole within its time limit; Malformed is one.
    """

    def __init__(self, response: urllib3.BaseHTTPResponse, request: Request, server: str) -> None:
        self._response = response
        self._request = request
        self._server = server

    def __enter__(self) -> Self:
        return self

    @property
    def date(self) -> str:
        """The server's own time, as its head says it; empty where it does not."""
        return self._response.headers.get("Date", "")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def lines(self) -> Iterator[bytes]:
        """Each line when it has come, without its end. Raises Malformed for one that is too long or has no end."""
        line = bytearray()
        while chunk := self._read():
            first, *following = chunk.split(b"\n")
            line += first
            for start in following:
                yield bytes(line)
                line = bytearray(start)
            if len(line) > LONGEST:
                raise self.malformed()
        if line:
            raise self.malformed()

    def read(self) -> bytes:
        """All of it. Raises Malformed if that is too much."""
        body = bytearray()
        while chunk := self._read():
            body += chunk
            if len(body) > LONGEST:
                raise self.malformed()
        return bytes(body)

    def malformed(self) -> Malformed:
        """The error for what was read."""
        return Malformed(failures.malformed(self._request).message)

    def end(self) -> None:
        """From any thread: nothing more is read, and whoever waits for the next byte gets an error at once."""
        # It is closed already, or is being closed: then urllib3 says so in any of these ways.
        with suppress(OSError, RuntimeError, TypeError, ValueError):
            self._response.shutdown()

    def close(self) -> None:
        """Close the connection, unless the answer came to its end."""
        self._response.close()
        self._response.release_conn()

    def _read(self) -> bytes:
        try:
            return self._response.read1(CHUNK, decode_content=False)
        except urllib3.exceptions.HTTPError as error:
            raise failures.unanswered(self._request, self._server, error) from error
        except ValueError as error:  # the TLS layer's, after `end`
            msg = f"{self._request}: the answer was not read to its end"
            raise ServerFailed(msg) from error
