"""`rotator schema`: the JSON Schema of the configuration, for editors and policy engines."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.commands.shell import Shell

EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"


def test_it_prints_one_schema_and_needs_neither_configuration_nor_cluster(shell: Shell) -> None:
    """On standard output, exit code 0, in an environment that names nothing."""
    del shell.environment["ROTATOR_CONFIG"], shell.environment["KUBECONFIG"]
    done = shell.run("schema")
    assert (done.returncode, done.stderr) == (0, "")
    jsonschema.Draft202012Validator.check_schema(json.loads(done.stdout))


def test_the_example_meets_it_and_a_typing_error_does_not(shell: Shell) -> None:
    """An editor that uses it accepts the documented example and underlines a key that is none."""
    validator = jsonschema.Draft202012Validator(json.loads(shell.run("schema").stdout))
    example = yaml.safe_load(EXAMPLE.read_text())
    validator.validate(example)
    example["renewal"]["sweeep"] = "5m"
    with pytest.raises(jsonschema.ValidationError, match="sweeep"):
        validator.validate(example)
