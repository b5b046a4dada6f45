"""`explain` on real objects: the kubelet's own answers, and what several credentials come to."""

import base64
import json
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest

from rotator import explain
from rotator.cluster.client import Cluster
from rotator.errors import UnparsableImage
from rotator.explain import Explanation, Prospect
from rotator.model import DATA_KEY, SECRET_TYPE
from rotator.probe import Verdict
from rotator.sandbox.apiserver import ApiServer
from rotator.sandbox.apiserver.status import StatusError
from rotator.sandbox.authority import Authority
from rotator.sandbox.internet import without_ambient
from rotator.sandbox.server import Request, Response, Server
from tests.test_keyring import CASES

ACCOUNT = "workers"
IMAGE = "registry.example/team/app:1"


@dataclass
class Registries:
    """Every host there is: `answers` says the status for each credential, 401 for all others and for none.

    A host in `open` asks nobody for a credential; one in `public` gives a token to anybody who shows none.
    """

    shown: list[str] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    public: set[str] = field(default_factory=set)

    def answer(self, request: Request) -> Response:
        """One answer; a credential that is shown is noted."""
        if request.host in self.open:
            return Response(200)
        if request.host in self.public:
            return self.answer_anybody(request)
        if "Authorization" not in request.headers:
            return Response(401, headers={"WWW-Authenticate": 'Basic realm="any"'})
        credential = base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
        self.shown.append(credential)
        return Response(self.answers.get(credential, 401))

    def answer_anybody(self, request: Request) -> Response:
        """As Docker Hub does: its tokens are for whoever shows no credential, and a wrong one gets none."""
        shown = request.headers.get("Authorization")
        if request.path == "/token":
            return Response(401) if shown else Response(200, b'{"token": "anybody"}')
        if shown == "Bearer anybody":
            return Response(200)
        return Response(401, headers={"WWW-Authenticate": f'Bearer realm="https://{request.host}/token"'})


@dataclass(frozen=True)
class Place:
    """An emulated cluster, and every registry there is."""

    api: ApiServer
    cluster: Cluster
    registries: Registries

    def serve(self, namespace: str, secrets: list[dict[str, str]]) -> None:
        """A namespace with these pull secrets, and a ServiceAccount that names them in this order."""
        self.api.store.create_namespace(namespace)
        for secret in secrets:
            self.api.store.put_secret(namespace, secret["name"], {secret["key"]: secret["text"]}, secret["type"])
        self.api.store.create_service_account(namespace, ACCOUNT, [secret["name"] for secret in secrets])

    def explained(self, namespace: str, image: str = IMAGE) -> Explanation:
        """What a Pod of that ServiceAccount would meet."""
        self.registries.shown.clear()
        return explain.of_service_account(self.cluster, image, namespace, ACCOUNT)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A cluster, and a proxy behind which every host is a registry."""
    directory, authority, registries = tmp_path_factory.mktemp("explain"), Authority(), Registries()
    with (
        pytest.MonkeyPatch.context() as environment,
        Server(registries.answer, tunnel=authority.context) as proxy,
        ApiServer(authority) as api,
        closing(Cluster.connect(api.kubeconfig(directory / "kubeconfig"))) as cluster,
    ):
        for name in set(os.environ) - set(without_ambient(os.environ)):
            environment.delenv(name)
        environment.setenv("HTTPS_PROXY", proxy.url)
        environment.setenv("REQUESTS_CA_BUNDLE", str(authority.write(directory / "ca.pem")))
        yield Place(api, cluster, registries)


def test_the_vectors_of_the_kubelet(place: Place) -> None:
    """The registries are shown what the kubelet's own code tries, in its order, and each step names its Secret.

    A few Secrets of the vectors are no JSON at all: an API server takes none of these, so no Pod can meet them.
    """
    met = 0
    for case in CASES:
        try:
            place.serve(case["name"], case["secrets"])
        except StatusError:
            continue
        met += 1
        if case.get("error") == "image":
            with pytest.raises(UnparsableImage):
                place.explained(case["name"], case["image"])
            continue
        found = place.explained(case["name"], case["image"])
        assert _tried(place, found, case) == _expected(case), case["name"]
        assert (found.prospect is Prospect.UNPARSABLE) == (case.get("error") == "secret"), case["name"]
        assert (found.prospect is Prospect.REFUSED) == bool(case["credentials"]), case["name"]
    assert met == 561


def _tried(place: Place, found: Explanation, case: dict[str, Any]) -> list[tuple[str, str]]:
    """What the registry was shown, each with the Secret of its step."""
    secrets = [step.secret for step in found.steps if step.finding]
    return _in_order(case, list(zip(place.registries.shown, secrets, strict=True)))


def _expected(case: dict[str, Any]) -> list[tuple[str, str]]:
    return _in_order(case, [(f"{user}:{password}", secret) for user, password, secret in case["credentials"]])


def _in_order(case: dict[str, Any], tried: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """As it is; but where the kubelet's order is that of a Go map, which varies, any order will do."""
    return sorted(tried) if case.get("unordered") else tried


def with_two(place: Place, namespace: str, **answers: int) -> Explanation:
    """Two pull secrets of one credential each, which the registry answers like this."""
    entries = {
        name: {"auths": {IMAGE.partition("/")[0]: {"auth": base64.b64encode(f"u:{name}".encode()).decode()}}}
        for name in ("first", "second")
    }
    kind = {"type": SECRET_TYPE, "key": DATA_KEY}
    place.serve(namespace, [kind | {"name": name, "text": json.dumps(text)} for name, text in entries.items()])
    place.registries.answers = {f"u:{name}": status for name, status in answers.items()}
    return place.explained(namespace)


@pytest.mark.parametrize(
    ("first", "second", "prospect", "verdicts"),
    [
        (200, 401, Prospect.PULLS, [Verdict.ACCEPTED]),
        (401, 200, Prospect.PULLS, [Verdict.REFUSED, Verdict.ACCEPTED]),
        (404, 200, Prospect.PULLS, [Verdict.ACCEPTED, Verdict.ACCEPTED]),
        (503, 200, Prospect.PULLS, [Verdict.UNKNOWN, Verdict.ACCEPTED]),
        (404, 404, Prospect.IMAGE_MISSING, [Verdict.ACCEPTED, Verdict.ACCEPTED]),
        (404, 401, Prospect.IMAGE_MISSING, [Verdict.ACCEPTED, Verdict.REFUSED]),
        (401, 404, Prospect.IMAGE_MISSING, [Verdict.REFUSED, Verdict.ACCEPTED]),
        (401, 403, Prospect.REFUSED, [Verdict.REFUSED, Verdict.REFUSED]),
        (503, 401, Prospect.UNDECIDED, [Verdict.UNKNOWN, Verdict.REFUSED]),
        (503, 404, Prospect.UNDECIDED, [Verdict.UNKNOWN, Verdict.ACCEPTED]),
    ],
)
def test_each_credential_is_tried_until_the_image_comes(
    place: Place, first: int, second: int, prospect: Prospect, verdicts: list[Verdict]
) -> None:
    """As a kubelet does: also after a 404, which some registries answer where a credential may not see the image."""
    found = with_two(place, f"answers-{first}-{second}", first=first, second=second)
    assert found.prospect is prospect
    assert [step.finding.verdict for step in found.steps if step.finding] == verdicts


def test_a_registry_that_asks_for_no_credential_is_shown_none(place: Place) -> None:
    """It pulls, and not because of the credential: nothing is said of that."""
    place.registries.open.add("registry.example")
    found = with_two(place, "open")
    place.registries.open.clear()
    assert (found.prospect, place.registries.shown) == (Prospect.PULLS_AS_ANYBODY, [])
    assert found.message == "the registry asks for no credential"


def test_what_anybody_could_pull_is_said_where_a_credential_is_refused(place: Place) -> None:
    """No kubelet asks as anybody while it has a credential; of an image that nobody may pull that is not said."""
    place.registries.public.add("registry.example")
    found = with_two(place, "public")
    place.registries.public.clear()
    assert found.prospect is Prospect.REFUSED
    assert "anybody could pull it" in found.message
    found = with_two(place, "private")
    assert found.prospect is Prospect.REFUSED
    assert "anybody" not in found.message
