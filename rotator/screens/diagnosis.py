"""`doctor`: a line per check, and beneath it what is wrong, with which objects, and what to do."""

from collections import Counter
from itertools import pairwise

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
    return Group(*parts, *_gaps(diagnosis), Text(), _summary(diagnosis))


def _finding(finding: Finding, width: int) -> list[RenderableType]:
    """The description is what is well, so it stands where all is; facts are told beneath it."""
    mark, style = MARKS[finding.result]
    line = Table.grid(padding=(0, 1, 0, 0))
    line.add_row(Text(mark, style=style), Text(finding.check.ljust(width), style=style, no_wrap=True), _well(finding))
    pairs = pairwise((*finding.symptoms, None))
    return [line, *(part for symptom, after in pairs if symptom for part in _symptom(symptom, after))]


def _well(finding: Finding) -> Text:
    if finding.gaps:
        return Text(f"not looked at: {', '.join(gap.topic for gap in finding.gaps)}", style=MARKS[Result.WARNING][1])
    return Text(finding.description if finding.result is Result.OK else "", style="dim")


def _symptom(symptom: Symptom, after: Symptom | None) -> list[RenderableType]:
    """What to do stands once, where the same is to be done about the one after it."""
    _, style = MARKS[symptom.result]
    if symptom.result is Result.OK:
        return [Padding(Text(symptom.message, style="dim"), (0, 0, 0, 4))]
    parts: list[RenderableType] = [Padding(Text(f"{symptom.result}: {symptom.message}", style=style), (0, 0, 0, 4))]
    if symptom.objects:
        shown, more = symptom.objects[:OBJECTS], len(symptom.objects) - OBJECTS
        parts.append(indented(", ".join(map(str, shown)) + (f" and {more} more" if more > 0 else "")))
    if symptom.hint and not (after and after.hint == symptom.hint):
        parts.append(indented(f"-> {symptom.hint}"))
    return parts


def _gaps(diagnosis: Diagnosis) -> list[RenderableType]:
    """Why something was not looked at, and what to do: once, however many checks would have looked at it."""
    reasons = dict.fromkeys((gap.reason, gap.hint) for gap in diagnosis.gaps)
    if not reasons:
        return []
    parts: list[RenderableType] = [Text(), Text("Not looked at, for it cannot be read:")]
    for reason, hint in reasons:
        parts.append(indented(reason))
        if hint:
            parts.append(indented(f"-> {hint}"))
    return parts


def _summary(diagnosis: Diagnosis) -> Text:
    counts = Counter(finding.result for finding in diagnosis.findings)
    _, style = MARKS[diagnosis.result]
    said = [f"{counts[result]} {words}" for result, words in COUNTED.items() if counts[result]]
    return Text(f"{len(diagnosis.findings)} checks: {', '.join(said)}", style=style)
