"""The bill of materials of what the image holds, in the form of CycloneDX, from the lock file alone."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
RUNTIME = REPOSITORY / "locks" / "runtime.txt"
BUILD = REPOSITORY / "locks" / "build.txt"
DEV = REPOSITORY / "locks" / "dev.txt"
"""Holds what the two others hold, by a test, and what tests them."""

Packages = dict[str, tuple[str, set[str]]]
"""Version and hashes of each, by name."""

REQUIREMENT = re.compile(
    r"^([a-z0-9.-]+)==(\S+?)(?: ; [^\\\n]+)? \\$\n((?:^    --hash=sha256:[0-9a-f]{64}(?: \\)?$\n?)+)", re.MULTILINE
)


def locked(lock: Path) -> Packages:
    """What a lock file pins. Raises ValueError where a line pins nothing, or a package is there twice."""
    text = lock.read_text()
    found = REQUIREMENT.findall(text)
    if "".join(REQUIREMENT.sub("", text).split()) or len({package for package, _, _ in found}) < len(found):
        msg = f"{lock}: not every line pins one package, once, by hashes"
        raise ValueError(msg)
    return {package: (version, set(re.findall("[0-9a-f]{64}", hashes))) for package, version, hashes in found}


def differences(bill: dict[str, Any], packages: Packages) -> list[str]:
    """What the bill says of other packages, versions or hashes than these; none: it is right."""
    named = {
        part["name"]: (
            part["version"],
            {each["content"] for reference in part["externalReferences"] for each in reference["hashes"]},
        )
        for part in bill["components"]
    }
    return [
        f"{name}: the bill has {_said(named.get(name))}, the lock file {_said(packages.get(name))}"
        for name in sorted(named.keys() | packages.keys())
        if named.get(name) != packages.get(name)
    ]


def _said(package: tuple[str, set[str]] | None) -> str:
    return f"{package[0]} with {len(package[1])} hashes" if package else "nothing"


def write(path: Path, lock: Path = RUNTIME) -> None:
    """Write it, valid by its schema, and the same from the same lock file.

    Raises CalledProcessError, or ValueError where it differs from the lock file after all.
    """
    words = (
        "requirements",
        str(lock),
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
    if found := differences(json.loads(path.read_text()), locked(lock)):
        raise ValueError("\n".join(found))
