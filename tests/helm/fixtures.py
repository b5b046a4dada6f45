"""Helm as a fixture."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm import binary
from tests.waiting import PATIENCE

CHART = Path(__file__).parents[2] / "deploy" / "chart"


@dataclass(frozen=True)
class Helm:
    """The program, with a home of its own."""

    home: Path

    def run(self, *words: str, values: object = None, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run it to its end; `values` go in as a file."""
        program = str(binary.find())
        more = ["-f", "-"] if values is not None else []
        return subprocess.run(  # noqa: S603  (our own build)
            [program, *words, *more],
            env={"PATH": os.environ["PATH"], "HOME": str(self.home)} | variables,
            input=None if values is None else json.dumps(values),  # as YAML, Helm would take 1e3 for a number
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def template(
        self, values: object, *words: str, namespace: str = "rotator", name: str = "rotator"
    ) -> list[dict[str, Any]]:
        """The objects that the chart makes of these values."""
        done = self.run("template", name, str(CHART), "-n", namespace, *words, values=values)
        assert done.returncode == 0, done.stderr
        return [each for each in yaml.safe_load_all(done.stdout) if each]


@pytest.fixture(scope="session")
def helm() -> Iterator[Helm]:
    """Helm; skipped, in one line, where it is missing."""
    if binary.find() is None:
        pytest.skip(f"no helm: {binary.HOW_TO_GET_IT}")
    with tempfile.TemporaryDirectory(prefix="rotator-helm-") as home:
        yield Helm(Path(home))
