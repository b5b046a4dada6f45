"""Passes side by side, stopped, and told in the log."""

import json
import threading
from datetime import timedelta
from typing import Any

import pytest

from rotator.clock import utc_now
from rotator.rotation import Outcome
from rotator.rotation.wakes import wakes
from rotator.sandbox.apiserver import Call, Rule
from rotator.sandbox.faults import Fault
from tests.outside import CONFIG, ECR, ECR_ONLY, SECRET
from tests.scenarios.rivals import TEAMS
from tests.scenarios.world import World
from tests.waiting import wait_until


def test_a_planted_note_of_a_host_that_nobody_configured_sets_no_alarm(world: World) -> None:
    """An overdue note for another host would ring every second: only what the plan accepted counts."""
    world.add_namespaces("team-a")
    rotation = world.rotation()
    rotation.run()

    def plant(secret: dict[str, Any]) -> None:
        notes = json.loads(secret["metadata"]["annotations"]["rotator.dev/entries"])
        notes["x.example"] = {**notes[ECR], "issuedAt": "2020-01-01T00:00:00Z", "expiresAt": "2020-01-01T12:00:00Z"}
        secret["metadata"]["annotations"]["rotator.dev/entries"] = json.dumps(notes)

    world.api.store.change("secrets", "team-a", SECRET, plant)
    report = rotation.run()
    now = utc_now()
    alarms = wakes(world.config, report.snapshot, report.results, rotation.minting.held, now, lambda: 0.0)
    assert min(alarms.values()) > now + timedelta(minutes=20)


def test_two_passes_at_once_mint_once_and_write_once(world: World) -> None:
    """Date jobs and the sweep run side by side: one mint per registry, one write per Secret, all the same."""
    world.add_namespaces(*TEAMS)
    rotation = world.rotation()
    passes = [threading.Thread(target=rotation.run) for _ in range(4)]
    for each in passes:
        each.start()
    for each in passes:
        each.join()
    assert set(world.mints().values()) == {1}
    assert world.writes() == len(TEAMS)


@pytest.mark.parametrize("sooner", [None, "team-a"])
def test_a_repair_beside_a_sweep_makes_no_secret_twice(world: World, sooner: str | None) -> None:
    """Both found it missing, and what is missing has no version that would guard it: the later one looks again."""
    world.add_namespaces("team-a")
    rotation = world.rotation()
    later = threading.Thread(target=rotation.run, kwargs={"only": None if sooner else "team-a"})

    def look_meanwhile(call: Call) -> None:
        if (call.verb, call.place.resource.name) == ("patch", "secrets") and not later.ident:
            later.start()
            look = ("list" if sooner else "get", "serviceaccounts", 200)
            wait_until(lambda: world.api.journal.counts[look], 30)
            wait_until(world.writes, 0.5)  # as long as it would take the later one to write

    world.api.before_request(look_meanwhile)
    rotation.run(only=sooner)
    later.join()
    assert world.writes() == 1


@pytest.mark.parametrize("sooner", [None, "team-a"])
def test_who_writes_after_another_pass_has_ended_remembers_what_that_one_made(world: World, sooner: str | None) -> None:
    """The later one looked while the Secret was missing, and comes to write it when it is there."""
    world.add_namespaces("team-a")
    rotation = world.rotation()
    later = threading.Thread(target=rotation.run, kwargs={"only": None if sooner else "team-a"})
    ended = threading.Event()

    def fall_behind(call: Call) -> None:
        if (call.verb, call.place.resource.name) == ("patch", "serviceaccounts"):
            if later.ident:
                ended.wait(30)
            else:
                later.start()
                look = ("list" if sooner else "get", "serviceaccounts", 200)
                wait_until(lambda: world.api.journal.counts[look], 30)

    world.api.before_request(fall_behind)
    rotation.run(only=sooner)
    ended.set()
    later.join()
    assert world.writes() == 1


def test_who_interrupts_a_fan_out_waits_for_what_has_begun_only(world: World) -> None:
    """Ctrl-C at the first of a hundred namespaces: those that were begun are written whole, the others never."""
    places = [f"team-{number}" for number in range(100)]
    world.add_namespaces(*places)

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.rotation().run(progress=interrupt)
    assert 1 <= world.writes() < len(places)


def test_what_is_found_is_told_once_in_the_log(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A foreign Secret is named with its remedy when it is found, not again in every pass, and again if it returns."""
    world.add_namespaces("team-a")
    world.api.store.put_secret("team-a", SECRET, {".dockerconfigjson": "{}"})
    rotation = world.rotation()
    told = []
    for _ in range(2):
        rotation.run()
        told.append(capsys.readouterr().out.count("adopt: true"))
    world.api.store.delete("secrets", "team-a", SECRET)
    rotation.run()
    world.api.store.delete("secrets", "team-a", SECRET)
    world.api.store.put_secret("team-a", SECRET, {".dockerconfigjson": "{}"})
    capsys.readouterr()
    rotation.run()
    told.append(capsys.readouterr().out.count("adopt: true"))
    assert told == [1, 0, 1]


def test_a_pass_over_one_namespace_forgets_nothing_that_was_told(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has not looked at the other namespace: the trouble there is told once, as a warning, and not again."""
    world.add_namespaces("team-a", "team-b")
    world.api.store.put_secret("team-a", SECRET, {".dockerconfigjson": "{}"})
    rotation = world.rotation()
    told = []
    for only in (None, "team-b", None):
        rotation.run(only=only)
        told.append([line for line in capsys.readouterr().out.splitlines() if "adopt: true" in line])
    assert [len(lines) for lines in told] == [1, 0, 0]
    assert "[warning" in told[0][0]


def test_what_was_logged_where_it_happened_is_not_told_again(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A write that was done or refused has its own event: the findings are for what has none."""
    world.add_namespaces("team-a", "team-b")
    everything = Rule(("get", "list", "watch"), ("namespaces", "secrets", "serviceaccounts"))
    write = Rule(("create", "patch"), ("secrets", "serviceaccounts"), namespaces=("team-a",))
    world.rotation("limited", [everything, write]).run()
    events = [line for line in capsys.readouterr().out.splitlines() if SECRET in line]
    assert [line for line in events if "change.failed" in line]
    assert [line for line in events if "secret.written" in line]
    assert not [line for line in events if "object.judged" in line]


def test_who_looked_while_another_pass_wrote_looks_again(world: World) -> None:
    """The second pass reads the cluster in the middle of the first one's writes: it costs no write, nor a conflict."""
    world.add_namespaces(*TEAMS)
    rotation = world.rotation()
    second = threading.Thread(target=rotation.run)
    looks = ("list", "serviceaccounts", 200)

    def overtake(call: Call) -> None:
        if call.verb == "patch" and not second.ident:
            second.start()
            wait_until(lambda: world.api.journal.counts[looks] == 2, 30)

    world.api.before_request(overtake)
    rotation.run()
    second.join()
    counts = world.api.journal.counts
    assert (counts[looks], world.writes(), counts["patch", "secrets", 409]) == (3, len(TEAMS), 0)
    assert counts["patch", "serviceaccounts", 200] == len(TEAMS)


def test_after_a_stop_no_write_begins(world: World) -> None:
    """Stopped in the first of three writes: that one ends, the others are left to the next start, and none failed."""
    world.api.store.create_namespace("team-a")
    for name in ("workers", "apps"):
        world.api.store.create_service_account("team-a", name)
    world.configure(ECR_ONLY.replace("names: [workers]", "names: [workers, apps]"))
    rotation = world.rotation()
    world.api.before_request(lambda call: rotation.stop() if call.verb == "patch" else None)
    report = rotation.run()
    assert [record.status for record in world.api.journal.records if record.verb == "patch"] == [200]
    assert sorted(r.outcome for r in report.results) == [Outcome.ATTACHED, Outcome.WAITING, Outcome.WAITING]
    assert report.exit_code == 0


def test_after_a_stop_no_second_round_begins(world: World) -> None:
    """Stopped while a slow cloud is waited for: the pass ends with what it has, and does not look again."""
    world.add_namespaces("team-a")
    world.configure(CONFIG.replace("deadline: 2s", "deadline: 60s"))  # far from the patience of the first round
    world.net.aws.fault = Fault.HUNG
    rotation = world.rotation()
    world.api.before_request(lambda call: rotation.stop() if call.verb == "patch" else None)
    report = rotation.run()
    assert world.api.journal.counts["list", "namespaces", 200] == 1
    assert [status.name for status in report.registries if status.late] == ["prod"]
