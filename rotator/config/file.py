"""Reads the configuration: the file, its YAML, its types and its rules, and every problem at once in words of ours.

Each problem is one line: the path as the file spells it, what is wrong, and what to write instead. No value of the file
is repeated but hosts and names, because any other may be a secret in the wrong place.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import ErrorDetails

from rotator.config import rules, strictyaml
from rotator.config.models import Config
from rotator.config.rules import Problem
from rotator.config.sources import Strict
from rotator.config.values import duration_text
from rotator.errors import ConfigError

_MOST_PROBLEMS = 50  # whoever has more mends these first
_LONGEST_KEY = 63  # characters that are repeated of a key

_PLAIN_KEY = re.compile(r"[A-Za-z][A-Za-z0-9]{0,62}")
_SECRET_KEY = re.compile(r"pass|pwd|secret|token|key|cred|auth", re.IGNORECASE)
_SECRET_REMEDY = "a secret belongs in a file or an environment variable, never here"  # noqa: S105  (advice, no secret)
_TAGGED = "identity"  # pydantic puts the identity's type behind this key; in the file it has no level of its own

_EXAMPLE_FILE = "config.example.yaml"
_UNREADABLE: dict[type[Exception], str] = {
    FileNotFoundError: f"there is no such file; write one after {_EXAMPLE_FILE}, or name yours by --config or "
    "ROTATOR_CONFIG",
    IsADirectoryError: "is a directory; give the path of the file in it",
    PermissionError: "may not be read by this user; change its owner or its mode",
}
_TYPES = {
    "string_type": ("text", "put it in quotes"),
    "bool_type": ("true or false", "write one of them, without quotes"),
    "float_type": ("a share", "write a number as 0.1 or a percentage as 10%"),
    "tuple_type": ("a list", "write - before each item, or [ ] around them"),
    "model_type": ("a mapping", "write its settings as key: value"),
    "model_attributes_type": ("a mapping", "write its settings as key: value"),
}
_ANYTHING = ("what `rotator schema` describes", "write it so")


class _AsWritten(GenerateJsonSchema):
    """Shows a default duration as one writes it: 20s, where pydantic has PT20S."""

    def encode_default(self, dft: object) -> Any:  # noqa: ANN401  (as in the base class)
        """The default as a value of JSON."""
        return duration_text(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def load(path: Path) -> Config:
    """Read and validate the file, UTF-8 of at most 1 MiB. Raises ConfigError with every problem at once."""
    return parse(read(path), str(path))


def read(path: Path) -> str:
    """The file's text. Raises ConfigError where it cannot be read, is no UTF-8, or is larger than 1 MiB."""
    text, problem = _content(path)
    if problem:
        raise ConfigError(str(path), (problem,))
    return text


def parse(text: str, source: str) -> Config:
    """Validate YAML text; `source` names it in messages. Raises ConfigError with every problem at once."""
    data, lines = strictyaml.read(text)
    config, problems = (None, []) if data is None else _validated(data)
    # A rule that its type holds too is found twice, in the same words
    found = dict.fromkeys((*lines, *(f"{_place(problem.path)}: {problem.text}" for problem in problems)))
    if config is None or found:
        raise ConfigError(source, _bounded(tuple(found)))
    return config


def schema() -> dict[str, Any]:
    """The configuration's JSON Schema, draft 2020-12. The rules between settings are beyond it."""
    model = Config.model_json_schema(schema_generator=_AsWritten)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **model, "title": "rotator"}


def _content(path: Path) -> tuple[str, str]:
    """The file's text, or what is wrong with the file."""
    try:
        with path.open("rb") as file:
            content = file.read(strictyaml.LARGEST + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        kind = type(error)
        return "", _UNREADABLE.get(kind, f"cannot be read ({kind.__name__}); give the path of a readable file")
    if len(content) > strictyaml.LARGEST:
        return "", strictyaml.TOO_LARGE
    try:
        return content.decode(), ""  # a byte order mark is for the YAML reader
    except UnicodeDecodeError as error:
        return "", f"is no UTF-8 text from byte {error.start} on; save it as UTF-8"


def _validated(data: object) -> tuple[Config | None, list[Problem]]:
    """The configuration, where its types hold, and all problems in the order of their paths."""
    problems = list(rules.problems(data))
    config = None
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        problems += map(_problem, error.errors(include_url=False))
    return config, sorted(problems, key=_order)


def _order(problem: Problem) -> list[tuple[int, str]]:
    """Sorts by path: items by their number, settings by their name."""
    return [(part, "") if isinstance(part, int) else (0, part) for part in problem.path]


def _bounded(problems: Sequence[str]) -> tuple[str, ...]:
    left_out = len(problems) - _MOST_PROBLEMS
    more = (f"and {left_out} more; mend these first",) if left_out > 0 else ()
    return (*problems[:_MOST_PROBLEMS], *more)


def _problem(error: ErrorDetails) -> Problem:
    """One of pydantic's errors in our words."""
    loc = error["loc"]
    path = tuple(part for before, part in zip((None, *loc), loc, strict=False) if before != _TAGGED)
    return Problem(path, _WORDS.get(error["type"], _wrong_type)(error))


def _place(path: Sequence[str | int]) -> str:
    """The path as one writes it: registries[0].ecr.hosts[1]."""
    steps = (f"[{part}]" if isinstance(part, int) else f".{_key(part)}" for part in path)
    return "".join(steps).removeprefix(".") or "the file"


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else json.dumps(key[:_LONGEST_KEY])


def _own(error: ErrorDetails) -> str:
    return str(error["ctx"]["error"])


def _missing(error: ErrorDetails) -> str:
    return f"is missing; write it{_example(error['loc'])}"


def _choice(error: ErrorDetails) -> str:
    return f"has no such choice; write {error['ctx']['expected']}"


def _identity(_: ErrorDetails) -> str:
    tags = [tag for model in _models_at(("registries", "acr", _TAGGED)) for tag in _tags(model)]
    return f"has no type that is known; write type: and one of {', '.join(tags)}"


def _unknown(error: ErrorDetails) -> str:
    *parent, key = error["loc"]
    known = sorted({name for model in _models_at(parent) for name in _fields(model)})
    by_case = {name.lower(): name for name in known}
    near = get_close_matches(to_camel(str(key)).lower(), by_case, n=1)
    remedies = [_SECRET_REMEDY] if _SECRET_KEY.search(str(key)) else []
    remedies += [f"did you mean {by_case[name]}?" for name in near]
    return f"is no setting; {'; '.join(remedies) or 'remove it, or write one of ' + ', '.join(known)}"


def _wrong_type(error: ErrorDetails) -> str:
    wanted, remedy = _TYPES.get(error["type"], _ANYTHING)
    if error["input"] is None:
        return f"is empty; write {wanted}{_example(error['loc'])}, or leave an optional key out"
    return f"must be {wanted}; {remedy}{_example(error['loc'])}"


_WORDS: dict[str, Callable[[ErrorDetails], str]] = {
    "value_error": _own,
    "missing": _missing,
    "extra_forbidden": _unknown,
    "literal_error": _choice,
    "union_tag_invalid": _identity,
    "union_tag_not_found": _identity,
}


def _example(loc: Sequence[str | int]) -> str:
    """An example of the setting, to stand behind `write it`; empty where there is none."""
    if not loc or not isinstance(key := loc[-1], str):
        return ""
    fields = (_fields(model).get(key) for model in _models_at(loc[:-1]))
    examples = next((field.examples for field in fields if field and field.examples), None)
    return f", as in {key}: {json.dumps(examples[0])}" if examples else ""


def _models_at(loc: Sequence[str | int]) -> list[type[Strict]]:
    """The types that the part of the file at this place may have."""
    models: list[type[Strict]] = [Config]
    for before, part in zip((None, *loc), loc, strict=False):
        if before == _TAGGED:
            models = [model for model in models if part in _tags(model)]
        elif isinstance(part, str):
            fields = [fields[part] for model in models if part in (fields := _fields(model))]
            models = [model for field in fields for model in _models(field.annotation)]
    return models


def _models(annotation: object) -> Iterator[type[Strict]]:
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _fields(model: type[Strict]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _tags(model: type[Strict]) -> tuple[str, ...]:
    return get_args(model.model_fields["type"].annotation)
