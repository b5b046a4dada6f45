"""Prometheus's own tool, which no package index has: it knows what an expression means, and when an alert rings."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SECONDS = 60
HOW_TO_GET_IT = "`apt-get install prometheus` brings it"


def promtool(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    """What it says to this; skips the test, in one line, where it is missing."""
    if not (program := shutil.which("promtool")):
        pytest.skip(f"no promtool: {HOW_TO_GET_IT}")
    return subprocess.run(  # noqa: S603  (a fixed program)
        [program, *words],
        env={"PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
