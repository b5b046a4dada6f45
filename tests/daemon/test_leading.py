"""Several replicas: one leads and writes, the others stand by; the lead changes hands without two who write."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from rotator.sandbox.apiserver import Rule
from tests.commands.shell import TEAMS, Shell
from tests.outside import ECR_ONLY, SECRET
from tests.program import Running
from tests.waiting import eventually, wait_until

ELECTION = "leaderElection: {leaseDuration: 6s, renewDeadline: 4s, retryPeriod: 1s}\n"
QUIET = "renewal: {sweep: 1h}\n"


@contextmanager
def replica(shell: Shell, name: str) -> Iterator[Running]:
    """One more process of the same installation."""
    directory = shell.directory / name
    directory.mkdir()
    with replace(shell, directory=directory).start("run") as running:
        yield running


def leads(running: Running) -> bool:
    """Whether it has the lead, by its own account."""
    return len(running.events("lease.acquired")) > len(running.events("lease.lost"))


def lease(shell: Shell) -> dict[str, Any]:
    """What the Lease says."""
    found = shell.api.store.get("leases", "default", "rotator")
    return found["spec"] if found else {}


def served(shell: Shell, *teams: str) -> bool:
    """Whether each of the namespaces has its Secret."""
    return all(shell.api.store.get("secrets", team, SECRET) for team in teams)


def test_one_of_two_replicas_works_and_the_other_takes_over_when_it_ends(shell: Shell) -> None:
    """The standby mints and writes nothing, whatever happens; a SIGTERM gives it the lead well before it would run out.

    It mints nothing then either, since nothing is due: what is published is read from the cluster.
    """
    shell.configure(ECR_ONLY + QUIET)
    with replica(shell, "one") as first:
        eventually(lambda: served(shell, *TEAMS), "the first Secrets")
        with replica(shell, "two") as second:
            eventually(lambda: second.events("lease.held"), "a standby")
            shell.add_namespaces("team-new")
            eventually(lambda: served(shell, "team-new"), "the leader's work")
            assert second.events("pass.finished") == []
            assert first.end() == 0
            eventually(lambda: leads(second), "the lead of the second", 10)
            shell.add_namespaces("team-newer")
            eventually(lambda: second.events("mint.failed") or served(shell, "team-newer"), "its work")
            assert first.events("lease.released")
            assert second.end() == 0
    assert lease(shell)["holderIdentity"] == ""
    assert shell.writes() == len(TEAMS) + 2


def test_who_was_frozen_while_another_took_over_writes_nothing_when_it_thaws(shell: Shell) -> None:
    """SIGSTOP, longer than the Lease lasts, then SIGCONT: the old leader notices before its first write."""
    shell.configure(ECR_ONLY + "renewal: {sweep: 2s}\n" + ELECTION)
    with replica(shell, "one") as first, replica(shell, "two") as second:
        eventually(lambda: leads(first) or leads(second), "a leader")
        old, new = (first, second) if leads(first) else (second, first)
        eventually(lambda: old.events("pass.finished"), "the first Secrets")
        old.process.send_signal(signal.SIGSTOP)
        eventually(lambda: leads(new), "another leader")
        written = len(old.events("secret.written"))
        shell.add_namespaces("team-new")
        eventually(lambda: served(shell, "team-new"), "its work")
        old.process.send_signal(signal.SIGCONT)
        eventually(lambda: old.events("lease.lost"), "that the old one knows")
        shell.api.store.delete("secrets", "team-a", SECRET)
        eventually(lambda: served(shell, "team-a"), "a repair")
        assert len(old.events("secret.written")) == written
        assert old.end() == new.end() == 0


def test_without_the_right_to_its_lease_it_writes_nothing_and_says_what_to_grant(shell: Shell) -> None:
    """The rule to add is in the log; nothing is minted and nothing written, and it ends as it should."""
    rules = [Rule(("*",), ("secrets", "serviceaccounts", "namespaces"))]
    shell.api.add_user("limited", rules)
    shell.environment["KUBECONFIG"] = str(shell.api.kubeconfig(shell.directory / "limited", "limited"))
    shell.configure(ECR_ONLY)
    with shell.start("run") as running:
        eventually(lambda: running.events("lease.failed"), "the complaint")
        (complaint,) = running.events("lease.failed")
        assert not wait_until(shell.writes, 2)
        assert running.end() == 0
    assert complaint["reason"] == "Forbidden"
    assert "leases" in complaint["hint"]
    assert shell.mints()["prod"] == 0


def test_without_leader_election_nobody_asks_for_a_lease(shell: Shell) -> None:
    """Switched off in the configuration: it works at once, and needs no right to Leases."""
    rules = [Rule(("*",), ("secrets", "serviceaccounts", "namespaces"))]
    shell.api.add_user("limited", rules)
    shell.environment["KUBECONFIG"] = str(shell.api.kubeconfig(shell.directory / "limited", "limited"))
    shell.configure(ECR_ONLY + "leaderElection: {enabled: false}\n")
    with shell.start("run") as running:
        eventually(lambda: served(shell, *TEAMS), "the first Secrets")
        assert running.end() == 0
    assert not any(resource == "leases" for _, resource, _ in shell.api.journal.counts)
