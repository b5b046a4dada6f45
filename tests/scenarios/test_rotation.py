"""Rotations on a healthy world: what is written, how often, and what it costs the clouds."""

import base64
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from rotator.model import Action, State
from rotator.rotation import Outcome
from rotator.sandbox.apiserver import Call
from rotator.sandbox.faults import Fault
from tests.outside import ACR, CONFIG, ECR, ECR_ONLY, GAR, SECRET
from tests.scenarios.world import World
from tests.waiting import eventually, wait_until

TEAMS = tuple(f"team-{number}" for number in range(12))
ONE_EACH = {"prod": 1, "images": 1, "contoso": 1}
NONE = {"prod": 0, "images": 0, "contoso": 0}
IMAGES_ONLY = """
  - name: images-pull
    registries: [images]
    namespaces: {names: [team-a]}
    serviceAccounts: {names: [workers]}
"""


def test_the_first_pass_serves_every_namespace(world: World) -> None:
    """Each covered namespace has the Secret with all three hosts and the reference; others have neither."""
    world.add_namespaces(*TEAMS, "team-legacy", "other")
    report = world.once()
    assert report.exit_code == 0
    for team in TEAMS:
        assert set(world.auths(team)) == {ECR, GAR, ACR}
        assert world.references(team) == [SECRET]
    for namespace in ("team-legacy", "other"):
        assert world.api.store.get("secrets", namespace, SECRET) is None
        assert world.references(namespace) == []


def test_invariant_4_a_pass_costs_one_mint_per_registry_and_one_write_per_secret(world: World) -> None:
    """Twelve namespaces: three mints, twelve writes, the same bytes everywhere."""
    world.add_namespaces(*TEAMS)
    world.once()
    assert world.mints() == ONE_EACH
    assert world.writes() == len(TEAMS)
    assert len({world.secret(team)["data"][".dockerconfigjson"] for team in TEAMS}) == 1


def test_invariant_4_two_passes_that_decide_alike_cost_one_mint(world: World) -> None:
    """The second pass had decided to mint before the first one's mint ended, and comes to it after: that is enough."""
    minting = world.rotation().minting
    for _ in range(2):
        minting.start("prod", "the Secret is Missing", {}, None).result(timeout=30)
    assert world.mints()["prod"] == 1


def test_what_is_up_to_date_costs_nothing(world: World) -> None:
    """A second pass writes nothing and asks no cloud, in the same process and in a new one (invariant 11)."""
    world.add_namespaces(*TEAMS)
    rotation = world.rotation()
    rotation.run()
    world.forget()
    reports = [rotation.run(), world.once()]
    assert [report.exit_code for report in reports] == [0, 0]
    assert (world.mints(), world.writes()) == (NONE, 0)
    assert {record.verb for record in world.api.journal.records} <= {"get", "list"}


def test_invariant_2_renewal_is_in_place(world: World) -> None:
    """After half of the life: new tokens, one write per Secret, the same UID, nothing deleted."""
    world.add_namespaces(*TEAMS)
    rotation = world.rotation()
    rotation.run()
    before = {team: (world.secret(team)["metadata"]["uid"], world.password(team, ECR)) for team in TEAMS}
    world.forget()
    world.clock.advance(hours=7)
    assert rotation.run().exit_code == 0
    assert world.mints() == ONE_EACH
    assert world.writes() == len(TEAMS)
    for team in TEAMS:
        uid, password = before[team]
        assert world.secret(team)["metadata"]["uid"] == uid
        assert world.password(team, ECR) != password
    assert not [record for record in world.api.journal.records if record.verb.startswith("delete")]


def test_each_registry_is_renewed_by_its_own_life(world: World) -> None:
    """After 40 minutes only the token of Artifact Registry (1 h) is past its half; ECR (12 h) and ACR (3 h) stay."""
    world.add_namespaces("team-a")
    rotation = world.rotation()
    rotation.run()
    ecr, gar = world.password("team-a", ECR), world.password("team-a", GAR)
    world.forget()
    world.clock.advance(minutes=40)
    rotation.run()
    assert world.mints() == NONE | {"images": 1}
    assert world.password("team-a", ECR) == ecr
    assert world.password("team-a", GAR) != gar


def test_a_new_namespace_is_served_from_what_is_held(world: World) -> None:
    """A namespace that appears between renewals costs a write and no mint."""
    world.add_namespaces("team-a")
    rotation = world.rotation()
    rotation.run()
    world.forget()
    world.add_namespaces("team-b")
    rotation.run()
    assert (world.mints(), world.writes()) == (NONE, 1)
    assert world.password("team-b", ECR) == world.password("team-a", ECR)


def test_invariant_11_a_restart_never_restores_a_credential_from_a_namespace(world: World) -> None:
    """A new process that needs a credential mints it, although a tenant's Secret holds one that looks good."""
    world.add_namespaces("team-a")
    world.once()
    world.forget()
    world.add_namespaces("team-b")
    world.once()
    assert world.mints() == ONE_EACH
    assert world.writes() == 1
    assert world.password("team-b", ECR) != world.password("team-a", ECR)


def test_invariant_9_the_reference_comes_before_the_secret(world: World) -> None:
    """In each namespace the ServiceAccount is patched before the Secret is written."""
    world.add_namespaces(*TEAMS)
    world.once()
    for team in TEAMS:
        patched = [
            record.resource
            for record in world.api.journal.records
            if record.verb == "patch" and record.namespace == team
        ]
        assert patched == ["serviceaccounts", "secrets"]


def test_invariant_3_other_references_and_foreign_entries_survive(world: World) -> None:
    """Other pull secrets of the ServiceAccount, and other entries of an adopted Secret, keep their place and bytes."""
    world.api.store.create_namespace("team-a")
    world.api.store.create_service_account("team-a", "workers", ["docker-hub", "quay"])
    foreign = {"credsStore": "", "auths": {"ghcr.io": {"auth": "YTpi", "email": "x@y.example"}}}
    world.api.store.put_secret(
        "team-a", SECRET, {".dockerconfigjson": json.dumps(foreign)}, labels={"team": "a"}, annotations={"note": "keep"}
    )
    uid = world.secret("team-a")["metadata"]["uid"]
    world.configure(CONFIG + "    adopt: true\n")
    assert world.once().exit_code == 0
    secret = world.secret("team-a")
    assert world.references("team-a") == ["docker-hub", "quay", SECRET]
    assert world.auths("team-a")["ghcr.io"] == foreign["auths"]["ghcr.io"]  # type: ignore[index]
    assert next(iter(world.auths("team-a"))) == "ghcr.io"
    assert json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))["credsStore"] == ""
    assert secret["metadata"]["labels"]["team"] == "a"
    assert secret["metadata"]["annotations"]["note"] == "keep"
    assert secret["metadata"]["uid"] == uid


def test_kubectl_shows_who_manages_the_secret_and_until_when(world: World) -> None:
    """Labels and annotations: managed-by, the pull secret's name, per-host expiry, last renewal."""
    world.add_namespaces("team-a")
    world.once()
    meta = world.secret("team-a")["metadata"]
    assert meta["labels"] == {"app.kubernetes.io/managed-by": "rotator", "rotator.dev/pull-secret": SECRET}
    entries = json.loads(meta["annotations"]["rotator.dev/entries"])
    assert set(entries) == {ECR, GAR, ACR}
    assert meta["annotations"]["rotator.dev/expires-at"] == entries[GAR]["expiresAt"]
    assert meta["annotations"]["rotator.dev/renewed-at"] == max(entry["issuedAt"] for entry in entries.values())


def test_invariant_10_check_is_the_same_plan_and_writes_nothing(world: World) -> None:
    """`check` finds what `once` then does, change for change, and sends no write."""
    world.add_namespaces("team-a", "team-b")
    checked = world.rotation().run(write=False)
    assert not [record for record in world.api.journal.records if record.verb not in {"get", "list"}]
    assert [result.outcome for result in checked.results if result.change.action is not Action.NOTHING] == [
        Outcome.PLANNED
    ] * 4
    done = world.once()
    assert [result.change for result in done.results] == [result.change for result in checked.results]


def test_a_pass_over_one_namespace_touches_no_other(world: World) -> None:
    """`only` reads and writes one namespace: what a watch event will lead to."""
    world.add_namespaces("team-a", "team-b")
    report = world.rotation().run(only="team-b")
    assert world.api.store.get("secrets", "team-a", SECRET) is None
    assert set(world.auths("team-b")) == {ECR, GAR, ACR}
    assert {record.namespace for record in world.api.journal.records} <= {"team-b", ""}
    assert report.exit_code == 0


def test_a_namespace_that_is_being_deleted_is_left_alone(world: World) -> None:
    """Nothing is read or written in it, and it is no failure."""
    world.add_namespaces("team-a", "team-b")
    world.api.store.hold_terminating = True
    world.api.store.delete_namespace("team-b")
    report = world.once()
    assert report.exit_code == 0
    assert State.TERMINATING in {result.change.state for result in report.results}
    assert world.writes() == 1


def test_several_pull_secrets_each_reach_their_own_service_accounts(world: World) -> None:
    """Least privilege: each ServiceAccount references its own Secret, with its own registries."""
    world.api.store.create_namespace("team-a")
    for name in ("workers", "apps"):
        world.api.store.create_service_account("team-a", name)
    apps = """
  - name: app-pull
    registries: [images]
    namespaces: {names: [team-a]}
    serviceAccounts: {names: [apps]}
"""
    world.configure(CONFIG + apps)
    assert world.once().exit_code == 0
    assert (world.references("team-a", "workers"), world.references("team-a", "apps")) == ([SECRET], ["app-pull"])
    assert set(
        json.loads(base64.b64decode(world.secret("team-a", "app-pull")["data"][".dockerconfigjson"]))["auths"]
    ) == {GAR}
    assert world.mints() == ONE_EACH


def test_several_references_of_one_service_account_are_one_patch(world: World) -> None:
    """Two pull secrets for the same ServiceAccount: both are attached at once, in the order of the configuration."""
    world.add_namespaces("team-a")
    world.configure(CONFIG + IMAGES_ONLY)
    assert world.once().exit_code == 0
    assert world.references("team-a") == [SECRET, "images-pull"]
    assert world.api.journal.counts["patch", "serviceaccounts", 200] == 1


def test_a_second_round_adds_to_what_the_first_one_did(world: World) -> None:
    """A slow cloud's entry is written later, in the same pass; the report says what both rounds did."""
    world.add_namespaces("team-a")
    world.configure(CONFIG.replace("deadline: 2s", "deadline: 60s") + IMAGES_ONLY)
    world.net.aws.fault = Fault.HUNG
    first_round = threading.Event()

    def answer_at_last() -> None:
        first_round.wait(60)
        wait_until(lambda: world.writes() == 2, 30)
        world.net.aws.fault = None

    def note(call: Call) -> None:
        if call.verb == "patch":
            first_round.set()

    world.api.before_request(note)
    helper = threading.Thread(target=answer_at_last)
    helper.start()
    report = world.once()
    helper.join()
    assert set(world.auths("team-a")) == {ECR, GAR, ACR}
    outcomes = {(r.change.subject.name, r.change.pull_secret): r.outcome for r in report.results}
    assert outcomes == {
        ("workers", SECRET): Outcome.ATTACHED,
        ("workers", "images-pull"): Outcome.ATTACHED,
        (SECRET, SECRET): Outcome.WRITTEN,
        ("images-pull", "images-pull"): Outcome.WRITTEN,
    }
    assert (world.writes(), report.exit_code) == (3, 0)


def test_invariant_8_no_pod_is_touched(world: World) -> None:
    """Through first pass and renewal, nothing is asked of Pods: they need no restart."""
    world.add_namespaces("team-a")
    pod = world.api.store.create_pod("team-a", "worker", f"{ECR}/app", service_account="workers")
    rotation = world.rotation()
    rotation.run()
    world.clock.advance(hours=7)
    rotation.run()
    assert not [record for record in world.api.journal.records if record.resource == "pods"]
    assert world.api.store.get("pods", "team-a", "worker") == pod


def test_what_expires_first_is_written_first(world: World) -> None:
    """And before that, where there is nothing to pull with: however the namespaces are called."""
    world.configure(ECR_ONLY)
    world.add_namespaces("team-b")
    world.once()
    world.clock.advance(hours=1)
    world.add_namespaces("team-a")
    world.once()
    world.clock.advance(hours=7)
    world.add_namespaces("team-c")
    world.configure(f"{ECR_ONLY}fanOut: {{concurrency: 1}}\n")
    written = written_namespaces(world)
    assert world.once().exit_code == 0
    assert [name for name, _ in written] == ["team-c", "team-b", "team-a"]


def test_as_many_are_written_at_a_time_as_is_configured(world: World) -> None:
    """Three, and no fourth, though the first three wait for it for a while."""
    world.configure(f"{ECR_ONLY}fanOut: {{concurrency: 3}}\n")
    world.add_namespaces(*(f"team-{n}" for n in range(12)))
    four, crowded = threading.Barrier(4), []

    def meet(call: Call) -> None:
        if (call.verb, call.place.resource.name) == ("patch", "secrets"):
            with suppress(threading.BrokenBarrierError):
                four.wait(timeout=1)
                crowded.append(call.place.namespace)

    world.api.before_request(meet)
    rotation = world.rotation()
    with ThreadPoolExecutor(1) as pool:
        report = pool.submit(rotation.run)
        eventually(lambda: four.n_waiting == 3, "three at a time")
        assert report.result().exit_code == 0
    assert crowded == []


def test_what_has_time_is_written_at_the_configured_pace(world: World) -> None:
    """And what presses before it, without a pause."""
    world.configure(f"{ECR_ONLY}fanOut: {{perSecond: 5}}\n")
    world.add_namespaces("team-a", "team-b", "team-c")
    world.once()
    world.clock.advance(hours=7)
    world.add_namespaces(*(f"team-new-{n}" for n in range(50)))
    written = written_namespaces(world)
    assert world.rotation().run(paced=True).exit_code == 0
    assert len(written) == 53
    at_leisure, at_once = (
        sorted(moment for name, moment in written if ("new" in name) is is_new) for is_new in (False, True)
    )
    assert at_leisure[-1] - at_leisure[0] > 0.3  # two pauses of 0.2 s, less what the first was late
    assert at_once[-1] - at_once[0] < 5  # 49 such pauses are 10 s


def test_a_pass_that_takes_its_time_hurries_for_the_next(world: World) -> None:
    """At one a second these would take half a minute."""
    world.configure(f"{ECR_ONLY}fanOut: {{perSecond: 1}}\n")
    names = [f"team-{n}" for n in range(30)]
    world.add_namespaces(*names)
    world.once()
    world.clock.advance(hours=7)
    rotation = world.rotation()
    written = written_namespaces(world)
    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(rotation.run, paced=True)
        eventually(lambda: written, "the first is written")
        assert rotation.run(paced=True).exit_code == 0
        assert slow.result().exit_code == 0
    assert {name for name, _ in written} == set(names)
    assert time.monotonic() - began < 20


def test_nothing_is_paced_where_there_is_nothing_to_write(world: World) -> None:
    """In an outage of the cloud, too, a pass ends and says so; at one a second this would take half a minute."""
    world.configure(f"{ECR_ONLY}fanOut: {{perSecond: 1}}\n")
    world.add_namespaces(*(f"team-{n}" for n in range(30)))
    world.once()
    world.clock.advance(hours=7)
    world.net.aws.fault = Fault.DOWN
    began = time.monotonic()
    report = world.rotation().run(paced=True)
    assert {result.outcome for result in report.results} == {Outcome.WAITING, Outcome.NOTHING}
    assert time.monotonic() - began < 20


def written_namespaces(world: World) -> list[tuple[str, float]]:
    """The namespaces of the Secrets that are written from now on, and when (time.monotonic)."""
    written: list[tuple[str, float]] = []

    def note(call: Call) -> None:
        if (call.verb, call.place.resource.name) == ("patch", "secrets"):
            written.append((call.place.namespace, time.monotonic()))

    world.api.before_request(note)
    return written
