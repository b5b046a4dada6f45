"""The lock files, and what is made from them: nothing without a hash, nothing twice, and the same again."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rotator import __version__
from tests.supply.bill import REPOSITORY, write

LOCKS = REPOSITORY / "locks"
REQUIREMENT = re.compile(
    r"^([a-z0-9.-]+)==(\S+?)(?: ; [^\\\n]+)? \\$\n((?:^    --hash=sha256:[0-9a-f]{64}(?: \\)?$\n?)+)", re.MULTILINE
)


def locked(name: str) -> dict[str, tuple[str, set[str]]]:
    """The version and hashes of each package; every line of the file belongs to one."""
    text = (LOCKS / name).read_text()
    found = REQUIREMENT.findall(text)
    assert "".join(REQUIREMENT.sub("", text).split()) == ""
    assert len({package for package, _, _ in found}) == len(found)
    return {package: (version, set(re.findall("[0-9a-f]{64}", hashes))) for package, version, hashes in found}


@pytest.mark.parametrize("name", ["runtime.txt", "build.txt", "dev.txt"])
def test_every_package_is_pinned_once_with_hashes(name: str) -> None:
    """So that a mirror, or somebody in between, can give nothing else."""
    packages = locked(name)
    assert packages
    assert all(hashes for _, hashes in packages.values())


@pytest.mark.parametrize("name", ["runtime.txt", "build.txt"])
def test_what_is_tested_is_what_is_shipped(name: str) -> None:
    """The environment of the tests has the same versions, by the same hashes."""
    tested = locked("dev.txt")
    assert {package: tested.get(package) for package in locked(name)} == locked(name)


def test_the_packages_fit_together() -> None:
    """No package in this environment lacks one that it needs, or has a version that it cannot use."""
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_bill_of_materials_names_every_package(tmp_path: Path) -> None:
    """Version, package URL and every hash; of rotator itself name and version; and the same from the same lock file."""
    bills = [tmp_path / "one.json", tmp_path / "two.json"]
    for path in bills:
        write(path)
    assert bills[0].read_bytes() == bills[1].read_bytes()
    bill = json.loads(bills[0].read_text())
    named = {
        part["name"]: (
            part["version"],
            {each["content"] for reference in part["externalReferences"] for each in reference["hashes"]},
        )
        for part in bill["components"]
    }
    assert named == locked("runtime.txt")
    assert all(part["purl"] == f"pkg:pypi/{part['name']}@{part['version']}" for part in bill["components"])
    assert (bill["specVersion"], bill["metadata"]["component"]["name"]) == ("1.6", "rotator")


def test_the_wheel_is_the_same_from_the_same_source(tmp_path: Path) -> None:
    """Byte for byte, in another folder, at another time, under another umask: so anybody can see what is in it."""
    sums = set()
    for number, umask in enumerate((0o022, 0o077)):
        source = tmp_path / str(number)
        source.mkdir()
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(REPOSITORY / name, source)
        shutil.copytree(REPOSITORY / "rotator", source / "rotator", ignore=shutil.ignore_patterns("__pycache__"))
        for path in source.rglob("*.py"):
            os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
        words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / f"dist-{number}")]
        subprocess.run(words, cwd=source, umask=umask, check=True, capture_output=True)  # noqa: S603  (our own build)
        (wheel,) = (tmp_path / f"dist-{number}").iterdir()
        assert wheel.name == f"rotator-{__version__}-py3-none-any.whl"
        sums.add(hashlib.sha256(wheel.read_bytes()).hexdigest())
    assert len(sums) == 1
