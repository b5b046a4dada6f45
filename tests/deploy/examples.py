"""`make examples`: what stands in deploy/ because a command prints it.

The commands are those of deploy/examples/README.md; each folder there holds a configuration, what its command prints,
and the same as values of the chart.
"""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import click
import yaml
from click.testing import CliRunner

from rotator import config
from rotator.cli import cli
from rotator.manifests import CRON, Wanted

DEPLOY = Path(__file__).parents[2] / "deploy"
EXAMPLES = DEPLOY / "examples"
SCHEMA = DEPLOY / "chart" / "values.schema.json"
COMMAND = re.compile(r"\[\S+\]\(([a-z-]+)\):\n\n```console\n\$ rotator manifests (.*?)^```$", re.MULTILINE | re.DOTALL)
_WORD = "[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
LABELS = {
    "type": "object",
    "propertyNames": {"pattern": f"^([a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_WORD}$"},
    "additionalProperties": {"type": "string", "pattern": f"^({_WORD})?$"},
}
NOT_IN_GO = re.compile(r"\(\?[=!<]|\{[0-9,]*[0-9]{4,}\}")
"""Looking ahead or behind, and counts above 1,000 ("Syntax", github.com/google/re2/wiki)."""

COMMANDS: dict[str, list[str]] = {
    name: shlex.split(words.replace("\\\n", ""))
    for name, words in COMMAND.findall((EXAMPLES / "README.md").read_text())
}
"""What follows `rotator manifests`, by the name of the example."""


def manifests(name: str, *words: str) -> str:
    """What the command prints in the folder of the example, with more words."""
    paths = {word for word in COMMANDS[name] if (EXAMPLES / name / word).is_file()}
    here = [str(EXAMPLES / name / word) if word in paths else word for word in COMMANDS[name]]
    done = CliRunner().invoke(cli, ["manifests", *here, *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def values(name: str) -> str:
    """The same as values of the chart: the configuration as it is written, and what the options become."""
    text = (EXAMPLES / name / "config.yaml").read_text()
    others = yaml.safe_dump(_values(name, COMMANDS[name]), sort_keys=False, width=10_000)
    indented = "".join(f"  {line}" for line in text.splitlines(keepends=True))
    return f"config:\n{indented}{'' if others == EMPTY else others}"


EMPTY = "{}\n"


def _values(name: str, words: list[str]) -> dict[str, Any]:
    pairs = dict.fromkeys(words[::2], "")
    given: dict[str, list[str]] = {option: [] for option in pairs}
    for option, value in zip(words[::2], words[1::2], strict=True):
        given[option].append(value)

    def pairs_of(option: str) -> dict[str, str]:
        return dict(value.split("=", 1) for value in given.get(option, ()))

    wanted = {
        "serviceAccount": {"annotations": pairs_of("--annotation")} if "--annotation" in given else {},
        "podLabels": pairs_of("--pod-label"),
        "tokens": pairs_of("--token"),
        "files": {file: (EXAMPLES / name / file).read_text() for file in given.get("--file", ())},
        "extraEnv": [{"name": variable, "value": value} for variable, value in pairs_of("--env").items()],
    }
    return {key: value for key, value in wanted.items() if value}


def schema() -> str:
    """The schema of the chart's values, with what is the program's: configuration, schedules, labels that select."""
    whole, ours = json.loads(SCHEMA.read_text()), _for_go(config.schema())
    whole["$defs"] = ours.pop("$defs")
    whole["properties"]["config"] = {key: value for key, value in ours.items() if key not in {"$schema", "title"}}
    whole["properties"]["schedule"] = {"type": "string", "pattern": f"^({CRON})$"}
    for labels in ("commonLabels", "podLabels"):
        whole["properties"][labels] = {**LABELS, "properties": dict.fromkeys(Wanted().labels, False)}
    whole["properties"]["nodeSelector"] = LABELS
    whole["properties"]["enabled"] = {
        "type": "boolean",
        "description": "For the condition of a chart that has this one.",
    }
    return json.dumps(whole, indent=2) + "\n"


def _for_go(part: Any) -> Any:  # noqa: ANN401  (JSON)
    """Without the patterns that Go, and so Helm, cannot read; rotator itself holds the configuration to them."""
    if isinstance(part, dict):
        kept = {key: value for key, value in part.items() if key != "pattern" or not NOT_IN_GO.search(str(value))}
        return {key: _for_go(value) for key, value in kept.items()}
    return [_for_go(item) for item in part] if isinstance(part, list) else part


def files() -> dict[Path, str]:
    """Every file that is printed, and what is to stand in it."""
    made = {EXAMPLES / name / "manifests.yaml": manifests(name) for name in COMMANDS}
    made |= {EXAMPLES / name / "values.yaml": values(name) for name in COMMANDS}
    return made | {SCHEMA: schema()}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
        click.echo(path.relative_to(DEPLOY.parent))
