"""What a person sees on a terminal: readable at 80 columns and without colour."""

from rotator.screens.explanation import explanation_screen
from rotator.screens.parts import span
from rotator.screens.report import SHOWN, progress_bar, report_screen
from rotator.screens.status import status_screen

__all__ = ["SHOWN", "explanation_screen", "progress_bar", "report_screen", "span", "status_screen"]
