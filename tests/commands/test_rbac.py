"""`rotator rbac`: the roles for a configuration as YAML, from the file alone; deploy/ holds two of its answers."""

import re
from pathlib import Path

import pytest
import yaml

from tests.commands.shell import Shell
from tests.outside import CONFIG, SECRET

DEPLOY = Path(__file__).parents[2] / "deploy"
EXAMPLE = re.compile(r"\]\((\S+)\) (?:is printed )?for\n\n```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = dict(EXAMPLE.findall((DEPLOY / "README.md").read_text()))


def test_it_prints_manifests_and_needs_neither_cluster_nor_cloud(shell: Shell) -> None:
    """Exit code 0 with an API server that is down and no identity in the environment; nobody was asked."""
    del shell.environment["KUBECONFIG"]
    shell.api.stop()
    done = shell.run("rbac")
    assert (done.returncode, done.stderr) == (0, "")
    kinds = [each["kind"] for each in yaml.safe_load_all(done.stdout)]
    assert kinds == ["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]
    assert shell.mints() == {"prod": 0, "images": 0, "contoso": 0}


def test_the_same_configuration_is_always_answered_alike(shell: Shell) -> None:
    """Byte for byte, whatever Python's hash seed: so that a diff shows what the configuration changed."""
    names = ", ".join(f"team-{number}" for number in range(20))
    listed = CONFIG.replace('names: ["team-*"]', f"names: [{names}]").replace("[workers]", "[workers, builders, apps]")
    shell.configure(listed)
    answers = {shell.run("rbac", PYTHONHASHSEED=seed).stdout for seed in ("1", "2", "3")}
    assert len(answers) == 1
    assert answers.pop().count("kind: RoleBinding") == 21  # one in each, and one where rotator runs


def test_the_options_name_the_service_account_and_the_roles(shell: Shell) -> None:
    """Namespace and ServiceAccount of rotator in the bindings; one name for all, after the namespace."""
    words = ("--namespace", "tools", "--service-account", "the.turner", "--name", "rotator.images")
    role, binding, for_lease, lease_binding = yaml.safe_load_all(shell.run("rbac", *words).stdout)
    for made in (role, binding, for_lease, lease_binding):
        assert made["metadata"]["name"] == "tools-rotator.images"
    for made in (binding, lease_binding):
        assert made["roleRef"]["name"] == "tools-rotator.images"
        assert made["subjects"] == [{"kind": "ServiceAccount", "name": "the.turner", "namespace": "tools"}]
    assert for_lease["metadata"]["namespace"] == "tools"


def test_a_cronjob_is_granted_no_watch(shell: Shell) -> None:
    """`--mode cronjob`: the roles for `rotator once`, which are those of the Deployment less what only it needs."""

    def verbs(*words: str) -> dict[str, set[str]]:
        roles = [each for each in yaml.safe_load_all(shell.run("rbac", *words).stdout) if "rules" in each]
        return {rule["resources"][0]: set(rule["verbs"]) for role in roles for rule in role["rules"]}

    once, run = verbs("--mode", "cronjob"), verbs("--mode", "deployment")
    assert run == verbs()
    assert {resource: run[resource] - once.get(resource, set()) for resource in run} == {
        "namespaces": {"get", "watch"},
        "secrets": {"watch"},
        "serviceaccounts": {"watch"},
        "leases": {"get", "create", "update"},
        "events": set(),
    }


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--namespace", "a.b"),
        ("--namespace", "Tools"),
        ("--service-account", "a b"),
        ("--service-account", ""),
        ("--name", "system:admin"),
        ("--name", "a\n- kind: Pod"),
        ("--namespace", "x" * 64),
        ("--name", "x" * 254),
    ],
)
def test_a_name_of_another_form_is_refused(shell: Shell, option: str, value: str) -> None:
    """Exit code 2 and one line that names the option, before kubectl finds out halfway through."""
    done = shell.run("rbac", option, value)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert option in line
    assert "rotator rbac --help" in line


@pytest.mark.parametrize(
    ("text", "says"), [(None, "no such file"), (CONFIG.replace(SECRET, "Worker Pull"), "pullSecrets[0].name")]
)
def test_a_bad_configuration_is_answered_as_by_every_command(shell: Shell, text: str | None, says: str) -> None:
    """Exit code 2, one line, and nothing that kubectl could take for manifests."""
    path = shell.directory / "other.yaml"
    if text is not None:
        path.write_text(text)
    done = shell.run("rbac", "--config", str(path))
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("rotator: ")
    assert says in line


@pytest.mark.parametrize("name", ["rbac.yaml", "rbac-namespaced.yaml"])
def test_the_files_of_deploy_are_what_it_prints(shell: Shell, name: str) -> None:
    """deploy/README.md shows the configuration that each of them is for: the answer to it is the file."""
    shell.configure(EXAMPLES[name])
    assert shell.run("rbac").stdout == (DEPLOY / name).read_text()
