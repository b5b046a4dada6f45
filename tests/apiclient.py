"""A bare client of a Kubernetes API: status and body as they come, so that tests see what a real client would see."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode

import urllib3

from rotator.sandbox.apiserver import ApiServer

APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
EMPTY_AUTHS = "eyJhdXRocyI6e319"  # {"auths":{}}


class Answer(NamedTuple):
    """Status, decoded body (text where it is no JSON) and headers."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def reason(self) -> str:
        """The Status's reason."""
        return str(self.body["reason"])

    @property
    def message(self) -> str:
        """The Status's message."""
        return str(self.body["message"])

    @property
    def version(self) -> str:
        """The object's or list's resourceVersion."""
        return str(self.body["metadata"]["resourceVersion"])


class Client:
    """Requests of one user, through one connection pool without retries."""

    def __init__(self, url: str, token: str | None, ca_file: Path | None = None) -> None:
        self._url = url
        self._pool = urllib3.PoolManager(maxsize=16, retries=False, ca_certs=str(ca_file) if ca_file else None)
        self._headers = {"User-Agent": "tester/1.0"} | ({"Authorization": f"Bearer {token}"} if token else {})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def get(self, path: str, accept: str = "application/json", **query: object) -> Answer:
        """GET."""
        return self._call("GET", path, query, headers={"Accept": accept})

    def post(self, path: str, body: object, accept: str = "application/json", **query: object) -> Answer:
        """POST."""
        return self._call("POST", path, query, body, {"Content-Type": "application/json", "Accept": accept})

    def put(self, path: str, body: object, **query: object) -> Answer:
        """PUT."""
        return self._call("PUT", path, query, body, {"Content-Type": "application/json"})

    def patch(
        self, path: str, body: object, media_type: str, accept: str = "application/json", **query: object
    ) -> Answer:
        """PATCH."""
        return self._call("PATCH", path, query, body, {"Content-Type": media_type, "Accept": accept})

    def apply(self, path: str, body: object, manager: str = "rotator", **query: object) -> Answer:
        """Server-side apply."""
        return self._call("PATCH", path, {"fieldManager": manager, **query}, body, {"Content-Type": APPLY})

    def delete(self, path: str, body: object | None = None, accept: str = "application/json") -> Answer:
        """DELETE."""
        return self._call("DELETE", path, {}, body, {"Content-Type": "application/json", "Accept": accept})

    @contextmanager
    def watching(self, path: str, accept: str = "application/json", **query: object) -> Iterator[Iterator[Any]]:
        """A watch: its events, one by one."""
        url = f"{self._url}{path}?{urlencode({'watch': 'true', **query})}"
        response = self._pool.request(
            "GET", url, headers=self._headers | {"Accept": accept}, preload_content=False, timeout=20
        )
        try:
            yield _events(response)
        finally:
            response.close()

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, object],
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        url = f"{self._url}{path}" + (f"?{urlencode(query)}" if query else "")
        content = None if body is None else json.dumps(body).encode()
        response = self._pool.request(
            method, url, body=content, headers=self._headers | dict(headers or {}), timeout=20
        )
        is_json = response.headers.get("Content-Type", "").startswith("application/json")
        return Answer(response.status, response.json() if is_json else response.data.decode(), response.headers)


def _events(response: urllib3.BaseHTTPResponse) -> Iterator[Any]:
    buffer = b""
    for chunk in response.stream(65536):
        buffer += chunk
        *lines, buffer = buffer.split(b"\n")
        yield from (json.loads(line) for line in lines)


@contextmanager
def client_of(api: ApiServer, user: str = "admin") -> Iterator[Client]:
    """A client for this user, who may do everything if it is new."""
    client = Client(api.url, api.add_user(user))
    try:
        yield client
    finally:
        client.close()


def secret(name: str = "worker-pull", **more: object) -> dict[str, Any]:
    """A pull secret without entries."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": EMPTY_AUTHS},
        **more,
    }
