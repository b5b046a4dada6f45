"""`rotator check`: the same pass as `once`, mints and probes included, up to the first write."""

import json
import re
from typing import Any

import pytest

from rotator.sandbox.faults import Fault
from tests.commands.shell import TEAMS, Shell
from tests.outside import SECRET


def plan_of(shell: Shell, command: str) -> list[dict[str, Any]]:
    """What the command decided about each object: its report without the outcomes."""
    report = json.loads(shell.run(command, "--output", "json").stdout)
    return [{key: change[key] for key in change.keys() - {"outcome", "error"}} for change in report["changes"]]


def test_check_decides_what_once_does_and_writes_nothing(shell: Shell) -> None:
    """In a cluster with something of everything: change for change the same, and only reads in the journal."""
    shell.run("once")
    shell.add_namespaces("team-new")
    shell.api.store.delete("secrets", "team-a", SECRET)
    shell.api.store.put_secret("team-b", SECRET, {".dockerconfigjson": '{"auths":{}}'})
    shell.forget()
    checked = plan_of(shell, "check")
    assert {record.verb for record in shell.api.journal.records} == {"get", "list"}
    assert set(shell.mints().values()) == {1}
    states = {change["state"] for change in checked}
    assert states == {"Missing", "ReferenceMissing", "Referenced", "UpToDate", "Foreign"}
    assert checked == plan_of(shell, "once")
    assert shell.writes() == 2


def test_check_says_what_would_be_done(shell: Shell) -> None:
    """Exit code 0 and the outcome `planned` for each write that `once` would make."""
    done = shell.run("check", "--output", "json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["summary"]) == (0, {"planned": 2 * len(TEAMS)})


def test_check_finds_a_cloud_that_refuses(shell: Shell) -> None:
    """Before anything is rolled out: exit code 1, and the registry's error as `once` would tell it."""
    shell.net.aws.fault = Fault.REFUSING
    done = shell.run("check", "--output", "json")
    statuses = json.loads(done.stdout)["registries"]
    assert done.returncode == 1
    assert [status["name"] for status in statuses if status["error"]] == ["prod"]
    assert shell.writes() == 0


def test_when_all_is_in_order_check_asks_no_cloud(shell: Shell) -> None:
    """Nothing is due, so nothing is minted: exit code 0."""
    shell.run("once")
    shell.forget()
    assert shell.run("check").returncode == 0
    assert set(shell.mints().values()) == {0}


def test_on_a_terminal_it_is_a_diff(shell: Shell) -> None:
    """What comes, what is renewed and why, what cannot be done and what to do, and the sum; no credential is shown."""
    shell.run("once")
    shell.add_namespaces("team-new")
    for team in ("team-a", "team-b"):
        shell.api.store.change("secrets", team, SECRET, lambda secret: secret["metadata"]["annotations"].clear())
    shell.api.store.delete("secrets", "team-c", SECRET)
    shell.api.store.put_secret("team-c", SECRET, {".dockerconfigjson": '{"auths":{}}'})
    done = shell.run("check", "--output", "table")
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert f"~ Secret {SECRET} in 2 namespaces (team-a, team-b)" in map(str.rstrip, lines)
    assert f"+ reference to {SECRET} on ServiceAccount workers in team-new" in map(str.rstrip, lines)
    assert lines[lines.index("Cannot be done:") + 1].rstrip() == f"✗ Secret {SECRET} in team-c"
    summary = "Plan: 3 Secrets to write, 1 reference to attach, 3 credentials to mint, 1 cannot be done."
    assert " ".join(line.strip() for line in lines[-2:]) == summary
    assert not [secret for secret in shell.net.secrets() if len(secret) > 8 and secret in done.stdout]


def test_it_is_readable_without_colour(shell: Shell) -> None:
    """NO_COLOR is heeded (https://no-color.org); signs and words say what the colours say."""
    shell.environment["NO_COLOR"] = "1"
    _, shown = shell.run_on_terminal("check")
    plan = shown.rpartition("\x1b[2K")[2]
    assert "+ Secret" in plan
    assert not re.findall(r"\x1b\[[0-9;]*3[0-9]m", plan)


def test_detailed_exit_codes_are_those_of_terraform(shell: Shell) -> None:
    """0: nothing to do; 2: changes; 1: something cannot be done, whatever else can. Without the flag no 2 is given."""
    detailed = ("check", "--detailed-exitcode")
    assert [shell.run(*words).returncode for words in (detailed, ("check",))] == [2, 0]
    shell.run("once")
    assert shell.run(*detailed).returncode == 0
    shell.add_namespaces("team-new")
    shell.net.aws.fault = Fault.REFUSING
    assert shell.run(*detailed).returncode == 1


@pytest.mark.parametrize(
    ("words", "usual"),
    [(("--no-such-option",), 2), (("--config", "absent.yaml"), 2), (("--kubeconfig", "absent"), 3)],
)
def test_with_detailed_exit_codes_no_mistake_is_taken_for_changes(
    shell: Shell, words: tuple[str, ...], usual: int
) -> None:
    """Usage, configuration and cluster: all of them are 1, also where the mistake comes before the flag."""
    assert shell.run("check", *words).returncode == usual
    assert shell.run("check", *words, "--detailed-exitcode").returncode == 1


def test_the_help_says_what_the_exit_codes_are(shell: Shell) -> None:
    """Both kinds."""
    shown = shell.run("check", "--help").stdout
    assert "3  the cluster cannot be used" in shown
    assert "2  there are changes, and all of them can be made" in shown
