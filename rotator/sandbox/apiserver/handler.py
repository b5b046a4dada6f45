"""One request from authentication to answer, in the order of the real server's filters: who, whether it may, what."""

from collections.abc import Callable
from datetime import datetime

from rotator.sandbox.apiserver import answers, discovery, route
from rotator.sandbox.apiserver.faults import Faults, TooManyRequests
from rotator.sandbox.apiserver.journal import Journal, Record
from rotator.sandbox.apiserver.rbac import Attempt, Rbac, refusal
from rotator.sandbox.apiserver.route import Call
from rotator.sandbox.apiserver.serving import Serving
from rotator.sandbox.apiserver.status import StatusError, unauthorized
from rotator.sandbox.server import Request, Response

Hook = Callable[[Call], None]


class Handler:
    """Answers requests. `before_request` runs before each permitted request for a resource is carried out."""

    def __init__(self, serving: Serving, rbac: Rbac, clock: Callable[[], datetime]) -> None:
        self.faults = Faults()
        self.journal = Journal()
        self.before_request: Hook | None = None
        self._serving = serving
        self._rbac = rbac
        self._clock = clock

    def __call__(self, request: Request) -> Response:
        """The answer. Raises ConnectionAbortedError where there shall be none."""
        user = self._rbac.user(request.headers.get("Authorization", "")) or ""
        call: Call | None = None
        try:
            call = route.call(request)
            response = self._answer(request, user, call)
        except StatusError as error:
            response = answers.of_error(error)
        except TooManyRequests as error:
            response = answers.of_throttling(error)
        self._record(request, user, call, response.status)
        return response

    def _answer(self, request: Request, user: str, call: Call | None) -> Response:
        # The open paths are open to nobody, but not to a wrong token: that is refused before the path is looked at.
        if not user and (request.path not in discovery.PUBLIC or "Authorization" in request.headers):
            raise unauthorized()
        self.faults.check(request.gone)
        if call is None:
            return discovery.answer(request)
        self._authorize(user, call.attempt)
        if self.before_request is not None:
            self.before_request(call)
        return self._serving.serve(request, call, lambda: self._authorize(user, call.creation))

    def _authorize(self, user: str, attempt: Attempt) -> None:
        if attempt.namespace in self.faults.forbidden_namespaces:
            raise refusal(user, attempt)
        self._rbac.check(user, attempt)

    def _record(self, request: Request, user: str, call: Call | None, status: int) -> None:
        place = call.place if call else None
        self.journal.add(
            Record(
                time=self._clock(),
                user=user,
                user_agent=request.headers.get("User-Agent", ""),
                verb=call.verb if call else request.method.lower(),
                resource=place.resource.name if place else "",
                namespace=place.namespace if place else "",
                name=place.name if place else request.path,
                status=status,
            )
        )
