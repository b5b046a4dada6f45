"""The checks about rotator itself: what they say of an installation in which all is well, and of each fault."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from rotator.clock import utc_now
from rotator.leadership import micro_time
from rotator.sandbox.faults import Fault
from rotator.sandbox.server import Request, Response
from tests.controlplane.server import ControlPlane
from tests.gate import Forward, Gate
from tests.installation import ACCOUNT, Installation, installed_on
from tests.outside import ACR, CONFIG, ECR, SECRET
from tests.scenarios.roles import apply_printed
from tests.waiting import eventually

NAMES = (
    "permissions-fit",
    "cloud-identities",
    "credentials-minted",
    "clocks-agree",
    "lease-held",
    "configuration-matches",
)
FIT = ("permissions-fit",)
LEASE = ("lease-held",)


@pytest.fixture(scope="module")
def well(controlplane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Rotator on a real cluster with just the rights that it prints; it runs, leads, and wrote its Secrets."""
    with installed_on(controlplane, tmp_path_factory.mktemp("well")) as installation:
        installation.add_namespaces("team-a", "team-b", "team-legacy")
        installation.configure(own(installation, CONFIG))
        apply_printed(installation)
        with installation.start("run") as running:
            eventually(lambda: running.events("pass.finished"), "the first pass")
            yield installation


def own(installation: Installation, text: str) -> str:
    """The configuration for this test's own namespaces and Secrets: others' here would be left over."""
    text = text.replace("deadline: 2s", "deadline: 20s")  # nothing here hangs, and the machine may be busy
    return text.replace("team-", installation.full("team-")).replace(SECRET, installation.full(SECRET))


def told(
    installation: Installation,
    names: tuple[str, ...],
    *words: str,
    code: int = 0,
    environment: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """What these checks find, as the program says it."""
    chosen = [word for name in names for word in ("--check", name)]
    done = installation.run("doctor", "-o", "json", *chosen, *words, **(environment or {}))
    assert (done.returncode, done.stderr) == (code, ""), done.stdout
    assert [secret for secret in installation.net.secrets() if secret in done.stdout] == []
    findings: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    assert tuple(finding["check"] for finding in findings) == names
    return findings


def by_result(finding: dict[str, Any], result: str) -> dict[str, dict[str, Any]]:
    """The symptoms of this result, by their message."""
    return {symptom["message"]: symptom for symptom in finding["symptoms"] if symptom["result"] == result}


def names_of(symptom: dict[str, Any]) -> list[str]:
    """The objects of a symptom."""
    return [each["name"] for each in symptom["objects"]]


def account(installation: Installation, namespace: str, name: str) -> dict[str, str]:
    """The variable that makes the program this ServiceAccount."""
    token = installation.controlplane.service_account_token(namespace, name)
    path = installation.controlplane.kubeconfig(installation.directory / f"{namespace}-{name}", token)
    return {"KUBECONFIG": str(path)}


def person(installation: Installation) -> dict[str, str]:
    """The variable that makes the program the cluster's administrator, on a machine of their own."""
    return {"KUBECONFIG": str(installation.controlplane.kubeconfig(installation.directory / "person"))}


def other_config(installation: Installation, text: str) -> tuple[str, str]:
    """The option that names another configuration than the running one's."""
    path = installation.directory / "other.yaml"
    path.write_text(own(installation, text))
    return "--config", str(path)


def test_all_is_well(well: Installation) -> None:
    """Each check is ok, and those that know who we are, and who leads, say it."""
    findings = dict(zip(NAMES, told(well, NAMES), strict=True))
    assert {name: finding["result"] for name, finding in findings.items()} == dict.fromkeys(NAMES, "ok")
    facts = {name: " ".join(by_result(finding, "ok")) for name, finding in findings.items()}
    assert f"{well.full(ACCOUNT)}/{ACCOUNT}" in facts["permissions-fit"]
    assert "arn:aws:iam::123456789012:user/rotator" in facts["cloud-identities"]
    assert well.net.google.pool in facts["cloud-identities"]
    assert well.net.azure.client_id in facts["cloud-identities"]
    assert facts["credentials-minted"].count("good until") == 3
    assert " holds it, and renewed it at " in facts["lease-held"]
    assert (facts["clocks-agree"], facts["configuration-matches"]) == ("", "")


def test_a_person_is_told_of_rotators_rights(well: Installation) -> None:
    """By access reviews about its ServiceAccount: these suffice, and are no more than it needs."""
    (finding,) = told(well, FIT, "--rotator", f"{well.full(ACCOUNT)}/{ACCOUNT}", environment=person(well))
    assert finding["result"] == "ok"


def test_rights_that_are_missing_and_those_that_are_too_many(well: Installation) -> None:
    """Of another ServiceAccount: what it may not do is a problem, what it need not a warning, each with its place."""
    team, name = well.full("team-a"), well.full("reads-all")
    wide = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}
    token = {"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]}
    well.controlplane.apply(*bound("ClusterRole", name, wide, team), *bound("Role", name, token, team))
    eventually(lambda: may_list_secrets(well, team), "the role holds")
    (finding,) = told(well, FIT, "--rotator", f"{team}/workers", code=1, environment=person(well))
    missing, spare = by_result(finding, "problem"), by_result(finding, "warning")
    assert f"it may not get, watch, create, patch secrets {well.full(SECRET)} in all namespaces" in missing
    assert "it may not get, list, watch namespaces" in missing
    assert names_of(missing["it may not get, create, update leases rotator in"]) == [team]
    assert spare.keys() == {
        "it cannot tell Events, for it may not create, patch events in all namespaces",
        "more than it needs: it may list secrets in all namespaces",
        "more than it needs: it may create serviceaccounts/token in",
    }
    assert names_of(spare["more than it needs: it may create serviceaccounts/token in"]) == [team]
    assert all("rotator rbac --namespace" in symptom["hint"] for symptom in (missing | spare).values())


def may_list_secrets(installation: Installation, team: str) -> bool:
    """Whether the authorizer knows the roles that were made last."""
    spec = {
        "user": f"system:serviceaccount:{team}:workers",
        "resourceAttributes": {"verb": "list", "resource": "secrets"},
    }
    token = {"verb": "create", "resource": "serviceaccounts", "subresource": "token", "namespace": team}
    client, path = installation.controlplane.admin, "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    asked = [spec, spec | {"resourceAttributes": token}]
    return all(client.post(path, {"spec": each}).body["status"]["allowed"] for each in asked)


def bound(kind: str, name: str, rule: dict[str, Any], team: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A role of this kind with this rule, bound to `workers` of the team."""
    api = "rbac.authorization.k8s.io"
    metadata = {"name": name, **({"namespace": team} if kind == "Role" else {})}
    return (
        {"apiVersion": f"{api}/v1", "kind": kind, "metadata": metadata, "rules": [rule]},
        {
            "apiVersion": f"{api}/v1",
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "roleRef": {"apiGroup": api, "kind": kind, "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": "workers", "namespace": team}],
        },
    )


def test_who_may_not_even_read_namespaces_is_told_which_rights_are_missing(well: Installation) -> None:
    """That is what a new installation lacks; all else was not looked at, and nothing is taken for well."""
    chosen = "permissions-fit", "configuration-matches", "secrets-in-order"
    access, *others = told(well, chosen, code=1, environment=account(well, well.full("team-b"), "workers"))
    assert "it may not get, list, watch namespaces" in by_result(access, "problem")
    for finding in others:
        (message,) = by_result(finding, "warning")
        assert message.startswith("not looked at, for our Secrets")


def test_who_may_not_ask_about_others_is_told_so(well: Installation) -> None:
    """A warning that nothing was looked at, with the rule to add."""
    (finding,) = told(well, FIT, "--rotator", f"{well.full('team-b')}/workers")
    ((message, symptom),) = by_result(finding, "warning").items()
    assert "not looked at, for rotator's permissions cannot be read" in message
    assert "verbs [create] on subjectaccessreviews.authorization.k8s.io" in symptom["hint"]


def test_clouds_and_registries_that_refuse_us(well: Installation) -> None:
    """Each with its own error; a person is told how to ask from where rotator has its identity."""
    well.net.registries[ACR].fault = Fault.REFUSING
    nobody = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    chosen = "cloud-identities", "credentials-minted"
    who, minted = told(well, chosen, code=1, environment=nobody | person(well))
    well.net.registries[ACR].fault = None
    ((message, symptom),) = by_result(who, "problem").items()
    assert message.startswith("registry 'prod': no AWS identity was found")
    assert "give the Pod an AWS identity" in symptom["hint"]
    assert "kubectl exec -n rotator deploy/rotator -- rotator doctor" in symptom["hint"]
    assert len(by_result(who, "ok")) == 2
    refused = by_result(minted, "problem")
    assert len(refused) == 2
    assert any("'contoso'" in message and ACR in message for message in refused)
    (good,) = by_result(minted, "ok")
    assert good.startswith("registry images: a new credential is good until")


def test_clocks_that_differ(well: Installation) -> None:
    """A minute is a warning, ten a problem; both name the server, and which side of ours it is on."""
    unknown = {"WWW-Authenticate": f'Basic realm="https://{ECR}/"'}
    later = timedelta(minutes=10)
    well.net.hosts[ECR] = lambda _: Response(401, headers=unknown | {"Date": date(utc_now() + later)})

    def behind(request: Request, forward: Forward) -> Response:
        answer = forward(request)
        answer.headers["Date"] = date(utc_now() - timedelta(minutes=1))
        return answer

    path = Path(person(well)["KUBECONFIG"])
    with Gate(well.controlplane.url, well.controlplane.ca_file) as gate, gate.leading(path):
        gate.fault = behind
        (finding,) = told(well, ("clocks-agree",), code=1, environment={"KUBECONFIG": str(path)})
    del well.net.hosts[ECR]
    ((problem, _),) = by_result(finding, "problem").items()
    ((warning, _),) = by_result(finding, "warning").items()
    assert problem.startswith(f"the clock of {ECR} is ")
    assert problem.endswith(" s ahead of ours")
    assert warning.startswith("the clock of the API server is ")
    assert warning.endswith(" s behind ours")


def date(moment: datetime) -> str:
    """As in HTTP."""
    return format_datetime(moment, usegmt=True)


def test_a_lease_that_nobody_holds(well: Installation) -> None:
    """None at all may be a CronJob's; one that ran out is of a Deployment that does not run."""
    other = other_config(well, CONFIG + "leaderElection: {name: another}\n")
    words = *other, "--rotator", f"{well.full(ACCOUNT)}/{ACCOUNT}"
    (finding,) = told(well, LEASE, *words, environment=person(well))
    (message,) = by_result(finding, "warning")
    assert message == "there is none: rotator does not run, or runs as a CronJob"
    renewed = micro_time(utc_now() - timedelta(hours=1))
    spec = {"holderIdentity": "rotator-1", "leaseDurationSeconds": 15, "renewTime": renewed}
    metadata = {"name": "another", "namespace": well.full(ACCOUNT)}
    well.controlplane.apply(
        {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
    )
    (finding,) = told(well, LEASE, *words, code=1, environment=person(well))
    ((message, symptom),) = by_result(finding, "problem").items()
    assert message.startswith("rotator-1 held it last, and renewed it at ")
    assert names_of(symptom) == ["another"]


def test_a_configuration_that_means_what_is_not_there(well: Installation) -> None:
    """Patterns, names, exclusions and ServiceAccounts that make no difference, and a Secret that was left over."""
    text = CONFIG.replace('"team-*"', '"team-*", "team-none-*", team-absent')
    text = text.replace("[team-legacy]", '[team-legacy, team-a, "team-never-*"]').replace(
        "[workers]", "[workers, ghosts]"
    )
    (finding,) = told(well, ("configuration-matches",), *other_config(well, text), environment=person(well))
    found = by_result(finding, "warning")
    team, secret = well.full("team-"), well.full(SECRET)
    ghosts = f"pull secret {secret} means a ServiceAccount ghosts that does not exist anywhere"
    absent = f"pull secret {secret} means a Namespace that does not exist"
    assert f"pull secret {secret}: no namespace matches {team}none-*" in found
    assert f"pull secret {secret}: exclude {team}never-* leaves no namespace out" in found
    assert names_of(found[absent]) == [f"{team}absent"]
    assert [each["namespace"] for each in found[ghosts]["objects"]] == [f"{team}b"]
    (left_over,) = (message for message in found if message.startswith("no pull secret covers it any more"))
    assert [each["namespace"] for each in found[left_over]["objects"]] == [f"{team}a"]
    assert len(found) == 5
