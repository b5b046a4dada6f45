"""Other hands on rotator's objects: kubectl in one team's namespace, and what rotator says and does there."""

import base64
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.controlplane import binaries
from tests.installation import Installation
from tests.outside import ECR, ECR_ONLY, SECRET
from tests.program import events_in
from tests.waiting import PATIENCE, eventually

SECRET_TYPE = "kubernetes.io/dockerconfigjson"
THEIRS = {"auth": "YTpi"}
"""An entry for a registry that rotator knows nothing of."""

Auths = Mapping[str, object]


@dataclass(frozen=True)
class Team:
    """One namespace, with kubectl in the hands of its people."""

    installation: Installation
    namespace: str

    def kubectl(self, *words: str, text: str | None = None) -> str:
        """Run kubectl here; what it printed. It must succeed."""
        done = self._kubectl(*words, text=text)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refusal(self, *words: str, text: str | None = None) -> str:
        """Run kubectl here; why it failed, which it must."""
        done = self._kubectl(*words, text=text)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def edit(self, resource: str, name: str, script: str) -> None:
        """`kubectl edit`, where the editor is sed with this script."""
        kubeconfig = self.installation.controlplane.kubeconfig(self.installation.directory / "somebody")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.installation.directory),
            "KUBECONFIG": str(kubeconfig),
            "KUBE_EDITOR": f"sed -i -e '{script}'",
            "SHELL": "/bin/sh",
        }
        done = subprocess.run(  # noqa: S603  (kubectl with the words of a test)
            [str(binaries.find("kubectl")), "--namespace", self.namespace, "edit", resource, name],
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "edited" in done.stdout

    def exported(self, resource: str = "secret", name: str = SECRET) -> dict[str, Any]:
        """What `kubectl get -o json` prints: where a read-merge-write begins."""
        return json.loads(self.kubectl("get", resource, name, "-o", "json"))  # type: ignore[no-any-return]

    def manifest(self, auths: Auths | None = None, **fields: object) -> str:
        """A manifest of a Secret of our name in its author's own words."""
        data = {} if auths is None else {"data": {".dockerconfigjson": packed(auths)}}
        head = {"apiVersion": "v1", "kind": "Secret", "metadata": self._metadata(SECRET), "type": SECRET_TYPE}
        return json.dumps(head | data | fields)

    def account(self, *references: str, **labels: str) -> str:
        """A manifest of the ServiceAccount `workers`; without references it has no list at all."""
        head = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": self._metadata("workers", **labels)}
        return json.dumps(head | ({"imagePullSecrets": listed(*references)} if references else {}))

    @property
    def secret(self) -> dict[str, Any]:
        """The pull secret as it stands."""
        return self.installation.secret(self.namespace)

    @property
    def uid(self) -> str:
        """Its UID."""
        return str(self.secret["metadata"]["uid"])

    @property
    def auths(self) -> dict[str, Any]:
        """Its entries, in order."""
        return self.installation.auths(self.namespace)

    @property
    def password(self) -> str:
        """What a kubelet would send to ECR."""
        return self.installation.password(self.namespace, ECR)

    @property
    def workers(self) -> dict[str, Any]:
        """The ServiceAccount `workers` as it stands."""
        found = self.installation.find("serviceaccounts", self.namespace, "workers")
        assert found is not None
        return found

    @property
    def references(self) -> list[str]:
        """The pull secrets that it references, in order."""
        return self.installation.references(self.namespace)

    def _kubectl(self, *words: str, text: str | None) -> "subprocess.CompletedProcess[str]":
        return self.installation.controlplane.kubectl("--namespace", self.namespace, *words, text=text)

    def _metadata(self, name: str, **labels: str) -> dict[str, object]:
        return {"name": name, "namespace": self.namespace} | ({"labels": labels} if labels else {})


@dataclass(frozen=True)
class Said:
    """What a pass left behind: its exit code, its report and its log."""

    code: int
    report: dict[str, Any]
    log: list[dict[str, Any]]

    def secret(self, team: Team) -> tuple[str, str]:
        """State and outcome of the team's pull secret."""
        return self._about("Secret", team)

    def workers(self, team: Team) -> tuple[str, str]:
        """State and outcome of the team's ServiceAccount."""
        return self._about("ServiceAccount", team)

    def messages(self, team: Team, event: str) -> list[str]:
        """The messages of the events of this name about the team's objects."""
        return [found["message"] for found in self._events(event, team)]

    def rivals(self, team: Team) -> list[str]:
        """The field managers from whom the team's pull secret was taken back."""
        return [manager for found in self._events("secret.contested", team) for manager in found["managers"]]

    def _events(self, name: str, team: Team) -> list[dict[str, Any]]:
        return [found for found in self.log if (found["event"], found.get("namespace")) == (name, team.namespace)]

    def _about(self, kind: str, team: Team) -> tuple[str, str]:
        found = [c for c in self.report["changes"] if (c["kind"], c["namespace"]) == (kind, team.namespace)]
        assert len(found) == 1, found
        return found[0]["state"], found[0]["outcome"]


def rotate(installation: Installation, command: str = "once") -> Said:
    """One pass of a new process."""
    done = installation.run(command, "--output", "json")
    return Said(done.returncode, json.loads(done.stdout), events_in(done.stderr))


def configure(installation: Installation, text: str = ECR_ONLY, *, adopt: bool = False, renewal: str = "{}") -> None:
    """Use this configuration, with the test's own namespaces."""
    text = text.replace(f"name: {SECRET},", f"name: {SECRET}, adopt: {str(adopt).lower()},")
    installation.configure(text.replace("team-", installation.full("team-")) + f"renewal: {renewal}\n")


def teams(installation: Installation, *names: str) -> list[Team]:
    """A team of each name, not yet served; `rotator` is configured for all of them."""
    configure(installation)
    return [Team(installation, name) for name in installation.add_namespaces(*(f"team-{name}" for name in names))]


def served(installation: Installation, *names: str) -> list[Team]:
    """A team of each name, and rotator has been there."""
    made = teams(installation, *names)
    assert rotate(installation).code == 0
    return made


def renew(team: Team) -> Said:
    """Let passes go by until one has renewed the team's pull secret; what that one said."""
    before, said = team.password, []

    def renewed() -> bool:
        said.append(rotate(team.installation))
        return team.password != before

    eventually(renewed, "the next credential is published")
    return said[-1]


def packed(auths: Auths) -> str:
    """A dockerconfigjson with these entries as it stands in a manifest's data."""
    return base64.b64encode(json.dumps({"auths": auths}).encode()).decode()


def listed(*references: str) -> list[dict[str, str]]:
    """A list of imagePullSecrets."""
    return [{"name": name} for name in references]


def owners(found: dict[str, Any], *path: str) -> set[str]:
    """The field managers that own this field of the object."""
    entries = found["metadata"].get("managedFields", [])
    return {entry["manager"] for entry in entries if _owns(entry["fieldsV1"], path)}


def version(found: dict[str, Any]) -> str:
    """The resourceVersion: the same one means that nobody wrote anything."""
    return str(found["metadata"]["resourceVersion"])


def _owns(fields: dict[str, Any], path: tuple[str, ...]) -> bool:
    return not path or (f"f:{path[0]}" in fields and _owns(fields[f"f:{path[0]}"], path[1:]))
