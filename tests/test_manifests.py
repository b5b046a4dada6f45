"""The manifests for a configuration: what is there in each mode, and what every policy engine asks of a Pod."""

from typing import Any

import pytest
import yaml

from rotator import manifests, rbac
from rotator.config import parse
from rotator.manifests import Wanted

CONTENT = """\
registries:
  - {name: prod, ecr: {hosts: [123456789012.dkr.ecr.eu-west-1.amazonaws.com]}}  # a comment, and a name: "y"
pullSecrets:
  - {name: worker-pull, registries: [prod], namespaces: {names: ["team-*"]}, serviceAccounts: {names: [workers]}}
"""
WITHOUT_LEASE = CONTENT + "leaderElection: {enabled: false}\n"
CRONJOB = Wanted(mode="cronjob")


def made(wanted: Wanted = Wanted(), content: str = CONTENT) -> dict[str, dict[str, Any]]:  # noqa: B008  (frozen)
    """The objects by their kind, but for the roles, as they are read back from the YAML."""
    objects = manifests.manifests(parse(content, "config.yaml"), content, wanted)
    read = list(yaml.safe_load_all(manifests.text(objects)))
    assert read == objects
    return {each["kind"]: each for each in read if not each["apiVersion"].startswith(rbac.API)}


def pod(wanted: Wanted) -> dict[str, Any]:
    """The template of the Pod."""
    objects = made(wanted)
    spec = objects["Deployment"]["spec"] if wanted.runs else objects["CronJob"]["spec"]["jobTemplate"]["spec"]
    return spec["template"]  # type: ignore[no-any-return]


def container(wanted: Wanted) -> dict[str, Any]:
    """Its one container."""
    (only,) = pod(wanted)["spec"]["containers"]
    return only  # type: ignore[no-any-return]


def test_each_mode_has_its_objects() -> None:
    """A CronJob serves nothing, so it has neither Service nor budget; one replica has no budget."""
    common = {"ServiceAccount", "ConfigMap", "NetworkPolicy"}
    assert set(made()) == common | {"Deployment", "PodDisruptionBudget", "Service"}
    assert set(made(content=WITHOUT_LEASE)) == common | {"Deployment", "Service"}
    assert set(made(CRONJOB)) == common | {"CronJob"}


@pytest.mark.parametrize("mode", ["deployment", "cronjob"])
def test_the_roles_are_those_of_rotator_rbac(mode: Any) -> None:  # noqa: ANN401  (a Literal of Wanted)
    """For the namespace, ServiceAccount and name that the other objects have."""
    config = parse(CONTENT, "config.yaml")
    objects = manifests.manifests(config, CONTENT, Wanted(mode=mode, namespace="tools", name="turner"))
    expected = rbac.manifests(config, rbac.Subject("tools", "turner", "turner"), watching=mode == "deployment")
    assert [each for each in objects if each["apiVersion"].startswith(rbac.API)] == expected


def test_a_drain_takes_one_replica_at_a_time_and_waits_for_none_that_is_not_ready() -> None:
    """Two that cannot start would otherwise keep their nodes from being drained."""
    budget = made()["PodDisruptionBudget"]["spec"]
    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


def test_without_a_lease_there_are_never_two_writers() -> None:
    """One replica, which ends before the next begins; with a Lease two, in turn."""
    with_lease, without = (made(content=content)["Deployment"]["spec"] for content in (CONTENT, WITHOUT_LEASE))
    assert (with_lease["replicas"], with_lease["strategy"]["type"]) == (2, "RollingUpdate")
    assert (without["replicas"], without["strategy"]["type"]) == (1, "Recreate")


def test_a_cronjob_runs_one_pass_at_a_time() -> None:
    """`rotator once`, never beside another, and never for longer than until the next."""
    spec = made(Wanted(mode="cronjob", schedule="*/10 * * * *"))["CronJob"]["spec"]
    assert (spec["schedule"], spec["concurrencyPolicy"]) == ("*/10 * * * *", "Forbid")
    job = spec["jobTemplate"]["spec"]
    assert max(job["activeDeadlineSeconds"], spec["startingDeadlineSeconds"]) < 5 * 60
    assert (job["backoffLimit"], job["template"]["spec"]["restartPolicy"]) == (0, "Never")  # the next one tries again
    assert container(CRONJOB)["args"] == ["once"]
    assert not {"ports", "livenessProbe", "readinessProbe"} & set(container(CRONJOB))


@pytest.mark.parametrize("wanted", [Wanted(), CRONJOB], ids=["deployment", "cronjob"])
def test_the_pod_may_do_nothing_that_it_need_not(wanted: Wanted) -> None:
    """The restricted Pod Security standard, a read-only root, and no token but the one that is projected."""
    spec = pod(wanted)["spec"]
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container(wanted)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert (
        spec["automountServiceAccountToken"] is made(wanted)["ServiceAccount"]["automountServiceAccountToken"] is False
    )


def test_the_configuration_is_mounted_as_it_was_given() -> None:
    """Byte for byte, comments included; whole and without subPath, for only so do changes reach the Pod."""
    assert made()["ConfigMap"]["data"] == {"config.yaml": CONTENT}
    (mount,) = [each for each in container(Wanted())["volumeMounts"] if each["name"] == "config"]
    assert mount == {"name": "config", "mountPath": "/etc/rotator", "readOnly": True}
    with_more = Wanted(files={"federation.json": "{}\n"})
    assert made(with_more)["ConfigMap"]["data"] == {"config.yaml": CONTENT, "federation.json": "{}\n"}


@pytest.mark.parametrize("content", [CONTENT.replace("\n", "\r\n"), CONTENT.replace("y", "y \t"), "﻿" + CONTENT])
def test_a_configuration_that_is_no_plain_block_survives_too(content: str) -> None:
    """Other line ends, spaces at their end and a byte order mark are read back as they went in."""
    objects = manifests.manifests(parse(CONTENT, "config.yaml"), content, Wanted())
    assert list(yaml.safe_load_all(manifests.text(objects))) == objects


def test_every_volume_is_mounted_and_every_mount_has_its_volume() -> None:
    """With all that may be asked for; tokens carry their audience, Secrets stand under their name."""
    wanted = Wanted(
        tokens={"aws": "sts.amazonaws.com", "azure": "api://AzureADTokenExchange"}, secrets=["northwind", "south.wind"]
    )
    spec, mounts = pod(wanted)["spec"], {each["name"]: each["mountPath"] for each in container(wanted)["volumeMounts"]}
    volumes = {each["name"]: each for each in spec["volumes"]}
    assert set(volumes) == set(mounts)
    secrets = [(each["secret"]["secretName"], mounts[name]) for name, each in volumes.items() if "secret" in each]
    assert secrets == [("northwind", "/var/run/secrets/northwind"), ("south.wind", "/var/run/secrets/south.wind")]
    audiences = [source["serviceAccountToken"]["audience"] for source in volumes["tokens"]["projected"]["sources"]]
    assert audiences == ["sts.amazonaws.com", "api://AzureADTokenExchange"]
    assert len(set(mounts.values())) == len(mounts)


def test_annotations_labels_and_variables_stand_where_clouds_look() -> None:
    """On the ServiceAccount, on the Pods and in the environment; the selector's own labels stay."""
    wanted = Wanted(annotations={"a/b": "c"}, pod_labels={"azure.workload.identity/use": "true"}, variables={"A": "1"})
    assert made(wanted)["ServiceAccount"]["metadata"]["annotations"] == {"a/b": "c"}
    selector = made(wanted)["Deployment"]["spec"]["selector"]["matchLabels"]
    assert pod(wanted)["metadata"]["labels"] == selector | {"azure.workload.identity/use": "true"}
    assert {"name": "A", "value": "1"} in container(wanted)["env"]


def test_the_policy_lets_rotator_reach_what_it_must() -> None:
    """Names, the API server, clouds and registries, the clouds' metadata; and ports that were asked for."""
    spec = made(Wanted(ports=[3128]))["NetworkPolicy"]["spec"]
    reached = {
        (target["ipBlock"]["cidr"], port["port"])
        for rule in spec["egress"]
        for target in rule.get("to", [{"ipBlock": {"cidr": "*"}}])
        for port in rule["ports"]
    }
    assert reached == {
        ("*", 53),
        ("*", 443),
        ("*", 6443),
        ("*", 3128),
        ("169.254.169.254/32", 80),
        ("169.254.169.252/32", 988),
        ("169.254.170.23/32", 80),
        ("fd00:ec2::23/128", 80),
        ("fd00:ec2::254/128", 80),
    }
    assert [port["port"] for rule in spec["ingress"] for port in rule["ports"]] == [8080, 8081]
    assert made(CRONJOB)["NetworkPolicy"]["spec"]["ingress"] == []


def test_two_installations_do_not_select_each_others_pods() -> None:
    """Every selector carries the name."""
    objects = made(Wanted(name="second"))
    selectors = (
        objects["Deployment"]["spec"]["selector"]["matchLabels"],
        objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        objects["Service"]["spec"]["selector"],
    )
    assert {selector["app.kubernetes.io/instance"] for selector in selectors} == {"second"}


def test_the_head_names_the_namespaces_that_must_exist() -> None:
    """Its own, and those that the configuration names one by one."""
    content = CONTENT.replace('"team-*"', "team-a, team-b")
    text = manifests.text(manifests.manifests(parse(content, "config.yaml"), content, Wanted(namespace="tools")))
    head = " ".join(line.removeprefix("# ") for line in text[: text.index("---")].splitlines())
    assert "in the namespace tools, which must exist, as must team-a, team-b." in head
    assert max(len(line) for line in text.splitlines() if line.startswith("#")) <= 120
