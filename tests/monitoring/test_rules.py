"""The alerts: each is known to Prometheus, asks for what rotator says, rings, is silent, and leads to a paragraph."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring.expressions import OF_THE_TARGET, exposed, faults
from tests.monitoring.promtool import promtool
from tests.monitoring.wrapping import PROMETHEUS_RULE, RULES, files
from tests.scraping import Scrape

CASES = Path(__file__).with_name("alerts.yaml")
DOCS = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text()
ALERTS: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
NAMES = [alert["alert"] for alert in ALERTS]


@pytest.fixture(scope="module")
def scraped() -> Scrape:
    """What rotator says."""
    return exposed()


def test_prometheus_takes_the_rules() -> None:
    """And finds each in them."""
    done = promtool("check", "rules", RULES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ALERTS)} rules found" in done.stdout


def test_each_alert_rings_when_it_should_and_not_before() -> None:
    """With its words, by Prometheus's own reckoning: alerts.yaml says at which times."""
    done = promtool("test", "rules", CASES)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_seen_ringing_and_silent() -> None:
    """An alert without such a case could ring always, or never."""
    checks = [check for case in yaml.safe_load(CASES.read_text())["tests"] for check in case["alert_rule_test"]]
    assert {check["alertname"] for check in checks if check.get("exp_alerts")} == set(NAMES)
    assert {check["alertname"] for check in checks if not check.get("exp_alerts")} == set(NAMES)


@pytest.mark.parametrize("alert", ALERTS, ids=NAMES)
def test_an_alert_asks_for_what_rotator_says(alert: dict[str, Any], scraped: Scrape) -> None:
    """Names, labels and values: an alert on a series that nobody has is silent for ever."""
    assert list(faults(alert["expr"], scraped)) == []


@pytest.mark.parametrize("alert", ALERTS, ids=NAMES)
def test_the_words_of_an_alert_name_labels_that_it_has(alert: dict[str, Any]) -> None:
    """Those that its expression groups by: another would be an empty place in the text."""
    kept = re.search(r"\bby \(([^)]*)\)", alert["expr"])
    labels = set(re.findall(r"\w+", kept[1])) if kept else set()
    assert set(re.findall(r"\$labels\.(\w+)", yaml.safe_dump(alert["annotations"]))) <= labels
    assert kept is None or OF_THE_TARGET & labels == {"cluster", "namespace", "job"}


def test_each_alert_has_a_paragraph_that_says_what_to_do() -> None:
    """Its runbook is the heading of that name in docs/alerts.md, which has no others."""
    assert re.findall(r"^### (\w+)$", DOCS, re.MULTILINE) == NAMES
    for alert in ALERTS:
        assert alert["annotations"].keys() == {"summary", "description", "runbook"}
        assert alert["annotations"]["runbook"] == f"docs/alerts.md#{alert['alert'].lower()}"


def test_each_wait_has_its_reason_and_each_alert_one_of_two_severities() -> None:
    """Beside the `for`, where whoever changes it reads it; the table of docs/alerts.md says both."""
    assert len(re.findall(r"^ +for: \w+  # .+", RULES.read_text(), re.MULTILINE)) == len(ALERTS)
    rows = re.findall(r"^\| \[(\w+)\]\(#(\w+)\) \| (\w+) \| (\w+) \|", DOCS, re.MULTILINE)
    assert rows == [
        (alert["alert"], alert["alert"].lower(), alert["labels"]["severity"], alert["for"]) for alert in ALERTS
    ]
    assert {alert["labels"]["severity"] for alert in ALERTS} == {"page", "ticket"}


def test_the_prometheus_rule_is_the_rule_file() -> None:
    """`make monitoring` was run after the last change; its `spec` is the rule file, and the chart has copies."""
    assert {path: path.read_text() for path in files()} == files()
    assert yaml.safe_load(PROMETHEUS_RULE.read_text())["spec"] == yaml.safe_load(RULES.read_text())


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
