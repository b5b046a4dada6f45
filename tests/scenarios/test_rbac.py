"""The roles that `rotator rbac` prints, on a real cluster: enough for the whole job, and all that it has."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.sandbox.server import Request, Response
from tests.apiclient import MERGE_PATCH
from tests.controlplane.server import ControlPlane
from tests.gate import Forward, Gate
from tests.installation import ACCOUNT, Installation, installed_on
from tests.outside import ECR, SECRET
from tests.program import Running
from tests.scenarios.roles import (
    BY_NAME,
    CASES,
    GHCR,
    HEAD,
    NONE,
    TWO,
    VERIFIED,
    apply_printed,
    print_roles,
    pull_secret,
    refused,
    stage,
    surplus,
)
from tests.waiting import eventually

LIFE = timedelta(seconds=6)


class Rival:
    """Changes the Secret in one namespace, and the ServiceAccounts there, just before rotator's first patch of each."""

    def __init__(self, controlplane: ControlPlane, namespace: str) -> None:
        self._admin = controlplane.admin
        self._begin = f"/api/v1/namespaces/{namespace}/"
        self._lock = threading.Lock()
        self.overtaken: list[str] = []

    def __call__(self, request: Request, forward: Forward) -> Response:
        """Let a request through, perhaps as the second."""
        with self._lock:
            self._overtake(request)
        return forward(request)

    @contextmanager
    def before(self, installation: Installation) -> Iterator[None]:
        """Lead the program past here, meanwhile."""
        plane = installation.controlplane
        with Gate(plane.url, plane.ca_file) as gate, gate.leading(installation.directory / "kubeconfig"):
            gate.fault = self
            yield

    def _overtake(self, request: Request) -> None:
        if request.method == "PATCH" and request.path.startswith(self._begin) and request.path not in self.overtaken:
            change = {"metadata": {"annotations": {"rival": "was here"}}}
            if self._admin.patch(request.path, change, MERGE_PATCH).status == 200:
                self.overtaken.append(request.path)


def has_entries(installation: Installation, namespace: str, *hosts: str) -> bool:
    """Whether the pull secret there holds entries for these hosts."""
    found = installation.find("secrets", namespace, SECRET)
    return found is not None and set(hosts) <= set(installation.auths(namespace))


@pytest.mark.parametrize("case", CASES)
def test_the_printed_roles_are_enough_and_all_that_it_has(
    controlplane: ControlPlane, tmp_path: Path, case: str
) -> None:
    """Roll-out, adoption, conflicts, renewal, an edited Secret, a lost reference, a deleted namespace; and no 403."""
    with installed_on(controlplane, tmp_path, LIFE) as installation:
        names = stage(installation, case)
        rival = Rival(controlplane, names["team-a"])
        roles = apply_printed(installation)
        for name in (*names.values(), "kube-system"):
            assert surplus(installation, name, roles) == set()
        with rival.before(installation):
            done = installation.run("once")
        assert done.returncode == 0, done.stderr
        assert set(installation.auths(names["team-a"])) == {GHCR, ECR}
        assert set(installation.auths(names["team-b"])) == {ECR}
        if case == TWO:
            assert set(installation.auths(names["team-c"], "app-pull")) == {ECR}
            assert installation.references(names["team-a"], "apps") == ["app-pull"]
            assert installation.find("secrets", names["team-c"], SECRET) is None
        assert {path.split("/")[-2] for path in rival.overtaken} == (
            {"secrets"} if case in {VERIFIED, NONE} else {"secrets", "serviceaccounts"}
        )
        with installation.start("run") as running:
            misfortunes(installation, names, running, case)
            assert running.end() == 0
        assert refused(installation) == []
        assert not running.events("pass.failed")
        for name in (names["team-x"], names["other"]):
            assert installation.find("secrets", name, SECRET) is None


def misfortunes(installation: Installation, names: dict[str, str], running: Running, case: str) -> None:
    """All at once, while tokens are renewed: an edit, a lost reference, a deleted namespace. Wait until all is well."""
    admin = installation.controlplane.admin
    before, place = installation.password(names["team-a"], ECR), f"/api/v1/namespaces/{names['team-b']}"
    text = json.dumps({"auths": {GHCR: {"auth": "YTpi"}}})
    edit = {"stringData": {".dockerconfigjson": text}}
    assert admin.patch(f"{place}/secrets/{SECRET}", edit, MERGE_PATCH).status == 200
    lost = admin.patch(f"{place}/serviceaccounts/workers", {"imagePullSecrets": None}, MERGE_PATCH)
    assert lost.status == 200
    assert admin.delete(f"/api/v1/namespaces/{names['team-c']}").status == 200
    eventually(lambda: has_entries(installation, names["team-b"], GHCR, ECR), "the edit is mended")
    eventually(lambda: installation.password(names["team-a"], ECR) != before, "the credential is renewed")
    if case == VERIFIED:
        eventually(lambda: "add it to imagePullSecrets" in running.log, "the lost reference is reported")
    if case not in {VERIFIED, NONE}:
        eventually(lambda: SECRET in installation.references(names["team-b"]), "the reference is back")
    else:
        assert installation.references(names["team-b"]) == []


@pytest.mark.parametrize("case", CASES)
def test_what_a_cronjob_is_granted_is_enough_for_one_pass(
    controlplane: ControlPlane, tmp_path: Path, case: str
) -> None:
    """`--mode cronjob`: roll-out, adoption and conflicts without a right to watch, and without a 403."""
    with installed_on(controlplane, tmp_path, LIFE) as installation:
        names = stage(installation, case)
        roles = apply_printed(installation, "--mode", "cronjob")
        assert all("watch" not in rule["verbs"] for role in roles for rule in role.get("rules", ()))
        assert surplus(installation, names["team-a"], roles) == set()
        with Rival(controlplane, names["team-a"]).before(installation):
            done = installation.run("once")
        assert done.returncode == 0, done.stderr
        assert set(installation.auths(names["team-a"])) == {GHCR, ECR}
        assert refused(installation) == []


def test_a_named_namespace_that_is_deleted_takes_its_role_with_it(controlplane: ControlPlane, tmp_path: Path) -> None:
    """It is reported with the rule to add, all others are served; when it is back, the same roles are applied again."""
    with installed_on(controlplane, tmp_path) as installation:
        names = stage(installation, BY_NAME)
        apply_printed(installation)
        gone = f"/api/v1/namespaces/{names['team-b']}"
        assert controlplane.admin.delete(gone).status == 200
        eventually(lambda: controlplane.admin.get(gone).status == 404, "the namespace is gone")
        done = installation.run("once")
        assert done.returncode == 1
        assert f"grant verbs [get] on namespaces named {names['team-b']}" in done.stderr
        assert has_entries(installation, names["team-a"], GHCR, ECR)
        installation.add_namespace(names["team-b"], "workers")
        apply_printed(installation)
        assert installation.run("once").returncode == 0
        assert has_entries(installation, names["team-b"], ECR)


ODD = ("1e5", "0o17", "0x1f", "010", "y", "on", "null", "1.5e3", "2001-01-01")


def test_names_that_look_like_something_else_stay_names(controlplane: ControlPlane, tmp_path: Path) -> None:
    """Kubectl reads YAML by other rules than Python does: numbers, truth values and dates of both stay texts."""
    with installed_on(controlplane, tmp_path) as installation:
        odd = [name for name in ODD if "." not in name]
        every = ", ".join(f'"{name}"' for name in odd)
        secrets = [pull_secret(f"{{names: [{every}]}}", f"{{names: [{every}]}}", f'"{name}"') for name in ODD]
        installation.configure(HEAD + "".join(secrets))
        done = controlplane.kubectl(
            "apply", "--dry-run=client", "-o", "json", "-f", "-", text=print_roles(installation)
        )
        assert done.returncode == 0, done.stderr
        roles = [item for item in json.loads(done.stdout)["items"] if item["kind"] == "Role"]
        assert [role["metadata"]["namespace"] for role in roles] == [*odd, installation.full(ACCOUNT)]
        for role in roles[: len(odd)]:
            named = [rule["resourceNames"] for rule in role["rules"] if "resourceNames" in rule]
            assert named == [[role["metadata"]["namespace"]], [*ODD], odd]
