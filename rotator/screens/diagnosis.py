"""`doctor`: a line per check, and beneath it what is wrong, with which objects, and what to do."""

from collections import Counter

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rotator.doctor import Diagnosis, Finding, Result, Symptom
from rotator.screens.parts import indented

MARKS = {Result.OK: ("✓", "green"), Result.WARNING: ("!", "yellow"), Result.PROBLEM: ("✗", "red")}

COUNTED = {Result.PROBLEM: "with problems", Result.WARNING: "with warnings", Result.OK: "ok"}

OBJECTS = 3
"""Objects that a symptom names before the rest is only counted; JSON has them all."""


def diagnosis_screen(diagnosis: Diagnosis) -> RenderableType:
    """Every check in its order, and a last line that counts them."""
    width = max((len(finding.check) for finding in diagnosis.findings), default=0)
    parts = [part for finding in diagnosis.findings for part in _finding(finding, width)]
    return Group(*parts, Text(), _summary(diagnosis))


def _finding(finding: Finding, width: int) -> list[RenderableType]:
    """The description is what is well, so it stands where all is."""
    mark, style = MARKS[finding.result]
    line = Table.grid(padding=(0, 1, 0, 0))
    line.add_row(Text(mark, style=style), Text(finding.check.ljust(width), style=style, no_wrap=True), _well(finding))
    return [line, *(part for symptom in finding.symptoms for part in _symptom(symptom))]


def _well(finding: Finding) -> Text:
    return Text("" if finding.symptoms else finding.description, style="dim")


def _symptom(symptom: Symptom) -> list[RenderableType]:
    _, style = MARKS[symptom.result]
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
    said = [f"{counts[result]} {words}" for result, words in COUNTED.items() if counts[result]]
    return Text(f"{len(diagnosis.findings)} checks: {', '.join(said)}", style=style)
