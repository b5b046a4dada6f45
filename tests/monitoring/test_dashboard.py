"""The dashboard: settings that Grafana knows, panels that do not overlap, expressions that Prometheus and rotator know.

No Grafana runs here: what is held is what it would read, and what colours and counts mean, not how it looks.
"""

import copy
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from rotator.model import FINE, STATES, State
from rotator.probe import Verdict
from tests.monitoring.expressions import OF_THE_TARGET, exposed, faults, selectors
from tests.monitoring.promtool import promtool

FILE = Path(__file__).parents[2] / "deploy" / "monitoring" / "dashboard.json"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
TARGETS = [(panel, target) for panel in PANELS for target in panel.get("targets", [])]
EXPRESSIONS = [target["expr"] for _, target in TARGETS]
VARIABLES = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
WIDTH = 24
SINCE_GRAFANA_12 = 41


def test_grafana_knows_every_setting() -> None:
    """Its own models of dashboard, panels and queries read the file, and have a place for each key and value in it."""
    assert list(lost(DASHBOARD, as_grafana_has_it(DASHBOARD))) == []


def test_a_setting_that_grafana_does_not_know_is_noticed() -> None:
    """So that its models do count: an option of a panel, of a query, and of a variable."""
    wrong = copy.deepcopy(DASHBOARD)
    panel = next(each for each in wrong["panels"] if each["type"] == "timeseries")
    panel["options"]["legend"]["displayMod"] = "table"
    panel["targets"][0]["exp"] = "up"
    wrong["templating"]["list"][0]["tipe"] = "datasource"
    found = [path.rpartition(".")[2] for path in lost(wrong, as_grafana_has_it(wrong))]
    assert sorted(found) == ["displayMod", "exp", "tipe"]


def as_grafana_has_it(dashboard: dict[str, Any]) -> dict[str, Any]:
    """Read into Grafana's models, and written again."""
    register_default_plugins()
    written: dict[str, Any] = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))
    return written


def lost(before: object, after: object, path: str = "") -> Iterator[str]:
    """Where something of it is not there any more, or is another."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            yield from lost(value, after.get(key), f"{path}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (ours, its) in enumerate(zip(before, after, strict=True)):
            yield from lost(ours, its, f"{path}.{number}")
    elif before != after:
        yield path


def test_the_expressions_parse(tmp_path: Path) -> None:
    """By Prometheus's own parser, each as if it were a recording rule."""
    rules = [{"record": f"panel:{n}", "expr": _filled(text)} for n, text in enumerate(EXPRESSIONS)]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = promtool("check", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


def _filled(expression: str) -> str:
    """With values for Grafana's variables."""
    return re.sub(r"\$\w+", "any", expression.replace("$__rate_interval", "5m"))


def test_the_expressions_ask_for_what_rotator_says() -> None:
    """Metrics, labels and values; and each of this dashboard's rotators alone."""
    scraped = exposed()
    assert [fault for expression in EXPRESSIONS for fault in faults(expression, scraped)] == []
    for expression in EXPRESSIONS:
        for selector in selectors(expression):
            chosen = {label for label, operator, value in selector.matchers if (operator, value) == ("=~", f"${label}")}
            assert chosen >= {"cluster", "namespace", "job"}, expression


def test_legends_name_labels_that_the_series_have() -> None:
    """Those that the expression groups by; where it does not, those of the target."""
    for panel, target in TARGETS:
        kept = re.search(r"\bby \(([^)]*)\)", target["expr"])
        labels = set(re.findall(r"\w+", kept[1])) if kept else OF_THE_TARGET
        assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels, panel["title"]


@pytest.mark.parametrize(
    "panel", [panel for panel in PANELS if "targets" in panel], ids=lambda panel: str(panel["title"])
)
def test_a_panel_shows_what_it_measures_in_the_unit_of_its_metrics(panel: dict[str, Any]) -> None:
    """An hour that is left reads as 3.6 seconds where somebody chose milliseconds, and a point in time as 56 years."""
    expressions = [target["expr"] for target in panel["targets"]]
    assert {panel["fieldConfig"]["defaults"]["unit"]} == {_unit(expression) for expression in expressions}
    axis = panel["options"].get("yAxis", {})
    assert axis.get("unit", _unit(expressions[0])) == _unit(expressions[0])
    assert all("time()" in expression for expression in expressions if "_timestamp_seconds" in expression)


def _unit(expression: str) -> str:
    """As Grafana names it. The bounds of a histogram's buckets are seconds; seconds that are counted are cores."""
    (measured,) = {selector.name.removesuffix("_bucket").rpartition("_")[2] for selector in selectors(expression)}
    return "percentunit" if " / " in expression else {"seconds": "s", "bytes": "bytes"}.get(measured, "short")


def test_panels_lie_side_by_side_under_their_rows() -> None:
    """None overlaps another or leaves the grid, and none stands above the first row."""
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        cells = set(_cells(panel["gridPos"]))
        assert not cells & taken, panel["title"]
        assert all(x < WIDTH for x, _ in cells), panel["title"]
        taken |= cells
    assert PANELS[0]["type"] == "row"
    tops = [panel["gridPos"]["y"] for panel in PANELS]
    assert tops == sorted(tops)


def _cells(place: dict[str, int]) -> Iterator[tuple[int, int]]:
    return itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"]))


def test_each_panel_says_what_it_shows_and_from_where() -> None:
    """A title, a description, an id of its own, and the data source that the reader chose."""
    assert DASHBOARD["schemaVersion"] >= SINCE_GRAFANA_12
    assert VARIABLES["datasource"]["query"] == "prometheus"
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for panel in PANELS:
        assert panel["title"]
        if panel["type"] != "row":
            assert panel["description"].endswith("."), panel["title"]
            assert [panel["datasource"], *(target["datasource"] for target in panel["targets"])].count(chosen) >= 2


def test_every_variable_exists_and_is_used() -> None:
    """In expressions and in what other variables are asked for."""
    used = set(re.findall(r"\$\{?([a-z]\w*)", FILE.read_text()))
    assert used == set(VARIABLES)


def test_a_bar_counts_each_event_once() -> None:
    """The window of an increase is a step and a scrape, once a step is three scrapes: of 30 s, then, or less."""
    for panel, target in TARGETS:
        if "increase(" in target["expr"]:
            assert "[$__rate_interval]" in target["expr"], panel["title"]
            assert panel["interval"] == "2m", panel["title"]


@pytest.mark.parametrize("title", ["Secrets by state", "ServiceAccounts and Namespaces by state"])
def test_green_is_well_and_nothing_else_is(title: str) -> None:
    """Each state has a colour, which Grafana would otherwise give out by the alphabet; no two have the same."""
    (panel,) = (panel for panel in PANELS if panel["title"] == title)
    colours = {State(name): colour for name, colour in _colours(panel, "byName")}
    assert len(set(colours.values())) == len(colours)
    assert {state for state, colour in colours.items() if colour == "green"} < FINE
    assert "green" in colours.values()


def test_every_state_and_every_verdict_has_a_colour() -> None:
    """So that a new one is not overlooked."""
    by_name = [name for panel in PANELS for name, _ in _colours(panel, "byName")]
    assert set(by_name) == set(STATES)
    by_end = [end for panel in PANELS for end, _ in _colours(panel, "byRegexp")]
    assert set(by_end) == {f"/: {verdict}$/" for verdict in Verdict}


def _colours(panel: dict[str, Any], matcher: str) -> Iterator[tuple[str, str]]:
    """The fixed ones that it gives to series, with what chooses them."""
    for override in panel.get("fieldConfig", {}).get("overrides", []):
        if override["matcher"]["id"] == matcher:
            (colour,) = override["properties"]
            yield override["matcher"]["options"], colour["value"]["fixedColor"]


def test_the_rows_answer_the_questions_in_order() -> None:
    """The first is the one that somebody who was woken up has."""
    assert [panel["title"] for panel in PANELS if panel["type"] == "row"] == [
        "Can Pods pull?",
        "Renewals and mints",
        "Secrets and ServiceAccounts",
        "Repairs",
        "Leadership, watches and configuration",
        "Contests",
    ]


@pytest.mark.parametrize("family", ["expiry", "renewal", "heal", "mints_total", "leader", "contested", "objects"])
def test_what_matters_is_shown(family: str) -> None:
    """Each of these has a panel."""
    assert any(family in selector.name for text in EXPRESSIONS for selector in selectors(text))
