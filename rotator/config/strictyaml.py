"""YAML of which every line says what it means: no aliases, tags, second documents or keys that stand twice.

A configuration needs none of these, and each is a trap: aliases grow without bound ("billion laughs"), tags construct,
and the second of two equal keys silently wins. Sizes and depth are bounded. Problems name lines, never values.
"""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

LARGEST = 1024 * 1024
"""Bytes: no ConfigMap is larger."""

TOO_LARGE = "is larger than 1 MiB; write less, for example patterns in place of many names"

_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST = 20  # levels; the configuration itself has seven
_MOST_PROBLEMS = 20
_LONGEST_KEY = 63  # characters that are repeated of a key
_SCALARS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float"))


def read(text: str) -> tuple[object, list[str]]:
    """The document's value, and the problems: where there are any, the value may lack what they name.

    Texts, numbers, true, false, null, lists and mappings with text as keys; dates and the like stay texts.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return None, ["holds half of a surrogate pair, which no text does; write it as UTF-8"]
    if size > LARGEST:
        return None, [TOO_LARGE]
    try:
        problems = list(islice(_traps(text), _MOST_PROBLEMS))
        node = None if problems else yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        return None, [_unreadable(error)]
    value = None if node is None else _value(node, problems)
    if value is None and not problems:
        problems.append("is empty; write registries and pullSecrets (config.example.yaml shows all settings)")
    return value, problems


def _traps(text: str) -> Iterator[str]:
    """What is YAML, but not of the part that is read. Stops where going on could cost without bound."""
    depth, documents = 0, 0
    for event in yaml.parse(text, Loader=_LOADER):
        line = _line(event)
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if documents > 1:
            yield f"line {line}: starts a second document; write one file for each daemon"
            return
        if depth > _DEEPEST:
            yield f"line {line}: is nested deeper than {_DEEPEST} levels; check the brackets and the indentation"
            return
        if getattr(event, "anchor", None) is not None:
            yield f"line {line}: has an anchor or alias (& or *); write the value out, in quotes if it starts with one"
        elif getattr(event, "tag", None) is not None:
            yield f"line {line}: has a tag (!); write the value without it, in quotes if it starts with one"


def _value(node: yaml.Node, problems: list[str]) -> object:
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, problems)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, problems) for item in node.value]
    if node.tag not in _SCALARS:
        return node.value
    try:
        return SafeConstructor().construct_object(node)
    except (ValueError, OverflowError):  # looks like a number, and is too long or wrong for one
        problems.append(f"line {_line(node)}: is no number; write the value in quotes if it is meant as text")
        return node.value


def _mapping(node: yaml.MappingNode, problems: list[str]) -> dict[str, object]:
    lines: dict[str, int] = {}
    mapping: dict[str, object] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag in _SCALARS:
            problems.append(f"line {_line(key)}: has a key that is no text; write it in quotes")
        elif key.value in lines:
            shown = json.dumps(key.value[:_LONGEST_KEY])
            problems.append(f"line {_line(key)}: repeats the key {shown} of line {lines[key.value]}; keep one of them")
        else:
            lines[key.value] = _line(key)
            mapping[key.value] = _value(value, problems)
    return mapping


def _line(place: yaml.Node | yaml.Event) -> int:
    return place.start_mark.line + 1 if place.start_mark else 1


def _unreadable(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:  # a reader's error: a character that YAML does not allow
        return "holds a control character, which YAML does not allow; remove it, or write it as an escape in quotes"
    remedy = "check indentation, colons and quotes here and in the line above"
    if (getattr(error, "context", None) or "").endswith(("alias", "anchor")):
        remedy = 'put a text that starts with * or & in quotes, as "*"'
    # libyaml's phrases are fixed; those of the Python parser may quote the text, which could be a secret.
    phrase = getattr(error, "problem", None) if yaml.__with_libyaml__ else None
    return f"line {mark.line + 1}, column {mark.column + 1}: is no YAML; {remedy}" + (f" ({phrase})" if phrase else "")
