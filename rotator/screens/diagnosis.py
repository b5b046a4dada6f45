"""`doctor`: a line per check, and beneath it what is wrong, with which objects, and what to do."""

from collections import Counter

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from rotator.doctor import Diagnosis, Finding, Result, Symptom
from rotator.screens.parts import indented

MARKS = {Result.OK: ("✓", "green"), Result.WARNING: ("!", "yellow"), Result.PROBLEM: ("✗", "red")}

OBJECTS = 3
"""Objects that a symptom names before the rest is only counted; JSON has them all."""


def diagnosis_screen(diagnosis: Diagnosis) -> RenderableType:
    """Every check in its order, and a last line that counts them."""
    parts = [part for finding in diagnosis.findings for part in _finding(finding)]
    return Group(*parts, Text(), _summary(diagnosis))


def _finding(finding: Finding) -> list[RenderableType]:
    mark, style = MARKS[finding.result]
    line = Text.assemble((f"{mark} {finding.check}", style), (f": {finding.description}", "dim"))
    return [line, *(part for symptom in finding.symptoms for part in _symptom(symptom))]


def _symptom(symptom: Symptom) -> list[RenderableType]:
    _, style = MARKS[symptom.result]
    if symptom.result is Result.OK:
        return [Padding(Text(symptom.message, style="dim"), (0, 0, 0, 4))]
    parts: list[RenderableType] = [Padding(Text(f"{symptom.result}: {symptom.message}", style=style), (0, 0, 0, 4))]
    if symptom.objects:
        shown, more = symptom.objects[:OBJECTS], len(symptom.objects) - OBJECTS
        parts.append(indented(", ".join(map(str, shown)) + (f" and {more} more" if more > 0 else "")))
    if symptom.hint:
        parts.append(indented(f"-> {symptom.hint}"))
    return parts


def _summary(diagnosis: Diagnosis) -> Text:
    counts = Counter(finding.result for finding in diagnosis.findings)
    _, style = MARKS[diagnosis.result]
    said = [f"{counts[result]} {result}" for result in reversed(Result) if counts[result]]
    return Text(f"{len(diagnosis.findings)} checks: {', '.join(said)}", style=style)
