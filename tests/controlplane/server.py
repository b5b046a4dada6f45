"""The control plane as processes on loopback, with RBAC, a ServiceAccount issuer and the usual admission."""

import json
import os
import re
import secrets
import socket
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trustme
import urllib3
import yaml

from tests.apiclient import Client
from tests.controlplane import binaries
from tests.processes import dying_with_us, end
from tests.waiting import wait_until

LOOPBACK = "127.0.0.1"
ISSUER = "https://kubernetes.default.svc"
TRIES = 3
"""A free port may be taken by another program before ours listens on it."""

PATIENCE = 60.0
"""Seconds to get ready: about four on two idle cores."""

CONTROLLERS = (
    "deployment-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "replicaset-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
)
"""Those that a cluster's users notice; the rest would only keep the machine busy."""


@dataclass(frozen=True)
class Program:
    """One process and what it wrote."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def last_words(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-2000:]


class NotReadyError(Exception):
    """A program of the control plane ended, or did not get ready in time."""

    def __init__(self, program: Program) -> None:
        super().__init__(f"{program.log.stem} is not ready; its log ends: {program.last_words}")


class ControlPlane:
    """One Kubernetes cluster without nodes. A context manager: its processes and files are gone afterwards.

    `controllers` are those that it has beside CONTROLLERS.
    """

    def __init__(self, controllers: Sequence[str] = ()) -> None:
        self._controllers = (*CONTROLLERS, *controllers)
        self._authority = trustme.CA()
        self._admin = secrets.token_urlsafe(24)
        self._running = ExitStack()
        self._directory = Path()
        self._etcd_url = ""
        self.url = ""
        self.programs: list[Program] = []
        self.admin: Client
        """A bare client that may do everything."""

    def __enter__(self) -> Self:
        for attempt in range(TRIES):
            try:
                self._start()
                break
            except NotReadyError as error:
                if attempt == TRIES - 1 or "address already in use" not in str(error):
                    raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._running.close()

    @property
    def ca_file(self) -> Path:
        """The certificate authority of the API server."""
        return self._directory / "ca.pem"

    @property
    def audit_log(self) -> Path:
        """A JSON line per request that was answered (level Metadata: no body)."""
        return self._directory / "audit.log"

    def audit(self, user: str | None = None) -> list[dict[str, Any]]:
        """The requests that were answered, in order; those of one user name, if it is given."""
        lines = self.audit_log.read_text().splitlines() if self.audit_log.exists() else []
        events = [json.loads(line) for line in lines]
        return [event for event in events if user in {None, event["user"]["username"]}]

    def client(self, token: str | None) -> Client:
        """A bare client with this bearer token, or without one. Close it."""
        return Client(self.url, token, self.ca_file)

    def kubeconfig(
        self, path: Path, token: str | None = None, *, token_file: Path | None = None, namespace: str = "default"
    ) -> Path:
        """Write a kubeconfig with this token, or one that names a token file; without either, the administrator's."""
        user = {"tokenFile": str(token_file)} if token_file else {"token": token or self._admin}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "it",
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it", "namespace": namespace}}],
            "clusters": [{"name": "it", "cluster": {"server": self.url, "certificate-authority": str(self.ca_file)}}],
            "users": [{"name": "it", "user": user}],
        }
        path.write_text(yaml.safe_dump(content))
        return path

    def service_account_token(self, namespace: str, name: str, life: timedelta = timedelta(hours=1)) -> str:
        """What the kubelet projects into a Pod of this ServiceAccount; ten minutes is the shortest life there is."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        spec = {"expirationSeconds": int(life.total_seconds())}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        answer = self.admin.post(path, body)
        assert answer.status == 201, answer
        return str(answer.body["status"]["token"])

    def kubectl(
        self, *words: str, text: str | None = None, token: str | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run kubectl as the administrator, or with another token, to its end; `text` is its standard input."""
        kubeconfig = self.kubeconfig(self._directory / f"kubeconfig-{secrets.token_hex(8)}", token)
        environment = {"PATH": os.environ["PATH"], "HOME": str(self._directory), "KUBECONFIG": str(kubeconfig)}
        try:
            return subprocess.run(  # noqa: S603  (kubectl with the words of a test)
                [str(binaries.find("kubectl")), *words],
                env=environment,
                input=text,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        finally:
            kubeconfig.unlink()

    def apply(self, *objects: dict[str, Any]) -> None:
        """Create or replace these objects as the administrator, with `kubectl apply --server-side`."""
        done = self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", text=yaml.safe_dump_all(objects))
        assert done.returncode == 0, done.stderr

    def compact(self) -> None:
        """Forget the history of everything, as etcd does every few minutes on its own."""
        pool = urllib3.PoolManager(retries=False)
        revision = pool.request("POST", f"{self._etcd_url}/v3/maintenance/status", body=b"{}").json()["header"][
            "revision"
        ]
        body = json.dumps({"revision": revision, "physical": True}).encode()
        answer = pool.request("POST", f"{self._etcd_url}/v3/kv/compaction", body=body)
        assert answer.status == 200, answer.data
        pool.clear()

    def sent_to_etcd(self) -> int:
        """Bytes that etcd was sent so far, by the API server alone: nobody else knows it."""
        text = urllib3.request("GET", f"{self._etcd_url}/metrics", retries=False).data.decode()
        (value,) = re.findall(r"^etcd_network_client_grpc_received_bytes_total (\S+)$", text, re.MULTILINE)
        return int(float(value))

    def _start(self) -> None:
        with ExitStack() as stack:
            self._directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rotator-controlplane-")))
            etcd_port, peer_port, port = _free_ports(3)
            self._etcd_url = f"http://{LOOPBACK}:{etcd_port}"
            self.url = f"https://{LOOPBACK}:{port}"
            self._write_files()
            self.admin = stack.enter_context(closing(self.client(self._admin)))
            self.programs = []
            self._run(stack, "etcd", *self._etcd_flags(peer_port))
            self._run(stack, "kube-apiserver", *self._server_flags(port))
            self._await(self._is_ready)
            self._run(stack, "kube-controller-manager", *self._controller_flags())
            self._await(self._has_default_account)
            self._running = stack.pop_all()

    def _write_files(self) -> None:
        files = self._directory
        self._authority.cert_pem.write_to_path(str(files / "ca.pem"))
        self._authority.private_key_pem.write_to_path(str(files / "ca-key.pem"))
        serving = self._authority.issue_cert(LOOPBACK, "localhost", "kubernetes.default.svc")
        serving.private_key_and_cert_chain_pem.write_to_path(str(files / "serving.pem"))
        # trustme's keys are PEM of a kind that kube-apiserver takes for its tokens as well.
        signing = self._authority.issue_cert("service-accounts", key_type=trustme.KeyType.RSA)
        signing.private_key_pem.write_to_path(str(files / "tokens.pem"))
        (files / "users.csv").write_text(f'{self._admin},admin,admin,"system:masters"\n')
        (files / "audit.yaml").write_text(yaml.safe_dump(AUDIT))
        self.kubeconfig(files / "kubeconfig")

    def _etcd_flags(self, peer_port: int) -> tuple[str, ...]:
        return (
            f"--data-dir={self._directory / 'etcd'}",
            f"--listen-client-urls={self._etcd_url}",
            f"--advertise-client-urls={self._etcd_url}",
            f"--listen-peer-urls=http://{LOOPBACK}:{peer_port}",
            "--unsafe-no-fsync",  # nothing of it outlives a test
            "--log-level=warn",
        )

    def _server_flags(self, port: int) -> tuple[str, ...]:
        files = self._directory
        return (
            f"--etcd-servers={self._etcd_url}",
            f"--bind-address={LOOPBACK}",
            f"--advertise-address={LOOPBACK}",
            f"--secure-port={port}",
            f"--tls-cert-file={files / 'serving.pem'}",
            f"--tls-private-key-file={files / 'serving.pem'}",
            f"--token-auth-file={files / 'users.csv'}",
            "--authorization-mode=RBAC",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={files / 'tokens.pem'}",
            f"--service-account-signing-key-file={files / 'tokens.pem'}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--endpoint-reconciler-type=none",  # loopback is no address that Endpoints may have
            f"--audit-policy-file={files / 'audit.yaml'}",
            f"--audit-log-path={self.audit_log}",
        )

    def _controller_flags(self) -> tuple[str, ...]:
        files = self._directory
        return (
            f"--kubeconfig={files / 'kubeconfig'}",
            f"--controllers={','.join(self._controllers)}",
            f"--service-account-private-key-file={files / 'tokens.pem'}",
            f"--root-ca-file={files / 'ca.pem'}",
            "--leader-elect=false",
            f"--bind-address={LOOPBACK}",
            "--secure-port=0",
            "--kube-api-qps=1000",
            "--kube-api-burst=1000",
        )

    def _run(self, stack: ExitStack, name: str, *flags: str) -> None:
        log = self._directory / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603  (our own build)
                [*dying_with_us(), str(binaries.find(name)), *flags],
                env={"PATH": os.environ["PATH"], "HOME": str(self._directory)},  # neither proxies nor CA bundles
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        stack.callback(end, process)
        self.programs.append(Program(process, log))

    def _await(self, condition: Callable[[], bool]) -> None:
        def done() -> bool:
            return any(program.process.poll() is not None for program in self.programs) or condition()

        ready = wait_until(done, PATIENCE)
        ended = next((program for program in self.programs if program.process.poll() is not None), None)
        if ended or not ready:
            raise NotReadyError(ended or self.programs[-1])  # each is started when those before it are ready

    def _is_ready(self) -> bool:
        try:
            return self.admin.get("/readyz").status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def _has_default_account(self) -> bool:
        return self.admin.get("/api/v1/namespaces/default/serviceaccounts/default").status == 200


AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        {"level": "None", "users": ["system:apiserver", "admin"]},
        {"level": "Metadata"},
    ],
}


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [int(each.getsockname()[1]) for each in sockets]
