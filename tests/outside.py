"""Everything outside rotator, on loopback: the clouds and the cluster, and what a test reads and does there."""

import base64
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rotator.sandbox.apiserver import ApiServer
from rotator.sandbox.internet import Internet
from rotator.sandbox.worker import Client, Kubelet

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


def identities(net: Internet, directory: Path) -> dict[str, str]:
    """Write an identity in each cloud, and the variables that lead a Pod to it."""
    return {
        **net.aws.static_environment(),
        **net.azure.workload_identity_environment(directory),
        "GOOGLE_APPLICATION_CREDENTIALS": str(net.google.external_account_file(directory)),
    }


@dataclass
class Surroundings(ABC):
    """The clouds, a directory for files, and some cluster: what a test reads there."""

    net: Internet
    directory: Path

    @abstractmethod
    def find(self, resource: str, namespace: str, name: str) -> dict[str, Any] | None:
        """The object as it stands in the cluster; None where there is none."""

    def identities(self) -> dict[str, str]:
        """Write an identity in each cloud, and the variables that lead a Pod to it."""
        return identities(self.net, self.directory)

    def secret(self, namespace: str, name: str = SECRET) -> dict[str, Any]:
        """The Secret as it stands in the cluster."""
        found = self.find("secrets", namespace, name)
        assert found is not None, f"no Secret {namespace}/{name}"
        return found

    def auths(self, namespace: str, name: str = SECRET) -> dict[str, Any]:
        """The entries of the pull secret."""
        text = base64.b64decode(self.secret(namespace, name)["data"][".dockerconfigjson"])
        return json.loads(text)["auths"]  # type: ignore[no-any-return]

    def password(self, namespace: str, host: str, name: str = SECRET) -> str:
        """The password that a kubelet would send to this host."""
        return base64.b64decode(self.auths(namespace, name)[host]["auth"]).decode().partition(":")[2]

    def references(self, namespace: str, account: str = "workers") -> list[str]:
        """The pull secrets that the ServiceAccount references."""
        found = self.find("serviceaccounts", namespace, account)
        assert found is not None
        return [reference["name"] for reference in found.get("imagePullSecrets", [])]

    def mints(self) -> dict[str, int]:
        """How often each registry's cloud was asked for a credential."""
        clouds = {"prod": self.net.aws, "images": self.net.google, "contoso": self.net.azure}
        return {name: clouds[name].calls[operation] for name, operation in MINTS.items()}


@dataclass
class Outside(Surroundings):
    """The clouds, an emulated cluster, and a directory for files."""

    api: ApiServer

    def find(self, resource: str, namespace: str, name: str) -> dict[str, Any] | None:
        """The object as it stands in the emulated cluster."""
        return self.api.store.get(resource, namespace, name)

    def add_namespaces(self, *names: str) -> None:
        """Namespaces with a ServiceAccount `workers` in each."""
        for name in names:
            self.api.store.create_namespace(name)
            self.api.store.create_service_account(name, "workers")

    @contextmanager
    def kubelet(self) -> Iterator[Kubelet]:
        """A kubelet of the emulated cluster."""
        ca = str(self.net.ca_file)
        client = Client(self.api.url, self.api.add_user("kubelet"), ca, self.net.proxy.url, ca)
        try:
            yield Kubelet(client)
        finally:
            client.close()

    def writes(self) -> int:
        """How many Secret writes the API server took."""
        counts = self.api.journal.counts
        return counts["patch", "secrets", 200] + counts["patch", "secrets", 201]

    def forget(self) -> None:
        """Count from here."""
        self.api.journal.clear()
        for cloud in (self.net.aws, self.net.google, self.net.azure):
            cloud.calls.clear()
