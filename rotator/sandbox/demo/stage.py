"""The stage: an emulated cluster, three clouds and their registries, and the real program in processes of its own."""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from rotator.sandbox.apiserver import ApiServer
from rotator.sandbox.demo.replicas import Replica, program
from rotator.sandbox.internet import Internet, without_ambient
from rotator.sandbox.worker import Client, Image

PULL_SECRET = "worker-pull"  # noqa: S105  (the name of a Secret)
ACCOUNT = "workers"
LIFE = timedelta(seconds=20)
SWEEP = timedelta(seconds=30)
"""Longer than any repair may take: what is mended sooner was heard of."""
NAMESPACES = ("shuffle", "shuffle-apps", "airflow", "jenkins", *(f"team-{letter}" for letter in "abcdefgh"))
NEWCOMER = "team-new"
HOME = "rotator"
"""The namespace of the program itself."""
REPLICAS = 2
EXTERNAL_ID = "rotator-demo"

ECR, ECR_SHARED = "123456789012.dkr.ecr.eu-west-1.amazonaws.com", "210987654321.dkr.ecr.eu-west-1.amazonaws.com"
GAR = "europe-west1-docker.pkg.dev"
ACR = "contoso.azurecr.io"
IMAGES = (
    Image(ECR, "shuffle/worker"),
    Image(ECR_SHARED, "base/python"),
    Image(GAR, "acme/images/app"),
    Image(ACR, "tools/runner"),
)
REGISTRIES = {"prod": "ecr", "images": "gar", "contoso": "acr"}

CONFIG = f"""\
registries:
  - name: prod
    ecr:
      hosts: [{ECR}, {ECR_SHARED}]
      assumeRole: {{arn: "{{role}}", externalId: {EXTERNAL_ID}}}
    deadline: 3s
  - name: images
    gar:
      hosts: [{GAR}]
      impersonate: {{serviceAccount: "{{account}}", lifetime: 1h}}
    deadline: 3s
  - name: contoso
    acr:
      hosts: [{ACR}]
      identity: {{type: workload}}
    deadline: 3s
pullSecrets:
  - name: {PULL_SECRET}
    registries: [prod, images, contoso]
    namespaces: {{names: [shuffle, shuffle-apps, airflow, jenkins, "team-*"], exclude: [team-legacy]}}
    serviceAccounts: {{names: [{ACCOUNT}], mode: ensure}}
renewal: {{at: 0.5, jitter: 10%, sweep: {int(SWEEP.total_seconds())}s}}
leaderElection: {{namespace: {HOME}, leaseDuration: 3s, renewDeadline: 2s, retryPeriod: 1s}}
"""


class Stage:
    """The world that the demo plays in. Nothing of it leaves 127.0.0.1 and the directory that it is given."""

    def __init__(self, directory: Path, *, life: timedelta = LIFE, addresses: str = "off") -> None:
        self._directory = directory
        self._addresses = addresses
        self.net = Internet(life=life)
        self.api = ApiServer(self.net.authority)
        self._open = ExitStack()
        self.replicas: list[Replica] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.net)
            stack.enter_context(self.api)
            stack.callback(self.stop_rotator)
            self._open = stack.pop_all()
        self._write_files()
        self.replicas = [self._replica(f"rotator-{number}", "run") for number in range(REPLICAS)]
        self.api.store.create_namespace(HOME)
        for name in NAMESPACES:
            self.add_namespace(name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def leader(self) -> Replica | None:
        """The replica that holds the Lease; None while none of those that run does."""
        lease = self.api.store.get("leases", HOME, "rotator")
        holder = lease["spec"].get("holderIdentity") if lease else ""
        return next((one for one in self.replicas if holder and one.is_running and one.holds(holder)), None)

    def add_namespace(self, name: str) -> None:
        """A namespace as a platform team makes it: with a ServiceAccount for its workers, and no pull secret."""
        self.api.store.create_namespace(name)
        self.api.store.create_service_account(name, ACCOUNT)

    @property
    def config_file(self) -> Path:
        """The configuration that every replica follows."""
        return self._directory / "config.yaml"

    def client(self) -> Client:
        """HTTP for one kubelet."""
        token = self.api.add_user("kubelet")
        ca = str(self.net.ca_file)
        return Client(self.api.url, token, ca, self.net.proxy.url, ca)

    def start_rotator(self) -> None:
        """Start what does not run of it, as a Deployment would."""
        for replica in self.replicas:
            replica.start()

    def run_rotator_once(self) -> None:
        """Run `rotator once`."""
        once = self._replica("once", "once")
        self.replicas = [once]
        once.start()
        once.wait(60)

    def kill_leader(self) -> None:
        """End the replica that works, without a warning."""
        if leader := self.leader:
            leader.kill()

    def stop_rotator(self) -> None:
        """End the program as the kubelet does: SIGTERM, then after a while SIGKILL."""
        for replica in self.replicas:
            replica.terminate()
        for replica in self.replicas:
            replica.wait(10)

    def written_by_rotator(self) -> str:
        """Everything that the program has written so far."""
        return "".join(replica.log for replica in self.replicas)

    def _replica(self, name: str, command: str) -> Replica:
        files = ("--config", str(self._directory / "config.yaml"), "--kubeconfig", str(self._directory / "kubeconfig"))
        argv = program(command, *files, "--log-level", "debug", "--log-format", "json")
        return Replica(self._directory / f"{name}.log", argv, self._environment())

    def _environment(self) -> Mapping[str, str]:
        """What the Pod of a Deployment would be given: identities by their cloud's webhook, and the way out."""
        identities = self._directory / "identities"
        identities.mkdir(exist_ok=True)
        return {
            **without_ambient(os.environ),
            "ROTATOR_HEALTH_ADDRESS": self._addresses,
            "ROTATOR_METRICS_ADDRESS": self._addresses,
            **self.net.environment(),
            **self.net.aws.irsa_environment(identities),
            **self.net.azure.workload_identity_environment(identities),
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.net.google.external_account_file(identities)),
        }

    def _write_files(self) -> None:
        self.net.aws.roles[self.net.aws.pull_role] = EXTERNAL_ID
        config = CONFIG.replace("{role}", self.net.aws.pull_role).replace("{account}", self.net.google.pull_account)
        (self._directory / "config.yaml").write_text(config)
        self.api.kubeconfig(self._directory / "kubeconfig", user="rotator")
