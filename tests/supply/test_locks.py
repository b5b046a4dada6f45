"""The lock files, and what is made from them: nothing without a hash, nothing twice, and the same again."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rotator import __version__
from tests.supply.bill import BUILD, DEV, REPOSITORY, RUNTIME, differences, locked, write


@pytest.mark.parametrize("lock", [RUNTIME, BUILD, DEV], ids=lambda lock: lock.stem)
def test_every_package_is_pinned_once_with_hashes(lock: Path) -> None:
    """So that a mirror, or somebody in between, can give nothing else."""
    packages = locked(lock)
    assert packages
    assert all(hashes for _, hashes in packages.values())


@pytest.mark.parametrize("line", ["two", "two==1 \\\n", "one==1 \\\n    --hash=sha256:" + "1" * 64])
def test_a_line_that_pins_nothing_is_refused(tmp_path: Path, line: str) -> None:
    """Without a version, without a hash, or a package that was there already."""
    lock = tmp_path / "lock.txt"
    lock.write_text("one==1 \\\n    --hash=sha256:" + "0" * 64 + "\n")
    assert locked(lock) == {"one": ("1", {"0" * 64})}
    lock.write_text(lock.read_text() + line + "\n")
    with pytest.raises(ValueError, match="pins one package"):
        locked(lock)


@pytest.mark.parametrize("lock", [RUNTIME, BUILD], ids=lambda lock: lock.stem)
def test_what_is_tested_is_what_is_shipped(lock: Path) -> None:
    """The environment of the tests has the same versions, by the same hashes."""
    tested = locked(DEV)
    assert {package: tested.get(package) for package in locked(lock)} == locked(lock)


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
    assert differences(bill, locked(RUNTIME)) == []
    assert all(part["purl"] == f"pkg:pypi/{part['name']}@{part['version']}" for part in bill["components"])
    assert (bill["specVersion"], bill["metadata"]["component"]["name"]) == ("1.6", "rotator")


def test_make_sbom_writes_it(tmp_path: Path) -> None:
    """By the Makefile, where it says, and the same that is held here."""
    makefile, programs = REPOSITORY / "Makefile", Path(sys.executable).parent
    words = ["make", "-f", str(makefile), "-o", ".venv/ready", f"BIN={programs}", "sbom"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}  # who runs us may be make
    environment = kept | {"PYTHONPATH": str(REPOSITORY)}
    subprocess.run(words, cwd=tmp_path, env=environment, check=True, capture_output=True)  # noqa: S603  (our own Makefile)
    write(tmp_path / "held.json")
    assert (tmp_path / "dist" / "rotator.cdx.json").read_bytes() == (tmp_path / "held.json").read_bytes()


def test_a_bill_of_materials_that_is_not_valid_is_refused(tmp_path: Path) -> None:
    """By the schema of CycloneDX, which knows how long a hash is."""
    lock = tmp_path / "lock.txt"
    lock.write_text("one==1 \\\n    --hash=sha256:abc\n")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        write(tmp_path / "bill.json", lock)
    assert "schema-invalid" in refused.value.stderr


@pytest.mark.parametrize("fault", ["missing", "added", "version", "hash"])
def test_a_bill_of_materials_that_is_not_of_the_lock_file_is_refused(tmp_path: Path, fault: str) -> None:
    """By the name of the package that differs."""
    write(tmp_path / "bill.json")
    bill = json.loads((tmp_path / "bill.json").read_text())
    part = next(each for each in bill["components"] if each["name"] == "boto3")
    match fault:
        case "missing":
            bill["components"].remove(part)
        case "added":
            bill["components"].append(part | {"name": "boto4"})
        case "version":
            part["version"] = "0.1"
        case "hash":
            part["externalReferences"][0]["hashes"][0]["content"] = "0" * 64
    (found,) = differences(bill, locked(RUNTIME))
    assert found.startswith("boto4: the bill" if fault == "added" else "boto3: the bill")


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
        environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
        subprocess.run(words, cwd=source, env=environment, umask=umask, check=True, capture_output=True)  # noqa: S603  (our own build)
        (wheel,) = (tmp_path / f"dist-{number}").iterdir()
        assert wheel.name == f"rotator-{__version__}-py3-none-any.whl"
        sums.add(hashlib.sha256(wheel.read_bytes()).hexdigest())
    assert len(sums) == 1
