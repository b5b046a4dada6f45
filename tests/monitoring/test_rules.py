"""The alerts: each is known to Prometheus, asks for what rotator says, rings, is silent, and leads to a paragraph."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from rotator import manifests
from rotator.model import State
from tests.build import config
from tests.monitoring.expressions import OF_THE_TARGET, exposed, faults, of_kube_state_metrics
from tests.monitoring.promtool import promtool
from tests.monitoring.wrapping import RULES, RULES_OF_CRONJOB, files, prometheus_rule
from tests.scraping import Scrape

HERE = Path(__file__).parent
DOCS = (HERE.parents[1] / "docs" / "alerts.md").read_text()


RUNNING = manifests.manifests(config(), "", manifests.Wanted())
"""What is installed."""


@dataclass(frozen=True)
class Rules:
    """A rule file, the cases that show it, and the labels that each of its alerts has."""

    file: Path
    cases: Path
    labels: frozenset[str]

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """As they are written."""
        (group,) = yaml.safe_load(self.file.read_text())["groups"]
        rules: list[dict[str, Any]] = group["rules"]
        return rules

    @property
    def names(self) -> list[str]:
        """Of its alerts."""
        return [alert["alert"] for alert in self.alerts]


OF_DEPLOYMENT = Rules(RULES, HERE / "alerts.yaml", frozenset({"cluster", "namespace", "job"}))
OF_CRONJOB = Rules(RULES_OF_CRONJOB, HERE / "alerts-cronjob.yaml", frozenset({"cluster", "namespace"}))
BOTH = (OF_DEPLOYMENT, OF_CRONJOB)
ALERTS = [pytest.param(alert, rules, id=alert["alert"]) for rules in BOTH for alert in rules.alerts]
each_file = pytest.mark.parametrize("rules", BOTH, ids=lambda rules: rules.file.name)


@pytest.fixture(scope="module")
def scraped() -> Scrape:
    """What rotator says."""
    return exposed()


@each_file
def test_prometheus_takes_the_rules(rules: Rules) -> None:
    """And finds each in them."""
    done = promtool("check", "rules", rules.file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules.alerts)} rules found" in done.stdout


@each_file
def test_each_alert_rings_when_it_should_and_not_before(rules: Rules) -> None:
    """With its words, by Prometheus's own reckoning: the cases say at which times."""
    done = promtool("test", "rules", rules.cases)
    assert done.returncode == 0, done.stdout + done.stderr


@each_file
def test_each_alert_is_seen_ringing_and_silent(rules: Rules) -> None:
    """An alert without such a case could ring always, or never."""
    cases = yaml.safe_load(rules.cases.read_text())["tests"]
    checks = [check for case in cases for check in case.get("alert_rule_test", ())]
    assert {check["alertname"] for check in checks if check.get("exp_alerts")} == set(rules.names)
    assert {check["alertname"] for check in checks if not check.get("exp_alerts")} == set(rules.names)


def test_each_state_of_an_object_is_seen_ringing_or_silent() -> None:
    """The cases say which, so that a new one is not overlooked."""
    series = re.findall(r"rotator_objects{.*}", OF_DEPLOYMENT.cases.read_text())
    assert {state for each in series for state in re.findall(r'\bstate="(\w+)"', each)} == set(State)


@pytest.mark.parametrize(("alert", "rules"), ALERTS)
def test_an_alert_takes_replicas_together_and_installations_apart(alert: dict[str, Any], rules: Rules) -> None:
    """Wherever its expression groups or joins: by all that tells installations apart, and by nothing of a replica."""
    groups = re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", alert["expr"])
    assert all(OF_THE_TARGET & set(re.findall(r"\w+", each)) == rules.labels for each in groups)
    assert groups or alert["expr"].startswith("absent(")


@pytest.mark.parametrize(("alert", "rules"), ALERTS)
def test_an_alert_asks_for_what_there_is(alert: dict[str, Any], rules: Rules, scraped: Scrape) -> None:
    """Names, labels and values: an alert on a series that nobody has is silent for ever."""
    said = scraped if rules is OF_DEPLOYMENT else of_kube_state_metrics()
    assert list(faults(alert["expr"], said)) == []


@pytest.mark.parametrize("alert", OF_DEPLOYMENT.alerts + OF_CRONJOB.alerts, ids=lambda alert: str(alert["alert"]))
def test_the_words_of_an_alert_name_labels_that_it_has(alert: dict[str, Any]) -> None:
    """Those that its expression groups by, or that what is absent would have: another leaves a hole in the text."""
    kept = re.search(r"\bby \(([^)]*)\)", alert["expr"])
    labels = set(re.findall(r"\w+", kept[1])) if kept else set(re.findall(r'(\w+)="', alert["expr"]))
    words = re.sub(r"{{ with .*? }}.*?{{ end }}", "", " ".join(alert["annotations"].values()))
    assert set(re.findall(r"\$labels\.(\w+)", words)) <= labels


def test_each_alert_has_a_paragraph_that_says_what_to_do() -> None:
    """Its runbook is the heading of that name in docs/alerts.md, which has no others."""
    assert re.findall(r"^### (\w+)$", DOCS, re.MULTILINE) == [name for rules in BOTH for name in rules.names]
    for alert in (alert for rules in BOTH for alert in rules.alerts):
        assert alert["annotations"].keys() == {"summary", "description", "runbook"}
        assert alert["annotations"]["runbook"] == f"docs/alerts.md#{alert['alert'].lower()}"


def test_each_wait_has_its_reason_and_each_alert_one_of_two_severities() -> None:
    """Beside the `for`, where whoever changes it reads it; the tables of docs/alerts.md say both."""
    alerts = [alert for rules in BOTH for alert in rules.alerts]
    for rules in BOTH:
        reasons = re.findall(r"^ +for: \w+  # .+", rules.file.read_text(), re.MULTILINE)
        assert len(reasons) == len(rules.alerts)
    rows = re.findall(r"^\| \[(\w+)\]\(#(\w+)\) \| (\w+) \| (\w+) \|", DOCS, re.MULTILINE)
    assert rows == [
        (alert["alert"], alert["alert"].lower(), alert["labels"]["severity"], alert["for"]) for alert in alerts
    ]
    assert {alert["labels"]["severity"] for alert in alerts} == {"page", "ticket"}


def test_prometheus_takes_the_scrape_configuration(tmp_path: Path) -> None:
    """It finds Pods by the labels and the port that they have, and gives their series the labels of the target."""
    whole = yaml.safe_load(RULES.with_name("scrape.yaml").read_text())
    (job,) = whole["scrape_configs"]
    assert job.pop("kubernetes_sd_configs") == [{"role": "pod", "namespaces": {"names": ["rotator"]}}]
    file = tmp_path / "scrape.yaml"
    file.write_text(yaml.safe_dump(whole))  # without what Debian leaves out of its Prometheus
    done = promtool("check", "config", file)
    assert done.returncode == 0, done.stdout + done.stderr
    (deployment,) = (each["spec"]["template"] for each in RUNNING if each["kind"] == "Deployment")
    meta = {f"__meta_kubernetes_pod_label_{re.sub(r'[^a-z]', '_', key)}" for key in deployment["metadata"]["labels"]}
    ports = {port["name"] for port in deployment["spec"]["containers"][0]["ports"]}
    rules = job["relabel_configs"]
    asked = {label for rule in rules for label in rule["source_labels"] if "_pod_label_" in label}
    assert asked <= meta
    (port,) = (rule["regex"] for rule in rules if "__meta_kubernetes_pod_container_port_name" in rule["source_labels"])
    assert port in ports
    assert {rule["target_label"] for rule in rules if "target_label" in rule} == OF_THE_TARGET - {"cluster", "instance"}


def test_monitors_ask_a_port_that_there_is() -> None:
    """The Service has it, and leads to one of the Pods."""
    monitor = yaml.safe_load(RULES.with_name("servicemonitor.yaml").read_text())
    (service,) = (each for each in RUNNING if each["kind"] == "Service")
    (deployment,) = (each for each in RUNNING if each["kind"] == "Deployment")
    ports = {port["name"]: port["targetPort"] for port in service["spec"]["ports"]}
    (endpoint,) = monitor["spec"]["endpoints"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert ports[endpoint["port"]] in {port["name"] for port in container["ports"]}
    labels = service["metadata"]["labels"].items()
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels


def test_the_prometheus_rules_are_the_rule_files() -> None:
    """`make monitoring` was run after the last change; their `spec` is the rule file, and the chart has copies."""
    assert {path: path.read_text() for path in files()} == files()
    for rules in BOTH:
        made = yaml.safe_load(prometheus_rule(rules.file).read_text())
        assert made["spec"] == yaml.safe_load(rules.file.read_text())


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("rotator_leeder == 0", "no metric rotator_leeder"),
        ('rotator_mints_total{result="okay"} > 0', "rotator_mints_total has no result okay"),
        ('rotator_objects{state=~"Missing|Lost"} > 0', "rotator_objects has no state Lost"),
        ('rotator_leader{registry="prod"} == 0', "rotator_leader has no registry prod"),
        ("sum by (job, registri) (rotator_mints_total)", "no label registri in "),
    ],
)
def test_a_wrong_expression_is_noticed(expression: str, fault: str, scraped: Scrape) -> None:
    """What the tests above rest on."""
    assert any(found.startswith(fault) for found in faults(expression, scraped))
