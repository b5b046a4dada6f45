"""`rotator manifests`: all that rotator needs in a cluster as YAML, from the configuration and the options alone."""

from typing import Any

import pytest
import yaml

from tests.commands.shell import Shell
from tests.outside import CONFIG

KEY = '{"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\\nMII"}'


def printed(shell: Shell, *words: str) -> dict[str, dict[str, Any]]:
    """The objects by their kind; roles are named after their namespace, too."""
    done = shell.run("manifests", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return {each["kind"]: each for each in yaml.safe_load_all(done.stdout)}


def test_it_prints_manifests_and_needs_neither_cluster_nor_cloud(shell: Shell) -> None:
    """Exit code 0 with an API server that is down; the roles are those that `rotator rbac` prints, comments and all."""
    del shell.environment["KUBECONFIG"]
    shell.api.stop()
    done = shell.run("manifests", PYTHONHASHSEED="1")
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert "in no registry: unless it is on the nodes, name yours with --image" in line
    roles = shell.run("rbac", PYTHONHASHSEED="2").stdout
    assert roles[roles.index("---") :] in done.stdout
    assert shell.mints() == {"prod": 0, "images": 0, "contoso": 0}


def test_a_variable_counts_before_the_programs_own(shell: Shell) -> None:
    """Once, with the value that was asked for."""
    (container,) = printed(shell, "--image", "r:1", "--env", "ROTATOR_LOG_FORMAT=console")["Deployment"]["spec"][
        "template"
    ]["spec"]["containers"]
    assert [each for each in container["env"] if each["name"] == "ROTATOR_LOG_FORMAT"] == [
        {"name": "ROTATOR_LOG_FORMAT", "value": "console"}
    ]


def test_what_nothing_is_mounted_at_is_named(shell: Shell) -> None:
    """A file, a token and a variable's path that an option was forgotten for; none of those that are given."""
    google = "{hosts: [europe-west1-docker.pkg.dev], credentialsFile: /etc/rotator/federation.json}"
    config = f"registries: [{{name: images, gar: {google}}}]\npullSecrets:\n"
    shell.configure(config + "  - {name: pull, registries: [images], namespaces: {names: [team-a]}}\n")
    (shell.directory / "federation.json").write_text('{"credential_source": {"file": "/var/run/tokens/google"}}')
    words = ("manifests", "--image", "r:1", "--env", "AWS_WEB_IDENTITY_TOKEN_FILE=/var/run/tokens/aws")
    said = shell.run(*words).stderr
    assert [line.split()[1] for line in said.splitlines()] == ["/etc/rotator/federation.json", "/var/run/tokens/aws"]
    assert "give it with --file" in said
    assert "give it with --token" in said
    given = ("--file", "federation.json", "--token", "aws=sts.amazonaws.com")
    said = shell.run(*words, *given).stderr
    assert [line.split()[1] for line in said.splitlines()] == ["/var/run/tokens/google"]
    assert shell.run(*words, *given, "--token", "google=x").stderr == ""


def test_every_option_arrives_in_the_manifests(shell: Shell) -> None:
    """Each of them once, in the mode that has the most of them."""
    (shell.directory / "federation.json").write_text('{"type": "external_account"}')
    options = """--mode cronjob --namespace tools --name turner --image images.example/rotator:1 --schedule @hourly
        --log-level debug --annotation eks.amazonaws.com/role-arn=arn:aws:iam::1:role/x --pod-label a/b=true
        --env HTTPS_PROXY=http://proxy:3128 --token aws=sts.amazonaws.com --file federation.json --secret northwind
        --port 3128"""
    objects = printed(shell, *options.split())
    spec = objects["CronJob"]["spec"]
    pod = spec["jobTemplate"]["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert {each["metadata"].get("namespace", "tools") for each in objects.values()} == {"tools"}
    roles = {name: objects.pop(name) for name in ("ClusterRole", "ClusterRoleBinding")}
    assert {each["metadata"]["name"] for each in roles.values()} == {"tools-turner"}
    assert {each["metadata"]["name"] for each in objects.values()} == {"turner"}
    assert (spec["schedule"], container["image"]) == ("@hourly", "images.example/rotator:1")
    variables = {each["name"]: each["value"] for each in container["env"]}
    assert variables == {
        "ROTATOR_LOG_LEVEL": "debug",
        "ROTATOR_LOG_FORMAT": "json",
        "HTTPS_PROXY": "http://proxy:3128",
    }
    account = objects["ServiceAccount"]["metadata"]
    assert account["annotations"] == {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"}
    assert pod["metadata"]["labels"]["a/b"] == "true"
    assert objects["ConfigMap"]["data"] == {"config.yaml": CONFIG, "federation.json": '{"type": "external_account"}'}
    mounted = {each["mountPath"] for each in container["volumeMounts"]}
    assert {"/var/run/tokens", "/var/run/secrets/northwind"} <= mounted
    assert {"port": 3128, "protocol": "TCP"} in objects["NetworkPolicy"]["spec"]["egress"][1]["ports"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--annotation", "novalue"), "KEY=VALUE"),
        (("--env", "=value"), "KEY=VALUE"),
        (("--name", "a.b"), "--name"),
        (("--port", "70000"), "--port"),
        (("--schedule", "every 5 minutes"), "five fields of cron"),
        (("--schedule", "* * * *"), "five fields of cron"),
        (("--pod-label", "app.kubernetes.io/name=other"), "selected by app.kubernetes.io/name"),
        (("--pod-label", "team=a b"), "63 letters"),
        (("--annotation", "a b=c"), "dns.prefix/name"),
        (("--annotation", "a=b", "--annotation", "a=c"), "a is given twice"),
        (("--image", ""), "lower case"),
        (("--image", "Rotator:1"), "lower case"),
        (("--file", "config.yaml"), "another name"),
        (("--file", "key.json"), "--secret"),
        (("--file", "gone.json"), "no such file"),
        (("--file", "half.pem"), "--secret"),
        (("--file", "half.json"), "--secret"),
        (("--file", "credentials"), "--secret"),
        (("--file", "a b"), "letters, digits"),
        (("--file", "..data"), "letters, digits"),
        (("--file", "some.txt", "--file", "other/some.txt"), "another name"),
        (("--token", "../x=y"), "FILE=AUDIENCE"),
        (("--token", "x="), "FILE=AUDIENCE"),
        (("--env", "A B=c"), "letters, digits and _"),
        (("--env", "A=1", "--env", "A=2"), "A is given twice"),
        (("--secret", "a", "--secret", "a"), "a is given twice"),
        (("--name", "n" * 53, "--mode", "cronjob"), "52 characters"),
        (("--name", "n" * 64), "may have 63"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(shell: Shell, words: tuple[str, ...], says: str) -> None:
    """Exit code 2, and nothing that kubectl could take for manifests; a private key is not repeated."""
    for name, text in {
        "key.json": KEY,
        "half.pem": "-----BEGIN EC PRIVATE KEY-----\nMII",
        "half.json": '{"private_key": "MII"}',
        "credentials": "aws_secret_access_key = MII",
        "a b": "",
        "..data": "",
        "some.txt": "",
        "other/some.txt": "",
    }.items():
        path = shell.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    done = shell.run("manifests", *words)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert says in line
    assert "MII" not in line
