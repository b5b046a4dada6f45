"""One of many candidates leads, never two, whatever happens to its clock, its process, its requests and its Lease."""

import itertools
import json
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from rotator.clock import utc_now
from rotator.cluster.lease import CLOCK, Lease, new_identity, since_boot
from rotator.leadership import Timing
from rotator.sandbox.apiserver import ApiServer, Rule
from rotator.sandbox.server import Request, Response
from tests.cluster.candidates import PATIENT, QUICK, Candidates
from tests.gate import FAULTS, Fault, Forward, Gate, cut, hang
from tests.waiting import PATIENCE, eventually, wait_until

NAMESPACE, NAME = "team-a", "leader"
RULE = Rule(("get", "create", "update"), ("leases",), (NAME,), (NAMESPACE,), ("coordination.k8s.io",))


FIRST_CLAIM = 2  # the first request is a look


class World:
    """An emulated cluster without TLS, and what its Lease says."""

    def __init__(self, api: ApiServer, directory: Path) -> None:
        self.api = api
        self.directory = directory

    def candidates(self, timing: Timing, *, namespace: str = NAMESPACE, name: str = NAME) -> Candidates:
        """Candidates for a Lease."""
        return Candidates(self.api.kubeconfig(self.directory / "config"), namespace, name, timing)

    def through(self, gate: Gate) -> Path:
        """A kubeconfig that leads through the gate."""
        path = self.directory / f"config-{gate.url.rpartition(':')[2]}"
        path.write_text(self.api.kubeconfig(self.directory / "config").read_text().replace(self.api.url, gate.url))
        return path

    def lease(self, name: str = NAME) -> dict[str, Any]:
        """The Lease; empty if there is none."""
        return self.api.store.get("leases", NAMESPACE, name) or {}

    def spec(self, name: str = NAME) -> dict[str, Any]:
        """Its spec."""
        return dict(self.lease(name).get("spec") or {})

    def edit(self, **fields: object) -> None:
        """Change the spec by hand."""

        def change(lease: dict[str, Any]) -> None:
            lease["spec"].update(fields)

        self.api.store.change("leases", NAMESPACE, NAME, change)

    def annotate(self, **annotations: str) -> None:
        """Annotate it by hand."""

        def change(lease: dict[str, Any]) -> None:
            lease["metadata"]["annotations"] = annotations

        self.api.store.change("leases", NAMESPACE, NAME, change)

    def looks(self, user: str = "rotator") -> int:
        """How often a candidate of this user has read the Lease."""
        return sum(record.verb == "get" and record.user == user for record in self.api.journal.records)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """With a namespace for the Lease."""
    with ApiServer() as api:
        api.store.create_namespace(NAMESPACE)
        yield World(api, tmp_path)


def held(lease: Lease) -> Lease:
    """The candidate, once it leads."""
    eventually(lease.holds, "it leads")
    return lease


def skewed(ahead: timedelta) -> datetime:
    """A wall clock that is wrong."""
    return utc_now() + ahead


def at(text: str) -> datetime:
    """A time of a Lease."""
    return datetime.fromisoformat(text)


# One, and the next ---------------------------------------------------------------------------------------------------


def test_one_of_many_leads_whatever_their_clocks_say(world: World) -> None:
    """Hours apart, they agree on one, and none is robbed for longer than a lease lasts."""
    with world.candidates(QUICK) as candidates:
        hours = dict(zip("abcd", (-5, 0, 3, 48), strict=True))
        leases = {
            name: candidates.stand(name, clock=partial(skewed, timedelta(hours=ahead))) for name, ahead in hours.items()
        }
        eventually(lambda: any(lease.holds() for lease in leases.values()), "one leads")
        leader = world.spec()["holderIdentity"]
        eventually(lambda: all(lease.holder == leader for lease in leases.values()), "all know who")
        assert not wait_until(lambda: world.spec()["holderIdentity"] != leader, 1.5 * QUICK.seconds)
        assert [name for name, lease in leases.items() if lease.holds()] in ([leader], [])


def test_a_lease_reads_as_client_go_writes_it(world: World) -> None:
    """Who, since when, renewed when, for how long, and how often it changed hands."""
    with world.candidates(PATIENT) as candidates:
        first = held(candidates.stand("one"))
        taken = world.spec()
        eventually(lambda: world.spec()["renewTime"] > taken["renewTime"], "a renewal")
        assert {**world.spec(), "renewTime": taken["renewTime"]} == taken
        assert (taken["holderIdentity"], taken["leaseDurationSeconds"], taken["leaseTransitions"]) == ("one", 20, 0)
        assert first.last_renewal is not None
        first.stop()
        given_back = world.spec()
        assert (given_back.get("holderIdentity", ""), given_back["leaseDurationSeconds"]) == ("", 1)
        held(candidates.stand("two"))
        assert (world.spec()["holderIdentity"], world.spec()["leaseTransitions"]) == ("two", 1)
        assert at(world.spec()["acquireTime"]) > at(taken["acquireTime"])


def test_what_is_given_back_is_taken_at_once(world: World) -> None:
    """A standby need not wait until the lease has run out; and who gave it back has ceased before."""
    with world.candidates(PATIENT) as candidates:
        leader = held(candidates.stand("leader"))
        standby = candidates.stand("standby")
        eventually(lambda: standby.holder == "leader", "the standby looks")
        leader.stop()
        assert not leader.holds()
        stopped = since_boot()
        held(standby)
        assert since_boot() - stopped < 3  # two looks, on a busy machine; the lease would last for twenty
        assert world.spec()["leaseTransitions"] == 1


def test_a_killed_leader_is_replaced_when_its_lease_has_run_out(world: World, tmp_path: Path) -> None:
    """Not before, and no later than a look after that."""
    with world.candidates(QUICK) as candidates, candidates.program("leader", tmp_path) as leader:
        eventually(leader.holds, "the program leads")
        standby = candidates.stand("standby")
        eventually(lambda: standby.holder == "leader", "the standby looks")
        leader.send(signal.SIGKILL)
        leader.process.wait()
        renewed = at(world.spec()["renewTime"])
        held(standby)
        waited = (datetime.now(UTC) - renewed).total_seconds()
        assert QUICK.seconds <= waited < QUICK.seconds + 2  # a look, on a busy machine


def test_a_frozen_leader_has_ceased_when_it_thaws(world: World, tmp_path: Path) -> None:
    """Its very first look at itself says no, before it could ask anybody: the API server is away when it thaws."""
    with world.candidates(QUICK) as candidates, candidates.program("leader", tmp_path) as leader:
        eventually(leader.holds, "the program leads")
        standby = candidates.stand("standby")
        eventually(lambda: standby.holder == "leader", "the standby looks")
        leader.send(signal.SIGSTOP)
        held(standby)
        world.api.faults.down = True
        thawed = since_boot()
        leader.send(signal.SIGCONT)
        eventually(lambda: len([said for said in leader.said if said.before > thawed]) > 10, "it asks itself again")
        assert not any(said.holds for said in leader.said if said.before > thawed)
        world.api.faults.down = False


def test_a_machine_that_slept_ends_the_lease_too(world: World) -> None:
    """The clock goes on meanwhile; the answer is right before any thread has run, and the leader comes back."""
    slept = [0.0]
    with world.candidates(PATIENT) as candidates:
        lease = candidates.make("leader", since_boot=lambda: since_boot() + slept[0])
        lease.start()
        held(lease)
        eventually(lambda: candidates.told == [("leader", True)], "it is told")
        slept[0] = 3600.0
        assert not lease.holds()
        eventually(lambda: [leads for _, leads in candidates.told] == [True, False, True], "it lost it, and came back")


def test_what_counts_is_when_a_renewal_was_begun(world: World) -> None:
    """The machine sleeps between a renewal and its answer: who is told then that it leads, has ceased long ago."""
    slept = [0.0]
    led: list[bool] = []
    with Gate(world.api.url) as gate, world.candidates(PATIENT) as candidates:
        lease = candidates.make("leader", kubeconfig=world.through(gate), since_boot=lambda: since_boot() + slept[0])

        def sleep(request: Request, forward: Forward) -> Response:
            led.append(lease.holds())
            response = forward(request)
            slept[0] += 3600 if len(led) == FIRST_CLAIM else 0
            return response

        gate.fault = sleep
        lease.start()
        eventually(lambda: len(led) > FIRST_CLAIM + 2, "it renews")
        assert led[: FIRST_CLAIM + 2] == [False, False, False, True]


def test_the_clock_counts_what_the_machine_slept() -> None:
    """It is the kernel's time since boot, which Linux shows in /proc/uptime; a monotonic clock leaves out the sleep."""
    assert time.CLOCK_BOOTTIME == CLOCK
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert since_boot() == pytest.approx(uptime, abs=5)


def test_each_process_has_an_identity_of_its_own() -> None:
    """A container that was restarted keeps its host name, and must not take itself for the holder."""
    assert new_identity() != new_identity()


# Faults --------------------------------------------------------------------------------------------------------------


CROWDED = Timing(timedelta(seconds=3), timedelta(seconds=2), timedelta(seconds=0.4))


def test_whatever_its_requests_meet_a_leader_ceases_before_another_begins(world: World) -> None:
    """Silence, lost answers, late requests, refusals, garbage: one pair for each, the leader alone is cut off.

    It does not hammer at the door meanwhile, and comes back as a standby.
    """
    with ExitStack() as stack:
        gates = {fault.__name__: stack.enter_context(Gate(world.api.url)) for fault in FAULTS}
        rooms = {name: stack.enter_context(world.candidates(CROWDED, name=name.replace("_", "-"))) for name in gates}
        leaders = {name: rooms[name].stand("leader", kubeconfig=world.through(gate)) for name, gate in gates.items()}
        eventually(lambda: all(lease.holds() for lease in leaders.values()), "all leaders lead")
        standbys = {name: room.stand("standby") for name, room in rooms.items()}
        eventually(lambda: all(lease.holder == "leader" for lease in standbys.values()), "all standbys look")
        counts = {name: gate.count for name, gate in gates.items()}
        for fault in FAULTS:
            gates[fault.__name__].fault = fault

        def both() -> list[str]:
            return [name for name, standby in standbys.items() if standby.holds() and leaders[name].holds()]

        def all_replaced() -> bool:
            assert both() == []
            return all(standby.holds() for standby in standbys.values())

        eventually(all_replaced, "all standbys lead")
        assert [name for name, gate in gates.items() if not 0 < gate.count - counts[name] < 60] == []
        assert [name for name, lease in leaders.items() if name != "another_object" and not lease.failures] == []
        for gate in gates.values():
            gate.fault = None
        eventually(lambda: all(lease.holder == "standby" for lease in leaders.values()), "all are well again")
        assert both() == []


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.__name__ in {"hang", "cut", "answering_500"}])
def test_a_leader_without_a_rival_comes_back_when_the_api_server_does(world: World, fault: Fault) -> None:
    """It ceases at its deadline, says so, and leads again without a person."""
    with Gate(world.api.url) as gate, world.candidates(QUICK) as candidates:
        lease = held(candidates.stand("leader", kubeconfig=world.through(gate)))
        gate.fault = fault
        began = since_boot()
        eventually(lambda: not lease.holds(), "it ceases")
        assert since_boot() - began < QUICK.renew_deadline.total_seconds() + 0.5
        eventually(lambda: ("leader", False) in candidates.told, "it is told")
        assert since_boot() - began < QUICK.renew_deadline.total_seconds() + 1  # though its request may hang still
        gate.fault = None
        held(lease)


def test_who_is_told_need_not_wait_for_a_request_that_hangs(world: World) -> None:
    """A request is given up when the lease has run out, though its own limit is far: the daemon must hear of it."""
    slept = [0.0]
    limit = PATIENT.renew_deadline.total_seconds() / 2
    with Gate(world.api.url) as gate, world.candidates(PATIENT) as candidates:
        lease = candidates.make("leader", kubeconfig=world.through(gate), since_boot=lambda: since_boot() + slept[0])
        lease.start()
        eventually(lambda: candidates.told == [("leader", True)], "it is told that it leads")

        def oversleep(request: Request, forward: Forward) -> Response:
            gate.fault = hang
            response = forward(request)
            slept[0] = PATIENT.renew_deadline.total_seconds() - 1
            return response

        gate.fault = oversleep
        count = gate.count
        eventually(lambda: gate.count >= count + 2 or ("leader", False) in candidates.told, "the next renewal hangs")
        eventually(lambda: ("leader", False) in candidates.told, "it is told that it ceased", seconds=limit - 1)


def test_a_refused_token_is_read_again(world: World) -> None:
    """The kubeconfig holds a new one after a while, and that is enough."""
    with world.candidates(PATIENT) as candidates, capture_logs() as logs:
        lease = held(candidates.stand("leader"))
        world.api.replace_token("rotator")
        eventually(lambda: lease.failures["ClusterUnusable"], "the old one is refused")
        world.api.kubeconfig(candidates.kubeconfig)
        renewed = world.spec()["renewTime"]
        eventually(lambda: world.spec()["renewTime"] > renewed, "it renews with the new one")
        lease.stop()
    assert [entry["reason"] for entry in logs if entry["event"] == "lease.failed"] == ["ClusterUnusable"]


LIVELY = Timing(timedelta(seconds=2), timedelta(seconds=1.2), timedelta(seconds=0.15))
TERMS = 3


def test_whatever_happens_who_writes_is_who_the_lease_names(world: World) -> None:
    """At the moment of every write the Lease names the writer, and no term begins before the last has ended.

    Four candidates, each on its own way to the API server where faults are drawn at random; each writes when it may.
    """
    draw = random.Random(1)  # noqa: S311  (a test's dice)
    log: list[tuple[int, str]] = []
    strangers: list[tuple[str, object, object]] = []
    over = threading.Event()

    def write(identity: str, lease: Lease) -> None:
        while not over.wait(0.005):
            before = world.spec()
            may = lease.holds()
            after = world.spec()
            if may and (before["holderIdentity"], before["leaseTransitions"]) == (
                after["holderIdentity"],
                after["leaseTransitions"],
            ):
                log.append((after["leaseTransitions"], identity))
            if may and identity not in {before["holderIdentity"], after["holderIdentity"]}:
                strangers.append((identity, before, after))

    with ExitStack() as stack:
        candidates = stack.enter_context(world.candidates(LIVELY))
        gates = {name: stack.enter_context(Gate(world.api.url)) for name in "abcd"}
        leases = {name: candidates.stand(name, kubeconfig=world.through(gate)) for name, gate in gates.items()}
        eventually(world.spec, "somebody asks")
        writers = [threading.Thread(target=write, args=pair) for pair in leases.items()]
        for writer in writers:
            writer.start()
        stack.callback(over.set)
        until = since_boot() + PATIENCE
        while len(dict(log)) < TERMS and since_boot() < until:
            for name, gate in gates.items():
                unlucky = name == world.spec()["holderIdentity"] or draw.random() < 0.3
                gate.fault = draw.choice(FAULTS) if unlucky else None
            over.wait(draw.uniform(0.1, 2.4))
            for gate in gates.values():
                gate.fault = None
            over.wait(draw.uniform(0.1, 0.4))
        terms = len(dict(log))
        eventually(lambda: any(lease.holds() for lease in leases.values()), "one leads in the end")
        over.set()
        for writer in writers:
            writer.join()
    assert strangers == []
    assert len(set(log)) == len(dict(log)), "two wrote in one term"
    assert [term for term, _ in log] == sorted(term for term, _ in log), "a term that had ended wrote again"
    assert terms >= TERMS


# Other hands ---------------------------------------------------------------------------------------------------------


def test_what_others_put_on_the_lease_survives(world: World) -> None:
    """Labels and annotations, from before and from meanwhile; an edit costs the leader nothing."""
    meta = {"name": NAME, "labels": {"app": "rotator"}}
    world.api.store.create("leases", NAMESPACE, {"metadata": meta})
    with world.candidates(PATIENT) as candidates:
        lease = held(candidates.stand("leader"))
        world.annotate(team="a")
        renewed = world.spec()["renewTime"]
        eventually(lambda: world.spec()["renewTime"] > renewed, "a renewal after the edit")
        assert lease.holds()
        lease.stop()
        assert world.lease()["metadata"]["labels"] == {"app": "rotator"}
        assert world.lease()["metadata"]["annotations"] == {"team": "a"}
        assert candidates.told == [("leader", True)]
        assert not lease.failures


def test_what_is_noted_goes_with_the_renewals_and_stays_for_the_next_leader(world: World) -> None:
    """From the first claim on, beside the annotations of others; no request is sent for it, and the last one has it."""
    noted = {"swept": "1"}
    with world.candidates(PATIENT) as candidates:
        first = candidates.make("first", notes=lambda: noted)
        first.start()
        held(first)
        assert world.lease()["metadata"]["annotations"] == {"swept": "1"}
        world.annotate(team="a", swept="by hand")
        noted["swept"] = "2"
        eventually(lambda: world.lease()["metadata"]["annotations"] == {"team": "a", "swept": "2"}, "a renewal")
        noted["swept"] = "3"
        first.stop()
        assert world.lease()["metadata"]["annotations"] == {"team": "a", "swept": "3"}
        held(candidates.stand("second"))
        assert world.lease()["metadata"]["annotations"] == {"team": "a", "swept": "3"}


def test_a_deleted_lease_is_made_again_by_its_holder(world: World) -> None:
    """A standby does not take for given back what somebody deleted, while the holder cannot know of it."""
    with Gate(world.api.url) as gate, world.candidates(PATIENT) as candidates:
        leader = held(candidates.stand("leader", kubeconfig=world.through(gate)))
        standby = candidates.stand("standby")
        eventually(lambda: standby.holder == "leader", "the standby looks")
        gate.fault = cut
        world.api.store.delete("leases", NAMESPACE, NAME)
        looks = world.looks()
        eventually(lambda: world.looks() > looks + 5, "the standby looks again and again")
        assert world.lease() == {}
        gate.fault = None
        eventually(world.lease, "there is one again")
        assert world.spec()["holderIdentity"] == "leader"
        assert leader.holds()
        assert candidates.told == [("leader", True)]


@pytest.mark.parametrize("named", ["somebody", "standby", ""])
def test_who_is_voted_out_by_hand_ceases_and_nobody_follows_early(world: World, named: str) -> None:
    """The leader learns of it at its next renewal; until that is certain the others wait, also whom the hand named."""
    with world.candidates(PATIENT) as candidates:
        leader = held(candidates.stand("leader"))
        standby = candidates.stand("standby")
        eventually(lambda: standby.holder == "leader", "the standby looks")
        world.edit(holderIdentity=named)
        eventually(lambda: not leader.holds(), "the leader ceases", seconds=10)
        looks = world.looks()
        eventually(lambda: world.looks() > looks + 10, "both have looked")
        assert not leader.holds()
        assert not standby.holds()
        eventually(lambda: candidates.told == [("leader", True), ("leader", False)], "it is told")


def test_who_is_named_by_hand_follows_in_time(world: World) -> None:
    """When the lease has run out it is as good as any other."""
    with world.candidates(QUICK) as candidates:
        held(candidates.stand("leader"))
        standby = candidates.stand("standby")
        eventually(lambda: standby.holder == "leader", "the standby looks")
        world.edit(holderIdentity="standby")
        eventually(
            lambda: world.spec()["holderIdentity"] and any(leads for _, leads in candidates.told[1:]), "one leads"
        )


def test_without_the_right_it_says_which_one_and_goes_on(world: World) -> None:
    """Once, with the whole rule; with just that rule, limited to the name, it leads and gives back."""
    world.api.add_user("rotator", [])
    with world.candidates(PATIENT) as candidates, capture_logs() as logs:
        lease = candidates.stand("leader")
        eventually(lambda: lease.failures["Forbidden"] > 2, "it is refused again and again")
        complaints = [entry for entry in logs if entry["event"] == "lease.failed"]
        world.api.add_user("rotator", [RULE])
        held(lease)
        lease.stop()
    assert [entry["hint"] for entry in complaints] == [
        "grant verbs [get, create, update] on leases.coordination.k8s.io named leader in namespace team-a"
    ]
    assert world.spec()["leaseDurationSeconds"] == 1


def test_a_namespace_that_is_not_there_is_waited_for(world: World) -> None:
    """It is named, with what to do, and the candidate leads once it is there."""
    with world.candidates(QUICK, namespace="nowhere") as candidates, capture_logs() as logs:
        lease = candidates.stand("leader")
        eventually(lambda: lease.failures["NotFound"], "it is told")
        world.api.store.create_namespace("nowhere")
        held(lease)
    complaint = next(entry for entry in logs if entry["event"] == "lease.failed")
    assert "leader in namespace nowhere" in complaint["message"]
    assert complaint["hint"] == "create the namespace, or name another for the Lease"


def test_a_namespace_that_is_being_deleted_is_said_so(world: World) -> None:
    """No rule helps there, so none is asked for."""
    world.api.store.hold_terminating = True
    world.api.store.delete_namespace(NAMESPACE)
    with world.candidates(PATIENT) as candidates, capture_logs() as logs:
        lease = candidates.stand("leader")
        eventually(lease.failures.total, "it is told")
    complaint = next(entry for entry in logs if entry["event"] == "lease.failed")
    assert "the namespace is being deleted" in complaint["message"]
    assert complaint["hint"] == ""


# Stopping, telling, resting ------------------------------------------------------------------------------------------


def test_a_stop_is_prompt_while_the_api_server_hangs(world: World) -> None:
    """It ceases at once, ends in time, and the Lease runs out by itself."""
    with Gate(world.api.url) as gate, world.candidates(PATIENT) as candidates:
        lease = held(candidates.stand("leader", kubeconfig=world.through(gate)))
        gate.fault = hang
        count = gate.count
        eventually(lambda: gate.count > count, "a renewal hangs")
        began = since_boot()
        lease.stop(timedelta(seconds=1))
        assert since_boot() - began < 1.5
        assert not lease.holds()
    assert world.spec()["holderIdentity"] == "leader"


def test_a_lease_is_given_back_though_somebody_edits_it_meanwhile(world: World) -> None:
    """The release meets a conflict, and is sent again with what was written: the next leader need not wait."""
    with Gate(world.api.url) as gate, world.candidates(PATIENT) as candidates:
        lease = held(candidates.stand("leader", kubeconfig=world.through(gate)))

        def overtake(request: Request, forward: Forward) -> Response:
            released = request.method == "PUT" and not json.loads(request.body)["spec"]["holderIdentity"]
            if released and "annotations" not in world.lease()["metadata"]:
                world.annotate(team="a")
            return forward(request)

        gate.fault = overtake
        lease.stop(timedelta(seconds=PATIENCE))
        assert (world.spec().get("holderIdentity", ""), world.spec()["leaseDurationSeconds"]) == ("", 1)
        assert world.lease()["metadata"]["annotations"] == {"team": "a"}
        assert not lease.failures


def test_nothing_is_taken_after_a_stop(world: World) -> None:
    """A look that was under way when it stopped leads to no claim, though the Lease is free."""
    with Gate(world.api.url) as gate, world.candidates(PATIENT) as candidates:
        answer = threading.Event()
        seen = threading.Event()

        def hold(request: Request, forward: Forward) -> Response:
            response = forward(request)
            seen.set()
            answer.wait(PATIENCE)
            return response

        gate.fault = hold
        lease = candidates.stand("late", kubeconfig=world.through(gate))
        assert seen.wait(PATIENCE)
        lease.stop(timedelta(seconds=0.2))
        gate.fault = None
        answer.set()
        eventually(lambda: all(thread.name != "lease" for thread in threading.enumerate()), "its thread ends")
        assert world.lease() == {}


def test_a_standby_that_stops_writes_nothing(world: World) -> None:
    """It has nothing to give back; one that never stood has neither."""
    with world.candidates(PATIENT) as candidates:
        held(candidates.stand("leader"))
        standby = candidates.stand("standby")
        eventually(lambda: standby.holder == "leader", "the standby looks")
        standby.stop()
        candidates.make("idle").stop()
        assert world.spec()["holderIdentity"] == "leader"


def test_who_is_told_cannot_end_the_loop(world: World) -> None:
    """A defect in what the daemon does then is counted, and the lease is renewed all the same."""

    def fail(_: bool) -> None:
        raise RuntimeError

    with world.candidates(PATIENT) as candidates:
        lease = candidates.make("leader", on_change=fail)
        lease.start()
        eventually(lambda: lease.failures["RuntimeError"], "it fails")
        turn, renewed = lease.last_turn, world.spec()["renewTime"]
        eventually(lambda: world.spec()["renewTime"] > renewed and lease.last_turn != turn, "it goes on")


def test_at_rest_there_is_one_request_in_a_retry_period(world: World) -> None:
    """The leader writes and does not read; the standby reads, after seven to nine tenths of the period."""
    tokens = [world.api.kubeconfig(world.directory / name, name) for name in ("leader", "standby")]
    with world.candidates(PATIENT) as candidates:
        held(candidates.stand("leader", kubeconfig=tokens[0]))
        standby = candidates.stand("standby", kubeconfig=tokens[1])
        eventually(lambda: standby.holder == "leader", "the standby looks")
        world.api.journal.clear()
        eventually(lambda: world.looks("standby") > 10, "ten looks")
        records = world.api.journal.records
    by_user = {name: [record for record in records if record.user == name] for name in ("leader", "standby")}
    assert {record.verb for record in by_user["leader"]} == {"update"}
    assert {record.verb for record in by_user["standby"]} == {"get"}
    for name, soonest in (("leader", 0.2), ("standby", 0.14)):
        times = [record.time for record in by_user[name]]
        pauses = [(after - before).total_seconds() for before, after in itertools.pairwise(times)]
        assert min(pauses) > soonest * 0.9
        assert len(times) >= 5
