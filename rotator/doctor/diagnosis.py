"""What doctor says: per check a result, and for each trouble a symptom with the objects concerned and a hint. Pure.

A symptom whose result is ok is no trouble, but a fact that is worth a line: who holds the Lease, who we are.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, TypedDict

from rotator.jsonrecord import told


class Result(StrEnum):
    """How well something is, the worst last."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


_ORDER = tuple(Result)


def worst(results: Iterable[Result]) -> Result:
    """The worst of them; of none: ok."""
    return max(results, key=_ORDER.index, default=Result.OK)


class ObjectRecord(TypedDict):
    """One object of the cluster, or around it, that a symptom is about."""

    kind: Annotated[str, told("its kind")]
    namespace: Annotated[str | None, told("its namespace; null: it belongs to none")]
    name: Annotated[str, told("its name")]


class SymptomRecord(TypedDict):
    """One trouble, or a fact (ok)."""

    result: Annotated[Result, told("how bad it is")]
    message: Annotated[str, told("what is wrong")]
    hint: Annotated[str | None, told("what to do about it")]
    objects: Annotated[list[ObjectRecord], told("the objects concerned, all of them")]


class FindingRecord(TypedDict):
    """One check."""

    check: Annotated[str, told("its name, as in [doctor.md](doctor.md)")]
    description: Annotated[str, told("what it looks at")]
    result: Annotated[Result, told("the worst of its symptoms")]
    symptoms: Annotated[list[SymptomRecord], told("what is wrong, and facts worth knowing (ok)")]


class DiagnosisRecord(TypedDict):
    """What doctor found."""

    result: Annotated[Result, told("the worst of all")]
    findings: Annotated[list[FindingRecord], told("every check, in order")]


@dataclass(frozen=True, slots=True, order=True)
class Object:
    """One object of the cluster that a symptom is about. What belongs to no namespace has an empty one."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    def record(self) -> ObjectRecord:
        """The object as JSON."""
        return {"kind": self.kind, "namespace": self.namespace or None, "name": self.name}


@dataclass(frozen=True, slots=True)
class Symptom:
    """One trouble: what is wrong, with which objects, and what to do; or a fact (ok)."""

    result: Result
    message: str
    objects: tuple[Object, ...] = ()
    hint: str = ""

    def record(self) -> SymptomRecord:
        """The symptom as JSON."""
        return {
            "result": self.result,
            "message": self.message,
            "hint": self.hint or None,
            "objects": [each.record() for each in self.objects],
        }


@dataclass(frozen=True, slots=True)
class Gap:
    """What could not be read, why, and what to do about it."""

    topic: str
    reason: str
    hint: str = ""

    @property
    def symptom(self) -> Symptom:
        """What is not seen is never taken for well."""
        message = f"not looked at, for {self.topic} cannot be read: {self.reason}"
        return Symptom(Result.WARNING, message, hint=self.hint)


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what it could not look at, and else the symptoms that it found."""

    check: str
    description: str
    symptoms: tuple[Symptom, ...] = ()
    gaps: tuple[Gap, ...] = ()

    @property
    def result(self) -> Result:
        """The worst of its symptoms."""
        return worst(symptom.result for symptom in self._all)

    @property
    def _all(self) -> tuple[Symptom, ...]:
        return (*(gap.symptom for gap in self.gaps), *self.symptoms)

    def record(self) -> FindingRecord:
        """The finding as JSON."""
        return {
            "check": self.check,
            "description": self.description,
            "result": self.result,
            "symptoms": [symptom.record() for symptom in self._all],
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
    def gaps(self) -> tuple[Gap, ...]:
        """All that could not be read, each once."""
        return tuple(dict.fromkeys(gap for finding in self.findings for gap in finding.gaps))

    @property
    def exit_code(self) -> int:
        """1 with a problem; a warning is none."""
        return 1 if self.result is Result.PROBLEM else 0

    def record(self) -> DiagnosisRecord:
        """The diagnosis as JSON."""
        return {"result": self.result, "findings": [finding.record() for finding in self.findings]}


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
