"""rotator's own Pods in a cluster without nodes: each a process, started as its container says, until it is gone."""

import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import urllib3

from tests.apiclient import MERGE_PATCH
from tests.beside import Beside
from tests.controlplane.server import ControlPlane
from tests.deploy.objects import Object
from tests.processes import dying_with_us, end
from tests.program import ANY_PORTS, events_in

LOOK_EVERY = 0.3
"""Seconds between looks at the Pods."""

TOKEN_LIFE = timedelta(hours=12)
"""Longer than anybody plays; a kubelet would renew a token of an hour."""


@dataclass
class Running:
    """The process of one Pod; `files` is what its container sees in /etc/rotator."""

    pod: Object
    process: "subprocess.Popen[bytes]"
    files: Path
    log: Path

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of this name in its log so far."""
        text = self.log.read_text()
        return [event for event in events_in(text[: text.rfind("\n") + 1]) if event["event"] == name]

    @property
    def status(self) -> Object:
        """What a kubelet would tell."""
        code = self.process.poll()
        ready = code is None and self._is_ready()
        phase = "Running" if code is None else "Failed" if code else "Succeeded"
        state = (
            {"running": {}}
            if code is None
            else {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}}
        )
        name = self.pod["spec"]["containers"][0]["name"]
        container = {"name": name, "image": "", "imageID": "", "ready": ready, "restartCount": 0, "state": state}
        conditions = [{"type": kind, "status": str(ready)} for kind in ("Ready", "ContainersReady")]
        return {"phase": phase, "conditions": conditions, "containerStatuses": [container]}

    def _is_ready(self) -> bool:
        with suppress(urllib3.exceptions.HTTPError):
            for event in self.events("health.listening"):
                answer = urllib3.request("GET", f"http://{event['address']}/readyz", retries=False, timeout=2)
                return answer.status == 200
        return False


class Pods(Beside):
    """Starts and ends those of one namespace, or of all. `outside` leads a process to the clouds."""

    def __init__(
        self, controlplane: ControlPlane, outside: Mapping[str, str], directory: Path, namespace: str | None
    ) -> None:
        self._controlplane = controlplane
        self._path = f"/api/v1/namespaces/{namespace}/pods" if namespace else "/api/v1/pods"
        self._outside = outside
        self._directory = directory
        self._running: dict[str, Running] = {}
        self._told: dict[str, Object] = {}
        super().__init__(self._look_at_pods, LOOK_EVERY)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            super().__exit__(kind, error, traceback)
        finally:
            for each in self._running.values():
                end(each.process)

    def running(self) -> list[Running]:
        """Those that are there now."""
        return list(self._running.values())

    def _look_at_pods(self) -> None:
        answer = self._controlplane.admin.get(self._path, labelSelector="app.kubernetes.io/name=rotator")
        assert answer.status == 200, answer
        there = {pod["metadata"]["uid"]: pod for pod in answer.body["items"]}
        for uid in self._running.keys() - there.keys():
            end(self._running.pop(uid).process)
        for uid, pod in there.items():
            if uid not in self._running and pod["status"]["phase"] == "Pending":
                self._running[uid] = self._started(pod)
        for uid, running in self._running.items():
            self._project(running.pod, running.files)
            self._tell(uid, running)

    def _started(self, pod: Object) -> Running:
        """With the variables, the configuration and the ServiceAccount that its Pod has, and any free ports."""
        (container,) = pod["spec"]["containers"]
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        home = self._directory / f"{namespace}.{name}"
        files, log = home / "rotator", home / "log"
        files.mkdir(parents=True)
        self._project(pod, files)
        token = self._controlplane.service_account_token(namespace, pod["spec"]["serviceAccountName"], TOKEN_LIFE)
        here = {
            "HOME": str(home),
            "KUBECONFIG": str(self._controlplane.kubeconfig(home / "kubeconfig", token, namespace=namespace)),
            "ROTATOR_CONFIG": str(files / "config.yaml"),
        }
        variables = {each["name"]: each["value"] for each in container["env"] if "value" in each}
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603  (our own program)
                [*dying_with_us(), sys.executable, "-m", "rotator", *container["args"]],
                env={**self._outside, **ANY_PORTS, **variables, **here},
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        return Running(pod, process, files, log)

    def _project(self, pod: Object, files: Path) -> None:
        """The ConfigMap as files, whenever it changes, each in one piece."""
        (name,) = (each["configMap"]["name"] for each in pod["spec"]["volumes"] if each["name"] == "config")
        answer = self._controlplane.admin.get(f"/api/v1/namespaces/{pod['metadata']['namespace']}/configmaps/{name}")
        for file, text in answer.body.get("data", {}).items() if answer.status == 200 else ():
            path = files / file
            if not path.exists() or path.read_text() != text:
                unfinished = files / f".{file}"
                unfinished.write_text(text)
                unfinished.rename(path)

    def _tell(self, uid: str, running: Running) -> None:
        status = running.status
        if self._told.get(uid) != status:
            metadata = running.pod["metadata"]
            path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
            if self._controlplane.admin.patch(path, {"status": status}, MERGE_PATCH).status == 200:
                self._told[uid] = status
