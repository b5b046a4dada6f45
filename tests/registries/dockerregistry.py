"""One docker-registry process, on a socket of the file system: nobody reaches it but through `forward`."""

import http.client
import os
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

import yaml

from rotator.sandbox.server import Request, Response
from tests.processes import dying_with_us, end
from tests.waiting import PATIENCE, eventually

# Each connection has its own (RFC 9110, 7.6.1).
HOP_BY_HOP = frozenset({"connection", "proxy-connection", "transfer-encoding"})


class DockerRegistry:
    """A registry with this `auth` section in its configuration; it takes itself for `https://host`."""

    def __init__(self, host: str, auth: dict[str, Any]) -> None:
        self._host = host
        self._auth = auth
        self._directory = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rotator-registry-")))
            (self._directory / "config.yaml").write_text(yaml.safe_dump(self._config()))
            stack.callback(self.stop)
            self.start()
            self._running = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._running.close()

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the process, with what was pushed before, and wait until it listens."""
        self._socket.unlink(missing_ok=True)
        log = self._directory / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603  (our own configuration)
                [*dying_with_us(), "docker-registry", "serve", str(self._directory / "config.yaml")],
                env={"PATH": os.environ["PATH"], "HOME": str(self._directory)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._process = process
        eventually(lambda: process.poll() is not None or self._listens(), "docker-registry listens")
        assert process.poll() is None, log.read_text()

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            end(self._process)
            self._process = None

    def forward(self, request: Request) -> Response:
        """Its answer, as a load balancer in front of it would pass it on; 502 while it does not run."""
        try:
            with closing(_Connection(self._socket)) as connection:
                connection.request(request.method, _target(request), request.body, self._headers(request))
                answer = connection.getresponse()
                return Response(answer.status, answer.read(), _end_to_end(dict(answer.getheaders())))
        except OSError:
            return Response(502, b"Bad Gateway")

    @property
    def _socket(self) -> Path:
        return self._directory / "socket"

    def _config(self) -> dict[str, Any]:
        return {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self._directory / "storage")}},
            "http": {"net": "unix", "addr": str(self._socket), "host": f"https://{self._host}", "secret": "shared"},
            "auth": self._auth,
        }

    def _headers(self, request: Request) -> dict[str, str]:
        return {**_end_to_end(request.headers), "host": self._host, "content-length": str(len(request.body))}

    def _listens(self) -> bool:
        try:
            with closing(_Connection(self._socket)) as connection:
                connection.connect()
        except OSError:
            return False
        return True


class _Connection(http.client.HTTPConnection):
    """HTTP over a socket of the file system."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _target(request: Request) -> str:
    query = urlencode(request.query, doseq=True)
    return quote(request.path) + (f"?{query}" if query else "")


def _end_to_end(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP}
