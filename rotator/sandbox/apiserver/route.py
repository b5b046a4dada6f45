"""What a request asks for, by its method and path.

Source: apiserver/pkg/endpoints/request/requestinfo.go, which also decides what RBAC gets to see.
"""

from dataclasses import dataclass, replace

from rotator.sandbox.apiserver.bodies import Place
from rotator.sandbox.apiserver.rbac import Attempt
from rotator.sandbox.apiserver.resources import GROUP_VERSIONS, NAMESPACES, Resource, find
from rotator.sandbox.apiserver.selector import Selection, parse
from rotator.sandbox.apiserver.status import bad_request, no_such_method, no_such_path
from rotator.sandbox.server import Request

_METHODS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Call:
    """A request for a resource. `place.name` is empty for a collection."""

    verb: str
    place: Place
    selection: Selection

    @property
    def attempt(self) -> Attempt:
        """As RBAC sees it."""
        place = self.place
        namespace = place.name if place.resource is NAMESPACES else place.namespace
        return Attempt(self.verb, place.resource, namespace, place.name or self.selection.name or "")

    @property
    def creation(self) -> Attempt:
        """What an apply of an absent object needs besides: `create`, with the name, for it stands in the path."""
        return replace(self.attempt, verb="create")


def value(request: Request, name: str) -> str:
    """A query parameter; empty where it is absent."""
    return request.query.get(name, [""])[0]


def number(request: Request, name: str) -> int:
    """A query parameter that is a whole number; 0 where it is absent. Raises a StatusError (400)."""
    text = value(request, name) or "0"
    if not (text.isascii() and text.isdigit()):
        msg = f'Invalid value: "{text}": {name} must be a number'
        raise bad_request(msg)
    return int(text)


def is_true(request: Request, name: str) -> bool:
    """A boolean query parameter."""
    return value(request, name).lower() in {"true", "1"}


def call(request: Request) -> Call | None:
    """The request for a resource, or None where the path is no resource's. Raises a StatusError (400, 404, 405)."""
    words = request.path.strip("/").split("/")
    group = "" if words[0] == "api" else ".".join(words[1:2])
    version, rest = (words[1:2], words[2:]) if words[0] == "api" else (words[2:3], words[3:])
    if words[0] not in {"api", "apis"} or not rest or (group, "".join(version)) not in GROUP_VERSIONS:
        return None
    place = _place(group, version[0], rest)
    selection = parse(place.resource, value(request, "labelSelector"), value(request, "fieldSelector"))
    return Call(_verb(request, place), place, selection)


def _place(group: str, version: str, words: list[str]) -> Place:
    """NAME, or RESOURCE[/NAME], or namespaces/NAMESPACE/RESOURCE[/NAME]; subresources are not served."""
    namespace = ""
    if words[0] == NAMESPACES.name and len(words) > 2:  # noqa: PLR2004  (namespaces/NAME is the Namespace itself)
        namespace, words = words[1], words[2:]
    resource = find(group, version, words[0])
    name = "/".join(words[1:])
    if resource is None or "/" in name or (namespace and not resource.namespaced):
        raise no_such_path()
    if resource.namespaced and name and not namespace:
        raise no_such_path()
    return Place(resource, namespace, name)


def _verb(request: Request, place: Place) -> str:
    if request.method in {"GET", "HEAD"}:
        if place.name:
            return "get"
        return "watch" if is_true(request, "watch") else "list"
    verb = _METHODS.get(request.method)
    if verb is None or (verb == "create") == bool(place.name) or not _fits(verb, place.resource, place.namespace):
        raise no_such_method()
    return verb


def _fits(verb: str, resource: Resource, namespace: str) -> bool:
    return verb in resource.verbs and (bool(namespace) or not resource.namespaced)
