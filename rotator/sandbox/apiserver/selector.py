"""Label and field selectors, with the grammar of apimachinery's pkg/labels and pkg/fields."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from rotator.sandbox.apiserver.objects import Object, dig, metadata
from rotator.sandbox.apiserver.resources import Resource
from rotator.sandbox.apiserver.status import StatusError, bad_request

Test = Callable[[Object], bool]

_VALUE = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_KEY = rf"(?:[a-z0-9](?:[-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_VALUE}"
_SET = re.compile(rf"\s*({_KEY})\s+(in|notin)\s*\(((?:\s*(?:{_VALUE})?\s*,)*\s*(?:{_VALUE})?\s*)\)\s*")
_EQUAL = re.compile(rf"\s*({_KEY})\s*(==|=|!=)\s*({_VALUE})?\s*")
_ORDER = re.compile(rf"\s*({_KEY})\s*([<>])\s*(\d+)\s*")
_EXISTS = re.compile(rf"\s*(!?)\s*({_KEY})\s*")
_COMMA = re.compile(r",(?![^()]*\))")  # not one between parentheses


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects a list or watch asks for. `name` is set where the field selector names exactly one."""

    tests: tuple[Test, ...] = ()
    name: str = ""

    def matches(self, obj: Object) -> bool:
        """Does the object fit every requirement?"""
        return all(test(obj) for test in self.tests)


def parse(resource: Resource, labels: str, fields: str) -> Selection:
    """The selection of both query parameters. Raises a StatusError (400)."""
    terms = _field_terms(resource, fields)
    tests = [_label_test(term) for term in _COMMA.split(labels) if labels.strip()]
    tests += [_field_test(path, wanted, value) for path, wanted, value in terms]
    return Selection(tuple(tests), _exact_name(terms))


def exact_name(fields: str) -> str:
    """The one name that a field selector asks for; empty where it asks for none, or is none."""
    try:
        return _exact_name([_split(term, fields) for term in filter(None, fields.split(","))])
    except StatusError:
        return ""


def _exact_name(terms: list[tuple[str, bool, str]]) -> str:
    return next((value for path, wanted, value in terms if path == "metadata.name" and wanted), "")


def _label_test(term: str) -> Test:
    if match := _SET.fullmatch(term):
        values = {value.strip() for value in match[3].split(",")}
        return _one_of(match[1], values) if match[2] == "in" else _none_of(match[1], values)
    if match := _EQUAL.fullmatch(term):
        values = {match[3] or ""}
        return _none_of(match[1], values) if match[2] == "!=" else _one_of(match[1], values)
    if match := _ORDER.fullmatch(term):
        return _compared(match[1], match[2], int(match[3]))
    if match := _EXISTS.fullmatch(term):
        name, wanted = match[2], not match[1]
        return lambda obj: (name in _labels(obj)) is wanted
    msg = f'unable to parse requirement: found "{term.strip()}"'
    raise bad_request(msg)


def _labels(obj: Object) -> Object:
    return metadata(obj).get("labels") or {}


def _one_of(name: str, values: set[str]) -> Test:
    return lambda obj: _labels(obj).get(name) in values


def _none_of(name: str, values: set[str]) -> Test:
    """An object without the label fits, too (labels.Requirement.Matches)."""
    return lambda obj: _labels(obj).get(name) not in values


def _compared(name: str, operator: str, bound: int) -> Test:
    """A label that is no number is neither more nor less."""

    def test(obj: Object) -> bool:
        text = _labels(obj).get(name) or ""
        return text.isdecimal() and (int(text) > bound if operator == ">" else int(text) < bound)

    return test


def _field_terms(resource: Resource, fields: str) -> list[tuple[str, bool, str]]:
    """Path, whether it must be equal, and value of each requirement."""
    terms = []
    for term in filter(None, fields.split(",")):
        path, wanted, value = _split(term, fields)
        if path not in resource.selectable_fields:
            raise bad_request(_unsupported(resource, path))
        terms.append((path, wanted, value))
    return terms


def _split(term: str, fields: str) -> tuple[str, bool, str]:
    if "=" not in term:
        msg = f"invalid selector: '{fields}'; can't understand '{term}'"
        raise bad_request(msg)
    path, operator, value = re.split(r"(==|!=|=)", term, maxsplit=1)
    return path, operator != "!=", value


def _unsupported(resource: Resource, path: str) -> str:
    """Kinds that add to the selectable fields have a conversion of their own (core/v1/conversion.go), others do not."""
    if resource.selectable:
        return f"field label not supported: {path}"
    known = ", ".join(f'"{name}"' for name in resource.selectable_fields)
    return f'"{path}" is not a known field selector: only {known}'


def _field_test(path: str, wanted: bool, value: str) -> Test:
    names = path.split(".")
    return lambda obj: (str(dig(obj, *names) or "") == value) is wanted
