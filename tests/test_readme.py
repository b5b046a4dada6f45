"""What the README claims is what the program says: its tables and its example are compared, not remembered."""

import re
from pathlib import Path

import click
import pytest

from rotator import annotations, config
from rotator.annotations import Note
from rotator.cli import cli
from rotator.cli.options import EXIT_CODES
from rotator.model import STATES
from tests import build

README = (Path(__file__).parents[1] / "README.md").read_text()
MAKEFILE = (Path(__file__).parents[1] / "Makefile").read_text()
FIRST_SCREEN = README.splitlines()[:40]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    """The fenced blocks in this language."""
    return [text for found, text in FENCE.findall(README) if found == language]


def rows(text: str) -> list[list[str]]:
    """The cells of a table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_table_of_states_is_the_models() -> None:
    """Every state, in the model's order and words."""
    (table,) = re.findall(r"<!-- states.*?-->\n(.*?)<!-- /states -->", README, re.DOTALL)
    assert rows(table) == [[str(state), meaning] for state, meaning in STATES.items()]


def test_what_stands_in_the_cluster_is_what_is_written() -> None:
    """Each label and annotation of our Secrets has a row, and the Lease's annotation is named."""
    (table,) = re.findall(r"\| on our Secrets \| \|\n.*?\n\n", README, re.DOTALL)
    named = {(kind, key) for kind, key in re.findall(r"^\| (label|annotation) `([^`]*)`", table, re.MULTILINE)}
    note = Note("prod", build.NOW, build.NOW, "digest")
    labels = {("label", key) for key in annotations.labels(build.SECRET, None)}
    assert named == labels | {("annotation", key) for key in annotations.write({build.ECR: note})}
    assert f"The Lease's annotation `{annotations.LAST_SWEEP}` says" in README


def test_the_table_of_commands_names_exactly_the_commands() -> None:
    """No command without a row, and no row without a command."""
    (table,) = re.findall(r"\| command \| what it does \|\n.*?\n\n", README, re.DOTALL)
    named = sorted(cells[0].strip("`").removesuffix(" IMAGE") for cells in rows(table))
    assert named == [f"rotator {name}" for name in sorted(cli.commands)]


@pytest.mark.parametrize("name", ["once", "check", "demo"])
def test_the_options_in_the_table_exist(name: str) -> None:
    """An option that a row names is one of its command."""
    (row,) = [line for line in README.splitlines() if line.startswith(f"| `rotator {name}`")]
    options = {option for parameter in cli.commands[name].params for option in parameter.opts}
    assert set(re.findall(r"`(--[a-z-]+)`", row)) <= options


def test_the_exit_codes_are_those_of_the_command_line() -> None:
    """Number and words: `rotator once --help` says the same."""
    told = dict(re.findall(r"^  (\d)  (.*)$", EXIT_CODES, re.MULTILINE))
    (sentence,) = re.findall(r"Exit codes: (.*?)\.\n", README, re.DOTALL)
    assert dict(re.findall(r"`(\d)` ([^`]*?)(?:, (?=`)|$)", " ".join(sentence.split()))) == told


def test_the_first_screen_holds_the_two_commands() -> None:
    """`make demo` and `make test`, and nothing else that one would have to type."""
    (first, *_) = blocks("console")
    commands = [line.removeprefix("$ ").partition("#")[0].strip() for line in first.splitlines()]
    assert commands == ["make demo", "make test"]
    typed = [line for line in FIRST_SCREEN if line.startswith("$ ")]
    assert typed == first.splitlines()
    for command in commands:
        assert re.search(rf"^{command.removeprefix('make ')}:", MAKEFILE, re.MULTILINE)


def test_the_example_is_a_configuration() -> None:
    """What is copied from the README works as it stands: the whole, and the section that may be added to it."""
    example, section = blocks("yaml")
    parsed = config.parse(example, "README.md")
    assert [registry.kind for registry in parsed.registries] == ["ecr", "gar"]
    assert config.parse(example + section, "README.md").prune.enabled


def test_every_command_has_a_line_of_help() -> None:
    """`rotator --help` lists them with it, uncut."""
    for name, command in cli.commands.items():
        assert isinstance(command, click.Command)
        assert (command.help or "").strip(), name
