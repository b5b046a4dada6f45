"""Each example's way to its clouds: `rotator once` with just what its Pod would be given, among emulated clouds.

The webhooks of EKS and AKS, the Pod Identity agent and GKE's metadata server are emulated by what they go by: a
misspelt annotation, label, variable, audience or path leaves rotator without an identity.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from rotator.manifests import FILES, TOKENS
from rotator.sandbox.internet import Node
from tests.commands.shell import Shell, shell_on
from tests.deploy import examples
from tests.deploy.objects import Object, of_kind, template
from tests.outside import SECRET
from tests.program import ANY_PORTS

ASSOCIATED = {"eks-pod-identity", "eks-other-account"}
"""On the side of AWS: nothing in the cluster says so."""

POOL = "projects/987654321098/locations/global/workloadIdentityPools/clusters"


class Pod:
    """The Pod of an example, whose folders are folders of ours."""

    def __init__(self, shell: Shell, name: str) -> None:
        self._shell = shell
        self._name = name
        objects = list(yaml.safe_load_all(examples.manifests(name, "--mode", "cronjob")))
        self.account = of_kind(objects, "ServiceAccount")["metadata"]
        self.made = template(objects)
        (self.container,) = self.made["spec"]["containers"]
        self._files: dict[str, str] = of_kind(objects, "ConfigMap")["data"]
        self.config: dict[str, Any] = yaml.safe_load(self._files["config.yaml"])

    def environment(self) -> dict[str, str]:
        """What its container says, and what webhooks and agents add."""
        shell = self._shell
        own = {each["name"]: self._here(each["value"]) for each in self.container["env"]}
        return {
            **{name: shell.environment[name] for name in ("PATH", "HOME", "KUBECONFIG")},
            "ROTATOR_CONFIG": str(self._project() / "config.yaml"),
            **ANY_PORTS,
            **shell.net.environment(),
            **own,
            **self._added(),
        }

    def _added(self) -> dict[str, str]:
        net, folder = self._shell.net, self._shell.directory
        annotations, labels = self.account.get("annotations", {}), self.made["metadata"]["labels"]
        if role := annotations.get("eks.amazonaws.com/role-arn"):
            return {**net.aws.irsa_environment(folder), "AWS_ROLE_ARN": role}
        if labels.get("azure.workload.identity/use") == "true":
            client = annotations["azure.workload.identity/client-id"]
            return {**net.azure.workload_identity_environment(folder), "AZURE_CLIENT_ID": client}
        if self._name in ASSOCIATED:
            return net.aws.pod_identity_environment(folder)
        net.node = Node.GOOGLE if self._name == "gke" else None
        return {}

    def _project(self) -> Path:
        """Its configuration and its tokens, as far as it mounts them; the folder of the former."""
        mounted = {each["mountPath"]: each["name"] for each in self.container["volumeMounts"]}
        volumes = {each["name"]: each for each in self.made["spec"]["volumes"]}
        files, tokens = self._folder(FILES), self._folder(TOKENS)
        assert volumes[mounted[FILES]]["configMap"]["name"] == self.account["name"]
        for name, text in self._files.items():
            (files / name).write_text(self._here(text))
        for source in volumes[mounted[TOKENS]]["projected"]["sources"] if TOKENS in mounted else ():
            token = source["serviceAccountToken"]
            (tokens / token["path"]).write_text(self._trusted(token["audience"]))
        return files

    def _trusted(self, audience: str) -> str:
        """A token that the cloud with this audience trusts."""
        net = self._shell.net
        folder = self._folder("/trusted")
        federation = net.google.external_account_file(folder)
        files = {
            "sts.amazonaws.com": net.aws.irsa_environment(folder)["AWS_WEB_IDENTITY_TOKEN_FILE"],
            "api://AzureADTokenExchange": net.azure.workload_identity_environment(folder)["AZURE_FEDERATED_TOKEN_FILE"],
            f"https:{net.google.pool}": json.loads(federation.read_text())["credential_source"]["file"],
        }
        return Path(files[audience]).read_text()

    def _here(self, text: str) -> str:
        for path in (FILES, TOKENS):
            text = text.replace(f"{path}/", f"{self._folder(path)}/")
        return text

    def _folder(self, path: str) -> Path:
        made = self._shell.directory / "pod" / path.lstrip("/")
        made.mkdir(parents=True, exist_ok=True)
        return made


def let_in(shell: Shell, config: Object) -> None:
    """What docs/quickstart.md does on the side of the clouds, for the names of the examples."""
    net = shell.net
    net.google.pool = f"//iam.googleapis.com/{POOL}/providers/on-premises"
    net.google.accounts.add("puller@my-project.iam.gserviceaccount.com")
    net.azure.client_id = "11111111-1111-1111-1111-111111111111"
    net.azure.tenant_id = "22222222-2222-2222-2222-222222222222"
    for registry in config["registries"]:
        if role := registry.get("ecr", {}).get("assumeRole"):
            net.aws.roles[role["arn"]] = role["externalId"]


@pytest.mark.parametrize("name", examples.COMMANDS)
def test_what_an_example_installs_has_an_identity_in_each_of_its_clouds(tmp_path: Path, name: str) -> None:
    """Every credential is minted, accepted by its registry and written; nothing else told rotator who it is."""
    with shell_on(tmp_path) as shell:
        pod = Pod(shell, name)
        let_in(shell, pod.config)
        shell.api.store.create_namespace("team-p", labels={"pull": "private"})
        labelled = {"metadata": {"name": "workers", "labels": {"pull": "private"}}}
        shell.api.store.create("serviceaccounts", "team-p", labelled)
        shell.api.store.create_namespace("shuffle")
        shell.api.store.create_service_account("shuffle", "shuffle-workers")
        shell.environment = pod.environment()
        done = shell.run("once")
        assert done.returncode == 0, done.stderr
        (pull_secret,) = pod.config["pullSecrets"]
        namespace = "shuffle" if pull_secret["namespaces"].get("names") == ["shuffle"] else "team-p"
        sources = [each.get("ecr") or each.get("gar") or each["acr"] for each in pod.config["registries"]]
        assert set(shell.auths(namespace, SECRET)) == {host for each in sources for host in each["hosts"]}
