"""Sends one request to the API server: authentication, time limits, and the one retry policy there is.

The kubernetes package gives configuration, TLS, proxy and credentials; requests go to its urllib3 pool directly, for
its own call would serialise the body again, retry unasked and set no time limit.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from threading import Event, Lock
from time import monotonic
from typing import TypeVar
from urllib.parse import urlsplit

import urllib3
from kubernetes.client.api_client import ApiClient
from kubernetes.client.configuration import Configuration

from rotator import __version__
from rotator.cluster import failures
from rotator.cluster.bounded import Answer, BoundedPool, bound
from rotator.cluster.request import Request
from rotator.cluster.stream import Stream
from rotator.cluster.tls import verify_as_kubectl_does
from rotator.deadline import DeadlineExceeded, within
from rotator.errors import ClusterError, ClusterUnusable, NotLeading, ServerFailed, Throttled

T = TypeVar("T")

TRIES = 3
FIRST_PAUSE = timedelta(seconds=0.25)  # then four times as long
PASSING = frozenset({None, 429, 500, 502, 503, 504})
"""Statuses worth another try; None: no answer at all. 409 and 422 ask for another look at the object instead."""

SHORTEST = 0.001  # seconds; urllib3 refuses a time limit of nothing
SPARE_CONNECTIONS = 4  # beside the workers': watches, lease, status
COSTLY = 0.5  # seconds that reading the configuration takes where it runs a program; a file takes some milliseconds
LOG_IN_PAUSE = 10
"""Times as long as it took is the pause after a costly reading: watches and the Lease ask each second, and where every
credential is refused, the kubeconfig's program must not run for each of them."""
CREDENTIAL_KEPT = 1.0
"""Seconds before the kubernetes package is asked again; it reads a token file again each minute, and a plugin's token
shortly before its expiry. Asking costs 40 µs, and 100 more for the thread that bounds it (measured, 2 cores)."""


class Transport:
    """A connection to one API server, for many threads. `log_in` reads the configuration, again after a 401.

    `may_write` is asked right before each try of a request that writes: who has lost the lead meanwhile sends none.
    """

    def __init__(
        self,
        log_in: Callable[[], Configuration],
        *,
        workers: int,
        timeout: timedelta,
        deadline: timedelta,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        self._log_in = log_in
        self._workers = workers
        self._timeout = timeout
        self._deadline = deadline
        self._may_write = may_write
        self._closed = Event()
        self._lock = Lock()
        self._log_in_again_at = 0.0
        self._session = self._begin()

    def send(self, request: Request) -> bytes:
        """The body of the 2xx answer, within the deadline. Raises ClusterError; NotLeading: nothing was sent."""
        until = monotonic() + self._deadline.total_seconds()
        return self._authenticated(lambda session: self._persist(session, request, until))

    def stream(self, request: Request, limit: timedelta) -> Stream:
        """The 2xx answer, to be read as it comes, all of it within the limit. In one try. Raises ClusterError."""
        seconds = limit.total_seconds()
        timeout = urllib3.Timeout(connect=min(self._timeout.total_seconds(), seconds), read=seconds)
        return self._authenticated(lambda session: session.open(request, timeout))

    def close(self) -> None:
        """Close the idle connections; nobody waits for another try or begins a write any more."""
        self._closed.set()
        self._session.close()

    def _authenticated(self, call: "Callable[[_Session], T]") -> T:
        """A 401 may mean that a credential was replaced since the configuration was read: it is read again, once."""
        session = self._session
        try:
            return call(session)
        except ClusterUnusable as error:
            if error.status != HTTPStatus.UNAUTHORIZED or self._is_too_soon(session):
                raise
        return call(self._replaced(session))

    def _persist(self, session: "_Session", request: Request, until: float) -> bytes:
        tries = 0
        while True:
            tries += 1
            self._check_lead(request)
            try:
                return session.exchange(request, until)
            except (Throttled, ServerFailed) as error:
                pause = pause_before_retry(error, tries)
                if pause is None or monotonic() + pause.total_seconds() >= until:
                    raise
                if self._closed.wait(pause.total_seconds()):
                    raise

    def _check_lead(self, request: Request) -> None:
        if request.method != "GET" and (self._closed.is_set() or not self._may_write()):
            msg = f"{request}: not sent, for this process does not lead"
            raise NotLeading(msg)

    def _begin(self) -> "_Session":
        try:
            # Bounded, because a kubeconfig may name a program that gives the credential, and never ends.
            configuration = within(self._deadline, self._log_in, name="Kubernetes configuration")
        except DeadlineExceeded as error:
            msg = "the kubeconfig's credential plugin does not end"
            raise ClusterUnusable(msg, hint="run the command in its `exec` section by hand") from error
        return _Session(configuration, self._workers + SPARE_CONNECTIONS, self._timeout)

    def _is_too_soon(self, refused: "_Session") -> bool:
        return self._session is refused and monotonic() < self._log_in_again_at

    def _replaced(self, refused: "_Session") -> "_Session":
        """A new session in place of the refused one; of many threads that were refused together, one makes it."""
        with _held(self._lock, self._deadline):
            if self._session is refused:
                began = monotonic()
                self._session = self._begin()
                took = monotonic() - began
                self._log_in_again_at = monotonic() + (took * LOG_IN_PAUSE if took > COSTLY else 0.0)
                refused.close()
            return self._session


def pause_before_retry(error: ClusterError, tries: int) -> timedelta | None:
    """How long to wait after this many tries: what the server asks for, or ever longer. None: do not try again."""
    if tries >= TRIES or error.status not in PASSING:
        return None
    return error.retry_after or FIRST_PAUSE * 4 ** (tries - 1)


class _Session:
    """One reading of the configuration: its pool of connections and its credential."""

    def __init__(self, configuration: Configuration, connections: int, timeout: timedelta) -> None:
        configuration.connection_pool_maxsize = connections
        self._configuration = configuration
        self._client = ApiClient(configuration)
        self._pool: urllib3.PoolManager = self._client.rest_client.pool_manager
        bound(self._pool)
        verify_as_kubectl_does(self._pool, configuration)
        self._connections = self._connected()
        self._prefix = _prefix(self._pool, configuration.host)
        self._server = urlsplit(configuration.host).netloc.rpartition("@")[2]
        self._timeout = timeout
        self._lock = Lock()
        self._authorization = ""
        self._ask_again_at = 0.0

    def exchange(self, request: Request, until: float) -> bytes:
        """One try, until then at the latest."""
        with self._telling(request):
            response = self._asked_shortly(request, until) or self._asked_anew(request, until)
        if _is_success(response.status):
            return response.data
        raise failures.answered(request, response.status, response.headers, response.data)

    def open(self, request: Request, timeout: urllib3.Timeout) -> Stream:
        """One try, and the answer once its head has come."""
        with self._telling(request):
            response = self._sent(request, timeout, whole=False)
        stream = Stream(response, request, self._server)
        if _is_success(response.status):
            return stream
        with stream:
            raise failures.answered(request, response.status, response.headers, stream.read())

    def close(self) -> None:
        """Close its idle connections; those in use close when they are given back."""
        self._client.close()  # type: ignore[no-untyped-call]

    @contextmanager
    def _telling(self, request: Request) -> Iterator[None]:
        """Word what goes wrong within."""
        try:
            yield
        except urllib3.exceptions.HTTPError as error:
            raise failures.unanswered(request, self._server, error) from error

    def _asked_shortly(self, request: Request, until: float) -> Answer | None:
        """Over a connection that is open already; None: there is none."""
        try:
            seconds = max(min(self._timeout.total_seconds(), until - monotonic()), SHORTEST)
            target = self._prefix + request.target
            return self._connections.exchange(request.method, target, request.body, self._headers(request), seconds)
        except urllib3.exceptions.ClosedPoolError:  # another thread was refused meanwhile, and has closed it
            self._connections = self._connected()
            return None

    def _asked_anew(self, request: Request, until: float) -> urllib3.BaseHTTPResponse:
        """Over a new connection."""
        seconds = self._timeout.total_seconds()
        timeout = urllib3.Timeout(connect=seconds, read=seconds, total=max(until - monotonic(), SHORTEST))
        return self._sent(request, timeout, whole=True)

    def _connected(self) -> BoundedPool:
        """The manager would look for it by the address of each request: 100 µs of a write (measured, 2 cores)."""
        pool = self._pool.connection_from_url(self._configuration.host)
        assert isinstance(pool, BoundedPool)  # noqa: S101  (see `bound`)
        return pool

    def _sent(self, request: Request, timeout: urllib3.Timeout, *, whole: bool) -> urllib3.BaseHTTPResponse:
        return self._connections.urlopen(
            request.method,
            self._prefix + request.target,
            body=request.body or None,
            headers=self._headers(request),
            timeout=timeout,
            retries=False,
            redirect=False,
            assert_same_host=False,
            preload_content=whole,
        )

    def _headers(self, request: Request) -> dict[str, str]:
        headers = {"Accept": request.accept, "User-Agent": f"rotator/{__version__}"}
        if request.content_type:
            headers["Content-Type"] = request.content_type
        authorization = self._credential()
        return headers | {"Authorization": authorization} if authorization else headers

    def _credential(self) -> str:
        with _held(self._lock, self._timeout):
            if monotonic() >= self._ask_again_at:
                self._authorization = self._asked() or self._authorization
                self._ask_again_at = monotonic() + CREDENTIAL_KEPT
            return self._authorization

    def _asked(self) -> str:
        """What the kubernetes package gives, after it renewed what it thinks is due.

        Where that fails, the credential that we have goes on until the API server refuses it; so does client-go.
        """
        ask = partial(self._configuration.get_api_key_with_prefix, "BearerToken")
        try:
            credential = within(self._timeout, ask, name="Kubernetes credential") or ""
        except Exception:  # noqa: BLE001  (a token file or a plugin fails in any way)
            return ""
        return header_value(credential)


def _prefix(manager: urllib3.PoolManager, host: str) -> str:
    """What goes before the target: the path of the address, or all of it for a proxy that is asked in clear."""
    address = urlsplit(host)
    return host if manager.proxy is not None and address.scheme == "http" else address.path


def _is_success(status: int) -> bool:
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def header_value(credential: str) -> str:
    """The credential without the newline that its file may end with. Raises ClusterUnusable: no header can carry it.

    http.client would refuse it too, with the whole token in its message.
    """
    value = credential.strip()
    if not value.isascii() or not value.isprintable():
        msg = "the token for the API server holds characters that no HTTP header can carry"
        raise ClusterUnusable(msg, hint="repair the token file, or the kubeconfig's user")
    return value


@contextmanager
def _held(lock: Lock, timeout: timedelta) -> Iterator[None]:
    """Hold the lock; one thread's hanging plugin must not stop all the others for good."""
    if not lock.acquire(timeout=timeout.total_seconds()):
        msg = "the credential for the API server is being renewed, and that does not end"
        raise ServerFailed(msg)
    try:
        yield
    finally:
        lock.release()
