"""Who is it, and may they? Bearer tokens, and rules as RBAC has them.

Source: kubernetes/pkg/apis/rbac/v1/evaluation_helpers.go; the wording of a refusal is that of apiserver's
endpoints/handlers/responsewriters/errors.go; what everybody may is of kubernetes/plugin/pkg/auth/authorizer/rbac/
bootstrappolicy/policy.go.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from rotator.sandbox.apiserver.objects import Object
from rotator.sandbox.apiserver.status import StatusError

ALL = "*"
ANONYMOUS = "system:anonymous"
PUBLIC_PATHS = ("/healthz", "/livez", "/readyz", "/version", "/version/")  # system:public-info-viewer
DISCOVERY_PATHS = (*PUBLIC_PATHS, "/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*")  # system:discovery


@dataclass(frozen=True, slots=True)
class Attempt:
    """What somebody asks for. A request about one Namespace counts as one within it, so `namespace` is its name."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    subresource: str = ""

    @property
    def what(self) -> str:
        """The resource, as in a rule."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


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

    def allows(self, attempt: Attempt) -> bool:
        """Does this rule grant the request?"""
        return (
            _covers(self.verbs, attempt.verb)
            and _covers(self.api_groups, attempt.group)
            and _covers(self.resources, attempt.what)
            and (not self.resource_names or attempt.name in self.resource_names)
            and self.holds_in(attempt.namespace)
        )

    def holds_in(self, namespace: str) -> bool:
        """Is it bound there?"""
        return self.namespaces is None or namespace in self.namespaces


OF_EVERYBODY = (  # system:basic-user
    Rule(("create",), ("selfsubjectaccessreviews", "selfsubjectrulesreviews"), api_groups=("authorization.k8s.io",)),
    Rule(("create",), ("selfsubjectreviews",), api_groups=("authentication.k8s.io",)),
)


@dataclass(frozen=True, slots=True)
class _Token:
    user: str
    expires: datetime | None = None


class Rbac:
    """The users, their tokens and their rules."""

    def __init__(self) -> None:
        self._tokens: dict[str, _Token] = {}
        self._rules: dict[str, tuple[Rule, ...] | None] = {}  # by user; None: may do everything

    def add_user(self, name: str, rules: Iterable[Rule] | None = None) -> str:
        """Add a user, or set its rules anew, and return its token. Without rules it may do everything."""
        self._rules[name] = None if rules is None else tuple(rules)
        return self.token(name) or self.issue(name)

    def token(self, name: str) -> str | None:
        """The user's token."""
        own = (text for text, token in self._tokens.items() if token == _Token(name))
        return next(own, None)

    def issue(self, name: str, expires: datetime | None = None) -> str:
        """One more token for a user. One who was never added may do what everybody may."""
        token = secrets.token_urlsafe(32)
        self._tokens[token] = _Token(name, expires)
        return token

    def replace_token(self, name: str) -> str:
        """Make the tokens of a user invalid and return the new one."""
        self._tokens = {text: token for text, token in self._tokens.items() if token.user != name}
        return self.issue(name)

    def user(self, authorization: str, now: datetime) -> str | None:
        """The user of an Authorization header."""
        scheme, _, text = authorization.partition(" ")
        token = self._tokens.get(text.strip()) if scheme.lower() == "bearer" else None
        return token.user if token and (token.expires is None or now < token.expires) else None

    def rules(self, user: str) -> tuple[Rule, ...] | None:
        """What a user may; None for everything."""
        if user == ANONYMOUS:
            return ()
        granted = self._rules.get(user, ())
        return None if granted is None else (*OF_EVERYBODY, *granted)

    def allows(self, user: str, attempt: Attempt) -> bool:
        """May the user?"""
        rules = self.rules(user)
        return rules is None or any(rule.allows(attempt) for rule in rules)

    def allows_path(self, user: str, verb: str, path: str) -> bool:
        """May the user, for a path that is no resource's?"""
        if self.rules(user) is None:
            return True
        paths = PUBLIC_PATHS if user == ANONYMOUS else DISCOVERY_PATHS
        return verb == "get" and (path in paths or any(_is_under(path, allowed) for allowed in paths))


def refusal(user: str, attempt: Attempt) -> StatusError:
    """403, as RBAC words it."""
    what = f'resource "{attempt.what}" in API group "{attempt.group}"'
    where = f'in the namespace "{attempt.namespace}"' if attempt.namespace else "at the cluster scope"
    qualified = f"{attempt.resource}.{attempt.group}" if attempt.group else attempt.resource
    subject = f'{qualified} "{attempt.name}"' if attempt.name else qualified
    fields = {"name": attempt.name, "group": attempt.group, "kind": attempt.resource}
    message = f'{subject} is forbidden: User "{user}" cannot {attempt.verb} {what} {where}'
    return _forbidden(message, {field: text for field, text in fields.items() if text})


def refusal_of_path(user: str, verb: str, path: str) -> StatusError:
    """403 for a path that is no resource's."""
    return _forbidden(f'forbidden: User "{user}" cannot {verb} path "{path}"', {})


def _forbidden(message: str, details: Object) -> StatusError:
    return StatusError(403, "Forbidden", message, details)


def _covers(granted: tuple[str, ...], wanted: str) -> bool:
    return ALL in granted or wanted in granted


def _is_under(path: str, allowed: str) -> bool:
    return allowed.endswith("/*") and path.startswith(allowed.removesuffix("*"))
