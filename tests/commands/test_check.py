"""`rotator check`: the same pass as `once`, mints and probes included, up to the first write."""

import json
from typing import Any

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
