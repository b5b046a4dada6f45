"""What a client asks before it asks for objects: versions, groups, resources, health."""

from rotator.sandbox.apiserver import answers
from rotator.sandbox.apiserver.objects import Object
from rotator.sandbox.apiserver.resources import GROUP_VERSIONS, RESOURCES
from rotator.sandbox.apiserver.status import no_such_path
from rotator.sandbox.server import Request, Response

VERSION = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.0+rotator-sandbox",
    "gitCommit": "",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}
HEALTH = ("/healthz", "/livez", "/readyz")


def answer(request: Request) -> Response:
    """The answer for a path that is no resource's; for an unknown one the plain text of Go's http.NotFound.

    Below a known API group it is a Status instead. Raises a StatusError (404).
    """
    path = request.path.rstrip("/")
    if path in HEALTH:
        return answers.of_text(200, "ok")
    document = _documents().get(path)
    if document is None and path.startswith(tuple(f"{root}/" for root in _ROOTS)):
        raise no_such_path()
    if document is None or request.method not in {"GET", "HEAD"}:
        return answers.of_text(404, "404 page not found\n")
    return answers.of_object(200, document)


_ROOTS = tuple(f"/apis/{group}" if group else "/api" for group, _ in GROUP_VERSIONS)


def _documents() -> dict[str, Object]:
    documents: dict[str, Object] = {
        "/version": VERSION,
        "/api": {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": _groups()},
    }
    for group, version in GROUP_VERSIONS:
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        documents[path] = _resource_list(group, version)
    for served in _groups():
        documents[f"/apis/{served['name']}"] = {"kind": "APIGroup", "apiVersion": "v1"} | served
    return documents


def _groups() -> list[Object]:
    groups = []
    for group, version in GROUP_VERSIONS:
        if group:
            served = {"groupVersion": f"{group}/{version}", "version": version}
            groups.append({"name": group, "versions": [served], "preferredVersion": served})
    return groups


def _resource_list(group: str, version: str) -> Object:
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": [
            {
                "name": resource.name,
                "singularName": resource.kind.lower(),
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "verbs": sorted(resource.verbs),
            }
            | ({"shortNames": [resource.short]} if resource.short else {})
            for resource in RESOURCES
            if (resource.group, resource.version) == (group, version)
        ],
    }
