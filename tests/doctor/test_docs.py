"""docs/doctor.md says what the checks are."""

import re
from pathlib import Path

from rotator.doctor import CHECKS

DOCS = Path(__file__).parents[2] / "docs" / "doctor.md"


def test_the_docs_hold_the_table_of_checks() -> None:
    """Each with its description and what it looks at, word for word, in the order in which they run."""
    rows = re.findall(r"^\| `([\w-]+)` \| (.+?) \| (.+) \|$", DOCS.read_text(), re.MULTILINE)
    assert rows == [(check.name, check.description, ", ".join(check.looks_at)) for check in CHECKS]
