"""A worker's life: a Pod is created through admission, and a kubelet pulls its image with the Pod's pull secrets.

The kubelet here does what the real one does: it reads the Secrets that the Pod names, skips the missing ones, builds
its keyring, tries every matching credential in order, and asks the registry as containerd does.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import requests

from rotator import keyring
from rotator.errors import KeyringError

TIMEOUT = 10.0
"""Seconds for one request of the kubelet: a registry in the same process answers in milliseconds."""

_PARAMETER = re.compile(r'(\w+)="?([^",]*)"?')


@dataclass(frozen=True, slots=True)
class Image:
    """An image by tag: `HOST/REPOSITORY:TAG`."""

    host: str
    repository: str
    tag: str = "latest"

    def __str__(self) -> str:
        return f"{self.host}/{self.repository}:{self.tag}"


@dataclass(frozen=True, slots=True)
class Pull:
    """One attempt to pull, and what the kubelet would say about it."""

    namespace: str
    pod: str
    image: Image
    ok: bool
    message: str


@dataclass
class Client:
    """HTTP as the kubelet and containerd speak it: to the API server with a token, to registries through the proxy."""

    api_url: str
    api_token: str
    api_ca: str | bool
    proxy_url: str
    registry_ca: str
    _session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self._session.trust_env = False  # neither the developer's proxy nor their .netrc

    def close(self) -> None:
        """Give back the connections."""
        self._session.close()

    def api(self, method: str, path: str, body: object = None) -> requests.Response:
        """One request to the API server."""
        headers = {"Authorization": f"Bearer {self.api_token}"}
        return self._session.request(
            method, self.api_url + path, json=body, headers=headers, verify=self.api_ca, timeout=TIMEOUT
        )

    def registry(self, url: str, headers: Mapping[str, str], method: str = "GET") -> requests.Response:
        """One request to a registry."""
        proxies = {"https": self.proxy_url}
        return self._session.request(
            method, url, headers=headers, verify=self.registry_ca, proxies=proxies, timeout=TIMEOUT
        )


class Kubelet:
    """Creates Pods as a workflow platform would, and pulls their images."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def create(self, namespace: str, name: str, account: str, image: Image) -> dict[str, Any] | None:
        """The Pod after admission, or None where it was refused."""
        container = {"name": "main", "image": str(image), "imagePullPolicy": "Always"}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"serviceAccountName": account, "containers": [container]},
        }
        answer = self._client.api("POST", f"/api/v1/namespaces/{namespace}/pods", pod)
        created: dict[str, Any] = answer.json()
        return created if answer.status_code == HTTPStatus.CREATED else None

    def delete(self, namespace: str, name: str) -> None:
        """The worker is done."""
        self._client.api("DELETE", f"/api/v1/namespaces/{namespace}/pods/{name}")

    def pull(self, pod: Mapping[str, Any], image: Image) -> Pull:
        """Pull the image with the Pod's own pull secrets."""
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        references = [reference["name"] for reference in pod["spec"].get("imagePullSecrets", [])]
        try:
            matches = keyring.lookup(self._secrets(namespace, references), str(image))
        except KeyringError as error:
            return Pull(namespace, name, image, ok=False, message=error.message)
        if not matches:
            reason = "no pull secret matches" if references else "the Pod names no pull secret"
            return Pull(namespace, name, image, ok=False, message=reason)
        answers = [self._ask(image, match.username, match.password.reveal()) for match in matches]
        ok = HTTPStatus.OK in answers
        message = "pulled" if ok else f"the registry answered {answers[-1]} to {len(answers)} credential(s)"
        return Pull(namespace, name, image, ok=ok, message=message)

    def _secrets(self, namespace: str, names: Sequence[str]) -> list[keyring.PullSecretData]:
        """The Secrets that exist; a kubelet only skips the missing ones."""
        found = []
        for name in names:
            answer = self._client.api("GET", f"/api/v1/namespaces/{namespace}/secrets/{name}")
            if answer.status_code == HTTPStatus.OK:
                secret = answer.json()
                data = {key: base64.b64decode(value).decode() for key, value in secret.get("data", {}).items()}
                found.append(keyring.PullSecretData(name, secret["type"], data))
        return found

    def _ask(self, image: Image, username: str, password: str) -> int:
        """The registry's status for the manifest, after its challenge: 200 is a pull."""
        url = f"https://{image.host}/v2/{image.repository}/manifests/{image.tag}"
        basic = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
        try:
            challenge = self._client.registry(url, {}).headers.get("WWW-Authenticate", "")
            authorization = self._bearer(challenge, image, basic) if challenge.startswith("Bearer") else basic
            return self._client.registry(url, {"Authorization": authorization}).status_code
        except requests.RequestException:
            return 0  # no answer

    def _bearer(self, challenge: str, image: Image, basic: str) -> str:
        parameters = dict(_PARAMETER.findall(challenge.partition(" ")[2]))
        query = {"scope": f"repository:{image.repository}:pull", "service": parameters.get("service", "")}
        url = requests.Request("GET", parameters["realm"], params=query).prepare().url or ""
        answer = self._client.registry(url, {"Authorization": basic})
        content = answer.json() if answer.status_code == HTTPStatus.OK else {}
        return f"Bearer {content.get('token') or content.get('access_token') or 'none'}"
