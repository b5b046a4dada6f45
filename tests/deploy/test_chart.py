"""The chart: roles as `rotator rbac` prints them, every value where it belongs, and mistakes in one clear line."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from rotator import rbac
from rotator.config import parse
from tests.deploy import examples
from tests.deploy.objects import Object, by_key, of_kind, roles, template
from tests.helm.fixtures import CHART, Helm
from tests.monitoring.promtool import promtool
from tests.outside import CONFIG
from tests.scenarios.roles import CASES, HEAD, pull_secret

VALUES = {"config": yaml.safe_load(CONFIG)}

FORMER = "[{name: old-pull, namespaces: {names: [team-a, team-b]}}, {name: older-pull, namespaces: {names: ['x-*']}}]"
CONFIGURATIONS = {
    **{name: HEAD + case for name, case in CASES.items()},
    **{f"{name}, pruned": f"{HEAD}{case}prune: {{enabled: true}}\n" for name, case in CASES.items()},
    "what was there before": f"{HEAD}{CASES['namespaces by name, accounts by pattern']}prune: {{former: {FORMER}}}\n",
    "that pruned": f"{HEAD}{CASES['accounts by label']}prune: {{enabled: true, former: {FORMER}}}\n",
    "no Lease": f"{HEAD}{CASES['namespaces by label']}leaderElection: {{enabled: false}}\n",
    "a Lease elsewhere": f"{HEAD}{CASES['no accounts']}leaderElection: {{name: our-lease, namespace: team-a}}\n",
    "a class of names": HEAD
    + pull_secret('{names: ["team-[!a-c]", "team-?"], exclude: ["team-[xyz]"]}', "{names: ['?']}"),
    "an excluded name": HEAD + pull_secret("{names: [team-a, other], exclude: ['team-?', 'o']}", "{names: [w]}"),
    "labels and names": HEAD + pull_secret("{names: [team-a], labels: a=b}", "{names: [w], labels: c=d}"),
    "rotator's own namespace": HEAD + pull_secret("{names: [rotator, team-a]}", "{names: [rotator]}"),
}


@pytest.mark.parametrize("mode", ["deployment", "cronjob"])
@pytest.mark.parametrize("case", CONFIGURATIONS)
def test_the_roles_are_those_of_rotator_rbac(helm: Helm, case: str, mode: str) -> None:
    """Rule for rule and binding for binding, for every kind of configuration."""
    text = CONFIGURATIONS[case]
    printed = rbac.manifests(parse(text, case), rbac.Subject(), watching=mode == "deployment")
    assert roles(helm.template({"config": yaml.safe_load(text), "mode": mode})) == by_key(printed)


@pytest.mark.parametrize("name", examples.COMMANDS)
def test_helm_finds_nothing_to_complain_about(helm: Helm, name: str) -> None:
    """`helm lint --strict`, with the values of each example."""
    values = yaml.safe_load((examples.EXAMPLES / name / "values.yaml").read_text())
    done = helm.run("lint", "--strict", str(CHART), values=values)
    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout


# Values --------------------------------------------------------------------------------------------------------------


def at(found: Any, path: str) -> Any:  # noqa: ANN401  (YAML)
    """What stands there: names and numbers, with dots between them."""
    for word in path.split(".") if path else ():
        found = found[int(word)] if isinstance(found, list) else found[word]
    return found


CONTAINER = "spec.containers.0"
TOLERATION = {"key": "platform", "operator": "Exists"}
SPREAD = {"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}
VOLUME = {"name": "ca", "secret": {"secretName": "ca"}}
AFFINITY: Object = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}
VARIABLE = {"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}
OF_PODS: list[tuple[Object, str, Any]] = [
    ({"image": {"repository": "example.com/rotator", "tag": "2"}}, f"{CONTAINER}.image", "example.com/rotator:2"),
    ({"image": {"digest": "sha256:" + "a" * 64}}, f"{CONTAINER}.image", "rotator@sha256:" + "a" * 64),
    ({"image": {"pullPolicy": "Always"}}, f"{CONTAINER}.imagePullPolicy", "Always"),
    ({"imagePullSecrets": [{"name": "mine"}]}, "spec.imagePullSecrets", [{"name": "mine"}]),
    ({"serviceAccount": {"create": False, "name": "theirs"}}, "spec.serviceAccountName", "theirs"),
    ({"podLabels": {"team": "platform"}}, "metadata.labels.team", "platform"),
    ({"podAnnotations": {"example.com/a": "b"}}, "metadata.annotations", {"example.com/a": "b"}),
    ({"commonLabels": {"owner": "us"}}, "metadata.labels.owner", "us"),
    ({"resources": {"limits": {"memory": "1Gi"}}}, f"{CONTAINER}.resources.limits.memory", "1Gi"),
    ({"nodeSelector": {"pool": "system"}}, "spec.nodeSelector", {"pool": "system"}),
    ({"tolerations": [TOLERATION]}, "spec.tolerations", [TOLERATION]),
    ({"affinity": AFFINITY}, "spec.affinity", AFFINITY),
    ({"priorityClassName": "high"}, "spec.priorityClassName", "high"),
    ({"extraEnv": [VARIABLE]}, f"{CONTAINER}.env.2", VARIABLE),
    ({"extraVolumes": [VOLUME]}, "spec.volumes.3", VOLUME),
    ({"extraVolumeMounts": [{"name": "ca", "mountPath": "/ca"}]}, f"{CONTAINER}.volumeMounts.3.mountPath", "/ca"),
    ({"logLevel": "debug"}, f"{CONTAINER}.env.0", {"name": "ROTATOR_LOG_LEVEL", "value": "debug"}),
    ({"logFormat": "console"}, f"{CONTAINER}.env.1", {"name": "ROTATOR_LOG_FORMAT", "value": "console"}),
]


@pytest.mark.parametrize("mode", ["deployment", "cronjob"])
@pytest.mark.parametrize(("values", "path", "expected"), OF_PODS, ids=lambda value: str(value)[:40])
def test_a_value_of_the_pods_stands_where_it_belongs(
    helm: Helm, values: Object, path: str, expected: object, mode: str
) -> None:
    """In both modes alike."""
    assert at(template(helm.template({**VALUES, **values, "mode": mode})), path) == expected


@dataclass(frozen=True)
class Elsewhere:
    """A value that is seen on another object."""

    values: Object
    kind: str
    path: str
    expected: object


RULE = {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}
MONITOR = {"enabled": True, "interval": "10s", "labels": {"release": "prometheus"}}
OF_OTHERS = [
    Elsewhere({"replicas": 3}, "Deployment", "spec.replicas", 3),
    Elsewhere(
        {"topologySpreadConstraints": [SPREAD]}, "Deployment", "spec.template.spec.topologySpreadConstraints", [SPREAD]
    ),
    Elsewhere({"mode": "cronjob", "schedule": "7 * * * *"}, "CronJob", "spec.schedule", "7 * * * *"),
    Elsewhere({"namespaceOverride": "tools"}, "Deployment", "metadata.namespace", "tools"),
    Elsewhere({"nameOverride": "turner"}, "ConfigMap", "metadata.name", "turner"),
    Elsewhere({"commonLabels": {"owner": "us"}}, "ClusterRole", "metadata.labels.owner", "us"),
    Elsewhere({"serviceAccount": {"name": "theirs"}}, "ServiceAccount", "metadata.name", "theirs"),
    Elsewhere({"serviceAccount": {"name": "theirs"}}, "ClusterRoleBinding", "subjects.0.name", "theirs"),
    Elsewhere(
        {"serviceAccount": {"annotations": {"a/b": "c"}}}, "ServiceAccount", "metadata.annotations", {"a/b": "c"}
    ),
    Elsewhere({"networkPolicy": {"ports": [3128]}}, "NetworkPolicy", "spec.egress.1.ports.0.port", 3128),
    Elsewhere({"networkPolicy": {"extraEgress": [RULE]}}, "NetworkPolicy", "spec.egress.6", RULE),
    Elsewhere({"metrics": {"serviceMonitor": MONITOR}}, "ServiceMonitor", "spec.endpoints.0.interval", "10s"),
    Elsewhere({"metrics": {"serviceMonitor": MONITOR}}, "ServiceMonitor", "metadata.labels.release", "prometheus"),
    Elsewhere({"metrics": {"podMonitor": MONITOR}}, "PodMonitor", "spec.podMetricsEndpoints.0.interval", "10s"),
    Elsewhere({"prometheusRule": {"enabled": True, "labels": {"a": "b"}}}, "PrometheusRule", "metadata.labels.a", "b"),
    Elsewhere({"dashboard": {"enabled": True, "labels": {"a": "b"}}}, "ConfigMap", "metadata.labels.a", "b"),
    Elsewhere(
        {"extraObjects": [{"apiVersion": "v1", "kind": "Odd", "metadata": {"name": "x"}}]}, "Odd", "metadata.name", "x"
    ),
]


@pytest.mark.parametrize("case", OF_OTHERS, ids=lambda case: f"{case.kind} {case.path}")
def test_a_value_stands_where_it_belongs(helm: Helm, case: Elsewhere) -> None:
    """On the last object of the kind: the dashboard is a ConfigMap, too."""
    found = [each for each in helm.template({**VALUES, **case.values}) if each["kind"] == case.kind]
    assert at(found[-1], case.path) == case.expected


def test_what_is_switched_off_is_not_there(helm: Helm) -> None:
    """The network policy and the ServiceAccount; and by default nothing that needs a CRD."""
    kinds = {each["kind"] for each in helm.template(VALUES)}
    assert not kinds & {"ServiceMonitor", "PodMonitor", "PrometheusRule"}
    off = {"networkPolicy": {"enabled": False}, "serviceAccount": {"create": False, "name": "theirs"}}
    assert {each["kind"] for each in helm.template({**VALUES, **off})} == kinds - {"NetworkPolicy", "ServiceAccount"}


def test_one_replica_needs_no_budget(helm: Helm) -> None:
    """It would block every drain."""
    assert "PodDisruptionBudget" not in {each["kind"] for each in helm.template({**VALUES, "replicas": 1})}


def test_the_service_monitor_is_that_of_the_repository(helm: Helm) -> None:
    """Which is for those who apply manifests: their Service is the chart's."""
    made = of_kind(helm.template({**VALUES, "metrics": {"serviceMonitor": {"enabled": True}}}), "ServiceMonitor")
    del made["metadata"]["namespace"]
    assert yaml.safe_load((examples.DEPLOY / "monitoring" / "servicemonitor.yaml").read_text()) == made


OWN = {"labels": {"team": "own"}}
EVERYWHERE = {
    "commonLabels": {"team": "common", "cost": "1"},
    "podLabels": OWN["labels"],
    "prometheusRule": {"enabled": True, **OWN},
    "dashboard": {"enabled": True, **OWN},
}


@pytest.mark.parametrize("mode", ["deployment", "cronjob"])
def test_a_label_of_its_own_counts_before_one_of_all(helm: Helm, mode: str) -> None:
    """Each key stands once: a reader of YAML may refuse the second, or take either."""
    monitor = {"serviceMonitor": {"enabled": True, **OWN}}
    done = helm.run("template", str(CHART), values={**VALUES, **EVERYWHERE, "mode": mode, "metrics": monitor})
    assert done.returncode == 0, done.stderr
    documents = list(yaml.compose_all(done.stdout))
    assert [key for each in documents for key in twice(each)] == []
    made = list(yaml.safe_load_all(done.stdout))
    own = [each["metadata"] for each in made if each["kind"] in {"ServiceMonitor", "PodMonitor", "PrometheusRule"}]
    own += [template(made)["metadata"], *(each["metadata"] for each in made if "rotator.json" in each.get("data", {}))]
    assert [each["labels"]["team"] for each in own] == ["own"] * (4 if mode == "deployment" else 2)
    assert {each["labels"]["cost"] for each in own} == {"1"}
    assert {each["metadata"]["labels"]["team"] for each in made} == {"common", "own"}


def twice(node: yaml.Node | None) -> Iterator[str]:
    """Keys that one mapping has twice."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from twice(item)
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        yield from (key for key in keys if keys.count(key) > 1)
        for _, value in node.value:
            yield from twice(value)


def test_a_cronjob_has_its_own_alerts(helm: Helm) -> None:
    """Those of the daemon would ring for ever: a CronJob says nothing of itself. They go by the release's name."""
    values = {**VALUES, "mode": "cronjob", "prometheusRule": {"enabled": True}}
    text = (examples.DEPLOY / "monitoring" / "rules-cronjob.yaml").read_text()
    of_another = of_kind(helm.template(values, name="turner", namespace="tools"), "PrometheusRule")["spec"]
    assert of_another == yaml.safe_load(text.replace('cronjob="rotator"', 'cronjob="turner", namespace="tools"'))
    assert {each["kind"] for each in helm.template(values)} & {"Service", "ServiceMonitor"} == set()


def test_the_alerts_and_the_dashboard_are_those_of_the_repository(helm: Helm) -> None:
    """The chart has no others; of them, one asks for what is absent in its own namespace."""
    made = helm.template({**VALUES, "prometheusRule": {"enabled": True}, "dashboard": {"enabled": True}})
    monitoring = examples.DEPLOY / "monitoring"
    text = (monitoring / "rules.yaml").read_text()
    here = text.replace("absent(rotator_build_info)", 'absent(rotator_build_info{namespace="rotator"})')
    assert here != text
    assert of_kind(made, "PrometheusRule")["spec"] == yaml.safe_load(here)
    boards = [each["data"] for each in made if each["kind"] == "ConfigMap" and "config.yaml" not in each["data"]]
    assert boards == [{"rotator.json": (monitoring / "dashboard.json").read_text()}]


GONE = """
rule_files: [rules.yaml]
tests:
  - interval: 1m
    input_series:
      - {series: '%(series)s, namespace="theirs"}', values: "0x30"}
      - {series: '%(series)s, namespace="ours"}', values: "0x10 stale"}
    alert_rule_test:
      - {eval_time: 19m, alertname: %(alert)s}
      - eval_time: 22m
        alertname: %(alert)s
        exp_alerts: [{exp_labels: {severity: page, namespace: ours%(labels)s}, exp_annotations: {%(words)s}}]
"""


@pytest.mark.parametrize(
    ("mode", "series", "alert", "labels", "summary"),
    [
        ("deployment", 'rotator_build_info{job="rotator"', "RotatorAbsent", "", "No rotator is seen in ours."),
        (
            "cronjob",
            'kube_cronjob_created{cronjob="rotator"',
            "RotatorCronJobAbsent",
            ", cronjob: rotator",
            "No CronJob rotator is seen in ours.",
        ),
    ],
)
def test_each_installation_is_missed_by_itself(
    helm: Helm, tmp_path: Path, mode: str, series: str, alert: str, labels: str, summary: str
) -> None:
    """By Prometheus's own reckoning: another one that goes on is no comfort."""
    made = helm.template({**VALUES, "mode": mode, "prometheusRule": {"enabled": True}}, namespace="ours")
    spec = of_kind(made, "PrometheusRule")["spec"]
    (rule,) = (each for group in spec["groups"] for each in group["rules"] if each["alert"] == alert)
    words = json.dumps({**rule["annotations"], "summary": summary})[1:-1]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(spec))
    case = GONE % {"series": series, "alert": alert, "labels": labels, "words": words}
    (tmp_path / "case.yaml").write_text(case)
    done = promtool("test", "rules", tmp_path / "case.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


EMPTY = """commonLabels podLabels podAnnotations extraEnv extraVolumes extraVolumeMounts tokens files secrets
    nodeSelector tolerations affinity priorityClassName imagePullSecrets extraObjects resources replicas"""


def test_a_value_without_anything_is_none(helm: Helm) -> None:
    """A key with nothing behind it, in a file of values, is null and takes the default away."""
    values = VALUES | dict.fromkeys(EMPTY.split())
    made = helm.template(values | {"prometheusRule": {"enabled": True, "labels": None}})
    assert {each["kind"] for each in made} == {each["kind"] for each in helm.template(VALUES)} | {"PrometheusRule"}


def test_what_would_be_counted_twice_is_refused(helm: Helm) -> None:
    """Both monitors find the same Pods."""
    monitors = {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}
    done = helm.run("template", "rotator", str(CHART), values={**VALUES, "metrics": monitors})
    assert done.returncode != 0
    assert "metrics: with serviceMonitor and podMonitor each sample would count twice" in done.stderr


def test_an_image_that_no_registry_has_is_named(helm: Helm) -> None:
    """To whoever installs it: the Pods would tell them later."""
    said = [
        helm.run("install", "rotator", str(CHART), "--dry-run=client", values={**VALUES, "image": image}).stdout
        for image in ({}, {"repository": "registry.example.com/rotator"})
    ]
    assert ["which is in no registry" in each for each in said] == [True, False]


def test_several_replicas_without_a_lease_are_refused(helm: Helm) -> None:
    """Each of them would write."""
    config = {**VALUES["config"], "leaderElection": {"enabled": False}}
    done = helm.run("template", "rotator", str(CHART), values={"config": config, "replicas": 2})
    assert done.returncode != 0
    assert "replicas: without config.leaderElection every replica would write" in done.stderr


MISTAKES: list[tuple[Object, str]] = [
    ({}, "config"),
    ({**VALUES, "replica": 3}, "replica"),
    ({**VALUES, "mode": "daemonset"}, "mode"),
    ({**VALUES, "config": {**VALUES["config"], "pullSecret": []}}, "pullSecret"),
    ({**VALUES, "resources": []}, "resources"),
    ({**VALUES, "networkPolicy": {"port": 1}}, "port"),
    ({**VALUES, "image": {"digest": "latest"}}, "digest"),
    ({**VALUES, "image": {"repository": "example.com/rotator:2"}}, "repository"),
    ({**VALUES, "image": {"tag": "a b"}}, "tag"),
    ({**VALUES, "metrics": None}, "metrics"),
    ({**VALUES, "schedule": "every 5 minutes"}, "schedule"),
    ({**VALUES, "commonLabels": {"app.kubernetes.io/name": "other"}}, "commonLabels/app.kubernetes.io~1name"),
    ({**VALUES, "podLabels": {"app.kubernetes.io/instance": "other"}}, "podLabels/app.kubernetes.io~1instance"),
    ({**VALUES, "files": {"config.yaml": ""}}, "files/config.yaml"),
]


@pytest.mark.parametrize(("values", "word"), MISTAKES, ids=[word for _, word in MISTAKES])
def test_a_mistake_is_refused_by_name(helm: Helm, values: Object, word: str) -> None:
    """Before anything reaches the cluster."""
    done = helm.run("template", "rotator", str(CHART), values=values)
    assert done.returncode != 0
    assert f"'{word}'" in done.stderr or f"/{word}'" in done.stderr, done.stderr
