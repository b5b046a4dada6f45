"""What stands in deploy/ because a command prints it is what the command prints."""

from pathlib import Path

import pytest
import yaml

from tests.deploy import examples
from tests.deploy.objects import by_key
from tests.helm.fixtures import Helm

FILES = examples.files()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(examples.DEPLOY)))
def test_the_file_is_what_is_printed(path: Path) -> None:
    """Else: `make examples`."""
    assert path.read_text() == FILES[path]


def test_every_folder_is_an_example() -> None:
    """With its command in the README, and none is only there."""
    folders = {path.name for path in examples.EXAMPLES.iterdir() if path.is_dir()}
    assert set(examples.COMMANDS) == folders
    assert len(folders) >= 7


@pytest.mark.parametrize("mode", ["deployment", "cronjob"])
@pytest.mark.parametrize("name", examples.COMMANDS)
def test_the_chart_makes_the_same_objects(helm: Helm, name: str, mode: str) -> None:
    """Of the example's values what the command prints: every kind, every field."""
    values = yaml.safe_load((examples.EXAMPLES / name / "values.yaml").read_text())
    printed = yaml.safe_load_all(examples.manifests(name, "--mode", mode))
    assert by_key(helm.template({**values, "mode": mode})) == by_key(printed)
