"""The stage: an emulated cluster, three clouds and their registries, and the real program in a process of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from rotator.sandbox.apiserver import ApiServer
from rotator.sandbox.internet import Internet, without_ambient
from rotator.sandbox.worker import Client, Image

PULL_SECRET = "worker-pull"  # noqa: S105  (the name of a Secret)
ACCOUNT = "workers"
LIFE = timedelta(seconds=20)
SWEEP = timedelta(seconds=2)
NAMESPACES = ("shuffle", "shuffle-apps", "airflow", "jenkins", *(f"team-{letter}" for letter in "abcdefgh"))
NEWCOMER = "team-new"
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
"""


class Stage:
    """The world that the demo plays in. Nothing of it leaves 127.0.0.1 and the directory that it is given."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.net = Internet(life=LIFE)
        self.api = ApiServer(self.net.authority)
        self._open = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.net)
            stack.enter_context(self.api)
            stack.callback(self.stop_rotator)
            self._open = stack.pop_all()
        self._write_files()
        for name in NAMESPACES:
            self.add_namespace(name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def log_file(self) -> Path:
        """What the program logs, as JSON lines."""
        return self._directory / "rotator.log"

    @property
    def pid(self) -> int | None:
        """The running program's process, None while there is none."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def add_namespace(self, name: str) -> None:
        """A namespace as a platform team makes it: with a ServiceAccount for its workers, and no pull secret."""
        self.api.store.create_namespace(name)
        self.api.store.create_service_account(name, ACCOUNT)

    def client(self) -> Client:
        """HTTP for one kubelet."""
        token = self.api.add_user("kubelet")
        ca = str(self.net.ca_file)
        return Client(self.api.url, token, ca, self.net.proxy.url, ca)

    def start_rotator(self) -> None:
        """Start `rotator run`, as a Deployment would."""
        self._process = self._spawn(["run"])

    def run_rotator_once(self) -> int:
        """Run `rotator once`; its exit code."""
        return self._spawn(["once"]).wait()

    def kill_rotator(self) -> None:
        """End the program without a warning, as the kernel does when memory is short."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop_rotator(self) -> None:
        """End the program as the kubelet does: SIGTERM, then after a while SIGKILL."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.kill_rotator()

    def written_by_rotator(self) -> str:
        """Everything that the program has written so far."""
        return self.log_file.read_text() if self.log_file.exists() else ""

    def _spawn(self, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        files = ["--config", str(self._directory / "config.yaml"), "--kubeconfig", str(self._directory / "kubeconfig")]
        argv = [sys.executable, "-m", "rotator", *command, *files, "--log-level", "debug", "--log-format", "json"]
        log: IO[bytes]
        with self.log_file.open("ab") as log:
            return subprocess.Popen(argv, env=self._environment(), stdout=log, stderr=log)  # noqa: S603  (our own argv)

    def _environment(self) -> Mapping[str, str]:
        """What the Pod of a Deployment would be given: identities by their cloud's webhook, and the way out."""
        identities = self._directory / "identities"
        identities.mkdir(exist_ok=True)
        return {
            **without_ambient(os.environ),
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
