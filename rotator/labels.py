"""Kubernetes label selectors: equality and set based, as the API server reads them.

The grammar and the meaning are those of apimachinery `pkg/labels/selector.go`, without its `>` and `<`, which the
documented selectors of namespaces and ServiceAccounts do not have.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_DNS_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_KEY = re.compile(rf"(?:(?P<prefix>{_DNS_LABEL}(?:\.{_DNS_LABEL})*)/)?{_NAME}")
_VALUE = re.compile(rf"(?:{_NAME})?")
_REQUIREMENT = re.compile(
    r"(?P<key>[^\s!=(),]+)(?:\s*(?P<equality>==?|!=)\s*(?P<value>[^\s!=(),]*)|\s+(?P<set>in|notin)\s*\((?P<values>[^()]+)\))?"
)
_ABSENT = re.compile(r"!\s*(?P<key>[^\s!=(),]+)")
_COMMA = re.compile(r",(?![^(]*\))")  # not the commas within parentheses
_LONGEST_PREFIX = 253
_LONGEST_SELECTOR = 4096  # characters; a selector travels in a URL

_FORMS = (
    'write requirements like "pull=private", "tier!=test", "env in (prod, staging)", "env notin (dev)", "team", "!team"'
)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on an object's labels. `a=b` is `a in (b)`, and `a!=b` is `a notin (b)`."""

    key: str
    operator: Literal["in", "notin", "exists", "absent"]
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels meet it. As in Kubernetes, `notin` also holds where the key is absent."""
        if self.operator == "exists":
            return self.key in labels
        if self.operator == "absent":
            return self.key not in labels
        return (labels.get(self.key) in self.values) == (self.operator == "in")


def parse(selector: str) -> tuple[Requirement, ...]:
    """The selector's requirements, all of which must hold; none for an empty selector, which selects everything.

    Raises ValueError, whose text says which requirement is wrong and what to write.
    """
    if len(selector) > _LONGEST_SELECTOR:
        msg = f"the selector is longer than {_LONGEST_SELECTOR} characters; select by fewer labels"
        raise ValueError(msg)
    if not selector.strip():
        return ()
    return tuple(_requirement(text.strip(), number) for number, text in enumerate(_COMMA.split(selector), start=1))


def is_key(text: str) -> bool:
    """Whether a label or an annotation can have this key: a name, with or without a DNS prefix."""
    found = _KEY.fullmatch(text)
    return found is not None and len(found["prefix"] or "") <= _LONGEST_PREFIX


def is_value(text: str) -> bool:
    """Whether a label can have this value."""
    return _VALUE.fullmatch(text) is not None


def _requirement(text: str, number: int) -> Requirement:
    if absent := _ABSENT.fullmatch(text):
        return Requirement(_key(absent["key"], number), "absent")
    found = _REQUIREMENT.fullmatch(text)
    if found is None:
        msg = f"requirement {number} of the selector cannot be read; {_FORMS}"
        raise ValueError(msg)
    key = _key(found["key"], number)
    if found["set"]:
        return Requirement(key, "in" if found["set"] == "in" else "notin", _values(found["values"], number))
    if found["equality"]:
        return Requirement(key, "notin" if found["equality"] == "!=" else "in", _values(found["value"], number))
    return Requirement(key, "exists")


def _key(text: str, number: int) -> str:
    if not is_key(text):
        msg = f"requirement {number} of the selector has no valid label key; write name or dns.prefix/name"
        raise ValueError(msg)
    return text


def _values(text: str, number: int) -> frozenset[str]:
    values = frozenset(value.strip() for value in text.split(","))
    if not all(map(is_value, values)):
        msg = (
            f"requirement {number} of the selector has a value that no label can have; "
            "write at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends"
        )
        raise ValueError(msg)
    return values
