"""What users ask about themselves (may I, what may I, who am I), and tokens for ServiceAccounts.

Sources: kubernetes/pkg/registry/authorization and authentication, and core/serviceaccount/storage/token.go.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from rotator.sandbox.apiserver import answers
from rotator.sandbox.apiserver.bodies import Place, decoded
from rotator.sandbox.apiserver.objects import Object, dig, metadata
from rotator.sandbox.apiserver.rbac import ALL, DISCOVERY_PATHS, Attempt, Rbac, Rule
from rotator.sandbox.apiserver.resources import (
    ACCESS_REVIEWS,
    IDENTITY_REVIEWS,
    RULES_REVIEWS,
    SERVICE_ACCOUNTS,
    SUBJECT_REVIEWS,
    TOKEN_REQUESTS,
    Resource,
)
from rotator.sandbox.apiserver.route import Call
from rotator.sandbox.apiserver.status import bad_request, invalid, invalid_value
from rotator.sandbox.apiserver.verbs import Verbs
from rotator.sandbox.server import Request, Response

ISSUER = "https://kubernetes.default.svc"
SHORTEST_LIFE = 600
DEFAULT_LIFE = 3600
_ACCOUNT = "system:serviceaccount:"


class Reviews:
    """Answers them. None is stored."""

    def __init__(self, verbs: Verbs, rbac: Rbac, clock: Callable[[], datetime]) -> None:
        self._verbs = verbs
        self._rbac = rbac
        self._clock = clock
        self._kinds: dict[tuple[Resource, str], tuple[Resource, Callable[[str, Place, Object], Object]]] = {
            (ACCESS_REVIEWS, ""): (ACCESS_REVIEWS, self._access),
            (SUBJECT_REVIEWS, ""): (SUBJECT_REVIEWS, self._access_of_another),
            (RULES_REVIEWS, ""): (RULES_REVIEWS, self._rules),
            (IDENTITY_REVIEWS, ""): (IDENTITY_REVIEWS, self._identity),
            (SERVICE_ACCOUNTS, "token"): (TOKEN_REQUESTS, self._token),
        }

    def answer(self, request: Request, user: str, call: Call) -> Response | None:
        """The answer; None where the call is for something else. Raises a StatusError."""
        if (call.place.resource, call.subresource) not in self._kinds:
            return None
        kind, review = self._kinds[call.place.resource, call.subresource]
        body = answers.body(request, ("application/json", "application/yaml"))
        asked = decoded(kind, body if isinstance(body, dict) else {"kind": "?"})
        return answers.of_object(201, asked | review(user, call.place, asked.get("spec") or {}))

    def _access(self, user: str, _: Place, spec: Object) -> Object:
        asked, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes") or {}
        if asked is None:
            allowed = self._rbac.allows_path(user, path.get("verb", ""), path.get("path", ""))
        else:
            fields = ("verb", "group", "resource", "namespace", "name", "subresource")
            allowed = self._rbac.allows(user, Attempt(**{field: asked.get(field, "") for field in fields}))
        return {"status": {"allowed": allowed}}

    def _access_of_another(self, _: str, place: Place, spec: Object) -> Object:
        """Here rules are bound to users alone, so the groups that are asked for make no difference."""
        return self._access(spec.get("user", ""), place, spec)

    def _rules(self, user: str, _: Place, spec: Object) -> Object:
        namespace = spec.get("namespace")
        if not namespace:
            msg = "no namespace on request"
            raise bad_request(msg)
        granted = self._rbac.rules(user)
        rules = (Rule((ALL,), (ALL,), api_groups=(ALL,)),) if granted is None else granted
        paths = {"verbs": ["get"], "nonResourceURLs": list(DISCOVERY_PATHS)}
        status = {
            "resourceRules": [_shown(rule) for rule in rules if rule.holds_in(namespace)],
            "nonResourceRules": [paths],
            "incomplete": False,
        }
        return {"spec": {}, "status": status}

    def _identity(self, user: str, _: Place, __: Object) -> Object:
        info: Object = {"username": user, "groups": ["system:authenticated"]}
        if user.startswith(_ACCOUNT):
            namespace, name = user.removeprefix(_ACCOUNT).split(":")
            account = self._verbs.get(Place(SERVICE_ACCOUNTS, namespace, name))
            groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
            info |= {"uid": metadata(account)["uid"], "groups": groups}
        return {"metadata": {"creationTimestamp": _text(self._clock())}, "status": {"userInfo": info}}

    def _token(self, _: str, place: Place, spec: Object) -> Object:
        account = metadata(self._verbs.get(place))
        seconds, audiences = _life(spec), spec.get("audiences") or [ISSUER]
        now = self._clock()
        expires = now + timedelta(seconds=seconds)
        token = self._rbac.issue(f"{_ACCOUNT}{place.namespace}:{place.name}", expires if ISSUER in audiences else now)
        return {
            "metadata": {
                "name": place.name,
                "namespace": place.namespace,
                "uid": account["uid"],
                "creationTimestamp": _text(now),
            },
            "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": None},
            "status": {"token": token, "expirationTimestamp": _text(expires)},
        }


def _life(spec: Object) -> int:
    seconds: Any = dig(spec, "expirationSeconds")
    if seconds is None:
        return DEFAULT_LIFE
    if not isinstance(seconds, int):
        msg = "expirationSeconds is no number"
        raise bad_request(msg)
    if seconds < SHORTEST_LIFE:
        problem = invalid_value(
            "spec.expirationSeconds", str(seconds), "may not specify a duration less than 10 minutes"
        )
        raise invalid(TOKEN_REQUESTS, "", [problem])
    return seconds


def _shown(rule: Rule) -> Object:
    shown = {"verbs": rule.verbs, "apiGroups": rule.api_groups, "resources": rule.resources}
    if rule.resource_names:
        shown["resourceNames"] = rule.resource_names
    return {name: list(words) for name, words in shown.items()}


def _text(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
