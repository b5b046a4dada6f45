"""The table of faults in the docs: each row names tests that exist, and what the program can really say."""

import ast
import re
from pathlib import Path

import pytest

from rotator import errors
from rotator.events import Reason
from rotator.metrics import Metrics
from rotator.model import State

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "faults.md"
CELLS = 5
TEST = re.compile(r"\[`(test_\w+)`\]\(\.\./(tests/[\w/]+\.py)\)")
OTHERS = {"/readyz", "adopt"}
"""What a row may name beside log events, metrics, Events, states and errors."""


def rows() -> list[list[str]]:
    """The cells of each row, without the headings."""
    text = DOCS.read_text().partition("<!-- faults")[2].partition("<!-- /faults")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| fault |")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def functions_in(path: str) -> set[str]:
    """The names of the test functions of a file."""
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def events() -> set[str]:
    """Every log event, and what else looks like one, in the source."""
    texts = (path.read_text() for path in (ROOT / "rotator").rglob("*.py") if "sandbox" not in path.parts)
    return {found for text in texts for found in re.findall(r'"([a-z]+\.[a-z_]+)"', text)}


def known() -> set[str]:
    """Everything that an operator can be told."""
    page = Metrics().page({}).body.decode()
    metrics = set(re.findall(r"^# HELP (\w+)", page, re.MULTILINE))
    named = {name for name, each in vars(errors).items() if isinstance(each, type)}
    return events() | metrics | named | set(Reason) | set(State) | OTHERS


def test_there_is_a_table() -> None:
    """Whole rows, and no fault twice: whoever breaks the form must not make the other tests vain."""
    assert len(rows()) > 20
    assert {len(row) for row in rows()} == {CELLS}
    assert all(all(row) for row in rows())
    faults = [row[0] for row in rows()]
    assert len(set(faults)) == len(faults)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_a_row_names_tests_that_exist(row: list[str]) -> None:
    """At least one, by the file that it stands in, and nothing else in that cell."""
    cited = TEST.findall(row[-1])
    assert cited
    assert TEST.sub("", row[-1]).strip(", ") == ""
    for name, path in cited:
        assert name in functions_in(path), f"{path} has no {name}"


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_a_row_names_what_the_program_says(row: list[str]) -> None:
    """Each log event, metric, Event, state and error is spelt as it is in the program."""
    said = {name for cell in row[:-1] for name in re.findall(r"`([^`]+)`", cell)}
    assert said <= known()


def test_every_test_of_the_suite_has_its_row() -> None:
    """A fault that was thought of is one that an operator may look up."""
    cited = {(name, path) for row in rows() for name, path in TEST.findall(row[-1])}
    suite = {f"tests/faults/{path.name}" for path in (ROOT / "tests" / "faults").glob("test_*.py")}
    assert {(name, path) for path in suite for name in functions_in(path)} <= cited
