"""Metrics as Prometheus would read them."""

import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from rotator.metrics import Metrics
from rotator.serving import Address, Server

LOOPBACK = Address("127.0.0.1", 0)
SECONDS = 30
"""How long a client waits for an answer."""

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Scrape:
    """What one scrape gave."""

    families: tuple[Metric, ...]

    def value(self, name: str, **labels: str) -> float | None:
        """The value of this series; None where there is none."""
        return self.values(name).get(frozenset(labels.items()))

    def values(self, name: str) -> dict[frozenset[tuple[str, str]], float]:
        """Every series of this name, by its labels."""
        samples = [sample for family in self.families for sample in family.samples if sample.name == name]
        return {frozenset(sample.labels.items()): sample.value for sample in samples}

    def some(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """The series of this name that are not 0, by the values of these labels."""
        found = {tuple(dict(key).get(label, "") for label in labels): value for key, value in self.values(name).items()}
        return {key: value for key, value in found.items() if value}


def fetch(server: Server, path: str, headers: Mapping[str, str] | None = None) -> tuple[bytes, Mapping[str, str]]:
    """The body and the headers of an answer with status 200."""
    request = urllib.request.Request(f"http://{server.address}{path}", headers=dict(headers or {}))
    with _DIRECT.open(request, timeout=SECONDS) as answer:
        return answer.read(), answer.headers


def parsed(families: Iterable[Metric]) -> Scrape:
    """As a scrape."""
    return Scrape(tuple(families))


def scrape(metrics: Metrics) -> Scrape:
    """One scrape, over HTTP."""
    with Server("metrics", LOOPBACK, {"/metrics": metrics.page}) as server:
        body, _ = fetch(server, "/metrics")
    return parsed(text_string_to_metric_families(body.decode()))
