"""The emulated kubelet: it pulls with what a real one would pull with, and fails where a real one fails."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from rotator.sandbox.apiserver import ApiServer
from rotator.sandbox.cloud import random_text
from rotator.sandbox.faults import Fault
from rotator.sandbox.internet import Internet
from rotator.sandbox.worker import Client, Image, Kubelet, Pull
from tests.outside import ACR, ECR, GAR

USERS = {ECR: "AWS", GAR: "oauth2accesstoken", ACR: "00000000-0000-0000-0000-000000000000"}
IMAGE = Image(ECR, "shuffle/worker")
LIFE = timedelta(hours=1)


@dataclass
class Node:
    """A namespace with a ServiceAccount, a kubelet, and a clock of the clouds that a test moves."""

    net: Internet
    api: ApiServer
    kubelet: Kubelet
    ahead: timedelta = timedelta()

    def token(self, host: str) -> str:
        """A token that this registry honours, for an hour of the clouds' clock."""
        net = self.net
        cloud, audience = {
            ECR: (net.aws, "eu-west-1"),
            GAR: (net.google, "googleapis.com"),
            ACR: (net.azure, "contoso"),
        }[host]
        return cloud.issue(lambda _: random_text(40), audience=audience, subject="", life=LIFE).value

    def put(self, name: str, *hosts: str, **passwords: str) -> None:
        """A pull secret with a good token for each of these hosts."""
        auths = {host: _entry(USERS[host], passwords.get("password") or self.token(host)) for host in hosts}
        self.api.store.put_secret("team-a", name, {".dockerconfigjson": json.dumps({"auths": auths})})

    def pull(self, image: Image = IMAGE, *references: str) -> Pull:
        """Create a Pod whose ServiceAccount has these references, and pull."""
        name = random_text(8).lower().replace("_", "x").replace("-", "x")
        self.api.store.create_service_account("team-a", name, references)
        pod = self.kubelet.create("team-a", name, name, image)
        assert pod is not None
        return self.kubelet.pull(pod, image)


def _entry(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def node() -> Iterator[Node]:
    """One node."""
    made: list[Node] = []

    def clock() -> datetime:
        return datetime.now(UTC) + (made[0].ahead if made else timedelta())

    with Internet(clock=clock) as net, ApiServer(net.authority) as api:
        api.store.create_namespace("team-a")
        client = Client(api.url, api.add_user("kubelet"), str(net.ca_file), net.proxy.url, str(net.ca_file))
        made.append(Node(net, api, Kubelet(client)))
        yield made[0]
        client.close()


@pytest.mark.parametrize("host", [ECR, GAR, ACR])
def test_a_good_pull_secret_pulls(node: Node, host: str) -> None:
    """Basic with ECR, a token endpoint with the others: the registry counts one good pull."""
    node.put("worker-pull", host)
    image = Image(host, "acme/images/app")
    pull = node.pull(image, "worker-pull")
    assert (pull.ok, pull.message, pull.image) == (True, "pulled", image)
    assert node.net.registries[host].pulls == {"ok": 1}


@pytest.mark.parametrize("host", [ECR, GAR, ACR])
def test_an_expired_token_fails(node: Node, host: str) -> None:
    """The Secret is as it was, and the hour is over: what today's clusters wake up to."""
    node.put("worker-pull", host)
    node.ahead = LIFE + timedelta(seconds=1)
    pull = node.pull(Image(host, "acme/images/app"), "worker-pull")
    assert not pull.ok
    assert "the registry answered 40" in pull.message


def test_without_a_reference_there_is_no_credential(node: Node) -> None:
    """The Secret is in the namespace, and the ServiceAccount does not name it: admission gives the Pod nothing."""
    node.put("worker-pull", ECR)
    pull = node.pull(IMAGE)
    assert (pull.ok, pull.message) == (False, "the Pod names no pull secret")


def test_a_reference_that_comes_after_the_pod_does_not_heal_it(node: Node) -> None:
    """Admission copies the list when the Pod is created: that Pod stays as it is, the next one pulls."""
    node.put("worker-pull", ECR)
    node.api.store.create_service_account("team-a", "workers")
    early = node.kubelet.create("team-a", "early", "workers", IMAGE)
    node.api.store.change(
        "serviceaccounts",
        "team-a",
        "workers",
        lambda account: account.update(imagePullSecrets=[{"name": "worker-pull"}]),
    )
    late = node.kubelet.create("team-a", "late", "workers", IMAGE)
    assert early is not None
    assert late is not None
    assert [node.kubelet.pull(pod, IMAGE).ok for pod in (early, late)] == [False, True]


def test_a_secret_that_comes_after_the_pod_does_heal_it(node: Node) -> None:
    """A kubelet skips a Secret that is missing and tries again: that is why the reference is attached first."""
    node.api.store.create_service_account("team-a", "workers", ["worker-pull"])
    pod = node.kubelet.create("team-a", "early", "workers", IMAGE)
    assert pod is not None
    assert node.kubelet.pull(pod, IMAGE).message == "no pull secret matches"
    node.put("worker-pull", ECR)
    assert node.kubelet.pull(pod, IMAGE).ok


def test_a_malformed_neighbour_fails_every_private_pull(node: Node) -> None:
    """One Secret that does not parse fails the whole keyring, however good the other one is."""
    node.put("worker-pull", ECR)
    node.api.store.put_secret("team-a", "broken", {".dockerconfigjson": '{"auths":{"ghcr.io":{"auth":"%%%"}}}'})
    pull = node.pull(IMAGE, "broken", "worker-pull")
    assert not pull.ok
    assert "'broken'" in pull.message


def test_a_stale_neighbour_does_no_harm(node: Node) -> None:
    """Every credential that matches is tried in turn: an expired one before the good one only costs a request."""
    node.put("old", ECR, password="expired")
    node.put("worker-pull", ECR)
    assert node.pull(IMAGE, "old", "worker-pull").ok


def test_a_secret_for_another_host_is_none(node: Node) -> None:
    """And there is no anonymous pull of a private image."""
    node.put("worker-pull", GAR)
    pull = node.pull(IMAGE, "worker-pull")
    assert (pull.ok, pull.message) == (False, "no pull secret matches")


def test_a_registry_that_is_down_fails_the_pull(node: Node) -> None:
    """The credential is good, and that does not help."""
    node.put("worker-pull", ECR)
    node.net.registries[ECR].fault = Fault.DOWN
    pull = node.pull(IMAGE, "worker-pull")
    assert (pull.ok, pull.message) == (False, "the registry answered 503 to 1 credential(s)")


def test_a_pod_without_its_service_account_is_refused(node: Node) -> None:
    """Admission says no, as in a namespace that is not set up yet."""
    assert node.kubelet.create("team-a", "worker", "nobody", IMAGE) is None


def test_a_pod_that_is_done_is_deleted(node: Node) -> None:
    """So that a minute of demo does not fill the cluster."""
    node.api.store.create_service_account("team-a", "workers")
    node.kubelet.create("team-a", "worker", "workers", IMAGE)
    assert node.api.store.get("pods", "team-a", "worker") is not None
    node.kubelet.delete("team-a", "worker")
    assert node.api.store.get("pods", "team-a", "worker") is None
