"""What a test asks for before it starts real registries."""

import pytest

from tests.registries import programs


@pytest.fixture(scope="session")
def real_programs() -> None:
    """Both programs are here; skipped, in one line, where they are not."""
    if missing := programs.missing():
        pytest.skip(f"no {', '.join(missing)}: {programs.HOW_TO_GET_THEM}")
