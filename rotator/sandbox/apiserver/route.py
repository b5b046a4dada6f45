"""What a request asks for, by its method and path.

Source: apiserver/pkg/endpoints/request/requestinfo.go, which decides what RBAC gets to see, before anybody looks
whether there is such a resource.
"""

from dataclasses import dataclass

from rotator.sandbox.apiserver.bodies import Place
from rotator.sandbox.apiserver.rbac import Attempt
from rotator.sandbox.apiserver.resources import GROUP_VERSIONS, NAMESPACES, SUBRESOURCES, Resource, find
from rotator.sandbox.apiserver.selector import Selection, exact_name, parse
from rotator.sandbox.apiserver.status import no_such_method, no_such_path
from rotator.sandbox.server import Request

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_READS = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Call:
    """A request for a resource. `place.name` is empty for a collection."""

    verb: str
    place: Place
    selection: Selection
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of a resource's path: NAME, or RESOURCE[/NAME[/SUBRESOURCE]], within namespaces/NAMESPACE or not."""

    group: str
    version: str
    namespace: str
    resource: str
    name: str
    rest: tuple[str, ...]


def value(request: Request, name: str) -> str:
    """A query parameter; empty where it is absent."""
    return request.query.get(name, [""])[0]


def is_true(request: Request, name: str) -> bool:
    """A boolean query parameter: true unless it says that it is false (apimachinery, runtime/conversion.go)."""
    return name in request.query and value(request, name).lower() not in {"false", "0"}


def attempt(request: Request) -> Attempt | None:
    """The request as RBAC sees it; None where the path is no resource's."""
    words = _words(request.path)
    if words is None:
        return None
    named = words.name
    if request.method in _READS and not named:
        named = exact_name(value(request, "fieldSelector"))
    return Attempt(
        verb=_verb(request, words.name),
        group=words.group,
        resource=words.resource,
        subresource=words.rest[0] if words.rest else "",
        namespace=words.name if words.resource == NAMESPACES.name else words.namespace,
        name=named,
    )


def call(request: Request) -> Call | None:
    """The request for a resource, or None where the path is no resource's. Raises a StatusError (400, 404, 405)."""
    words = _words(request.path)
    if words is None or (words.group, words.version) not in GROUP_VERSIONS:
        return None
    resource = find(words.group, words.version, words.resource)
    if resource is None or not _is_served(resource, words):
        raise no_such_path()
    verb, subresource = _verb(request, words.name), "/".join(words.rest)
    if not _fits(verb, resource, words):
        raise no_such_method()
    place = Place(resource, words.namespace, words.name)
    selection = parse(resource, value(request, "labelSelector"), value(request, "fieldSelector"))
    return Call(verb, place, selection, subresource)


def _words(path: str) -> _Words | None:
    words = path.strip("/").split("/")
    if words[0] == "api":
        words.insert(1, "")
    if words[0] not in {"api", "apis"} or len(words) < 4:  # noqa: PLR2004  (apis/GROUP/VERSION/RESOURCE)
        return None
    _, group, version, *rest = words
    namespace = ""
    if rest[0] == NAMESPACES.name and len(rest) > 2:  # noqa: PLR2004  (namespaces/NAME is the Namespace itself)
        namespace, rest = rest[1], rest[2:]
    resource, name, *more = *rest, *([""] if len(rest) == 1 else [])
    return _Words(group, version, namespace, resource, name, tuple(more))


def _verb(request: Request, name: str) -> str:
    if request.method not in _READS:
        verb = _VERBS.get(request.method, "")
        return "deletecollection" if verb == "delete" and not name else verb
    if name:
        return "get"
    return "watch" if is_true(request, "watch") else "list"


def _is_served(resource: Resource, words: _Words) -> bool:
    if words.rest and (resource.name, *words.rest) not in SUBRESOURCES:
        return False
    if resource.namespaced:
        return bool(words.namespace or not words.name)
    return not words.namespace


def _fits(verb: str, resource: Resource, words: _Words) -> bool:
    if words.rest:
        return verb == "create"
    if verb in {"get", "list", "watch"}:
        return verb in resource.verbs
    return (
        verb in resource.verbs
        and (verb == "create") != bool(words.name)
        and bool(words.namespace or not resource.namespaced)
    )
