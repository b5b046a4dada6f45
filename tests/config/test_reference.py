"""docs/configuration.md is the schema's own words."""

from rotator import config
from tests.config import reference


def test_the_page_is_what_the_schema_and_the_options_say() -> None:
    """Whoever changes a setting prints the page again, with `make examples`."""
    assert reference.PAGE.read_text() == reference.printed()


def test_every_part_of_the_schema_stands_on_the_page() -> None:
    """None is out of the page's reach, whatever the way to it."""
    page = reference.PAGE.read_text()
    for part in config.schema()["$defs"].values():
        assert f"\n{part['description']}\n" in page
