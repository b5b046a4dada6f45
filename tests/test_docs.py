"""The pages: every link leads somewhere, and what they name exists."""

import re
from pathlib import Path

import click
import pytest

from rotator import cli, errors
from rotator.doctor import CHECKS

REPOSITORY = Path(__file__).parents[1]
PAGES = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md"), *(REPOSITORY / "deploy").rglob("*.md")]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")


def anchors(page: Path) -> set[str]:
    """The headings, as GitHub makes anchors of them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a file of the repository, and to a heading of it."""
    for path, anchor in LINK.findall(page.read_text()):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{path}#{anchor}"


def test_what_troubleshooting_names_exists() -> None:
    """Checks of doctor, commands with their options, and the errors of the log."""
    text = (REPOSITORY / "docs" / "troubleshooting.md").read_text()
    names = {check.name for check in CHECKS}
    words = {word for word in re.findall(r"`([a-z]+(?:-[a-z]+)+)`", text) if not word.startswith("rotator")}
    assert words <= names | {"shuffle-workers"}, words - names
    for command, rest in re.findall(r"`rotator ([a-z]+)([^`]*)`", text):
        found = cli.cli.commands[command]
        options = {option for param in found.params if isinstance(param, click.Option) for option in param.opts}
        assert set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest)) <= options
    for name in ("IdentityMissing", "CloudUnavailable", "MintTimedOut"):
        assert hasattr(errors, name)
        assert name in text
