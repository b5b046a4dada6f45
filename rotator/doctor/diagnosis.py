"""What doctor says: per check a result, and for each trouble a symptom with the objects concerned and a hint. Pure.

A symptom whose result is ok is no trouble, but a fact that is worth a line: who holds the Lease, who we are.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Result(StrEnum):
    """How well something is, the worst last."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


_ORDER = tuple(Result)


def worst(results: Iterable[Result]) -> Result:
    """The worst of them; of none: ok."""
    return max(results, key=_ORDER.index, default=Result.OK)


@dataclass(frozen=True, slots=True, order=True)
class Object:
    """One object of the cluster that a symptom is about. What belongs to no namespace has an empty one."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    def record(self) -> dict[str, Any]:
        """The object as JSON."""
        return {"kind": self.kind, "namespace": self.namespace or None, "name": self.name}


@dataclass(frozen=True, slots=True)
class Symptom:
    """One trouble: what is wrong, with which objects, and what to do; or a fact (ok)."""

    result: Result
    message: str
    objects: tuple[Object, ...] = ()
    hint: str = ""

    def record(self) -> dict[str, Any]:
        """The symptom as JSON."""
        return {
            "result": str(self.result),
            "message": self.message,
            "hint": self.hint or None,
            "objects": [each.record() for each in self.objects],
        }


@dataclass(frozen=True, slots=True)
class Finding:
    """One check, and the symptoms that it found."""

    check: str
    description: str
    symptoms: tuple[Symptom, ...] = ()

    @property
    def result(self) -> Result:
        """The worst of its symptoms."""
        return worst(symptom.result for symptom in self.symptoms)

    def record(self) -> dict[str, Any]:
        """The finding as JSON."""
        return {
            "check": self.check,
            "description": self.description,
            "result": str(self.result),
            "symptoms": [symptom.record() for symptom in self.symptoms],
        }


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Every check's finding, in the order of the checks."""

    findings: tuple[Finding, ...]

    @property
    def result(self) -> Result:
        """The worst of all."""
        return worst(finding.result for finding in self.findings)

    @property
    def exit_code(self) -> int:
        """1 with a problem; a warning is none."""
        return 1 if self.result is Result.PROBLEM else 0

    def record(self) -> dict[str, Any]:
        """The diagnosis as JSON."""
        return {"result": str(self.result), "findings": [finding.record() for finding in self.findings]}


def fact(message: str) -> Symptom:
    """What is well, and worth knowing."""
    return Symptom(Result.OK, message)


def grouped(found: Iterable[tuple[Symptom, Object]]) -> tuple[Symptom, ...]:
    """One symptom for all objects that have the same: ten thousand alike are one line."""
    objects: dict[Symptom, dict[Object, None]] = {}
    for symptom, each in found:
        objects.setdefault(symptom, {})[each] = None
    return tuple(
        Symptom(symptom.result, symptom.message, tuple(members), symptom.hint) for symptom, members in objects.items()
    )
