"""The numbers in docs/limits.md are those of the program."""

import re
from datetime import timedelta
from pathlib import Path

import yaml

from rotator import annotations, contests, deadline, labels, metrics, sending, serving, web
from rotator.config import MOST_WRITERS, FanOut, schema
from rotator.config.strictyaml import LARGEST
from rotator.daemon import duty
from rotator.doctor import access
from tests.test_readme import rows

DOCS = Path(__file__).parents[1] / "docs"
MIB = 1024 * 1024


def minutes(duration: timedelta) -> str:
    """As the page writes it."""
    return f"{duration.total_seconds() / 60:g} min"


def limits() -> dict[str, str]:
    """What each row of the table must say."""
    fastest = schema()["$defs"]["FanOut"]["properties"]["perSecond"]["maximum"]
    longest_name = re.search(r"\{1,(\d+)\}", schema()["$defs"]["PullSecret"]["properties"]["name"]["pattern"])
    fan_out, hours = FanOut(), annotations.LONGEST_LIFE.total_seconds() / 3600
    return {
        "size of the configuration": f"{LARGEST / MIB:g} MiB",
        "name of a pull secret": f"{longest_name and longest_name[1]} characters, for it is a label's value too",
        "label selector": f"{labels._LONGEST_SELECTOR} characters",  # noqa: SLF001  (no other room asks)
        "collections that are watched": f"{duty.MOST_WATCHES}",
        "namespaces written at a time": f"{fan_out.concurrency}, up to {MOST_WRITERS} by `fanOut.concurrency`",
        "namespaces renewed per second while nothing presses": (
            f"{fan_out.per_second}, up to {fastest} by `fanOut.perSecond`"
        ),
        "namespaces repaired at a time": f"{duty.HEALERS}",
        "repairs of one object that are made at once": f"{contests.FREE} in {minutes(contests.WINDOW)}",
        "life of a token": f"{hours:g} h; the clouds give 12 h at most",
        "another replica's clock": f"{minutes(annotations.CLOCK_TOLERANCE)} ahead of ours",
        "Kubernetes Events": (f"{sending.BURST} at once, then {sending.PER_SECOND:g} a second; {sending.ROOM} wait"),
        "field managers with a series of their own in metrics": f"{metrics.MOST_RIVALS}",
        "an answer of a registry, or of a metadata server": f"{web.LONGEST_BODY / MIB:g} MiB",
        "hanging calls of one kind (look-ups of names, for one)": f"{deadline.MOST_ABANDONED}",
        "rights that `doctor` asks about": f"{access.MOST}",
        "connections to `/metrics` or the probes at a time": f"{serving.MOST}",
    }


OTHERS = {"Secret": "1 MiB, by Kubernetes", "namespaces": "none; 10,000 measured", "Kubernetes": "1.29 or newer"}
"""Rows whose numbers are not the program's."""


def test_each_limit_is_the_programs() -> None:
    """A row for each, and no other."""
    (table,) = re.findall(r"<!-- limits.*?-->\n(.*?)<!-- /limits -->", (DOCS / "limits.md").read_text(), re.DOTALL)
    assert {what: limit for what, limit, _ in rows(table)} == limits() | OTHERS


def test_the_chart_asks_for_the_same_kubernetes() -> None:
    """And for none that is older."""
    chart = yaml.safe_load((DOCS.parent / "deploy" / "chart" / "Chart.yaml").read_text())
    assert chart["kubeVersion"] == f">={OTHERS['Kubernetes'].removesuffix(' or newer')}.0-0"


def test_the_longest_pause_of_a_contest_is_said() -> None:
    """It stands beside the number of repairs."""
    assert f"up to {minutes(contests.LONGEST_PAUSE)} |" in (DOCS / "limits.md").read_text()
