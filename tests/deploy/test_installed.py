"""Chart and manifests on a real cluster that enforces restricted Pod Security; rotator runs there as what they made."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from tests.controlplane.server import ControlPlane
from tests.deploy import examples
from tests.deploy.objects import Object, of_kind, path_of, template
from tests.helm.fixtures import CHART, Helm
from tests.installation import ACCOUNT, Installation, installed_on
from tests.outside import ACR, CONFIG, ECR, GAR, SECRET
from tests.scenarios.roles import refused
from tests.waiting import eventually

RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
NONE = "<none>"
"""What kubectl prints for the namespace of what has none."""


def make_home(controlplane: ControlPlane, objects: list[Object]) -> None:
    """The namespaces of the objects, which are not theirs to make: policy engines would refuse none of the Pods."""
    for name in {each["metadata"]["namespace"] for each in objects if "namespace" in each["metadata"]}:
        controlplane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": RESTRICTED}})


def pod_of(objects: list[Object], namespace: str) -> Object:
    """The Pod that the Deployment or the CronJob would make."""
    made = template(objects)
    metadata = {**made["metadata"], "name": "one", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": made["spec"]}


def rendered(helm: Helm, way: str, name: str, mode: str, home: str) -> list[Object]:
    """The example in that namespace, by the command or by the chart."""
    if way == "manifests":
        words = ("--mode", mode, "--namespace", home, "--name", home)
        return list(yaml.safe_load_all(examples.manifests(name, *words)))
    values = yaml.safe_load((examples.EXAMPLES / name / "values.yaml").read_text())
    return helm.template({**values, "mode": mode}, namespace=home, name=home)


@pytest.mark.parametrize("way", ["manifests", "chart"])
@pytest.mark.parametrize("mode", ["deployment", "cronjob"])
@pytest.mark.parametrize("name", examples.COMMANDS)
def test_every_object_is_taken_without_a_warning(
    controlplane: ControlPlane, helm: Helm, name: str, mode: str, way: str
) -> None:
    """Strictly by the API server's own schemas; and so is the Pod, where only restricted ones may be."""
    home = f"rotator-{secrets.token_hex(4)}"
    objects = rendered(helm, way, name, mode, home)
    make_home(controlplane, objects)
    for each in objects:
        answer = controlplane.admin.apply(path_of(each), each, fieldValidation="Strict", force="true")
        assert answer.status in {200, 201}, answer
        assert "Warning" not in answer.headers, answer.headers["Warning"]
    pod = pod_of(objects, home)
    answer = controlplane.admin.post(f"/api/v1/namespaces/{home}/pods", pod, fieldValidation="Strict")
    assert answer.status == 201, answer
    assert "Warning" not in answer.headers, answer.headers["Warning"]


@pytest.mark.parametrize("broken", ["securityContext", "containers"])
def test_a_pod_that_is_not_restricted_would_be_refused(controlplane: ControlPlane, helm: Helm, broken: str) -> None:
    """So that the namespaces of these tests do enforce it."""
    home = f"rotator-{secrets.token_hex(4)}"
    objects = rendered(helm, "manifests", "gke", "deployment", home)
    make_home(controlplane, objects)
    controlplane.apply(of_kind(objects, "ServiceAccount"))
    pod = pod_of(objects, home)
    (container,) = pod["spec"]["containers"]
    del (pod["spec"] if broken == "securityContext" else container)["securityContext"]
    answer = controlplane.admin.post(f"/api/v1/namespaces/{home}/pods", pod)
    assert answer.status == 403
    assert "restricted" in answer.message


# rotator itself ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Site:
    """A cluster with clouds around it, in which nothing of rotator's is there but its namespace."""

    installation: Installation
    helm: Helm
    admin: Path

    @property
    def home(self) -> str:
        """The namespace."""
        return self.installation.full(ACCOUNT)

    @property
    def role(self) -> str:
        """What its roles are called in every namespace, and cluster-wide."""
        return f"{self.home}-{ACCOUNT}"

    def config(self, namespaces: str) -> str:
        """A configuration for namespaces of this test."""
        return CONFIG.replace('["team-*"]', namespaces).replace("team-", self.installation.full("team-"))

    def manifests(self, text: str, mode: str) -> list[Object]:
        """What `rotator manifests` prints, once it has been applied by kubectl as its first line says."""
        self.installation.configure(text)
        words = ("manifests", "--config", "config.yaml", "--namespace", self.home, "--mode", mode)
        printed = self.installation.run(*words)
        assert printed.returncode == 0, printed.stderr
        done = self.installation.controlplane.kubectl("apply", "--server-side", "-f", "-", text=printed.stdout)
        assert done.returncode == 0, done.stderr
        return list(yaml.safe_load_all(printed.stdout))

    def chart(self, verb: str, text: str, mode: str = "deployment") -> None:
        """`helm install` or `helm upgrade`."""
        values = {"config": yaml.safe_load(text), "mode": mode}
        words = (verb, ACCOUNT, str(CHART), "-n", self.home)
        done = self.helm.run(*words, values=values, KUBECONFIG=str(self.admin))
        assert done.returncode == 0, done.stderr

    def pod(self, mode: str) -> Installation:
        """The program as the container in the cluster would start it: its variables, its file, its ServiceAccount."""
        found = (
            self.get("apis/apps/v1", "deployments") if mode == "deployment" else self.get("apis/batch/v1", "cronjobs")
        )
        (container,) = template([found])["spec"]["containers"]
        assert template([found])["spec"]["serviceAccountName"] == ACCOUNT
        assert container["args"] == ["run" if mode == "deployment" else "once"]
        variables = {each["name"]: each["value"] for each in container["env"]}
        assert not variables.keys() & self.installation.environment.keys()
        directory = self.installation.directory / secrets.token_hex(4)
        directory.mkdir()
        for name, text in self.get("api/v1", "configmaps")["data"].items():
            (directory / name).write_text(text)
        self.installation.log_in()
        here = {"ROTATOR_CONFIG": str(directory / "config.yaml")}
        return replace(self.installation, environment=self.installation.environment | variables | here)

    def get(self, group: str, resource: str, name: str = ACCOUNT) -> Object:
        """One of rotator's own objects."""
        answer = self.installation.controlplane.admin.get(f"/{group}/namespaces/{self.home}/{resource}/{name}")
        assert answer.status == 200, answer
        found: Object = answer.body
        return {"kind": {"deployments": "Deployment", "cronjobs": "CronJob"}.get(resource, ""), **found}

    def left(self) -> set[str]:
        """Everything that somebody installed: what bears rotator's name, and what else stands in its namespace."""
        kinds = "sa,cm,secret,svc,deploy,cronjob,pdb,netpol,role,rolebinding,lease"
        found = self._listed(kinds, "-A") | self._listed("clusterrole,clusterrolebinding")
        return {f"{kind} {name}" for kind, namespace, name in found if namespace == self.home or name == self.role} - {
            "ConfigMap kube-root-ca.crt",
            "ServiceAccount default",
        }

    def _listed(self, kinds: str, *words: str) -> set[tuple[str, str, str]]:
        columns = "custom-columns=:.kind,:.metadata.namespace,:.metadata.name"
        done = self.installation.controlplane.kubectl("get", kinds, *words, "--no-headers", "-o", columns)
        assert done.returncode == 0, done.stderr
        lines = (line.split() for line in done.stdout.splitlines())
        return {(kind, namespace, name) for kind, namespace, name in lines}


@pytest.fixture
def site(controlplane: ControlPlane, helm: Helm, tmp_path: Path) -> Iterator[Site]:
    """The namespace is there, and restricted."""
    with installed_on(controlplane, tmp_path) as installation:
        home = {"name": installation.full(ACCOUNT), "labels": RESTRICTED}
        controlplane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": home})
        account = controlplane.admin.delete(f"/api/v1/namespaces/{home['name']}/serviceaccounts/{ACCOUNT}")
        assert account.status == 200
        yield Site(installation, helm, controlplane.kubeconfig(tmp_path / "admin"))


def serves(rotator: Installation, *teams: str) -> None:
    """Every namespace has its Secret with all hosts, and its ServiceAccount the reference; no request was refused."""
    for team in teams:
        assert set(rotator.auths(team)) == {ECR, GAR, ACR}
        assert rotator.references(team) == [SECRET]
    assert refused(rotator) == []


@pytest.mark.parametrize("way", ["manifests", "chart"])
@pytest.mark.parametrize("namespaces", ['["team-*"]', "[team-a, team-b]"], ids=["by pattern", "by name"])
def test_a_cronjob_does_its_job(site: Site, way: str, namespaces: str) -> None:
    """As what was installed, and with its rights only: a pass, and another one that has nothing to do."""
    teams = site.installation.add_namespaces("team-a", "team-b")
    text = site.config(namespaces)
    if way == "manifests":
        site.manifests(text, "cronjob")
    else:
        site.chart("install", text, "cronjob")
    rotator = site.pod("cronjob")
    for _ in range(2):
        done = rotator.run("once")
        assert done.returncode == 0, done.stderr
    serves(rotator, *teams)


@pytest.mark.parametrize("way", ["manifests", "chart"])
def test_a_deployment_does_its_job(site: Site, way: str) -> None:
    """It leads by its Lease, serves what is there and what comes, and is refused nothing."""
    teams = site.installation.add_namespaces("team-a")
    text = site.config('["team-*"]')
    if way == "manifests":
        site.manifests(text, "deployment")
    else:
        site.chart("install", text)
    rotator = site.pod("deployment")
    with rotator.start("run") as running:
        eventually(lambda: running.events("pass.finished"), "the first sweep")
        teams += site.installation.add_namespaces("team-b")
        eventually(lambda: rotator.references(teams[1]) == [SECRET], "a new namespace")
        eventually(lambda: rotator.find("secrets", teams[1], SECRET), "its Secret")
        assert running.end() == 0
    serves(rotator, *teams)


def test_an_upgrade_takes_rights_away_and_an_uninstallation_the_rest(site: Site) -> None:
    """From a pattern to a name: the cluster-wide roles go. In the end what Pods pull with is left, and the Lease."""
    team, other = site.installation.add_namespaces("team-a", "team-b")
    site.chart("install", site.config('["team-*"]'))
    with site.pod("deployment").start("run") as running:
        eventually(lambda: running.events("pass.finished"), "the first sweep")
        assert running.end() == 0
    assert f"ClusterRole {site.role}" in site.left()
    site.chart("upgrade", site.config("[team-a]"))
    assert not [name for name in site.left() if name.startswith("ClusterRole")]
    rotator = site.pod("deployment")
    with rotator.start("run") as running:
        eventually(lambda: running.events("pass.finished"), "a sweep with fewer rights")
        assert running.end() == 0
    serves(rotator, team)
    done = site.helm.run("uninstall", ACCOUNT, "-n", site.home, "--wait", KUBECONFIG=str(site.admin))
    assert done.returncode == 0, done.stderr
    assert site.left() == {f"Lease {ACCOUNT}"}
    for each in (team, other):
        assert site.installation.references(each) == [SECRET]
        assert site.installation.secret(each)["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "rotator"


def test_what_was_printed_is_deleted_and_another_mode_comes_without_helm(site: Site) -> None:
    """As deploy/README.md says it: `kubectl delete -f`, and what the other mode prints; Secret and reference stay."""
    (team,) = site.installation.add_namespaces("team-a")
    kubectl = site.installation.controlplane.kubectl
    first = site.manifests(site.config('["team-*"]'), "deployment")
    with site.pod("deployment").start("run") as running:
        eventually(lambda: running.events("pass.finished"), "the first sweep")
        assert running.end() == 0
    done = kubectl("delete", "-f", "-", text=yaml.safe_dump_all(first))
    assert done.returncode == 0, done.stderr
    assert site.left() == {f"Lease {ACCOUNT}"}
    uid = site.installation.secret(team)["metadata"]["uid"]
    second = site.manifests(site.config('["team-*"]'), "cronjob")
    done = site.pod("cronjob").run("once")
    assert done.returncode == 0, done.stderr
    assert site.installation.secret(team)["metadata"]["uid"] == uid
    done = kubectl("delete", "-f", "-", text=yaml.safe_dump_all(second))
    assert done.returncode == 0, done.stderr
    assert site.left() == {f"Lease {ACCOUNT}"}
    assert site.installation.references(team) == [SECRET]
    assert set(site.installation.auths(team)) == {ECR, GAR, ACR}
