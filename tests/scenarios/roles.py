"""What the tests of `rotator rbac` share: configurations, a stage for them on a real cluster, rules as plain sets."""

from typing import Any

import yaml

from tests.apiclient import Client
from tests.installation import ACCOUNT, Installation
from tests.outside import ECR, SECRET

GHCR = "ghcr.io"
HEAD = f"""
registries:
  - {{name: prod, ecr: {{hosts: [{ECR}]}}}}
renewal: {{sweep: 2s, jitter: 0}}
pullSecrets:
"""
TEAMS = ("team-a", "team-b", "team-c")
"""`team-c` is deleted on the way, where patterns or labels mean it."""


def pull_secret(namespaces: str, accounts: str | None, name: str = SECRET) -> str:
    """One pull secret of a configuration."""
    wanted = f", serviceAccounts: {accounts}" if accounts else ""
    return f"  - {{name: {name}, registries: [prod], adopt: true, namespaces: {namespaces}{wanted}}}\n"


LISTED = "{names: [team-a, team-b, team-x], exclude: [team-x]}"
PATTERN = '{names: ["team-*"], exclude: [team-x]}'
VERIFIED = "accounts only verified"
NONE = "no accounts"
TWO = "two, one by name and one by pattern"
BY_NAME = "namespaces and accounts by name"
BY_PATTERN = "namespaces by pattern"
CASES = {
    BY_NAME: pull_secret(LISTED, "{names: [workers]}"),
    "namespaces by name, accounts by pattern": pull_secret(LISTED, '{names: ["work*"]}'),
    BY_PATTERN: pull_secret(PATTERN, "{names: [workers]}"),
    "namespaces by label": pull_secret('{labels: "pull in (team-private)"}', "{names: [workers]}"),
    "accounts by label": pull_secret(PATTERN, "{labels: app=ci}"),
    VERIFIED: pull_secret(PATTERN, "{names: [workers], mode: verify}"),
    NONE: pull_secret(LISTED, None),
    TWO: (pull_secret(LISTED, "{names: [workers]}") + pull_secret(PATTERN, "{names: [apps]}", "app-pull")),
}


def stage(installation: Installation, case: str) -> dict[str, str]:
    """The namespaces with their ServiceAccounts, one Secret that somebody else made, and the configuration.

    The full name of each namespace.
    """
    names = {team: installation.full(team) for team in (*TEAMS, "team-x", "other")}
    private = {"pull": installation.full("team-private")}
    referenced = {"imagePullSecrets": [{"name": SECRET}]} if case == VERIFIED else {}
    installation.controlplane.apply(
        *(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": private}}
            | ({} if team in TEAMS else {"metadata": {"name": name}})
            for team, name in names.items()
        ),
        *(
            {"apiVersion": "v1", "kind": "ServiceAccount", **referenced}
            | {"metadata": {"name": account, "namespace": name, "labels": {"app": "ci"}}}
            for name in names.values()
            for account in ("workers", "apps")
        ),
    )
    words = ("create", "secret", "docker-registry", SECRET, f"--docker-server={GHCR}", "--docker-username=a")
    made = installation.controlplane.kubectl(*words, "--docker-password=b", "-n", names["team-a"])
    assert made.returncode == 0, made.stderr
    installation.configure(HEAD + CASES[case].replace("team-", installation.full("team-")))
    return names


def print_roles(installation: Installation, *words: str) -> str:
    """What `rotator rbac` prints for the configuration."""
    home, name = installation.full(ACCOUNT), installation.full("rotator")
    done = installation.run("rbac", "--namespace", home, "--service-account", ACCOUNT, "--name", name, *words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def apply_printed(installation: Installation, *words: str) -> list[dict[str, Any]]:
    """`rotator rbac | kubectl apply -f -`; the roles and their bindings, once they hold."""
    printed = print_roles(installation, *words)
    done = installation.controlplane.kubectl("apply", "-f", "-", text=printed)
    assert done.returncode == 0, done.stderr
    manifests = list(yaml.safe_load_all(printed))
    installation.grant(*manifests)
    return manifests


Allowed = set[tuple[str, str, str, str]]
"""Verb, group, resource, name; an empty name is every name."""


def flat(rules: list[dict[str, Any]]) -> Allowed:
    """What the rules allow, one by one."""
    return {
        (verb, group, resource, name)
        for rule in rules
        for verb in rule["verbs"]
        for group in rule.get("apiGroups", ())
        for resource in rule.get("resources", ())
        for name in rule.get("resourceNames") or [""]
    }


def allowed_in(client: Client, namespace: str) -> Allowed:
    """What the API server says that this user may do in the namespace."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    answer = client.post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", review)
    assert answer.status == 201, answer
    return flat(answer.body["status"]["resourceRules"])


def surplus(installation: Installation, namespace: str, roles: list[dict[str, Any]]) -> Allowed:
    """Where what rotator may do there, beside what every ServiceAccount may, is not just what these roles say."""
    controlplane = installation.controlplane
    tokens = (installation.directory / "token").read_text(), controlplane.service_account_token(namespace, "default")
    with controlplane.client(tokens[0]) as ours, controlplane.client(tokens[1]) as anybody:
        allowed = allowed_in(ours, namespace) - allowed_in(anybody, namespace)
    here = [role for role in roles if role["metadata"].get("namespace", namespace) == namespace]
    return allowed ^ flat([rule for role in here for rule in role.get("rules", [])])


def refused(installation: Installation) -> list[str]:
    """The requests that RBAC did not allow, in words."""
    answers = [(event, event["responseStatus"]) for event in installation.requests()]
    return [
        f"{event['verb']} {event['requestURI']}: {answer.get('message')}"
        for event, answer in answers
        if answer["code"] == 403 and "because it is being terminated" not in answer.get("message", "")
    ]
