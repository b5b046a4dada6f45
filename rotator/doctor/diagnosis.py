"""What doctor says: per check a result, and for each trouble a symptom with the objects concerned and a hint. Pure."""

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
    """One trouble."""

    result: Annotated[Result, told("how bad it is")]
    message: Annotated[str, told("what is wrong")]
    hint: Annotated[str | None, told("what to do about it")]
    objects: Annotated[list[ObjectRecord], told("the objects concerned, all of them")]


class FindingRecord(TypedDict):
    """One check."""

    check: Annotated[str, told("its name, as in [doctor.md](doctor.md)")]
    description: Annotated[str, told("what it looks at")]
    result: Annotated[Result, told("the worst of its symptoms")]
    symptoms: Annotated[list[SymptomRecord], told("what is wrong; empty: all is well")]


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
    """One trouble: what is wrong, with which objects, and what to do."""

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
class Finding:
    """One check, and the symptoms that it found."""

    check: str
    description: str
    symptoms: tuple[Symptom, ...] = ()

    @property
    def result(self) -> Result:
        """The worst of its symptoms."""
        return worst(symptom.result for symptom in self.symptoms)

    def record(self) -> FindingRecord:
        """The finding as JSON."""
        return {
            "check": self.check,
            "description": self.description,
            "result": self.result,
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

    def record(self) -> DiagnosisRecord:
        """The diagnosis as JSON."""
        return {"result": self.result, "findings": [finding.record() for finding in self.findings]}


def grouped(found: Iterable[tuple[Symptom, Object]]) -> tuple[Symptom, ...]:
    """One symptom for all objects that have the same: ten thousand alike are one line."""
    objects: dict[Symptom, dict[Object, None]] = {}
    for symptom, each in found:
        objects.setdefault(symptom, {})[each] = None
    return tuple(
        Symptom(symptom.result, symptom.message, tuple(members), symptom.hint) for symptom, members in objects.items()
    )
