"""What an audit's answers come to; the two that can be had anywhere are pip-audit's own."""

import json
import os
import subprocess
from pathlib import Path

from tests.supply.auditing import audit_command, verdict
from tests.supply.bill import BUILD

ONE = {"name": "one", "version": "1", "vulns": []}
BAD = {"name": "bad", "version": "2", "vulns": [{"id": "PYSEC-2026-1"}]}
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
