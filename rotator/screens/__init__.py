"""What a person sees on a terminal: readable at 80 columns and without colour."""

from rotator.screens.diagnosis import diagnosis_screen
from rotator.screens.explanation import explanation_screen
from rotator.screens.parts import SHOWN, Screen, reading_shown, span
from rotator.screens.plan import plan_screen
from rotator.screens.report import progress_bar, report_screen
from rotator.screens.status import status_screen

__all__ = [
    "SHOWN",
    "Screen",
    "diagnosis_screen",
    "explanation_screen",
    "plan_screen",
    "progress_bar",
    "reading_shown",
    "report_screen",
    "span",
    "status_screen",
]
