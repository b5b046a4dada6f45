"""What the metrics show of passes over an emulated cluster: good ones, failing ones, and what people do in between."""

import pytest

from rotator.clock import utc_now
from rotator.metrics import Metrics
from rotator.rotation import Rotation
from rotator.sandbox.apiserver import Rule
from rotator.sandbox.faults import SLOWNESS, Fault
from rotator.sandbox.server import Response
from tests.outside import CONFIG, ECR_ONLY, GAR, SECRET
from tests.scenarios.rivals import TEAMS
from tests.scenarios.world import World
from tests.scraping import Scrape, scrape

MINUTE = 60
HOUR = 60 * MINUTE


class Watched:
    """A process of rotator whose metrics are read."""

    def __init__(self, world: World, user: str = "rotator", rules: list[Rule] | None = None) -> None:
        self.metrics = Metrics()
        self.metrics.configured(world.config, "abc123")
        self.rotation: Rotation = world.rotation(user, rules, observer=self.metrics)

    def sweep(self) -> Scrape:
        """One pass over everything, and what a scrape shows then."""
        self.rotation.run()
        return scrape(self.metrics)


def left(found: Scrape, name: str) -> dict[tuple[str, ...], float]:
    """By registry, how far away that time of its credential is, in seconds."""
    times = found.some(f"rotator_credential_{name}_timestamp_seconds", "registry")
    return {key: at - utc_now().timestamp() for key, at in times.items()}


def test_a_first_pass(world: World) -> None:
    """One mint and probe per registry, a write and a reference per namespace, all of them well afterwards."""
    world.add_namespaces(*TEAMS)
    found = Watched(world).sweep()
    registries = {(name,): 1 for name in ("prod", "images", "contoso")}
    assert found.some("rotator_mints_total", "registry", "result") == {(*name, "ok"): 1 for name in registries}
    assert found.some("rotator_mint_duration_seconds_count", "registry") == registries
    assert found.some("rotator_probes_total", "registry", "verdict") == {(*name, "Accepted"): 1 for name in registries}
    assert found.some("rotator_probe_duration_seconds_count", "registry") == registries
    assert found.some("rotator_secret_writes_total", "pull_secret", "result") == {(SECRET, "written"): len(TEAMS)}
    assert found.some("rotator_reference_writes_total", "pull_secret", "result") == {(SECRET, "attached"): len(TEAMS)}
    assert found.some("rotator_objects", "kind", "pull_secret", "state") == {
        ("Secret", SECRET, "UpToDate"): len(TEAMS),
        ("ServiceAccount", SECRET, "Referenced"): len(TEAMS),
    }
    assert found.some("rotator_pass_duration_seconds_count", "scope") == {("all",): 1}
    assert found.value("rotator_last_successful_sweep_timestamp_seconds") == pytest.approx(
        utc_now().timestamp(), abs=MINUTE
    )
    assert left(found, "expiry") == {
        ("prod",): pytest.approx(12 * HOUR, abs=MINUTE),
        ("images",): pytest.approx(HOUR, abs=MINUTE),
        ("contoso",): pytest.approx(3 * HOUR, abs=MINUTE),
    }
    assert left(found, "renewal")["prod",] == pytest.approx(6 * HOUR, abs=MINUTE)
    assert left(found, "issue")["prod",] == pytest.approx(0, abs=MINUTE)


def test_a_second_pass_and_a_restart_show_the_same_credentials(world: World) -> None:
    """What stands in the cluster is shown, also by a process that has minted nothing."""
    world.add_namespaces(*TEAMS)
    first = Watched(world)
    times = [first.sweep(), first.sweep(), Watched(world).sweep()]
    for name in ("issue", "expiry", "renewal"):
        shown = [each.values(f"rotator_credential_{name}_timestamp_seconds") for each in times]
        assert shown[0] == shown[1] == shown[2]
        assert len(shown[0]) == 3
    assert times[2].some("rotator_mints_total", "registry") == {}


def test_a_cloud_that_fails(world: World) -> None:
    """The reason is counted, the expiry comes nearer, the next try is known, and the Secrets are Due."""
    world.add_namespaces(*TEAMS)
    world.configure(ECR_ONLY)
    watched = Watched(world)
    watched.sweep()
    world.clock.advance(hours=7)
    world.net.aws.fault = Fault.REFUSING
    found = watched.sweep()
    mints = found.some("rotator_mints_total", "registry", "result")
    assert mints == {("prod", "ok"): 1, ("prod", "MintRefused"): 1}
    assert found.some("rotator_mint_duration_seconds_count", "registry") == {("prod",): 2}
    assert found.some("rotator_objects", "kind", "state")["Secret", "Due"] == len(TEAMS)
    assert left(found, "expiry")["prod",] == pytest.approx(5 * HOUR, abs=MINUTE)
    assert 0 < left(found, "renewal")["prod",] < MINUTE


def test_a_cloud_that_takes_its_time(world: World) -> None:
    """The duration is the cloud's."""
    world.add_namespaces("team-a")
    world.configure(ECR_ONLY)
    world.net.aws.fault = Fault.SLOW
    found = Watched(world).sweep()
    assert (found.value("rotator_mint_duration_seconds_sum", registry="prod") or 0) >= SLOWNESS.total_seconds()


def test_a_registry_that_refuses(world: World) -> None:
    """The cloud's answer was good and its registry's was not: each is counted for what it was."""
    world.add_namespaces("team-a")
    world.net.hosts[GAR] = lambda _: Response(401, headers={"WWW-Authenticate": 'Basic realm="elsewhere"'})
    found = Watched(world).sweep()
    assert found.some("rotator_mints_total", "registry", "result")["images", "ok"] == 1
    assert found.some("rotator_probes_total", "registry", "verdict")["images", "Refused"] == 1
    assert "images" not in {registry for (registry,) in left(found, "expiry")}


def test_a_probe_that_is_switched_off_is_none(world: World) -> None:
    """Nobody was asked, so nothing is counted."""
    world.add_namespaces("team-a")
    world.configure(ECR_ONLY.replace("deadline: 2s", "probe: {enabled: false}"))
    assert Watched(world).sweep().some("rotator_probes_total", "registry") == {}


def test_a_namespace_that_may_not_be_written(world: World) -> None:
    """The reason is counted for Secret and reference, and the others are well."""
    world.add_namespaces("team-a", "team-b")
    everything = Rule(("get", "list", "watch"), ("namespaces", "secrets", "serviceaccounts"))
    write = Rule(("create", "patch"), ("secrets", "serviceaccounts"), namespaces=("team-a",))
    found = Watched(world, "limited", [everything, write]).sweep()
    assert found.some("rotator_secret_writes_total", "result") == {("written",): 1, ("Forbidden",): 1}
    assert found.some("rotator_reference_writes_total", "result") == {("attached",): 1, ("Forbidden",): 1}
    assert found.some("rotator_objects", "kind", "state") == {
        ("Secret", "UpToDate"): 1,
        ("Secret", "Missing"): 1,
        ("ServiceAccount", "Referenced"): 1,
        ("ServiceAccount", "ReferenceMissing"): 1,
    }


def test_what_people_do_in_between(world: World) -> None:
    """A foreign Secret is counted until it is gone; the writes that follow are added up."""
    world.add_namespaces("team-a", "team-b")
    world.api.store.put_secret("team-a", SECRET, {".dockerconfigjson": "{}"})
    watched = Watched(world)
    assert watched.sweep().some("rotator_objects", "kind", "state")["Secret", "Foreign"] == 1
    world.api.store.delete("secrets", "team-a", SECRET)
    found = watched.sweep()
    assert found.some("rotator_objects", "kind", "state")["Secret", "UpToDate"] == 2
    assert ("Secret", "Foreign") not in found.some("rotator_objects", "kind", "state")
    assert found.value("rotator_secret_writes_total", pull_secret=SECRET, result="written") == 2


def test_a_registry_that_nobody_needs_has_no_times(world: World) -> None:
    """No namespace is covered: nothing is minted or published, and no alarm is due."""
    found = Watched(world).sweep()
    assert left(found, "expiry") == left(found, "renewal") == {}
    assert found.some("rotator_mints_total", "registry") == {}
    assert found.some("rotator_objects", "kind") == {}


def test_invariant_7_no_secret_value_is_in_the_metrics(world: World) -> None:
    """In no label, whatever failed."""
    world.add_namespaces(*TEAMS)
    world.configure(CONFIG)
    watched = Watched(world)
    watched.sweep()
    world.net.google.fault = Fault.ECHOING
    world.clock.advance(hours=7)
    found = watched.sweep()
    assert found.some("rotator_mints_total", "registry", "result")["images", "MintRefused"] == 1
    assert found.some("rotator_objects", "kind", "state")["Secret", "Expired"] == len(TEAMS)
    text = watched.metrics.page({}).body.decode()
    assert world.net.secrets()
    assert not [secret for secret in world.net.secrets() if secret in text]
