"""`explain` before real registries: what it says of a pull is what becomes of the pull.

The pull is skopeo's, which is given one credential after the other, as a kubelet gives them to its runtime.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rotator import explain, keyring
from rotator.cluster.client import Cluster
from rotator.errors import UnparsableSecret
from rotator.explain import Explanation, Prospect
from rotator.keyring import PullSecretData
from rotator.model import DATA_KEY, SECRET_TYPE
from rotator.sandbox.apiserver import ApiServer
from rotator.sandbox.internet import Internet
from tests.controlplane.server import ControlPlane
from tests.outside import ECR, GAR
from tests.providers.world import pod_on
from tests.registries import skopeo
from tests.registries.dockerregistry import DockerRegistry
from tests.registries.real import Credential, RealRegistry, real_registries
from tests.registries.skopeo import auth_file
from tests.scenarios.node import Node, pulled
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("real_programs")

GOOD, EXPIRED, WRONG, NOBODYS, OTHERS = "good", "expired", "wrong", "nobody's", "another host's"
MALFORMED = {"ghcr.io": "malformed"}
PRIVATE, PUBLIC = "team/app", "team/public"
ACCOUNT = "workers"

Entries = Mapping[str, str]
"""Which credential stands under which key; HOST is the registry's, OTHER that of the other one."""

SCENARIOS: dict[str, tuple[Sequence[Entries], str, Prospect]] = {
    "a good credential": ([{"HOST": GOOD}], PRIVATE, Prospect.PULLS),
    "a good one for the image's path": ([{"HOST/team": GOOD}], PRIVATE, Prospect.PULLS),
    "an expired one": ([{"HOST": EXPIRED}], PRIVATE, Prospect.REFUSED),
    "a wrong password": ([{"HOST": WRONG}], PRIVATE, Prospect.REFUSED),
    "another user's name": ([{"HOST": NOBODYS}], PRIVATE, Prospect.REFUSED),
    "another host's, under its own name": ([{"OTHER": OTHERS}], PRIVATE, Prospect.NO_CREDENTIAL),
    "another host's, under this one": ([{"HOST": OTHERS}], PRIVATE, Prospect.REFUSED),
    "the right one for another path": ([{"HOST/other": GOOD}], PRIVATE, Prospect.NO_CREDENTIAL),
    "a bad Secret before a good one": ([{"HOST": WRONG}, {"HOST": GOOD}], PRIVATE, Prospect.PULLS),
    "a longer bad key before a good one": ([{"HOST": GOOD}, {"HOST/team": EXPIRED}], PRIVATE, Prospect.PULLS),
    "a malformed neighbour": ([{"HOST": GOOD}, MALFORMED], PRIVATE, Prospect.UNPARSABLE),
    "no credential": ([], PRIVATE, Prospect.NO_CREDENTIAL),
    "no such tag": ([{"HOST": GOOD}], f"{PRIVATE}:absent", Prospect.IMAGE_MISSING),
    "no such repository": ([{"HOST": GOOD}], "team/absent", Prospect.IMAGE_MISSING),
    "no such tag, and a wrong password": ([{"HOST": WRONG}], f"{PRIVATE}:absent", Prospect.REFUSED),
}

PUBLIC_SCENARIOS: dict[str, tuple[Sequence[Entries], str, Prospect]] = {
    "no credential": ([], PUBLIC, Prospect.PULLS_AS_ANYBODY),
    "a credential for another host": ([{"OTHER": OTHERS}], PUBLIC, Prospect.PULLS_AS_ANYBODY),
    "a good credential": ([{"HOST": GOOD}], PUBLIC, Prospect.PULLS),
    "a wrong password": ([{"HOST": WRONG}], PUBLIC, Prospect.REFUSED),
    "no such tag": ([], f"{PUBLIC}:absent", Prospect.IMAGE_MISSING),
}


@dataclass(frozen=True)
class Stage:
    """A cluster, and two registries: one that asks for Basic, and one with a token server and a public image, too."""

    net: Internet
    api: ApiServer
    cluster: Cluster
    registries: Mapping[str, RealRegistry]

    def given(self, host: str, chosen: Sequence[Entries]) -> list[PullSecretData]:
        """Secrets with these credentials."""
        texts = [self._text(host, entries) for entries in chosen]
        return [PullSecretData(f"s{number}", SECRET_TYPE, {DATA_KEY: text}) for number, text in enumerate(texts)]

    def _text(self, host: str, entries: Entries) -> str:
        if entries is MALFORMED:
            return '{"auths": {"ghcr.io": {"auth": "%%%"}}}'
        (other,) = self.registries.keys() - {host}
        credentials = {
            key.replace("HOST", host).replace("OTHER", other): self._credential(host, other, which)
            for key, which in entries.items()
        }
        return auth_file(credentials).decode()

    def _credential(self, host: str, other: str, which: str) -> Credential:
        registry = self.registries[host]
        match which:
            case "expired":
                return registry.credential(timedelta(0))
            case "wrong":
                return registry.credential()._replace(password="wrong")
            case "nobody's":
                return registry.credential()._replace(user="nobody")
            case "another host's":
                return self.registries[other].credential()
            case _:
                return registry.credential()

    def explained(self, image: str, given: Sequence[PullSecretData]) -> Explanation:
        """What is said of a new Pod with these Secrets."""
        namespace = f"n{secrets.token_hex(4)}"
        self.api.store.create_namespace(namespace)
        for secret in given:
            self.api.store.put_secret(namespace, secret.name, secret.data)
        self.api.store.create_service_account(namespace, ACCOUNT, [secret.name for secret in given])
        return explain.of_service_account(self.cluster, image, namespace, ACCOUNT)

    def agreed(self, image: str, given: Sequence[PullSecretData]) -> Prospect:
        """What is said, once it is what becomes of the pull: does the image come, and is nobody let in if not?"""
        found, came = self.explained(image, given), pull(self.net, image, given)
        assert found.prospect.is_good == came.ok, (found.message, came.message)
        assert (found.prospect in {Prospect.REFUSED, Prospect.NO_CREDENTIAL}) == came.refused, came.message
        return found.prospect


def pull(net: Internet, image: str, given: Sequence[PullSecretData]) -> skopeo.Pull:
    """What becomes of the pull of a Pod with these Secrets."""
    try:
        matches = keyring.lookup(given, image)
    except UnparsableSecret as error:
        return skopeo.Pull(ok=False, message=error.message)
    return pulled(image, matches, partial(skopeo.pull, net=net))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The stage; its images are pushed."""
    kubeconfig = tmp_path_factory.mktemp("explain") / "kubeconfig"
    with (
        pytest.MonkeyPatch.context() as environment,
        Internet() as net,
        pod_on(net, environment),
        ApiServer(net.authority) as api,
        closing(Cluster.connect(api.kubeconfig(kubeconfig))) as cluster,
        real_registries(net, ECR, GAR) as registries,
    ):
        for registry in registries:
            registry.push(PRIVATE)
        registries[1].push(PUBLIC)
        registries[1].publish(PUBLIC)
        yield Stage(net, api, cluster, {registry.host: registry for registry in registries})


@pytest.mark.parametrize("host", [ECR, GAR])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_private_image(stage: Stage, scenario: str, host: str) -> None:
    """By Basic and by way of a token server: the verdict is what a pull does."""
    chosen, image, prospect = SCENARIOS[scenario]
    assert stage.agreed(f"{host}/{image}", stage.given(host, chosen)) is prospect


@pytest.mark.parametrize("scenario", PUBLIC_SCENARIOS)
def test_a_public_image(stage: Stage, scenario: str) -> None:
    """A token server gives anybody a token for it, but none to who comes with a bad credential."""
    chosen, image, prospect = PUBLIC_SCENARIOS[scenario]
    assert stage.agreed(f"{GAR}/{image}", stage.given(GAR, chosen)) is prospect


@pytest.mark.parametrize("host", [ECR, GAR])
def test_an_identity_that_may_not_pull(stage: Stage, host: str) -> None:
    """The token is the cloud's own; the registry, or its token server, does not open the repository to it."""
    stage.registries[host].may_pull = False
    prospect = stage.agreed(f"{host}/{PRIVATE}", stage.given(host, [{"HOST": GOOD}]))
    stage.registries[host].may_pull = True
    assert prospect is Prospect.REFUSED


@pytest.mark.parametrize("chosen", [[], [{"HOST": GOOD}]], ids=["anybody", "a good credential"])
def test_a_registry_that_is_down(stage: Stage, chosen: Sequence[Entries]) -> None:
    """It does not pull, and that says nothing of the credential."""
    process = stage.registries[ECR].process
    process.stop()
    prospect = stage.agreed(f"{ECR}/{PRIVATE}", stage.given(ECR, chosen))
    process.start()
    assert prospect is Prospect.UNDECIDED


@pytest.mark.parametrize(
    ("chosen", "image", "prospect"),
    [
        ([], PUBLIC, Prospect.PULLS_AS_ANYBODY),
        ([{"registry.example": WRONG}], PUBLIC, Prospect.PULLS_AS_ANYBODY),
        ([{"registry.example": WRONG}], "team/absent", Prospect.IMAGE_MISSING),
    ],
)
def test_a_registry_that_asks_nobody(stage: Stage, chosen: Sequence[Entries], image: str, prospect: Prospect) -> None:
    """No credential is shown to it, so a bad one does no harm."""
    with DockerRegistry("registry.example", {}) as process:
        stage.net.hosts["registry.example"] = process.forward
        skopeo.push(f"registry.example/{PUBLIC}:latest", "anybody", "anything", stage.net)
        found = stage.agreed(f"registry.example/{image}", stage.given(ECR, chosen))
        del stage.net.hosts["registry.example"]
    assert found is prospect


ON_A_REAL_CLUSTER = ("a good credential", "a wrong password", "a bad Secret before a good one", "a malformed neighbour")


def test_on_a_real_api_server(stage: Stage, controlplane: ControlPlane, tmp_path: Path) -> None:
    """What is said of a Pod that is there, and of its ServiceAccount, is what a node makes of it."""
    with closing(Cluster.connect(controlplane.kubeconfig(tmp_path / "kubeconfig"))) as cluster:
        for scenario in (*ON_A_REAL_CLUSTER, "no credential"):
            chosen, repository, prospect = SCENARIOS[scenario]
            image, namespace = f"{GAR}/{repository}", f"explain-{secrets.token_hex(4)}"
            controlplane.apply(*objects(namespace, image, stage.given(GAR, chosen)))
            node = Node(controlplane.admin, namespace, partial(skopeo.pull, net=stage.net))
            with node:
                eventually(partial(getattr, node, "tries"), "the Pod was tried")
            found = [
                explain.of_pod(cluster, image, namespace, "p"),
                explain.of_service_account(cluster, image, namespace, ACCOUNT),
            ]
            assert [each.prospect for each in found] == [prospect, prospect]
            assert {each.ok for each in node.tries} == {prospect.is_good}


def objects(namespace: str, image: str, given: Sequence[PullSecretData]) -> list[dict[str, Any]]:
    """A namespace with these Secrets, a ServiceAccount that names them, and a Pod of that."""
    place = {"namespace": namespace}
    references = [{"name": secret.name} for secret in given]
    spec = {"serviceAccountName": ACCOUNT, "containers": [{"name": "c", "image": image}]}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        *(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": place | {"name": secret.name},
                "type": secret.type,
                "stringData": dict(secret.data),
            }
            for secret in given
        ),
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": place | {"name": ACCOUNT},
            "imagePullSecrets": references,
        },
        {"apiVersion": "v1", "kind": "Pod", "metadata": place | {"name": "p"}, "spec": spec},
    ]
