"""`rotator run`: renews for as long as it runs, mends what was changed, survives, and ends when it is told to."""

import base64
import json
import signal
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from rotator import renewal
from rotator.sandbox.apiserver import Call
from rotator.sandbox.faults import Fault
from tests.commands.shell import TEAMS, Shell, shell_on
from tests.outside import ACR, CONFIG, ECR, ECR_ONLY, GAR, SECRET
from tests.program import Running
from tests.waiting import PATIENCE, eventually, wait_until

OFTEN = "renewal: {at: 0.5, jitter: 10%, sweep: 2s}\n"
LIFE = timedelta(seconds=6)
SECOND = timedelta(seconds=1)  # what a credential's times are rounded to
HOSTS = {"prod": ECR, "images": GAR, "contoso": ACR}
SOON = 5.0
"""Seconds within which it must end: a kubelet gives thirty, an impatient person fewer."""


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[Shell]:
    """A shell in a world where tokens live six seconds."""
    with shell_on(tmp_path, LIFE) as made:
        yield made


def served(shell: Shell, *teams: str) -> bool:
    """Whether every one of these namespaces has the whole pull secret."""
    found = [shell.api.store.get("secrets", team, SECRET) for team in teams or TEAMS]
    return all(found) and all(set(shell.auths(team)) == set(HOSTS.values()) for team in teams or TEAMS)


def passes(running: Running) -> int:
    """How many passes it has finished."""
    return len(running.events("pass.finished"))


def mints_before_due(running: Running) -> list[dict[str, Any]]:
    """The mints that came before the half of the life that the registry's last credential had when it arrived."""
    found, last = [], dict[str, dict[str, Any]]()
    for minted in running.events("credential.minted"):
        before = last.get(minted["registry"])
        last[minted["registry"]] = minted
        if before and at(minted["time"]) < renewal.due_at(at(before["time"]), at(before["expires_at"]), 0.5) - SECOND:
            found.append(minted)
    return found


def at(moment: str) -> datetime:
    """A time of the log."""
    return datetime.fromisoformat(moment)


class History:
    """Every text that a pull secret has had, by namespace: what it was before each write, and what it is."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._before: dict[str, list[str]] = {team: [] for team in TEAMS}
        shell.api.before_request(self._note)

    def _note(self, call: Call) -> None:
        if call.verb == "patch" and call.place.resource.name == "secrets":
            secret = self._shell.api.store.get("secrets", call.place.namespace, SECRET)
            self._before[call.place.namespace].append(secret["data"][".dockerconfigjson"] if secret else "")

    def texts(self, team: str) -> list[str]:
        """Oldest first; the first is empty, for the Secret that was not there."""
        return [*self._before[team], self._shell.secret(team)["data"][".dockerconfigjson"]]

    def passwords(self, team: str, host: str) -> list[str]:
        """The passwords that stood for this host, oldest first, each as often as it was written anew."""
        documents = [json.loads(base64.b64decode(text)) for text in self.texts(team) if text]
        entries = [document["auths"].get(host, {}).get("auth") for document in documents]
        return [entry for before, entry in zip([None, *entries], entries, strict=False) if entry and entry != before]


def test_every_renewal_is_one_mint_and_one_write_in_each_namespace(hasty: Shell) -> None:
    """One registry, three namespaces, at least two renewals: writes are mints times namespaces, to the last one."""
    hasty.configure(ECR_ONLY + OFTEN)

    def settled() -> bool:
        return hasty.mints()["prod"] >= 3 and hasty.writes() == hasty.mints()["prod"] * len(TEAMS)

    with hasty.start("run") as running:
        eventually(settled, "two renewals, each written everywhere")
        assert running.end() == 0
    assert mints_before_due(running) == []
    assert hasty.api.journal.counts["patch", "secrets", 409] == 0


def test_three_clouds_are_renewed_side_by_side_without_a_wasted_mint_or_write(hasty: Shell) -> None:
    """At least two renewals each: every mint is published once in every namespace, and no write repeats the last."""
    hasty.configure(CONFIG + OFTEN)
    history = History(hasty)

    def published() -> bool:
        return all(
            len(history.passwords(team, host)) == hasty.mints()[name] for team in TEAMS for name, host in HOSTS.items()
        )

    with hasty.start("run") as running:
        eventually(lambda: min(hasty.mints().values()) >= 3 and published(), "two renewals, each published everywhere")
        assert running.end() == 0
    assert mints_before_due(running) == []
    for team in TEAMS:
        texts = history.texts(team)
        assert all(before != after for before, after in pairwise(texts))
        for host in HOSTS.values():
            passwords = history.passwords(team, host)
            assert len(set(passwords)) == len(passwords)


def test_what_was_changed_is_mended_at_once_and_without_a_mint(shell: Shell) -> None:
    """A deleted Secret, an edited entry, a lost reference and a new namespace together; the next sweep is far away."""
    shell.configure(CONFIG + "renewal: {sweep: 1h}\n")
    with shell.start("run") as running:
        eventually(lambda: served(shell), "the first pass")
        good = shell.password("team-b", ECR)
        eventually(lambda: passes(running), "its end")
        before = passes(running)
        shell.api.store.delete("secrets", "team-a", SECRET)
        shell.api.store.change("secrets", "team-b", SECRET, edit_entry)
        shell.api.store.change("serviceaccounts", "team-c", "workers", lambda account: account.pop("imagePullSecrets"))
        shell.add_namespaces("team-new")
        eventually(lambda: served(shell, "team-a", "team-new"), "the Secrets anew")
        eventually(lambda: shell.password("team-b", ECR) == good, "the entry as it was")
        eventually(lambda: shell.references("team-c") == shell.references("team-new") == [SECRET], "the references")
        mended = {event["namespace"] for event in running.events("pass.finished")[before:]}
        assert None not in mended, "it was the sweep"
        assert running.end() == 0
    assert set(shell.mints().values()) == {1}


def test_an_api_server_that_is_away_is_waited_for_at_start_and_later(shell: Shell) -> None:
    """Started before the API server answers, and while it goes away: it neither ends nor forgets what it minted."""
    shell.configure(CONFIG + OFTEN)
    shell.api.stop()
    with shell.start("run") as running:
        eventually(lambda: running.events("lease.failed"), "a look at the Lease that found no API server")
        shell.api.start()
        eventually(lambda: served(shell), "the first Secrets")
        failed = len(running.events("pass.failed"))
        shell.api.stop()
        eventually(lambda: len(running.events("pass.failed")) > failed, "another pass that found none")
        shell.add_namespaces("team-new")
        shell.api.start()
        eventually(lambda: served(shell, "team-new"), "the Secret in the namespace that came meanwhile")
        assert running.end() == 0
    assert set(shell.mints().values()) == {1}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_soon_and_well_while_a_cloud_hangs(shell: Shell, number: signal.Signals) -> None:
    """The hung mint would take a minute more: exit code 0 at once, what the other clouds gave is written."""
    shell.configure(CONFIG.replace("deadline: 2s", "deadline: 60s") + OFTEN)
    shell.net.aws.fault = Fault.HUNG
    with shell.start("run") as running:
        eventually(shell.net.aws.calls.total, "a request that hangs")
        eventually(lambda: shell.writes() == len(TEAMS), "what the others gave")
        assert running.end(number, SOON) == 0
    assert [event["event"] for event in running.events("daemon.stopped")] == ["daemon.stopped"]
    assert set(shell.auths("team-a")) == {GAR, ACR}
    assert running.out.read_text() == ""


def test_a_cloud_that_hangs_delays_no_repair(shell: Shell) -> None:
    """Invariant 6: for the minute of a hung mint the sweeps go on, and serve a new namespace with what the others gave.

    When the cloud answers at last, its entry is added without waiting for another sweep's turn.
    """
    shell.configure(CONFIG.replace("deadline: 2s", "deadline: 60s") + OFTEN)
    shell.net.aws.fault = Fault.HUNG
    with shell.start("run") as running:
        eventually(lambda: shell.writes() == len(TEAMS), "what the others gave")
        shell.add_namespaces("team-new")
        eventually(lambda: shell.api.store.get("secrets", "team-new", SECRET), "the Secret in the new namespace")
        assert running.events("mint.failed") == []
        assert set(shell.auths("team-new")) == {GAR, ACR}
        shell.net.aws.fault = None
        eventually(lambda: served(shell, *TEAMS, "team-new"), "the entry of the cloud that hung")
        assert running.end() == 0
    assert set(shell.mints().values()) == {1}


def test_a_signal_ends_it_while_the_api_server_hangs(shell: Shell) -> None:
    """A request that hangs is left behind, its write done or not, but whole: exit code 0 long before a SIGKILL."""
    shell.configure(CONFIG + OFTEN)
    hanging, mended = threading.Event(), threading.Event()

    def hang(_: Call) -> None:
        hanging.set()
        mended.wait(PATIENCE)

    with shell.start("run") as running:
        eventually(lambda: passes(running), "the first pass")
        shell.api.before_request(hang)
        eventually(hanging.is_set, "a request that hangs")
        assert running.end(seconds=SOON) == 0
        mended.set()


def test_the_lease_is_not_given_back_while_a_write_is_under_way(shell: Shell) -> None:
    """As soon as it is given back another may write: first the last write, then the Lease."""
    shell.configure(CONFIG + OFTEN)
    writing, mended = threading.Event(), threading.Event()

    def hang(call: Call) -> None:
        if call.verb == "patch" and call.place.resource.name == "secrets":
            writing.set()
            mended.wait(PATIENCE)

    def holder() -> str:
        lease = shell.api.store.get("leases", "default", "rotator")
        return str(lease["spec"]["holderIdentity"]) if lease else ""

    shell.api.before_request(hang)
    with shell.start("run") as running:
        eventually(writing.is_set, "a write that hangs")
        running.process.send_signal(signal.SIGTERM)
        assert not wait_until(lambda: not holder(), 1)
        mended.set()
        assert running.process.wait(SOON) == 0
    assert not holder()


def test_a_signal_ends_it_while_a_configuration_is_taken_over_and_the_api_server_hangs(shell: Shell) -> None:
    """A stop does not wait for the reload to come to its end."""
    shell.configure(CONFIG + OFTEN)
    mended = threading.Event()

    def hang(_: Call) -> None:
        mended.wait(PATIENCE)

    with shell.start("run") as running:
        eventually(lambda: passes(running), "the first pass")
        shell.api.before_request(hang)
        shell.configure(CONFIG + OFTEN + "leaderElection: {name: other}\n")
        eventually(lambda: running.events("pass.abandoned"), "that the reload has begun")
        assert running.end(seconds=SOON) == 0
        mended.set()


def test_signals_that_come_again_and_again_change_nothing(shell: Shell) -> None:
    """An impatient person, or a kubelet and a terminal together: it ends once, and well."""
    shell.configure(CONFIG + OFTEN)
    with shell.start("run") as running:
        eventually(lambda: passes(running), "the first pass")
        while running.process.poll() is None:
            for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
                running.process.send_signal(number)
            threading.Event().wait(0.01)
        assert running.process.wait() == 0
    assert running.events("lease.released")


def test_a_killed_process_loses_nothing_and_a_restart_mints_nothing_that_is_not_due(shell: Shell) -> None:
    """SIGKILL, and started again: all state is in the cluster, so it asks no cloud and writes nothing."""
    shell.configure(CONFIG + OFTEN)
    with shell.start("run") as running:
        eventually(lambda: served(shell), "the first Secrets")
        assert running.end(signal.SIGKILL) == -signal.SIGKILL
    shell.forget()
    with shell.start("run") as running:
        eventually(lambda: passes(running), "a pass of the new process")
        assert running.end() == 0
    assert (set(shell.mints().values()), shell.writes()) == ({0}, 0)


def edit_entry(secret: dict[str, Any]) -> None:
    """Another password for ECR, by hand."""
    document = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
    document["auths"][ECR]["auth"] = base64.b64encode(b"AWS:wrong").decode()
    secret["data"][".dockerconfigjson"] = base64.b64encode(json.dumps(document).encode()).decode()
