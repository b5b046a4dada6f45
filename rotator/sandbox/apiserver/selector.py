"""Label and field selectors, with the grammar of apimachinery's pkg/labels and pkg/fields."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from rotator.sandbox.apiserver.objects import Object, dig, metadata
from rotator.sandbox.apiserver.resources import Resource
from rotator.sandbox.apiserver.status import bad_request

Test = Callable[[Object], bool]

_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?"
_SET = re.compile(rf"\s*({_NAME})\s+(in|notin)\s*\(([^()]*)\)\s*")
_EQUAL = re.compile(rf"\s*({_NAME})\s*(==|=|!=)\s*({_NAME})?\s*")
_EXISTS = re.compile(rf"\s*(!?)\s*({_NAME})\s*")
_COMMA = re.compile(r",(?![^()]*\))")  # not one between parentheses


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects a list or watch asks for. `name` is set where the field selector names exactly one."""

    tests: tuple[Test, ...] = ()
    name: str | None = None

    def matches(self, obj: Object) -> bool:
        """Does the object fit every requirement?"""
        return all(test(obj) for test in self.tests)


def parse(resource: Resource, labels: str, fields: str) -> Selection:
    """The selection of both query parameters. Raises a StatusError (400)."""
    terms = _field_terms(resource, fields)
    names = [value for path, wanted, value in terms if path == "metadata.name" and wanted]
    tests = [_label_test(term) for term in _COMMA.split(labels) if labels.strip()]
    tests += [_field_test(path, wanted, value) for path, wanted, value in terms]
    return Selection(tuple(tests), names[0] if names else None)


def _label_test(term: str) -> Test:
    if match := _SET.fullmatch(term):
        values = {value.strip() for value in match[3].split(",")}
        return _one_of(match[1], values) if match[2] == "in" else _none_of(match[1], values)
    if match := _EQUAL.fullmatch(term):
        values = {match[3] or ""}
        return _none_of(match[1], values) if match[2] == "!=" else _one_of(match[1], values)
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


def _field_terms(resource: Resource, fields: str) -> list[tuple[str, bool, str]]:
    """Path, whether it must be equal, and value of each requirement."""
    terms = []
    for term in filter(None, fields.split(",")):
        path, operator, value = re.split(r"(==|!=|=)", term, maxsplit=1) if "=" in term else (term, "", "")
        if not operator:
            msg = f"invalid selector: '{fields}'; can't understand '{term}'"
            raise bad_request(msg)
        if path not in resource.selectable_fields:
            # Wording of the list handler (apiserver, endpoints/handlers/get.go) around the conversion's.
            what = f'"{resource.api_version}, Resource={resource.name}"'
            msg = f'Unable to find {what} that match label selector "", field selector "{fields}": '
            raise bad_request(msg + f"field label not supported: {path}")
        terms.append((path, operator != "!=", value))
    return terms


def _field_test(path: str, wanted: bool, value: str) -> Test:
    names = path.split(".")
    return lambda obj: (str(dig(obj, *names) or "") == value) is wanted
