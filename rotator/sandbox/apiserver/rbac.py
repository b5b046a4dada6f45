"""Who is it, and may they? Bearer tokens, and rules as RBAC has them.

Source: kubernetes/pkg/apis/rbac/v1/evaluation_helpers.go; the wording of a refusal is that of apiserver's
endpoints/handlers/responsewriters/errors.go.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from rotator.sandbox.apiserver.resources import Resource
from rotator.sandbox.apiserver.status import StatusError, forbidden

ALL = "*"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a role. `namespaces` None: bound in the whole cluster; else: bound in these namespaces only.

    With `resource_names` a request must carry one of these names: a POST never does, a list or watch does when its
    field selector is `metadata.name=NAME`, and an apply always does.
    """

    verbs: tuple[str, ...]
    resources: tuple[str, ...]
    resource_names: tuple[str, ...] = ()
    namespaces: tuple[str, ...] | None = None
    api_groups: tuple[str, ...] = ("",)

    def allows(self, attempt: "Attempt") -> bool:
        """Does this rule grant the request?"""
        return (
            _covers(self.verbs, attempt.verb)
            and _covers(self.api_groups, attempt.resource.group)
            and _covers(self.resources, attempt.resource.name)
            and (not self.resource_names or attempt.name in self.resource_names)
            and (self.namespaces is None or attempt.namespace in self.namespaces)
        )


@dataclass(frozen=True, slots=True)
class Attempt:
    """What somebody asks for. A request about one Namespace counts as one within it, so `namespace` is its name."""

    verb: str
    resource: Resource
    namespace: str
    name: str


class Rbac:
    """The users, their tokens and their rules."""

    def __init__(self) -> None:
        self._users: dict[str, str] = {}  # by token
        self._rules: dict[str, tuple[Rule, ...] | None] = {}  # by user; None: may do everything

    def add_user(self, name: str, rules: Iterable[Rule] | None = None) -> str:
        """Add a user, or set its rules anew, and return its token. Without rules it may do everything."""
        self._rules[name] = None if rules is None else tuple(rules)
        return self.token(name) or self._new_token(name)

    def token(self, name: str) -> str | None:
        """The user's token."""
        return next((token for token, user in self._users.items() if user == name), None)

    def user(self, authorization: str) -> str | None:
        """The user of an Authorization header."""
        scheme, _, token = authorization.partition(" ")
        return self._users.get(token.strip()) if scheme.lower() == "bearer" else None

    def replace_token(self, name: str) -> str:
        """Make the token of a user invalid and return the new one."""
        self._users = {token: user for token, user in self._users.items() if user != name}
        return self._new_token(name)

    def check(self, user: str, attempt: Attempt) -> None:
        """Raises a StatusError (403)."""
        rules = self._rules[user]
        if rules is not None and not any(rule.allows(attempt) for rule in rules):
            raise refusal(user, attempt)

    def _new_token(self, name: str) -> str:
        token = secrets.token_urlsafe(32)
        self._users[token] = name
        return token


def refusal(user: str, attempt: Attempt) -> StatusError:
    """403, as RBAC words it."""
    what = f'resource "{attempt.resource.name}" in API group "{attempt.resource.group}"'
    where = f'in the namespace "{attempt.namespace}"' if attempt.namespace else "at the cluster scope"
    return forbidden(attempt.resource, attempt.name, f'User "{user}" cannot {attempt.verb} {what} {where}')


def _covers(granted: tuple[str, ...], wanted: str) -> bool:
    return ALL in granted or wanted in granted
