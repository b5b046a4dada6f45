"""The JSON that commands print: each has a schema, made of the types of its record, and docs/json.md says every key."""

from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest

from rotator import schemas
from rotator.cli import cli

DOCS = (Path(__file__).parents[1] / "docs" / "json.md").read_text()


def definitions() -> dict[str, dict[str, Any]]:
    """Every part of every schema, by name."""
    return {name: part for command in schemas.RECORDS for name, part in schemas.schema(command)["$defs"].items()}


def documented(name: str) -> list[str]:
    """The lines of docs/json.md below the heading of this part, without the text around them."""
    _, heading, rest = DOCS.partition(f"\n### {name}\n")
    assert heading, f"docs/json.md has no section {name}"
    return [line for line in rest.partition("\n#")[0].splitlines() if line.startswith(("|", "`"))]


def described(part: dict[str, Any]) -> list[str]:
    """What should stand there: a row for each key, or the values of an enumeration."""
    if "enum" in part:
        return [", ".join(f"`{value}`" for value in part["enum"])]
    rows = [f"| `{key}` | {kind(part['properties'][key])} | {meaning(part, key)} |" for key in part["required"]]
    return ["| key | type | meaning |", "|---|---|---|", *rows]


def meaning(part: dict[str, Any], key: str) -> str:
    """The words of the schema."""
    return str(part["properties"][key]["description"])


def kind(found: dict[str, Any]) -> str:
    """A type as a person says it."""
    match found:
        case {"anyOf": [*kinds]}:
            return " or ".join(map(kind, kinds))
        case {"$ref": str(ref)}:
            name = ref.rpartition("/")[2]
            return f"[{name}](#{name.lower()})"
        case {"type": "array", "items": items}:
            return f"list of {kind(items)}"
        case {"format": "date-time"}:
            return "time"
        case {"type": str(simple)}:
            return simple
    raise AssertionError(found)


@pytest.mark.parametrize("command", schemas.RECORDS)
def test_each_schema_is_one(command: str) -> None:
    """For validators and code generators, with a description of every key."""
    found = schemas.schema(command)
    jsonschema.Draft202012Validator.check_schema(found)
    for part in found["$defs"].values():
        assert "enum" in part or all("description" in each for each in part["properties"].values())


def test_every_command_that_prints_json_has_a_schema() -> None:
    """Whoever adds one adds its record, too."""
    printing = [
        name
        for name, command in cli.commands.items()
        for option in command.params
        if isinstance(option.type, click.Choice) and "json" in option.type.choices and option.name == "output"
    ]
    assert sorted(printing) == sorted(schemas.RECORDS)


@pytest.mark.parametrize("name", sorted(definitions()))
def test_the_documentation_says_every_key_and_value(name: str) -> None:
    """In the words and types of the schema, in its order."""
    assert documented(name) == described(definitions()[name])


def test_the_documentation_says_nothing_else() -> None:
    """A record that is gone is gone from there."""
    headings = [line.removeprefix("### ") for line in DOCS.splitlines() if line.startswith("### ")]
    assert sorted(headings) == sorted(definitions())
