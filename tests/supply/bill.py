"""The bill of materials of what the image holds, in the form of CycloneDX, from the lock file alone."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
RUNTIME = REPOSITORY / "locks" / "runtime.txt"
BUILD = REPOSITORY / "locks" / "build.txt"


def write(path: Path) -> None:
    """Write it, valid by its schema, and the same from the same lock file. Raises CalledProcessError."""
    words = (
        "requirements",
        str(RUNTIME),
        "--pyproject",
        str(REPOSITORY / "pyproject.toml"),
        "--mc-type",
        "application",
    )
    form = ("--spec-version", "1.6", "--output-format", "JSON", "--output-reproducible", "--validate")
    program = Path(sys.executable).with_name("cyclonedx-py")
    subprocess.run(  # noqa: S603  (a program of our own environment)
        [program, *words, *form, "--output-file", str(path)], check=True, capture_output=True, text=True
    )
