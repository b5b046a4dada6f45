"""What an audit's answers come to; the two that can be had anywhere are pip-audit's own."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.supply.auditing import audit_command, report_command, verdict, yanked
from tests.supply.bill import BUILD

ONE = {"name": "one", "version": "1", "vulns": []}
BAD = {"name": "bad", "version": "2", "vulns": [{"id": "PYSEC-2026-1"}]}
BACKEND = 'requires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
UNKNOWN = {"name": "ours", "skip_reason": "not found"}


def audited(lock: Path, **variables: str) -> tuple[str, int]:
    """What a real audit of this lock file comes to."""
    done = subprocess.run(  # noqa: S603  (a program of our own environment)
        audit_command(lock), env=os.environ | variables, capture_output=True, text=True, check=False
    )
    return verdict(done.stdout, done.stderr)


def test_an_advisory_fails_it_and_is_named() -> None:
    """With the package and its version."""
    said, code = verdict(json.dumps({"dependencies": [ONE, BAD, UNKNOWN]}), "")
    assert code == 1
    assert "bad 2: PYSEC-2026-1" in said
    assert "2 of 3 packages were audited, 1 advisories" in said
    assert verdict(json.dumps({"dependencies": [ONE]}), "") == ("1 of 1 packages were audited, 0 advisories", 0)


def test_a_version_that_was_taken_back_fails_it_and_is_named() -> None:
    """As pip's installation report says it."""
    one, two = ({"metadata": {"name": name, "version": "1"}, "is_yanked": name == "two"} for name in ("one", "two"))
    assert yanked(json.dumps({"install": [one]}), "") == ("1 packages can be had, 0 of them yanked", 0)
    assert yanked(json.dumps({"install": [one, two]}), "") == (
        "two 1: yanked\n2 packages can be had, 1 of them yanked",
        1,
    )
    assert yanked("", "ERROR: No matching distribution found")[1] == 1


def test_pip_says_what_would_be_had(tmp_path: Path) -> None:
    """In the form that is read here, with the hash that was asked for; nothing is installed."""
    project = tmp_path / "one"
    project.mkdir()
    (project / "pyproject.toml").write_text('[project]\nname = "one"\nversion = "1"\n[build-system]\n' + BACKEND)
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    (project / "one.py").touch()
    subprocess.run(words, cwd=project, check=True, capture_output=True)  # noqa: S603  (our own build)
    (wheel,) = tmp_path.glob("*.whl")
    lock = tmp_path / "lock.txt"
    lock.write_text(f"one @ {wheel.as_uri()} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
    done = subprocess.run(report_command(lock), capture_output=True, text=True, check=False)  # noqa: S603
    assert yanked(done.stdout, done.stderr) == ("1 packages can be had, 0 of them yanked", 0)


def test_a_line_that_is_down_is_said_and_no_failure() -> None:
    """No proxy answers: nothing was audited."""
    said, code = audited(BUILD, HTTPS_PROXY="http://127.0.0.1:1", https_proxy="http://127.0.0.1:1", NO_PROXY="")
    assert said.startswith("nothing was audited: ")
    assert code == 0


def test_any_other_failure_fails_it(tmp_path: Path) -> None:
    """A lock file that it cannot read, for one: else it would be green for good."""
    said, code = audited(tmp_path / "nowhere.txt")
    assert said.startswith("nothing was audited: ")
    assert code == 1
