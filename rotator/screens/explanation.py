"""`explain`: each step with what comes of it, and the verdict."""

from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text

from rotator.annotations import Note
from rotator.explain import Explanation, Step
from rotator.probe import Verdict
from rotator.screens.parts import indented, span

VERDICTS = {
    Verdict.ACCEPTED: ("✓", "green"),
    Verdict.OPEN: ("✓", "green"),
    Verdict.REFUSED: ("✗", "red"),
    Verdict.UNKNOWN: ("?", "yellow"),
}


def explanation_screen(explanation: Explanation, now: datetime) -> RenderableType:
    """Each step with what comes of it, in the kubelet's order, and the verdict in one line."""
    head = Text(f"{explanation.image}\nfor {explanation.puller} in {explanation.namespace}\n")
    mark, style = ("✓", "green") if explanation.prospect.is_good else ("✗", "red")
    verdict = Text(f"{mark} {explanation.prospect}: {explanation.message}", style=style)
    steps = [part for step in explanation.steps for part in _step(step, now)]
    return Group(head, *steps, *([Text()] if steps else []), verdict)


def _step(step: Step, now: datetime) -> list[RenderableType]:
    if step.finding is None:
        return [Text(f"· {step.secret}", style="yellow"), indented(step.problem)]
    mark, style = VERDICTS[step.finding.verdict]
    said = [f"key {step.key}", _whose(step.note, now), step.finding.message]
    return [Text(f"{mark} {step.secret}", style=style), *map(indented, said)]


def _whose(note: Note | None, now: datetime) -> str:
    if note is None:
        return "not written by rotator, or changed since"
    ends = "expires in" if note.expires_at > now else "expired"
    ago = "" if note.expires_at > now else " ago"
    age, left = span(now - note.issued_at), span(abs(note.expires_at - now))
    return f"rotator's, for registry {note.registry}: issued {age} ago, {ends} {left}{ago}"
