"""An HTTP proxy on loopback that is the whole internet: production host names lead to emulated servers.

CONNECT is answered with TLS by a private authority's certificate for the host that was asked for, whatever it is; the
requests inside go to that host's handler. Plain requests (metadata services) are taken in absolute form.
"""

import ssl
from collections.abc import Callable

from rotator.sandbox.authority import Authority
from rotator.sandbox.server import Handler, Request, Response, Server


class Proxy:
    """Sends each host to the handler that `route` names for it. Hosts without one get a 502 and stand in `unknown`."""

    def __init__(self, authority: Authority, route: Callable[[str], Handler | None]) -> None:
        self.unknown: set[str] = set()
        self.server = Server(self._answer, tunnel=self._tunnel)
        self._authority = authority
        self._route = route

    @property
    def url(self) -> str:
        """The value of HTTPS_PROXY and HTTP_PROXY."""
        return self.server.url

    def _tunnel(self, host: str) -> ssl.SSLContext | None:
        return self._authority.context(host) if self._handler(host) else None

    def _answer(self, request: Request) -> Response:
        handler = self._handler(request.host)
        return handler(request) if handler else Response(502, b"no such host")

    def _handler(self, host: str) -> Handler | None:
        handler = self._route(host)
        if handler is None:
            self.unknown.add(host)
        return handler
