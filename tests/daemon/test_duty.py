"""A duty in this process: the alarms that it sets, what it hears, and what it does while another leads."""

import threading
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

from structlog.testing import capture_logs

from rotator.clock import utc_now
from rotator.contests import FREE, Contests
from rotator.daemon.duty import MOST_WATCHES, Duty
from rotator.health import Health
from rotator.model import DATA_KEY as KEY
from rotator.model import Subject
from rotator.rotation import Rotation
from rotator.sandbox.apiserver import Call
from rotator.sandbox.faults import Fault
from tests.apiclient import EMPTY_AUTHS
from tests.outside import ECR, ECR_ONLY, SECRET
from tests.scenarios.world import World
from tests.waiting import wait_until


@contextmanager
def on_duty(
    rotation: Rotation,
    leads: Callable[[], bool] = lambda: True,
    health: Health | None = None,
    contests: Contests | None = None,
) -> Iterator[Duty]:
    """The rotation at work."""
    duty = Duty(rotation, utc_now, leads=leads, health=health, contests=contests)
    duty.begin()
    try:
        yield duty
    finally:
        duty.end()


def sweeps(events: list[MutableMapping[str, Any]]) -> int:
    """How many passes over everything have ended."""
    return sum(event["event"] == "pass.finished" and event["namespace"] is None for event in events)


def healed(events: list[MutableMapping[str, Any]], many: int) -> bool:
    """Whether passes over so many single namespaces have ended."""
    return len({event["namespace"] for event in events if event["event"] == "pass.finished"} - {None}) >= many


def test_all_is_looked_at_anew_when_the_clock_was_set(world: World) -> None:
    """Every alarm was set by the old clock, the next sweep an hour away: there is one at once all the same."""
    world.add_namespaces("team-a")
    world.configure(ECR_ONLY + "renewal: {sweep: 1h}\n")
    with capture_logs() as events, on_duty(world.rotation()) as duty:
        assert wait_until(lambda: sweeps(events) == 1, 30)
        duty.clock_was_set()
        assert wait_until(lambda: sweeps(events) == 2, 30)


def test_what_comes_round_by_itself_goes_on_after_the_clock_was_set_back(world: World) -> None:
    """By an hour: the sweeps and the scheduler's sign of life do not wait until it is as late again as it was."""
    world.add_namespaces("team-a")
    world.configure(ECR_ONLY + "renewal: {sweep: 2s}\n")
    health = Health(time.monotonic)
    with capture_logs() as events, on_duty(world.rotation(), health=health) as duty:
        assert wait_until(lambda: sweeps(events) == 2, 30)
        world.clock.advance(hours=-1)
        duty.clock_was_set()
        before = sweeps(events)
        assert wait_until(lambda: sweeps(events) >= before + 3, 30)
        assert b"scheduler ok" in health.healthz().body


def test_whoever_asks_while_a_sweep_runs_gets_another_one(world: World) -> None:
    """What it has read already may be out of date; and of ten who ask meanwhile, all are served by one."""
    world.add_namespaces("team-a")
    world.configure(ECR_ONLY + "renewal: {sweep: 1h}\n")
    asking = threading.Event()
    with capture_logs() as events, on_duty(world.rotation()) as duty:

        def ask(call: Call) -> None:
            if call.verb == "patch" and not asking.is_set():
                asking.set()
                for _ in range(10):
                    duty.clock_was_set()

        world.api.before_request(ask)
        assert wait_until(lambda: sweeps(events) == 2, 30)
        world.add_namespaces("team-b")
        assert wait_until(lambda: world.api.store.get("secrets", "team-b", SECRET) is not None, 30)
    assert sweeps(events) == 2


def test_whoever_asks_while_such_a_sweep_runs_gets_another_one_too(world: World) -> None:
    """Of one name one runs at a time, so the alarm rings in vain meanwhile; it is not forgotten."""
    world.add_namespaces("team-a")
    world.configure(ECR_ONLY + "renewal: {sweep: 1h}\n")
    asked, asking = threading.Event(), threading.Event()
    with capture_logs() as events, on_duty(world.rotation()) as duty:
        assert wait_until(lambda: sweeps(events) == 1, 30)

        def ask(call: Call) -> None:
            if call.verb in {"get", "list"} and asked.is_set() and not asking.is_set():
                asking.set()
                duty.clock_was_set()
                wait_until(lambda: any("maximum number" in event["event"] for event in events), 0.3)

        world.api.before_request(ask)
        asked.set()
        duty.clock_was_set()
        assert wait_until(lambda: sweeps(events) == 3, 10)


def test_who_is_told_to_end_in_a_pass_writes_nothing_more_in_it(world: World) -> None:
    """The first write of a fan-out is the last, although the lead is still there: it is given back right after."""
    world.add_namespaces(*(f"team-{n}" for n in range(40)))
    ending = threading.Event()
    with capture_logs() as events, on_duty(world.rotation()) as duty:

        def end(call: Call) -> None:
            if call.verb == "patch" and not ending.is_set():
                ending.set()
                duty.end(timedelta(0))

        world.api.before_request(end)
        assert wait_until(lambda: sweeps(events) == 1, 30)
    patches = sum(count for (verb, _, _), count in world.api.journal.counts.items() if verb == "patch")
    assert 1 <= patches <= world.config.fan_out.concurrency


def test_a_sweep_takes_its_time_over_what_has_time(world: World) -> None:
    """With hours left no burst of writes goes out."""
    world.configure(f"{ECR_ONLY}fanOut: {{perSecond: 5}}\n")
    world.add_namespaces("team-a", "team-b", "team-c")
    world.once()
    world.clock.advance(hours=7)
    moments = []

    def note(call: Call) -> None:
        if (call.verb, call.place.resource.name) == ("patch", "secrets"):
            moments.append(time.monotonic())

    world.api.before_request(note)
    with on_duty(world.rotation()):
        assert wait_until(lambda: len(moments) == 3, 30)
    assert moments[-1] - moments[0] > 0.3  # two pauses of 0.2 s, less what the first was late


def test_a_repair_that_the_api_server_did_not_answer_is_tried_again_long_before_the_sweep(world: World) -> None:
    """500 as often as one request is sent: the queue brings the namespace back."""
    world.add_namespaces("team-a")
    world.configure(ECR_ONLY + "renewal: {sweep: 1h}\n")
    first = iter([True])

    def fail(call: Call) -> None:
        if call.place.resource.name == "namespaces" and next(first, False):
            world.api.faults.fail(3)  # what the pass reads next, as often as one request is sent

    with capture_logs() as events, on_duty(world.rotation()):
        assert wait_until(lambda: sweeps(events) == 1, 30)
        world.api.before_request(fail)
        world.api.store.delete("secrets", "team-a", SECRET)
        assert wait_until(lambda: world.api.store.get("secrets", "team-a", SECRET) is not None, 30)
        assert sweeps(events) == 1
    assert sum(count for (_, _, status), count in world.api.journal.counts.items() if status == 500) == 3


def test_a_standby_mints_and_writes_nothing_and_begins_at_once_when_it_leads(world: World) -> None:
    """Its watches are warm meanwhile: what happens while it stands by leads to no pass, and is served when it leads."""
    world.add_namespaces("team-a")
    world.configure(ECR_ONLY + "renewal: {sweep: 2s}\n")
    leads = threading.Event()
    with capture_logs() as events, on_duty(world.rotation(), leads.is_set) as duty:
        assert wait_until(lambda: world.api.journal.counts["watch", "secrets", 200] == 1, 30)
        world.add_namespaces("team-b")
        duty.clock_was_set()
        assert not wait_until(lambda: sweeps(events) > 0, 3)
        assert world.mints()["prod"] == 0
        assert duty.last_sweep is None
        leads.set()
        duty.lead_changed()
        assert wait_until(lambda: world.api.store.get("secrets", "team-b", SECRET) is not None, 30)


def test_the_end_of_the_last_sweep_is_known_to_whoever_leads(world: World) -> None:
    """Who led before knows it no more: by now another may have swept, and nothing older is to be noted again."""
    world.configure(ECR_ONLY + "renewal: {sweep: 1h}\n")
    leads = threading.Event()
    leads.set()
    with on_duty(world.rotation(), leads.is_set) as duty:
        assert wait_until(lambda: duty.last_sweep is not None, 30)
        leads.clear()
        duty.lead_changed()
        assert duty.last_sweep is None


def test_who_ceases_to_lead_in_a_pass_writes_nothing_more_in_it(world: World) -> None:
    """The first write of a fan-out is the last: what is left waits for the next leader, and is no failure."""
    world.add_namespaces(*(f"team-{n}" for n in range(40)))
    leads = threading.Event()
    leads.set()

    def lose(call: Call) -> None:
        if call.verb == "patch":
            leads.clear()

    world.api.before_request(lose)
    with capture_logs() as events, on_duty(world.rotation(leads=leads.is_set), leads.is_set):
        assert wait_until(lambda: sweeps(events) == 1, 30)
    patches = sum(count for (verb, _, _), count in world.api.journal.counts.items() if verb == "patch")
    assert 1 <= patches <= world.config.fan_out.concurrency
    (end,) = (event for event in events if event["event"] == "pass.finished")
    assert "failed" not in end


def test_an_api_server_that_goes_on_failing_is_asked_less_and_less(world: World) -> None:
    """A failure of the API server leads to another pass soon, but not every few seconds for good."""
    world.add_namespaces("team-a")
    world.configure(ECR_ONLY + "renewal: {sweep: 1h}\n")
    rotation = world.rotation()
    duty = Duty(rotation, utc_now)
    pauses = [duty.retry_pause() for _ in range(12)]
    assert pauses[0] == timedelta(seconds=5)
    assert pauses == sorted(pauses)
    assert pauses[-1] == timedelta(hours=1)


def test_a_cloud_that_failed_is_tried_again_long_before_the_sweep(world: World) -> None:
    """Each registry has an alarm of its own for its next try; the next sweep is an hour away."""
    world.add_namespaces("team-a")
    world.configure(ECR_ONLY + "renewal: {sweep: 1h}\n")
    world.net.aws.fault = Fault.DOWN
    rotation = world.rotation()
    with on_duty(rotation):
        assert wait_until(lambda: rotation.minting.failure("prod") is not None, 30)
        world.net.aws.fault = None
        assert wait_until(lambda: world.api.store.get("secrets", "team-a", SECRET) is not None, 30)


def test_what_the_api_server_did_not_answer_is_asked_for_again_soon(world: World) -> None:
    """500 for the Secrets is a gap, not the end of the pass: another pass mends it, and forgets the failures."""
    world.add_namespaces("team-a")
    world.configure(ECR_ONLY + "renewal: {sweep: 1h}\n")
    second = iter([False, True])  # the first list is that of the watch

    def fail(call: Call) -> None:
        if (call.verb, call.place.resource.name) == ("list", "namespaces") and next(second, False):
            world.api.faults.fail(3)  # as often as one request is sent

    world.api.before_request(fail)
    with on_duty(world.rotation()) as duty:
        assert wait_until(lambda: world.api.journal.counts["list", "secrets", 500] == 3, 30)
        assert wait_until(lambda: world.api.store.get("secrets", "team-a", SECRET) is not None, 30)
    assert duty.retry_pause() == timedelta(seconds=5)


def test_what_a_slow_cloud_gives_at_last_is_written_long_before_the_sweep(world: World) -> None:
    """The pass went on without it; the end of the late mint leads to another pass."""
    world.add_namespaces("team-a")
    world.configure(ECR_ONLY.replace("deadline: 2s", "deadline: 60s") + "renewal: {sweep: 1h}\n")
    world.net.aws.fault = Fault.HUNG
    with on_duty(world.rotation()):
        assert wait_until(lambda: world.api.journal.counts["patch", "serviceaccounts", 200] == 1, 30)
        world.net.aws.fault = None
        assert wait_until(lambda: world.api.store.get("secrets", "team-a", SECRET) is not None, 30)


def test_what_is_lost_is_mended_at_once(world: World) -> None:
    """A reference, a Secret, an entry, a whole new namespace: no sweep is near, and no cloud is asked again."""
    world.add_namespaces("team-a")
    world.configure(ECR_ONLY + "renewal: {sweep: 1h}\n")
    store = world.api.store
    with capture_logs() as events, on_duty(world.rotation()):
        assert wait_until(lambda: sweeps(events) == 1, 30)
        store.change("serviceaccounts", "team-a", "workers", lambda account: account.pop("imagePullSecrets"))
        assert wait_until(lambda: world.references("team-a") == [SECRET], 30)
        store.delete("secrets", "team-a", SECRET)
        assert wait_until(lambda: store.get("secrets", "team-a", SECRET) is not None, 30)
        store.change("secrets", "team-a", SECRET, lambda secret: secret["data"].update({KEY: EMPTY_AUTHS}))
        assert wait_until(lambda: set(world.auths("team-a")) == {ECR}, 30)
        world.add_namespaces("team-new")
        assert wait_until(lambda: store.get("secrets", "team-new", SECRET) is not None, 30)
        assert wait_until(lambda: world.references("team-new") == [SECRET], 30)
        assert sweeps(events) == 1
    assert world.mints()["prod"] == 1


def test_a_pass_over_one_namespace_postpones_no_alarm(world: World) -> None:
    """Each pass draws its own lot within the jitter; one after the other must not push the renewal of all away."""
    names = [f"team-{n}" for n in range(8)]
    world.add_namespaces(*names)
    world.configure(ECR_ONLY + "renewal: {sweep: 1h, jitter: 50%}\n")
    with capture_logs() as events, on_duty(world.rotation()):
        assert wait_until(lambda: sweeps(events) == 1, 30)
        for number, name in enumerate(names):
            world.api.store.delete("secrets", name, SECRET)
            assert wait_until(partial(healed, events, number + 1), 30)
    alarms = [event["at"] for event in events if event["event"] == "alarm.set" and event["job"] == "due-prod"]
    assert alarms == sorted(alarms, reverse=True)


def test_our_own_writes_lead_to_no_pass(world: World) -> None:
    """A hundred namespaces are rolled out: each write comes back as an event, and none of them asks for a pass."""
    world.add_namespaces(*(f"team-{n}" for n in range(100)))
    world.configure(ECR_ONLY + "renewal: {sweep: 1h}\n")
    with capture_logs() as events, on_duty(world.rotation()):
        assert wait_until(lambda: sweeps(events) == 1, 30)
        world.add_namespaces("team-last")
        assert wait_until(lambda: world.references("team-last") == [SECRET], 30)
    passes = {event["namespace"] for event in events if event["event"] == "pass.finished"}
    assert passes <= {None, "team-last"}


def test_a_war_over_an_object_is_fought_ever_less_often(world: World) -> None:
    """Somebody takes our reference away as soon as it is there: after a few repairs each waits longer than the last."""
    world.add_namespaces("team-a", "team-b")
    world.configure(ECR_ONLY + "renewal: {sweep: 1h}\n")
    store, stop = world.api.store, threading.Event()

    def reset() -> None:
        while not stop.wait(0.02):
            if world.references("team-a"):
                store.change("serviceaccounts", "team-a", "workers", lambda account: account.pop("imagePullSecrets"))

    with capture_logs() as events, on_duty(world.rotation()):
        assert wait_until(lambda: sweeps(events) == 1, 30)
        rival = threading.Thread(target=reset)
        rival.start()
        try:
            assert wait_until(lambda: pauses(events) == [2, 4], 30)
            store.delete("secrets", "team-b", SECRET)
            assert wait_until(lambda: store.get("secrets", "team-b", SECRET) is not None, 30)
        finally:
            stop.set()
            rival.join()
        assert wait_until(lambda: world.references("team-a") == [SECRET], 30)
    attached = [event for event in events if event["event"] == "reference.attached" and event["namespace"] == "team-a"]
    assert len(attached) <= 6


class Witnessed(Contests):
    """Lets something happen after the repair that is one too many, and before its object is left alone."""

    def __init__(self, happen: Callable[[], None]) -> None:
        super().__init__(time.monotonic)
        self._happen = happen
        self._noted = 0

    def note(self, subject: Subject) -> timedelta:
        """As ever, but for that."""
        self._noted += 1
        if self._noted == FREE:
            self._happen()
        return super().note(subject)


def test_what_is_taken_away_while_its_repair_is_noted_comes_back_after_the_pause(world: World) -> None:
    """It is heard before the pause began, so the pass that it asks for comes within it, and must not be the last."""
    world.add_namespaces("team-a")
    world.configure(ECR_ONLY + "renewal: {sweep: 1h}\n")
    waiting: list[int] = []

    def take_away() -> None:
        world.api.store.change("serviceaccounts", "team-a", "workers", lambda account: account.pop("imagePullSecrets"))

    def take_away_in_between() -> None:
        take_away()
        assert wait_until(lambda: duty.depth == 1, 30)
        waiting.append(duty.depth)

    contests = Witnessed(take_away_in_between)
    with capture_logs() as events, on_duty(world.rotation(), contests=contests) as duty:
        assert wait_until(lambda: sweeps(events) == 1, 30)
        for _ in range(FREE):
            assert wait_until(lambda: world.references("team-a") == [SECRET], 30)
            take_away()
        assert wait_until(lambda: waiting == [1], 30)
        assert wait_until(lambda: world.references("team-a") == [SECRET], 10)
    assert pauses(events) == [2, 4]


def test_a_war_names_the_other_field_manager(world: World) -> None:
    """Somebody empties our Secret again and again: the log says which field manager it is, and who cannot be known."""
    world.add_namespaces("team-a", "team-b")
    world.configure(ECR_ONLY + "renewal: {sweep: 1h}\n")
    store, stop = world.api.store, threading.Event()

    def empty(secret: dict[str, Any]) -> None:
        secret["data"] = {KEY: EMPTY_AUTHS}

    def fight() -> None:
        while not stop.wait(0.02):
            if world.auths("team-a"):
                store.change("secrets", "team-a", SECRET, empty, manager="helm")
            if store.get("secrets", "team-b", SECRET):
                store.delete("secrets", "team-b", SECRET)

    with capture_logs() as events, on_duty(world.rotation()):
        assert wait_until(lambda: sweeps(events) == 1, 30)
        rival = threading.Thread(target=fight)
        rival.start()
        assert wait_until(lambda: {event["namespace"] for event in contested(events)} == {"team-a", "team-b"}, 30)
        stop.set()
        rival.join()
    named = {event["namespace"]: event["managers"] for event in contested(events)}
    assert named == {"team-a": ["helm"], "team-b": ["unknown"]}


def contested(events: list[MutableMapping[str, Any]]) -> list[MutableMapping[str, Any]]:
    """What was said of wars."""
    return [event for event in events if event["event"] == "object.contested"]


def pauses(events: list[MutableMapping[str, Any]]) -> list[float]:
    """How long each contested object was left alone."""
    return [event["next_attempt_in_s"] for event in events if event["event"] == "object.contested"]


def test_of_very_many_named_namespaces_some_are_left_to_the_sweeps(world: World) -> None:
    """Watches are bounded, and it says so; every namespace is served all the same, those unwatched by each sweep."""
    names = [f"team-{number}" for number in range(MOST_WATCHES)]
    text = ECR_ONLY.replace('names: ["team-*"]', f"names: [{', '.join(names)}]")
    world.configure(text + "renewal: {sweep: 2s}\n")
    world.add_namespaces(names[0], names[-1])
    with capture_logs() as events, on_duty(world.rotation()) as duty:
        assert len(duty.reflectors) == MOST_WATCHES
        assert wait_until(lambda: world.api.store.get("secrets", names[-1], SECRET) is not None, 30)
        world.api.store.delete("secrets", names[-1], SECRET)
        assert wait_until(lambda: world.api.store.get("secrets", names[-1], SECRET) is not None, 30)
    assert [event["event"] for event in events].count("watches.limited") == 1
