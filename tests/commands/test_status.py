"""`rotator status`: how things stand, from the cluster alone."""

import json
import re
import signal
import subprocess
from typing import Any

from rotator.annotations import LAST_SWEEP
from rotator.sandbox.apiserver import Rule
from tests.commands.shell import TEAMS, Shell
from tests.outside import ECR_ONLY, SECRET
from tests.waiting import eventually


def told(shell: Shell) -> dict[str, Any]:
    """What it says as JSON."""
    done = shell.run("status", "-o", "json")
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def row(found: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The row of this name."""
    return next(each for each in found if each["name"] == name)


def test_before_the_first_pass_nothing_is_published(shell: Shell) -> None:
    """No cloud is asked, and nothing is written."""
    found = told(shell)
    assert found["leader"] is None
    assert [each["expiresAt"] for each in found["registries"]] == [None, None, None]
    assert row(found["pullSecrets"], SECRET)["secrets"] == {"Missing": len(TEAMS)}
    assert row(found["pullSecrets"], SECRET)["serviceAccounts"] == {"ReferenceMissing": len(TEAMS)}
    assert set(shell.mints().values()) == {0}
    assert shell.writes() == 0


def test_it_shows_what_is_published_and_who_leads(shell: Shell) -> None:
    """The times are those of the Secrets, and the leader is the Lease's holder."""
    shell.configure(ECR_ONLY)
    with shell.start("run") as running:
        eventually(lambda: told(shell)["lastSweepAt"], "the first sweep is noted")
        found = told(shell)
        assert found["leader"] == running.events("lease.acquired")[0]["identity"]
        assert running.end() == 0
    (prod,) = found["registries"]
    noted = shell.secret("team-a")["metadata"]["annotations"]
    assert (prod["expiresAt"], prod["issuedAt"]) == (noted["rotator.dev/expires-at"], noted["rotator.dev/renewed-at"])
    assert prod["issuedAt"] == prod["renewedAt"] <= found["lastSweepAt"]
    assert prod["issuedAt"] < prod["dueAt"] < prod["expiresAt"]
    assert prod["everywhere"] is True
    assert row(found["pullSecrets"], SECRET)["secrets"] == {"UpToDate": len(TEAMS)}
    after = told(shell)
    assert (after["leader"], after["lastSweepAt"] >= found["lastSweepAt"]) == (None, True)


def test_what_is_written_on_the_lease_by_hand_is_no_time(shell: Shell) -> None:
    """It is not known then; nothing fails, in JSON and on the screen."""
    spec = {"holderIdentity": "somebody", "leaseDurationSeconds": 15}
    metadata = {"name": "rotator", "annotations": {LAST_SWEEP: "yesterday"}}
    shell.api.store.create("leases", "default", {"metadata": metadata, "spec": spec})
    assert (told(shell)["leader"], told(shell)["lastSweepAt"]) == ("somebody", None)
    shown = shell.run("status").stdout
    assert shown.splitlines()[:2] == ["leader: somebody", "last sweep: not known"]


def test_without_a_lease_it_says_what_a_cron_job_leaves(shell: Shell) -> None:
    """A pass of `rotator once` is not noted, but what it renewed stands in the cluster."""
    shell.run("once")
    shown = " ".join(shell.run("status").stdout.split())
    assert "no rotator run has led, and rotator once needs none" in shown
    assert re.search(r"last sweep: not noted without a Lease; last renewal: \d+s ago", shown)
    shell.configure(ECR_ONLY + "leaderElection: {enabled: false}\n")
    assert "leader: none is needed, leaderElection is off" in shell.run("status").stdout


def test_the_lease_is_looked_for_where_rotator_runs(shell: Shell) -> None:
    """That is seldom the namespace of somebody's context: -n names it, unless the configuration does."""
    spec = {"holderIdentity": "rotator-a", "leaseDurationSeconds": 15}
    shell.api.store.create_namespace("rotator")
    shell.api.store.create("leases", "rotator", {"metadata": {"name": "rotator"}, "spec": spec})
    assert "no Lease rotator in namespace default (-n names another): " in told(shell)["leaderProblem"]
    there = json.loads(shell.run("status", "-n", "rotator", "-o", "json").stdout)
    assert (there["leader"], there["leaderProblem"]) == ("rotator-a", None)
    shell.configure(ECR_ONLY + "leaderElection: {namespace: team-a}\n")
    assert "no Lease rotator in namespace team-a: " in " ".join(shell.run("status", "-n", "rotator").stdout.split())


def test_the_worst_comes_first(shell: Shell) -> None:
    """A state that asks for a person comes before one that the next pass mends, and that before those that are fine."""
    shell.run("once")
    shell.api.store.delete("secrets", "team-a", SECRET)
    shell.api.store.delete("secrets", "team-b", SECRET)
    shell.api.store.put_secret("team-b", SECRET, {".dockerconfigjson": "{}"})
    states = row(told(shell)["pullSecrets"], SECRET)["secrets"]
    assert list(states.items()) == [("Foreign", 1), ("Missing", 1), ("UpToDate", 1)]


def test_the_table_fits_eighty_columns(shell: Shell) -> None:
    """Each row on a line of its own."""
    shell.run("once")
    code, shown = shell.run_on_terminal("status")
    assert code == 0
    assert all(len(line) <= 80 for line in shown.splitlines() if "\x1b" not in line)
    for word in ("prod", "images", "contoso", "published", SECRET, "3 UpToDate", "3 Referenced"):
        assert word in shown


def test_it_needs_no_more_than_to_read(shell: Shell) -> None:
    """A person with a few rights sees the rest as unreadable; the Lease that may not be read is said, with the rule."""
    shell.run("once")
    shell.api.add_user("reader", [Rule(("get", "list"), ("secrets", "serviceaccounts", "namespaces"))])
    shell.environment["KUBECONFIG"] = str(shell.api.kubeconfig(shell.directory / "reader", "reader"))
    found = told(shell)
    assert row(found["pullSecrets"], SECRET)["secrets"] == {"UpToDate": len(TEAMS)}
    assert "leases" in found["leaderProblem"]


def test_watching_goes_on_until_it_is_told_to_end(shell: Shell) -> None:
    """Ctrl-C is no error."""
    with shell.start("status", "--watch") as running:
        eventually(lambda: "Missing" in running.out.read_text(), "a first look")
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(timeout=30) == 0
        assert "Traceback" not in running.err.read_text()


def test_without_a_cluster_it_is_one_line(shell: Shell) -> None:
    """Exit code 3, as for every command."""
    shell.api.stop()
    done: subprocess.CompletedProcess[str] = shell.run("status")
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
