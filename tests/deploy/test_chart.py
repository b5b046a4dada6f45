"""The chart: roles as `rotator rbac` prints them, every value where it belongs, and mistakes in one clear line."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from rotator import manifests
from rotator.config import parse
from rotator.manifests import Wanted
from tests.deploy import examples
from tests.deploy.objects import Object, by_key, of_kind, template
from tests.helm.fixtures import CHART, Helm
from tests.monitoring.promtool import promtool
from tests.outside import CONFIG
from tests.scenarios.roles import CASES, HEAD, TWO, pull_secret

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
    "all but a class of names": HEAD
    + pull_secret('{names: [team-a, team-z], exclude: ["team-[!a-c]"]}', "{names: [w]}"),
    "any account, and a labelled one": HEAD
    + pull_secret('{names: ["*"]}', "{names: [w]}")
    + pull_secret('{names: ["*"]}', '{names: ["*"], labels: a=b}', "second-pull"),
    "names like numbers and words of YAML": HEAD
    + pull_secret('{names: ["123", "true", "1e3", "null"]}', '{names: ["123", "y", "no"]}', "1e5")
    + 'leaderElection: {namespace: "7", name: "0"}\n',
}


@pytest.mark.parametrize("mode", ["deployment", "cronjob"])
@pytest.mark.parametrize("case", CONFIGURATIONS)
def test_the_objects_are_those_of_rotator_manifests(helm: Helm, case: str, mode: Any) -> None:  # noqa: ANN401
    """Rule for rule, binding for binding and field for field, for every kind of configuration."""
    text = CONFIGURATIONS[case]
    printed = manifests.manifests(parse(text, case), text, Wanted(mode=mode))
    assert by_key(helm.template({"config": yaml.safe_load(text), "mode": mode})) == by_key(printed)


@pytest.mark.parametrize("mode", ["deployment", "cronjob"])
@pytest.mark.parametrize(
    ("wanted", "values"),
    [
        (Wanted(namespace="tools", name="turner"), {"namespaceOverride": "tools", "nameOverride": "turner"}),
        (Wanted(namespace="42", name="7"), {"namespaceOverride": "42", "nameOverride": "7"}),
        (Wanted(secrets=("key", "other.key")), {"secrets": ["key", "other.key"]}),
        (
            Wanted(image="example.com/r@sha256:" + "0" * 64),
            {"image": {"repository": "example.com/r", "tag": "9", "digest": "sha256:" + "0" * 64}},
        ),
        (Wanted(image="[::1]:5000/r:9"), {"image": {"repository": "[::1]:5000/r", "tag": "9"}}),
        (
            Wanted(tokens={"a": "b"}, files={"x.json": "{{ x }}: #"}),
            {"tokens": {"a": "b"}, "files": {"x.json": "{{ x }}: #"}},
        ),
    ],
    ids=["names", "numbers", "secrets", "digest", "an address", "files"],
)
def test_an_option_and_its_value_make_the_same(helm: Helm, wanted: Wanted, values: Object, mode: Any) -> None:  # noqa: ANN401
    """Wherever in the objects it shows; a configuration with a Role, a ClusterRole and a Lease."""
    text = CONFIGURATIONS[TWO]
    printed = manifests.manifests(parse(text, TWO), text, replace(wanted, mode=mode))
    made = helm.template(
        {"config": yaml.safe_load(text), "mode": mode, **values},
        namespace="elsewhere" if "namespaceOverride" in values else "rotator",
    )
    assert by_key(made) == by_key(printed)


def test_a_variable_of_its_own_counts_before_the_charts(helm: Helm) -> None:
    """As with --env; the API server would refuse it twice."""
    values = {**VALUES, "extraEnv": [{"name": "ROTATOR_LOG_LEVEL", "value": "debug"}]}
    (container,) = template(helm.template(values))["spec"]["containers"]
    assert [(each["name"], each["value"]) for each in container["env"]] == [
        ("ROTATOR_LOG_FORMAT", "json"),
        ("ROTATOR_LOG_LEVEL", "debug"),
    ]


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
    Elsewhere({"networkPolicy": {"extraEgress": [RULE]}}, "NetworkPolicy", "spec.egress.7", RULE),
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
    of_another = of_kind(helm.template({**values, "nameOverride": "turner"}, namespace="tools"), "PrometheusRule")[
        "spec"
    ]
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


def test_no_port_opens_none(helm: Helm) -> None:
    """A rule without ports would open all of them."""
    policy = of_kind(helm.template({**VALUES, "networkPolicy": {"ports": []}}), "NetworkPolicy")
    assert all(rule.get("ports") for rule in policy["spec"]["egress"])
    assert not [rule for rule in policy["spec"]["egress"] if {"port": 443, "protocol": "TCP"} in rule["ports"]]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"serviceAccount": {"create": False}}, "create is false; name the one that is there"),
        ({"files": {"a": "-----BEGIN PRIVATE KEY-----"}}, "a holds a secret; put it into a Secret"),
        ({"files": {"a": '{"private_key": "MII"}'}}, "a holds a secret; put it into a Secret"),
        ({"files": {"a": "aws_secret_access_key = x"}}, "a holds a secret; put it into a Secret"),
    ],
)
def test_what_would_be_a_mistake_is_said_in_a_sentence(helm: Helm, values: Object, words: str) -> None:
    """Where the schema has no words for it."""
    done = helm.run("template", "rotator", str(CHART), values={**VALUES, **values})
    assert done.returncode != 0
    assert words in done.stderr


def test_several_objects_may_go_with_it(helm: Helm) -> None:
    """Each a document of its own."""
    objects = [{"apiVersion": "v1", "kind": "Odd", "metadata": {"name": name}} for name in ("x", "y")]
    made = helm.template({**VALUES, "extraObjects": objects})
    assert [each for each in made if each["kind"] == "Odd"] == objects


@pytest.mark.parametrize(("mode", "says"), [("deployment", "as a Deployment."), ("cronjob", "as a CronJob.")])
def test_the_notes_name_the_mode(helm: Helm, mode: str, says: str) -> None:
    """And where it runs."""
    done = helm.run("install", "rotator", str(CHART), "--dry-run=client", values={**VALUES, "mode": mode})
    assert f"rotator runs in default {says}" in done.stdout


NAMES = [("rotator", "rotator"), ("my-rotator", "my-rotator"), ("pulls", "pulls-rotator"), ("p" * 50, "p" * 50 + "-r")]


@pytest.mark.parametrize(("release", "name"), NAMES)
def test_the_objects_are_named_after_the_release_and_the_chart(helm: Helm, release: str, name: str) -> None:
    """As every chart does it; a CronJob's name has 52 characters at most."""
    assert of_kind(helm.template(VALUES, name=release), "Deployment")["metadata"]["name"] == name


def test_a_chart_may_have_it_twice(helm: Helm, tmp_path: Path) -> None:
    """Under aliases, each with a condition: none of the objects of one is one of the other."""
    dependency = {"name": "rotator", "version": "0.1.0", "repository": CHART.as_uri()}
    aliases = [{**dependency, "alias": name, "condition": f"{name}.enabled"} for name in ("one", "two", "three")]
    chart = {"apiVersion": "v2", "name": "platform", "version": "0.1.0", "dependencies": aliases}
    (tmp_path / "Chart.yaml").write_text(yaml.safe_dump(chart))
    shutil.copytree(CHART, tmp_path / "charts" / "rotator")
    values = {"one": {**VALUES, "enabled": True}, "two": {**VALUES, "enabled": True}, "three": {"enabled": False}}
    done = helm.run("template", "here", str(tmp_path), "-n", "rotator", values=values)
    assert done.returncode == 0, done.stderr
    made = [each for each in yaml.safe_load_all(done.stdout) if each]
    keys = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in made]
    assert len(set(keys)) == len(keys)
    assert {name for kind, _, name in keys if kind == "Deployment"} == {"here-one", "here-two"}


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
    ({**VALUES, "nameOverride": "n" * 53}, "nameOverride"),
    ({**VALUES, "files": {"a b": ""}}, "a b"),
    ({**VALUES, "files": {"..data": ""}}, "..data"),
    ({**VALUES, "tokens": {"../x": "y"}}, "../x"),
    ({**VALUES, "tokens": {"x": ""}}, "tokens/x"),
    ({**VALUES, "secrets": ["a", "a"]}, "secrets"),
    ({**VALUES, "commonLabels": {"a": "b c"}}, "commonLabels/a"),
    ({**VALUES, "serviceAccount": {"name": "A"}}, "serviceAccount/name"),
    ({**VALUES, "metrics": {"serviceMonitor": {"interval": "10"}}}, "interval"),
    ({**VALUES, "mode": None}, "mode"),
    ({**VALUES, "schedule": None}, "schedule"),
    ({**VALUES, "logLevel": None}, "logLevel"),
    ({**VALUES, "image": {"repository": None}}, "repository"),
    ({**VALUES, "networkPolicy": {"enabled": None}}, "enabled"),
    ({**VALUES, "networkPolicy": {"ports": None}}, "ports"),
    ({**VALUES, "serviceAccount": {"create": None}}, "create"),
    ({**VALUES, "dashboard": {"enabled": None}}, "enabled"),
]


@pytest.mark.parametrize(("values", "word"), MISTAKES, ids=[word for _, word in MISTAKES])
def test_a_mistake_is_refused_by_name(helm: Helm, values: Object, word: str) -> None:
    """Before anything reaches the cluster."""
    done = helm.run("template", "rotator", str(CHART), values=values)
    assert done.returncode != 0
    assert f"'{word}'" in done.stderr or f"/{word}'" in done.stderr, done.stderr
