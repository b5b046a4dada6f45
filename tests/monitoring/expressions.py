"""What an expression of PromQL asks for, and what rotator or kube-state-metrics gives: names, labels, and values."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from prometheus_client.parser import text_string_to_metric_families

from rotator.metrics import Metrics
from rotator.model import Action, Change, Kind, State, Subject
from rotator.rotation.report import RegistryStatus, Report
from tests.build import NOW, SECRET, config, snapshot
from tests.scraping import Scrape, parsed, scrape

OF_THE_TARGET = {"cluster", "namespace", "job", "pod", "instance"}
"""Labels that Prometheus adds to every series of a target."""

_SELECTOR = re.compile(r"\b((?:rotator|process|kube)_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r"""(\w+)\s*(=~|!=|!~|=)\s*["']([^"']*)["']""")
_GROUPING = re.compile(r"\b(?:by|on|without)\s*\(([^)]*)\)")


@dataclass(frozen=True)
class Selector:
    """One series selector: a name, and matchers as (label, operator, value)."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]


def selectors(expression: str) -> list[Selector]:
    """Every one in it."""
    found = _SELECTOR.findall(expression)
    return [Selector(name, tuple(_MATCHER.findall(matchers))) for name, matchers in found]


def groupings(expression: str) -> set[str]:
    """Every label that it groups by."""
    return {label.strip() for labels in _GROUPING.findall(expression) for label in labels.split(",")}


def exposed() -> Scrape:
    """A scrape of a rotator that leads, has published both its credentials, and has a rival."""
    metrics = Metrics(lambda: NOW)
    metrics.configured(config(), "abc123")
    metrics.follow(leads=lambda: True)
    metrics.passed(Report((), tuple(_published(name) for name in ("prod", "images")), snapshot()), 1)
    subject = Subject(Kind.SERVICE_ACCOUNT, "team-a", "workers")
    change = Change(subject, SECRET, State.REFERENCE_MISSING, "a test", Action.NOTHING)
    metrics.contested(change, ["argocd-controller"])
    return scrape(metrics)


_OF_A_CRONJOB = """\
# TYPE kube_cronjob_created gauge
kube_cronjob_created{namespace="rotator",cronjob="rotator"} 1.790000000e+09
# TYPE kube_cronjob_status_last_successful_time gauge
kube_cronjob_status_last_successful_time{namespace="rotator",cronjob="rotator"} 1.790000300e+09
# TYPE kube_cronjob_status_last_schedule_time gauge
kube_cronjob_status_last_schedule_time{namespace="rotator",cronjob="rotator"} 1.790000300e+09
# TYPE kube_cronjob_next_schedule_time gauge
kube_cronjob_next_schedule_time{namespace="rotator",cronjob="rotator"} 1.790000600e+09
"""
"""After "CronJob Metrics" (docs/metrics/workload/cronjob-metrics.md of kubernetes/kube-state-metrics)."""


def of_kube_state_metrics() -> Scrape:
    """What its documentation says that kube-state-metrics tells of a CronJob."""
    return parsed(text_string_to_metric_families(_OF_A_CRONJOB))


def _published(registry: str) -> RegistryStatus:
    end = NOW + timedelta(hours=1)
    return RegistryStatus(registry, "ecr", (), published_since=NOW, published_due=NOW, published_until=end)


def faults(expression: str, scraped: Scrape) -> Iterator[str]:
    """What it asks for and the scrape does not have; nothing if it is sound."""
    known = set(OF_THE_TARGET)
    for selector in selectors(expression):
        series = [dict(labels) for labels in scraped.values(selector.name)]
        if not series:
            yield f"no metric {selector.name}"
        known |= {label for labels in series for label in labels}
        yield from _faults_of(selector, series)
    if strange := groupings(expression) - known:
        yield f"no label {', '.join(sorted(strange))} in {expression}"


def _faults_of(selector: Selector, series: Sequence[Mapping[str, str]]) -> Iterator[str]:
    for label, operator, wanted in selector.matchers:
        if label in OF_THE_TARGET or wanted.startswith("$"):
            continue
        values = {labels[label] for labels in series if label in labels}
        alternatives = wanted.split("|") if "~" in operator else [wanted]
        for each in alternatives:
            if each not in values:
                yield f"{selector.name} has no {label} {each}"
