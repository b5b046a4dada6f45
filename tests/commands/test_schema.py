"""`rotator schema`: the JSON Schema of the configuration, and of what the commands print as JSON."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from rotator import schemas
from rotator.sandbox.faults import Fault
from tests.commands.shell import Shell
from tests.outside import ACR, ECR, SECRET

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


def test_what_is_printed_meets_its_schema_and_holds_no_other_key(shell: Shell) -> None:
    """In a cluster with something of everything, and from each command its own."""
    shell.run("once")
    shell.add_namespaces("team-new")
    shell.api.store.delete("secrets", "team-b", SECRET)
    shell.api.store.put_secret("team-b", SECRET, {".dockerconfigjson": "{}"})
    shell.api.store.put_secret(
        "team-a", "other", {".dockerconfigjson": json.dumps({"auths": {ECR: {"auth": "QVdTOmI="}}})}
    )
    shell.api.store.create_service_account("team-a", "several", ["gone", "other", SECRET])
    shell.net.google.fault = Fault.REFUSING
    words: dict[str, list[tuple[str, ...]]] = {
        "check": [()],
        "once": [()],
        "status": [()],
        "doctor": [()],
        "explain": [(f"{host}/a", "-n", "team-a", "-s", "several") for host in (ECR, ACR, "nowhere.invalid")],
    }
    for command, calls in words.items():
        validator = jsonschema.Draft202012Validator(strict(schemas.schema(command)))
        for more in calls:
            validator.validate(json.loads(shell.run(command, *more, "--output", "json").stdout))


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, but refusing keys that it does not name."""
    parts = {
        name: part | ({"additionalProperties": False} if "properties" in part else {})
        for name, part in schema["$defs"].items()
    }
    return schema | {"$defs": parts}


def test_the_schema_of_what_a_command_prints(shell: Shell) -> None:
    """As rotator's own types say it."""
    for command in schemas.RECORDS:
        assert json.loads(shell.run("schema", "--of", command).stdout) == schemas.schema(command)
