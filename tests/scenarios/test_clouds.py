"""Clouds and registries that fail: what is published stays, and no other registry waits."""

import threading

import pytest

from rotator.model import State
from rotator.rotation import Outcome
from rotator.sandbox.faults import Fault
from rotator.sandbox.internet import Node
from rotator.sandbox.server import Request, Response
from tests.outside import ACR, CONFIG, ECR, ECR_ONLY, GAR, SECRET
from tests.scenarios.rivals import ECR_SHARED, TEAMS, TWO_HOSTS, bytes_of, refusing, result
from tests.scenarios.world import World
from tests.waiting import wait_until

FAULTS = [Fault.DOWN, Fault.HUNG, Fault.DRIPPING, Fault.REFUSING, Fault.THROTTLING, Fault.MALFORMED, Fault.BLANK]


@pytest.mark.parametrize("fault", FAULTS)
def test_invariant_1_a_cloud_that_fails_leaves_every_secret_as_it_is(world: World, fault: Fault) -> None:
    """Renewal is due and the cloud is wrong in some way: not a byte changes, and the exit code says it."""
    world.add_namespaces(*TEAMS)
    world.configure(ECR_ONLY)
    rotation = world.rotation()
    assert rotation.run().exit_code == 0
    before = bytes_of(world)
    world.clock.advance(hours=7)
    world.net.aws.fault = fault
    report = rotation.run()
    assert report.exit_code == 1
    assert bytes_of(world) == before
    assert {r.outcome for r in report.results if r.change.state is State.DUE} == {Outcome.WAITING}


@pytest.mark.parametrize("fault", [Fault.DOWN, Fault.HUNG, Fault.REFUSING])
def test_invariant_6_a_cloud_that_fails_holds_up_no_other(world: World, fault: Fault) -> None:
    """One cloud of three fails at the first pass: the other two are written everywhere, in one write each."""
    world.add_namespaces(*TEAMS)
    world.net.azure.fault = fault
    report = world.once()
    assert report.exit_code == 1
    assert world.writes() == len(TEAMS)
    for team in TEAMS:
        assert set(world.auths(team)) == {ECR, GAR}
    failed = {status.name: status.error.reason for status in report.registries if status.error}
    assert set(failed) == {"contoso"}


def test_a_failed_registry_is_tried_again_when_its_pause_is_over(world: World) -> None:
    """Not in every pass (backoff), but as soon as the pause is over; then its entry is added to every Secret."""
    world.add_namespaces(*TEAMS)
    world.net.azure.fault = Fault.DOWN
    rotation = world.rotation()
    rotation.run()
    world.forget()
    rotation.run()
    assert world.net.azure.calls.total() == 0
    world.net.azure.fault = None
    world.clock.advance(seconds=60)
    assert rotation.run().exit_code == 0
    assert {frozenset(world.auths(team)) for team in TEAMS} == {frozenset({ECR, GAR, ACR})}


def test_invariant_1_a_credential_that_its_registry_refuses_is_not_published(world: World) -> None:
    """The cloud gives a token and the registry says 401: the old one stays, which still works."""
    world.add_namespaces(*TEAMS)
    rotation = world.rotation()
    rotation.run()
    before = bytes_of(world)
    world.clock.advance(minutes=40)
    world.net.hosts[GAR] = lambda _: Response(401, headers={"WWW-Authenticate": 'Basic realm="elsewhere"'})
    report = rotation.run()
    assert bytes_of(world) == before
    assert [status.error.reason for status in report.registries if status.error] == ["ProbeRefused"]
    assert report.exit_code == 1


def test_a_registry_that_cannot_be_asked_gets_the_new_credential_only_when_the_old_one_ends(world: World) -> None:
    """503 from the registry proves nothing: keep what works while it lives, publish when there is nothing to lose."""
    world.add_namespaces(*TEAMS)
    rotation = world.rotation()
    rotation.run()
    before = bytes_of(world)
    world.net.registries[GAR].fault = Fault.DOWN
    world.clock.advance(minutes=40)
    report = rotation.run()
    assert bytes_of(world) == before
    assert [status.error.reason for status in report.registries if status.error] == ["ProbeUnanswered"]
    world.clock.advance(minutes=30)
    rotation.run()
    assert all(bytes_of(world)[team] != before[team] for team in TEAMS)


def test_a_nearly_spent_token_is_used_and_asked_for_again_without_new_writes(world: World) -> None:
    """A metadata server hands out the same token until it expires: one write per token, and renewal soon after."""
    world.add_namespaces(*TEAMS)
    world.configure(ECR_ONLY)
    world.net.aws.fault = Fault.NEARLY_SPENT
    rotation = world.rotation()
    rotation.run()
    first = world.password("team-a", ECR)
    assert world.writes() == len(TEAMS)
    world.clock.advance(seconds=3)
    report = rotation.run()
    assert world.mints()["prod"] == 2
    assert (world.password("team-a", ECR), world.writes()) == (first, len(TEAMS))
    assert report.exit_code == 0
    world.clock.advance(seconds=3)
    rotation.run()
    assert world.password("team-a", ECR) != first


def test_invariant_12_a_hung_cloud_does_not_keep_others_waiting(world: World) -> None:
    """While AWS is silent (for its whole deadline), the tokens of the other two are already in every Secret."""
    world.add_namespaces(*TEAMS)
    world.configure(CONFIG.replace("deadline: 2s", "deadline: 60s"))
    world.net.aws.fault = Fault.HUNG
    rotation = world.rotation()
    pass_under_way = threading.Thread(target=rotation.run)
    pass_under_way.start()
    try:
        wait_until(lambda: all(world.api.store.get("secrets", team, SECRET) for team in TEAMS), 30)
        assert pass_under_way.is_alive()
        assert {frozenset(world.auths(team)) for team in TEAMS} == {frozenset({GAR, ACR})}
    finally:
        rotation.stop()
        pass_under_way.join()


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_jumps_breaks_nothing(world: World, hours: int) -> None:
    """One hour forth or back: the pass renews what its times no longer speak for; the next has nothing to do."""
    world.add_namespaces(*TEAMS)
    rotation = world.rotation()
    rotation.run()
    world.clock.advance(hours=hours)
    assert rotation.run().exit_code == 0
    before = bytes_of(world)
    report = rotation.run()
    assert report.exit_code == 0
    assert {r.change.state for r in report.results} == {State.UP_TO_DATE, State.REFERENCED}
    assert bytes_of(world) == before


def test_a_clock_that_is_set_back_keeps_no_failed_registry_waiting(world: World) -> None:
    """The next try was set for a time that is now hours away: the registry is tried at once, and then backs off."""
    world.add_namespaces(*TEAMS)
    world.net.azure.fault = Fault.DOWN
    rotation = world.rotation()
    rotation.run()
    world.clock.advance(hours=-2)
    world.forget()
    rotation.run()
    assert world.net.azure.calls.total() == 1
    rotation.run()
    assert world.net.azure.calls.total() == 1
    world.net.azure.fault = None
    world.clock.advance(seconds=60)
    assert rotation.run().exit_code == 0


def test_a_clock_that_is_set_back_in_an_outage_costs_no_writes(world: World) -> None:
    """What was issued in the future cannot be renewed now: it stays as it is, and is not sent again and again."""
    world.add_namespaces(*TEAMS)
    world.configure(ECR_ONLY)
    rotation = world.rotation()
    rotation.run()
    world.net.aws.fault = Fault.REFUSING
    world.clock.advance(hours=-1)
    world.forget()
    report = rotation.run()
    assert (world.writes(), report.exit_code) == (0, 1)
    assert {result(report, team).outcome for team in TEAMS} == {Outcome.BLOCKED}


def test_a_registry_that_nobody_needs_any_more_is_not_tried_again(world: World) -> None:
    """Its last failure is nobody's trouble once the only namespace that needed it is gone: no error, no alarm."""
    world.add_namespaces("team-a")
    world.net.azure.fault = Fault.DOWN
    rotation = world.rotation()
    assert rotation.run().exit_code == 1
    world.api.store.delete_namespace("team-a")
    world.clock.advance(minutes=10)
    report = rotation.run()
    assert report.exit_code == 0
    assert [status.next_attempt_at for status in report.registries] == [None, None, None]


def test_a_host_that_is_refused_costs_the_others_no_writes(world: World) -> None:
    """One of two hosts refuses for good: the other's entries are written once, however often it is tried again."""
    world.add_namespaces(*TEAMS)
    world.configure(TWO_HOSTS)
    world.net.hosts[ECR_SHARED] = refusing
    rotation = world.rotation()
    rotation.run()
    for _ in range(3):
        world.clock.advance(minutes=6)
        assert rotation.run().exit_code == 1
    assert world.writes() == len(TEAMS)
    assert {frozenset(world.auths(team)) for team in TEAMS} == {frozenset({ECR})}
    assert world.mints()["prod"] == 4


def test_a_refused_host_keeps_the_living_credential_for_new_namespaces(world: World) -> None:
    """The new credential is accepted by one host only: a namespace that comes gets the older one for the other."""
    world.add_namespaces("team-a")
    world.configure(TWO_HOSTS)
    rotation = world.rotation()
    rotation.run()
    world.clock.advance(hours=7)
    world.net.hosts[ECR_SHARED] = refusing
    rotation.run()
    world.add_namespaces("team-b")
    rotation.run()
    assert set(world.auths("team-b")) == {ECR, ECR_SHARED}
    assert world.password("team-b", ECR_SHARED) == world.password("team-a", ECR_SHARED)
    assert world.password("team-b", ECR) != world.password("team-b", ECR_SHARED)


def test_an_unproven_credential_fills_holes_and_replaces_nothing_that_lives(world: World) -> None:
    """The registry is silent and one namespace has no Secret: it gets the new credential, the others keep theirs."""
    world.add_namespaces(*TEAMS)
    world.configure(ECR_ONLY)
    world.once()
    old = world.password("team-a", ECR)
    world.api.store.delete("secrets", "team-b", SECRET)
    world.net.registries[ECR].fault = Fault.DOWN
    world.clock.advance(hours=7)
    world.once()
    assert [world.password(team, ECR) == old for team in TEAMS] == [True, False, True]


def test_a_token_whose_expiry_wavers_by_a_second_is_not_written_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A metadata server says "expires in": the same token's expiry moves by a second, and that is no new token."""
    world.add_namespaces(*TEAMS)
    gar_only = ECR_ONLY.replace(f"ecr: {{hosts: [{ECR}]}}", f"gar: {{hosts: [{GAR}]}}")
    world.configure(gar_only)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    world.net.node = Node.GOOGLE
    rotation = world.rotation()
    rotation.run()
    first = world.password("team-a", GAR)
    world.clock.advance(minutes=31, seconds=1.5)
    rotation.run()
    assert world.net.google.calls["metadata"] >= 2
    assert (world.password("team-a", GAR), world.writes()) == (first, len(TEAMS))


@pytest.mark.parametrize(
    ("server", "listed", "reasons"),
    [
        (ECR_SHARED, "", []),
        ("auth.example", "", ["ProbeUnanswered"]),
        ("auth.example", ", allowHosts: [auth.example]", []),
    ],
)
def test_a_token_server_is_shown_the_credential_if_it_is_ours_or_listed(
    world: World, server: str, listed: str, reasons: list[str]
) -> None:
    """Another host of the same registry may be the realm of the first; a stranger must be listed under allowHosts."""
    world.add_namespaces("team-a")
    world.configure(TWO_HOSTS.replace("deadline: 2s", "deadline: 2s" + listed))
    shown: list[str | None] = []

    def ask(request: Request) -> Response:
        if request.path == "/token":
            shown.append(request.headers.get("Authorization"))
            return Response.of_json(200, {"token": "opens"})
        if request.headers.get("Authorization") == "Bearer opens":
            return Response(200)
        return Response(401, headers={"WWW-Authenticate": f'Bearer realm="https://{server}/token"'})

    world.net.hosts |= dict.fromkeys((ECR, ECR_SHARED, "auth.example"), ask)
    report = world.once()
    assert [status.error.reason for status in report.registries if status.error] == reasons
    assert bool(shown) == (not reasons)


def test_a_registry_is_not_asked_where_the_probe_is_switched_off(world: World) -> None:
    """`probe.enabled: false` publishes what the cloud gives, though this registry would refuse it."""
    world.add_namespaces("team-a")
    world.configure(ECR_ONLY.replace("deadline: 2s", "deadline: 2s, probe: {enabled: false}"))
    asked: list[Request] = []

    def ask(request: Request) -> Response:
        asked.append(request)
        return refusing(request)

    world.net.hosts[ECR] = ask
    assert world.once().exit_code == 0
    assert (set(world.auths("team-a")), asked) == ({ECR}, [])
