"""A node: it takes every Pod of a namespace, resolves its pull secrets as a kubelet does, and pulls with a real client.

A kubelet reads the Secrets that the Pod names, skips the missing ones, tries every credential that matches, and tries
again later when none was accepted. What it then says stands in the Pod's status, as on a real node.
"""

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from rotator import keyring
from rotator.errors import UnparsableSecret
from tests.apiclient import MERGE_PATCH, Client
from tests.beside import Beside

LOOK_EVERY = 0.1
"""Seconds between looks at the Pods, and so between the tries for one Pod; a kubelet waits 10 and more."""


class Pulled(Protocol):
    """What a client of registries says about one try."""

    @property
    def ok(self) -> bool:
        """Whether the image came."""

    @property
    def message(self) -> str:
        """What the client said, if not."""


ANONYMOUS = b'{"auths": {}}'
"""Where nothing matches, a kubelet asks without any credential."""

P = TypeVar("P", bound=Pulled)
Puller = Callable[[str, bytes], Pulled]
"""Pulls an image with the credentials of a dockerconfigjson."""


@dataclass(frozen=True)
class Try:
    """One try to pull the image of one Pod."""

    pod: str
    account: str
    image: str
    references: tuple[str, ...]
    ok: bool
    message: str


class Node(Beside):
    """It tells what became of every Pod."""

    def __init__(self, client: Client, namespace: str, pull: Puller) -> None:
        self.tries: list[Try] = []
        self._client = client
        self._path = f"/api/v1/namespaces/{namespace}"
        self._pull = pull
        super().__init__(self._look_at_pods, LOOK_EVERY)

    def pods(self, account: str) -> dict[str, dict[str, Any]]:
        """The Pods of this ServiceAccount that there are now, by name."""
        return {pod["metadata"]["name"]: pod for pod in self._pods() if pod["spec"]["serviceAccountName"] == account}

    def running(self, account: str) -> set[str]:
        """The Pods of this ServiceAccount that are there now and have their image."""
        return {name for name, pod in self.pods(account).items() if pod["status"]["phase"] == "Running"}

    def first_tries(self) -> Iterator[Try]:
        """The first try of each Pod."""
        return iter({each.pod: each for each in reversed(self.tries)}.values())

    def never_pulled(self) -> dict[str, str]:
        """The Pods whose image never came, and why not."""
        came = {each.pod for each in self.tries if each.ok}
        return {each.pod: each.message for each in self.tries if each.pod not in came}

    def _look_at_pods(self) -> None:
        for pod in self._pods():
            if pod["status"]["phase"] == "Pending":
                self._start(pod)

    def _pods(self) -> list[dict[str, Any]]:
        answer = self._client.get(f"{self._path}/pods")
        assert answer.status == 200, answer
        return list(answer.body["items"])

    def _start(self, pod: Mapping[str, Any]) -> None:
        name, spec = pod["metadata"]["name"], pod["spec"]
        image = spec["containers"][0]["image"]
        references = tuple(reference["name"] for reference in spec.get("imagePullSecrets", ()))
        refusal = self._refusal(references, image)
        self.tries.append(Try(name, spec["serviceAccountName"], image, references, not refusal, refusal))
        self._client.patch(f"{self._path}/pods/{name}/status", {"status": _status(refusal)}, MERGE_PATCH)

    def _refusal(self, references: tuple[str, ...], image: str) -> str:
        """Why the image cannot be pulled; "" if it was."""
        try:
            matches = keyring.lookup(list(self._secrets(references)), image)
        except UnparsableSecret as error:
            return error.message
        last = pulled(image, matches, self._pull)
        if last.ok:
            return ""
        if not references:
            return f"the Pod names no pull secret: {last.message}"
        return last.message if matches else f"no pull secret matches: {last.message}"

    def _secrets(self, references: tuple[str, ...]) -> Iterator[keyring.PullSecretData]:
        for name in references:
            answer = self._client.get(f"{self._path}/secrets/{name}")
            if answer.status == 200:
                data = {key: base64.b64decode(value).decode() for key, value in answer.body["data"].items()}
                yield keyring.PullSecretData(name, answer.body["type"], data)


def pulled(image: str, matches: Sequence[keyring.Match], pull: Callable[[str, bytes], P]) -> P:
    """What comes of it in the end: each credential in turn until one pulls, or none at all where nothing matches."""
    for file in [_authfile(image, match) for match in matches] or [ANONYMOUS]:
        came = pull(image, file)
        if came.ok:
            break
    return came


def _authfile(image: str, match: keyring.Match) -> bytes:
    """The one credential that is tried next, under the plain host: the match is made, and no client is to judge it."""
    pair = f"{match.username}:{match.password.reveal()}".encode()
    host = image.partition("/")[0]
    return json.dumps({"auths": {host: {"auth": base64.b64encode(pair).decode()}}}).encode()


def _status(refusal: str) -> dict[str, Any]:
    if refusal:
        waiting = {"reason": "ImagePullBackOff", "message": refusal[:200]}
        return {"containerStatuses": [_container({"waiting": waiting}, ready=False)]}
    ready = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")]
    return {"phase": "Running", "conditions": ready, "containerStatuses": [_container({"running": {}}, ready=True)]}


def _container(state: dict[str, Any], *, ready: bool) -> dict[str, Any]:
    return {"name": "main", "image": "", "imageID": "", "ready": ready, "restartCount": 0, "state": state}
