"""One request from authentication to answer, in the order of the real server's filters: who, whether it may, what."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from rotator.sandbox.apiserver import answers, discovery, route
from rotator.sandbox.apiserver.faults import Faults, TooManyRequests
from rotator.sandbox.apiserver.journal import Journal, Record
from rotator.sandbox.apiserver.rbac import ANONYMOUS, Attempt, Rbac, refusal, refusal_of_path
from rotator.sandbox.apiserver.resources import NAMESPACES
from rotator.sandbox.apiserver.reviews import Reviews
from rotator.sandbox.apiserver.route import Call
from rotator.sandbox.apiserver.serving import Serving
from rotator.sandbox.apiserver.status import StatusError, unauthorized
from rotator.sandbox.server import Request, Response

Hook = Callable[[Call], None]


class Handler:
    """Answers requests. `before_request` runs before each permitted request for a resource is carried out."""

    def __init__(self, serving: Serving, reviews: Reviews, rbac: Rbac, clock: Callable[[], datetime]) -> None:
        self.faults = Faults()
        self.journal = Journal()
        self.before_request: Hook | None = None
        self._serving = serving
        self._reviews = reviews
        self._rbac = rbac
        self._clock = clock

    def __call__(self, request: Request) -> Response:
        """The answer. Raises ConnectionAbortedError where there shall be none."""
        user, attempt = "", route.attempt(request)
        try:
            user = self._identify(request)
            response = self._answer(request, user, attempt)
        except StatusError as error:
            response = answers.of_error(error)
        except TooManyRequests as error:
            response = answers.of_throttling(error)
        self._record(request, user, attempt, response.status)
        return response

    def _identify(self, request: Request) -> str:
        """Whoever shows no token is nobody in particular; whoever shows a wrong one is refused whatever he asks for."""
        if "Authorization" not in request.headers:
            return ANONYMOUS
        user = self._rbac.user(request.headers["Authorization"], self._clock())
        if user is None:
            raise unauthorized()
        return user

    def _answer(self, request: Request, user: str, attempt: Attempt | None) -> Response:
        if user not in self.faults.spared:
            self.faults.check(request.gone)
        self._authorize(request, user, attempt)
        call = route.call(request)
        if call is None or attempt is None:
            return discovery.answer(request)
        if self.before_request is not None:
            self.before_request(call)
        creation = replace(attempt, verb="create")  # an apply of an absent object needs it besides
        reviewed = self._reviews.answer(request, user, call)
        return reviewed or self._serving.serve(request, call, lambda: self._authorize(request, user, creation))

    def _authorize(self, request: Request, user: str, attempt: Attempt | None) -> None:
        if attempt is None:
            if not self._rbac.allows_path(user, verb := request.method.lower(), request.path):
                raise refusal_of_path(user, verb, request.path)
        elif attempt.namespace in self.faults.forbidden_namespaces or not self._rbac.allows(user, attempt):
            raise refusal(user, attempt)

    def _record(self, request: Request, user: str, attempt: Attempt | None, status: int) -> None:
        within = attempt is not None and attempt.resource != NAMESPACES.name
        self.journal.add(
            Record(
                time=self._clock(),
                user=user,
                user_agent=request.headers.get("User-Agent", ""),
                verb=attempt.verb if attempt else request.method.lower(),
                resource=attempt.what if attempt else "",
                namespace=attempt.namespace if attempt and within else "",
                name=attempt.name if attempt else request.path,
                status=status,
            )
        )
