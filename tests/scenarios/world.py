"""A cluster, three clouds and a clock that a test moves by hand; the pass runs in the test's own process."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine

from rotator.cluster.client import Cluster
from rotator.config import Config, parse
from rotator.providers import provider_for
from rotator.rotation import Report, Rotation
from rotator.sandbox.apiserver import ApiServer, Rule
from rotator.sandbox.internet import Internet
from tests.providers.world import pod_on, set_all

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
GAR = "europe-west1-docker.pkg.dev"
ACR = "contoso.azurecr.io"
SECRET = "worker-pull"

CONFIG = f"""
registries:
  - {{name: prod, ecr: {{hosts: [{ECR}]}}, deadline: 2s}}
  - {{name: images, gar: {{hosts: [{GAR}]}}, deadline: 2s}}
  - {{name: contoso, acr: {{hosts: [{ACR}], identity: {{type: workload}}}}, deadline: 2s}}
pullSecrets:
  - name: {SECRET}
    registries: [prod, images, contoso]
    namespaces: {{names: ["team-*"], exclude: [team-legacy]}}
    serviceAccounts: {{names: [workers]}}
"""

ECR_ONLY = f"""
registries:
  - {{name: prod, ecr: {{hosts: [{ECR}]}}, deadline: 2s}}
pullSecrets:
  - {{name: {SECRET}, registries: [prod], namespaces: {{names: ["team-*"]}}, serviceAccounts: {{names: [workers]}}}}
"""

# What `mint` costs at each cloud: the one call that issues the credential.
MINTS = {"prod": "GetAuthorizationToken", "images": "exchange", "contoso": "exchange"}


@dataclass
class Clock:
    """The wall clock of the whole process, clouds and SDKs included: it runs, and a test moves it forward."""

    _traveller: time_machine.Traveller

    def advance(self, **by: float) -> None:
        """Let time pass."""
        self._traveller.shift(timedelta(**by))


@dataclass
class World:
    """Everything outside rotator, and the ways to run it."""

    net: Internet
    api: ApiServer
    clock: Clock
    directory: Path
    config: Config = field(default_factory=lambda: parse(CONFIG, "config.yaml"))
    _clusters: list[Cluster] = field(default_factory=list)

    def configure(self, text: str) -> None:
        """Use this configuration from now on."""
        self.config = parse(text, "config.yaml")

    def add_namespaces(self, *names: str) -> None:
        """Namespaces with a ServiceAccount `workers` in each."""
        for name in names:
            self.api.store.create_namespace(name)
            self.api.store.create_service_account(name, "workers")

    def rotation(self, user: str = "rotator", rules: list[Rule] | None = None) -> Rotation:
        """A new process, as it were: no memory of earlier passes."""
        if rules is not None:
            self.api.add_user(user, rules)
        cluster = Cluster.connect(self.api.kubeconfig(self.directory / f"kubeconfig-{user}", user))
        self._clusters.append(cluster)
        return Rotation(self.config, cluster, provider_for)

    def once(self) -> Report:
        """One pass of a new process."""
        return self.rotation().run()

    def secret(self, namespace: str, name: str = SECRET) -> dict[str, Any]:
        """The Secret as it stands in the cluster."""
        found = self.api.store.get("secrets", namespace, name)
        assert found is not None, f"no Secret {namespace}/{name}"
        return found

    def auths(self, namespace: str) -> dict[str, Any]:
        """The entries of the pull secret."""
        text = base64.b64decode(self.secret(namespace)["data"][".dockerconfigjson"])
        return json.loads(text)["auths"]  # type: ignore[no-any-return]

    def password(self, namespace: str, host: str) -> str:
        """The password that a kubelet would send to this host."""
        return base64.b64decode(self.auths(namespace)[host]["auth"]).decode().partition(":")[2]

    def references(self, namespace: str, account: str = "workers") -> list[str]:
        """The pull secrets that the ServiceAccount references."""
        found = self.api.store.get("serviceaccounts", namespace, account)
        assert found is not None
        return [reference["name"] for reference in found.get("imagePullSecrets", [])]

    def mints(self) -> dict[str, int]:
        """How often each registry's cloud was asked for a credential."""
        clouds = {"prod": self.net.aws, "images": self.net.google, "contoso": self.net.azure}
        return {name: clouds[name].calls[operation] for name, operation in MINTS.items()}

    def writes(self) -> int:
        """How many Secret writes the API server took."""
        counts = self.api.journal.counts
        return counts["patch", "secrets", 200] + counts["patch", "secrets", 201]

    def forget(self) -> None:
        """Count from here."""
        self.api.journal.clear()
        for cloud in (self.net.aws, self.net.google, self.net.azure):
            cloud.calls.clear()

    def close(self) -> None:
        """Give back the connections."""
        for cluster in self._clusters:
            cluster.close()


@contextmanager
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The world, with the environment of a Pod that has an identity in each cloud."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    with (
        time_machine.travel(datetime.now(UTC)) as traveller,
        Internet() as net,
        pod_on(net, monkeypatch),
        ApiServer(net.authority) as api,
    ):
        set_all(monkeypatch, net.aws.static_environment() | net.azure.workload_identity_environment(tmp_path))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(net.google.external_account_file(tmp_path)))
        made = World(net, api, Clock(traveller), tmp_path)
        yield made
        made.close()
