"""The configuration changes while the program runs: taken over without a restart and without a mint, or refused."""

import threading
from dataclasses import replace

from rotator.sandbox.apiserver import Call
from tests.commands.shell import TEAMS, Shell
from tests.daemon.test_following import BROKEN
from tests.daemon.test_leading import leads, lease, replica, served
from tests.daemon.test_shown import page, values
from tests.outside import ACR, CONFIG, ECR, ECR_ONLY, GAR, SECRET
from tests.program import Running
from tests.waiting import PATIENCE, eventually

QUIET = "renewal: {sweep: 1h}\n"
OTHER = "other-pull"
BOTH = ECR_ONLY.replace(
    "pullSecrets:",
    f'pullSecrets:\n  - {{name: {OTHER}, registries: [prod], namespaces: {{names: ["team-*"]}}}}',
)


def reloads(running: Running) -> int:
    """How often it has taken over a configuration."""
    return len(running.events("configuration.reloaded"))


def has(shell: Shell, name: str) -> bool:
    """Whether every namespace has the Secret of this name."""
    return all(shell.api.store.get("secrets", team, name) for team in TEAMS)


def test_a_good_one_takes_effect_without_a_restart_and_without_a_mint(shell: Shell) -> None:
    """One pull secret more is written with the credential at hand; the first stays as it is, and so does the lead."""
    shell.configure(ECR_ONLY + QUIET)
    with shell.start("run") as running:
        eventually(lambda: has(shell, SECRET), "the first Secrets")
        before = shell.secret("team-a")
        shell.configure(BOTH + QUIET)
        eventually(lambda: has(shell, OTHER), "the Secrets of the new one")
        shell.add_namespaces("team-new")
        eventually(lambda: shell.api.store.get("secrets", "team-new", OTHER), "that it watches")
        assert running.end() == 0
    assert shell.secret("team-a") == before
    assert shell.mints()["prod"] == 1
    assert len(running.events("lease.acquired")) == 1
    assert reloads(running) == 1


def test_a_registry_that_comes_is_minted_and_the_others_are_not(shell: Shell) -> None:
    """From one cloud to three: each is asked once in all; what is no longer configured is not asked again."""
    shell.configure(ECR_ONLY + QUIET)
    with shell.start("run") as running:
        eventually(lambda: has(shell, SECRET), "the first Secrets")
        shell.configure(CONFIG + QUIET)
        eventually(lambda: set(shell.auths("team-a")) == {ECR, GAR, ACR}, "the other entries")
        shell.configure(ECR_ONLY + QUIET)
        eventually(lambda: reloads(running) == 2, "the way back")
        assert running.end() == 0
    assert shell.mints() == {"prod": 1, "images": 1, "contoso": 1}


def test_a_bad_one_is_refused_with_every_problem_and_the_old_one_stays(shell: Shell) -> None:
    """One event that names them all; what happens in the cluster is served as before; mended, it counts."""
    shell.configure(ECR_ONLY + QUIET)
    with shell.start("run") as running:
        eventually(lambda: has(shell, SECRET), "the first Secrets")
        shell.configure(BOTH.replace("registries: [prod]", "registries: [prods]") + "renewal: {sweep: soon}\n")
        eventually(lambda: running.events("configuration.refused"), "the refusal")
        shell.add_namespaces("team-new")
        eventually(lambda: served(shell, "team-new"), "the old one's work")
        shell.configure(BOTH + QUIET)
        eventually(lambda: has(shell, OTHER), "the mended one's work")
        assert running.end() == 0
    (refused,) = running.events("configuration.refused")
    assert len(refused["problems"]) == 3
    assert refused["message"] == "the one before stays in force"


def test_a_bad_one_that_comes_while_a_good_one_is_taken_over_stays_refused(shell: Shell) -> None:
    """The takeover lasts seconds, since the API server hangs; that it ends well says nothing of what the file holds."""
    shell.configure(ECR_ONLY + QUIET)
    mended = threading.Event()

    def hang(_: Call) -> None:
        mended.wait(PATIENCE)

    with shell.start("run") as running:
        eventually(lambda: has(shell, SECRET) and running.events("pass.finished"), "the first pass")
        shell.api.before_request(hang)
        shell.add_namespaces("team-new")
        shell.configure(BOTH + QUIET + "leaderElection: {name: other}\n")
        eventually(lambda: running.events("pass.abandoned"), "the takeover")
        shell.configure(BROKEN)
        eventually(lambda: running.events("configuration.refused") and reloads(running), "both")
        assert "[-]configuration failed: the file is refused" in page(running, "/readyz").text
        assert values(running, "rotator_configuration_last_reload_successful") == {(): 0}
        mended.set()
        assert running.end() == 0


def test_whoever_loses_the_lead_by_another_lease_shows_no_more_how_things_stand(shell: Shell) -> None:
    """The other Lease is somebody else's: what was seen as a leader gets old, and would ring alarms."""
    shell.configure(ECR_ONLY + QUIET)
    held = {"holderIdentity": "somebody", "leaseDurationSeconds": 3600}
    shell.api.store.create("leases", "default", {"metadata": {"name": "other"}, "spec": held})
    with shell.start("run") as running:
        eventually(lambda: values(running, "rotator_credential_expiry_timestamp_seconds"), "what a leader shows")
        shell.configure(ECR_ONLY + QUIET + "leaderElection: {name: other}\n")
        eventually(lambda: reloads(running) == 1, "the other Lease")
        eventually(lambda: page(running, "/readyz").status == 200, "a standby")
        assert values(running, "rotator_credential_expiry_timestamp_seconds") == {}
        assert values(running, "rotator_leader") == {(): 0}
        assert running.end() == 0


def test_another_lease_is_taken_over_too(shell: Shell) -> None:
    """The old one is given back, and the work goes on under the new one; a second replica may have the old."""
    shell.configure(ECR_ONLY + QUIET)
    with shell.start("run") as running:
        eventually(lambda: has(shell, SECRET), "the first Secrets")
        shell.configure(ECR_ONLY + QUIET + "leaderElection: {name: other}\n")
        eventually(lambda: len(running.events("lease.acquired")) == 2, "the new Lease")
        assert lease(shell)["holderIdentity"] == ""
        shell.add_namespaces("team-new")
        eventually(lambda: served(shell, "team-new"), "its work")
        assert running.end() == 0
    assert shell.mints()["prod"] == 1


def test_a_standby_takes_it_over_too(shell: Shell) -> None:
    """And serves by it when it leads."""
    shell.configure(ECR_ONLY + QUIET)
    with replica(shell, "one") as first, replica(replace(shell), "two") as second:
        eventually(lambda: leads(first) or leads(second), "a leader")
        old, new = (first, second) if leads(first) else (second, first)
        eventually(lambda: has(shell, SECRET), "the first Secrets")
        shell.configure(BOTH + QUIET)
        eventually(lambda: reloads(old) == reloads(new) == 1, "that both know")
        eventually(lambda: has(shell, OTHER), "the leader's work")
        assert old.end() == 0
        shell.add_namespaces("team-new")
        eventually(lambda: shell.api.store.get("secrets", "team-new", OTHER), "the other's work")
        assert new.end() == 0
