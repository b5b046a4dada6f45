"""`make examples`: docs/configuration.md, every setting in the words of the schema, and the options of the program."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from rotator import config
from rotator.cli import cli

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
BEGIN = "<!-- settings: printed by `make examples`, and compared by a test -->\n"
END = "<!-- /settings -->\n"

Schema = dict[str, Any]


def printed() -> str:
    """The page as it should be: what stands around the settings is written by hand."""
    text = PAGE.read_text()
    return f"{text.partition(BEGIN)[0]}{BEGIN}{''.join(_sections())}{END}{text.partition(END)[2]}"


def _sections() -> Iterator[str]:
    for heading, part in _parts("", config.schema()):
        yield f"\n## {heading or 'The file'}\n\n{part['description']}\n\n| setting | type | meaning |\n|---|---|---|\n"
        for name, setting in part["properties"].items():
            yield f"| `{name}` | {_type(_path(heading, name), setting)} | {setting['description']} |\n"
    yield "\n## Options and variables\n\n"
    yield "An option goes before its variable. Every command says its own with `--help`.\n\n"
    yield "| option | variable | default | meaning |\n|---|---|---|---|\n"
    for option in _options():
        default = f"`{option.default}`" if isinstance(option.default, (str, Path)) else "see meaning"
        yield f"| `{option.opts[0]}` | `{option.envvar}` | {default} | {option.help} |\n"


def _parts(path: str, part: Schema) -> Iterator[tuple[str, Schema]]:
    """Every mapping of the file, by its path, each before what is within it."""
    yield path, part
    for name, setting in part["properties"].items():
        for heading, ref in _mappings(_path(path, name), setting):
            yield from _parts(heading, config.schema()["$defs"][ref])


def _path(path: str, name: str) -> str:
    within = path.strip("`").partition("` of type")[0]
    return f"{within}.{name}" if within else name


def _mappings(path: str, setting: Schema) -> Iterator[tuple[str, str]]:
    """The mappings that a setting may be: the heading of each, and its name in the schema."""
    match setting:
        case {"$ref": str(ref)}:
            yield f"`{path}`", ref.rpartition("/")[2]
        case {"type": "array", "items": {"$ref": str(ref)}}:
            yield f"`{path}[]`", ref.rpartition("/")[2]
        case {"discriminator": {"propertyName": name, "mapping": kinds}}:
            for value, ref in kinds.items():
                yield f"`{path}` of {name} `{value}`", ref.rpartition("/")[2]
        case {"anyOf": [*kinds]}:
            for kind in kinds:
                yield from _mappings(path, kind)


def _type(path: str, setting: Schema) -> str:
    """As a person says it, with a link to the section of each mapping."""
    sections = [(heading.rpartition(" ")[2], _anchor(heading)) for heading, _ in _mappings(path, setting)]
    match setting:
        case {"discriminator": _}:
            return "one of " + ", ".join(f"[{name}](#{anchor})" for name, anchor in sections)
        case {"type": "array"} if sections:
            return f"list of [mappings](#{sections[0][1]})"
        case {"type": "array", "items": items}:
            return f"list of {_scalar(items)}s"
        case _ if sections:
            return f"[mapping](#{sections[0][1]})"
    return " or ".join(_scalar(kind) for kind in setting.get("anyOf", [setting]) if kind != {"type": "null"})


def _scalar(setting: Schema) -> str:
    match setting:
        case {"enum": [*values]}:
            return ", ".join(f"`{value}`" for value in values)
        case {"const": value}:
            return f"`{value}`"
        case {"examples": ["90s", *_]}:
            return "duration"
        case {"pattern": str(pattern)} if pattern.endswith("%$"):
            return "percentage"
    return str(setting["type"])


def _anchor(heading: str) -> str:
    """As GitHub makes it."""
    kept = [letter for letter in heading.lower() if letter.isalnum() or letter in "_- "]
    return "".join(kept).replace(" ", "-")


def _options() -> list[click.Option]:
    """Each option that has a variable, once."""
    options = {
        parameter.opts[0]: parameter
        for command in cli.commands.values()
        for parameter in command.params
        if isinstance(parameter, click.Option) and parameter.envvar
    }
    return sorted(options.values(), key=lambda option: option.opts[0])


if __name__ == "__main__":
    PAGE.write_text(printed())
