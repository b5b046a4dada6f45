"""What the suites about writing share: paths, bodies, rotator's own requests, and what rotator makes of a refusal."""

import base64
import json
from typing import Any

from rotator.cluster import failures
from rotator.cluster.request import Request
from rotator.errors import ClusterError
from tests.apiclient import EMPTY_AUTHS, Answer, Client, secret
from tests.conformance.both import Agreed, Both, Side

NAME = "worker-pull"
DATA = ".dockerconfigjson"
FOREIGN_UID = "00000000-0000-0000-0000-000000000000"


def encoded(text: str) -> str:
    """Base64 of a text."""
    return base64.b64encode(text.encode()).decode()


OTHER_AUTHS = encoded('{"auths":{"r":{}}}')
THIRD_AUTHS = encoded('{"auths":{"r":{"auth":"eDp5"}}}')


def path(resource: str, namespace: str, name: str = "") -> str:
    """Of a collection, or of one object, in the core API."""
    return f"/api/v1/namespaces/{namespace}/{resource}" + (f"/{name}" if name else "")


def lease_path(namespace: str, name: str = "") -> str:
    """Of a namespace's Leases, or of one."""
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases" + (f"/{name}" if name else "")


def pull_secret(auths: str = EMPTY_AUTHS, name: str = NAME, **metadata: object) -> dict[str, Any]:
    """A pull secret with these metadata fields."""
    return secret(metadata={"name": name, **metadata}, data={DATA: auths})


def account(name: str, *references: str) -> dict[str, Any]:
    """A ServiceAccount with these references; without any it has no list."""
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
    return body | ({"imagePullSecrets": [{"name": each} for each in references]} if references else {})


def managers(body: Any) -> dict[tuple[str, str], Any]:  # noqa: ANN401  (decoded JSON)
    """The fields of each manager: fieldsV1 by manager and operation."""
    entries = body["metadata"].get("managedFields") or []
    return {(entry["manager"], entry["operation"]): entry["fieldsV1"] for entry in entries}


def send(client: Client, request: Request) -> Answer:
    """Send a PATCH or a DELETE exactly as rotator does."""
    body = json.loads(request.body)
    if request.method == "DELETE":
        return client.delete(request.path, body, request.accept)
    assert request.method == "PATCH"
    return client.patch(request.path, body, request.content_type, accept=request.accept, **dict(request.query))


def told(agreed: Agreed, request: Request) -> ClusterError:
    """What rotator makes of a refusal: the same error, in the same words, from both servers."""
    emulated, real = (
        failures.answered(request, answer.status, answer.headers, json.dumps(answer.body).encode())
        for answer in (agreed.emulated, agreed.real)
    )
    assert (type(emulated), str(emulated), emulated.hint) == (type(real), str(real), real.hint)
    return real


def causes_in_order(answer: Answer) -> Answer:
    """The answer with its causes sorted: those of a conflict come in the order of a Go map, which is none."""
    details = answer.body["details"]
    ordered = sorted(details["causes"], key=lambda cause: (cause["field"], cause["message"]))
    return answer._replace(body=answer.body | {"details": details | {"causes": ordered}})


def unchanged(both: Both, place: str, before: Agreed) -> None:
    """Assert that the object stands as it was, versions included."""
    now = {side.name: side.client.get(place).body for side in both.sides}
    assert now == {side.name: before.on(side).body for side in both.sides}


def version(side: Side, place: str) -> str:
    """The object's current resourceVersion."""
    return side.client.get(place).version


def uid(side: Side, place: str) -> str:
    """The object's UID."""
    return str(side.client.get(place).body["metadata"]["uid"])
