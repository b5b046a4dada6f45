"""Clouds that fail in every way while their credential is due: a new Pod pulls with the one that is published."""

import base64
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from rotator.clock import utc_now
from rotator.sandbox.faults import Fault
from rotator.sandbox.server import Handler, Request, Response
from tests.controlplane.server import ControlPlane
from tests.faults.scene import Scene, on_duty, scene_on
from tests.outside import ACR, CONFIG, ECR, ECR_ONLY, GAR
from tests.program import Running
from tests.waiting import eventually

LIFE = timedelta(seconds=40)
SOON = "renewal: {at: 0.05, jitter: 0%, sweep: 1h}\n"
"""Due after two seconds, and valid for more than half a minute then: time to look at what a Pod meets."""

HOSTS = {"prod": ECR, "images": GAR, "contoso": ACR}
ROUNDS = [
    {
        "prod": (Fault.DOWN, {"CloudUnavailable"}),
        "images": (Fault.DRIPPING, {"MintTimedOut"}),
        "contoso": (Fault.THROTTLING, {"MintThrottled"}),
    },
    {
        "prod": (Fault.MALFORMED, {"MalformedAnswer", "CloudUnavailable"}),
        "images": (Fault.HUNG, {"MintTimedOut"}),
        "contoso": (Fault.REFUSING, {"MintRefused"}),
    },
    {
        "prod": (Fault.BLANK, {"MalformedAnswer"}),
        "images": (Fault.DOWN, {"CloudUnavailable"}),
        "contoso": (Fault.MALFORMED, {"MalformedAnswer", "CloudUnavailable"}),
    },
]


def failures(running: Running, registry: str) -> set[str]:
    """The reasons for which this registry's mints failed."""
    return {event["reason"] for event in running.events("mint.failed") if event["registry"] == registry}


def throw(scene: Scene, registry: str, fault: Fault | None) -> None:
    """From now on the registry's cloud is wrong in this way."""
    net = scene.installation.net
    {"prod": net.aws, "images": net.google, "contoso": net.azure}[registry].fault = fault


def is_renewed(scene: Scene, team: str, host: str, password: str) -> bool:
    """Whether another password than this is published."""
    return scene.installation.password(team, host) != password


@pytest.mark.parametrize("wrong", ROUNDS, ids=lambda wrong: ", ".join(fault for fault, _ in wrong.values()))
def test_three_clouds_fail_at_once(
    controlplane: ControlPlane, tmp_path: Path, wrong: dict[str, tuple[Fault, set[str]]]
) -> None:
    """Each is named with its reason, nothing is written, Pods pull; each is renewed soon after it is well."""
    with scene_on(controlplane, tmp_path, LIFE) as scene:
        scene.configure(CONFIG + SOON)
        with on_duty(scene, "team-a") as (running, (team,)):
            for registry, (fault, _) in wrong.items():
                throw(scene, registry, fault)
            for registry, (_, reasons) in wrong.items():
                eventually(partial(failures, running, registry), f"the failure of {registry}")
                assert failures(running, registry) <= reasons
                (reason, *_) = failures(running, registry)
                assert scene.metric(running, "rotator_mints_total", registry=registry, result=reason) > 0
            for host in HOSTS.values():
                expires_at = utc_now() + LIFE / 4  # the last renewal is a few seconds old, on an idle machine
                assert scene.pulls(team, host) or utc_now() > expires_at
            assert scene.is_alive(running)
            assert scene.is_ready(running)
            before = {host: scene.installation.password(team, host) for host in HOSTS.values()}
            for registry in wrong:
                throw(scene, registry, None)
            for host, password in before.items():
                eventually(partial(is_renewed, scene, team, host, password), f"the next credential for {host}")


def test_a_slow_cloud_is_waited_for(controlplane: ControlPlane, tmp_path: Path) -> None:
    """A second late is no failure; meanwhile Pods pull with what is published."""
    with scene_on(controlplane, tmp_path, LIFE) as scene:
        scene.configure(ECR_ONLY + SOON)
        with on_duty(scene, "team-a") as (running, (team,)):
            throw(scene, "prod", Fault.SLOW)
            before = scene.password(team)
            assert scene.pulls(team)
            eventually(lambda: scene.password(team) != before, "the next credential")
            assert scene.pulls(team)
            assert running.events("mint.failed") == []


def test_a_token_that_the_registry_refuses_is_not_published(controlplane: ControlPlane, tmp_path: Path) -> None:
    """The cloud gives it and its registry says no: Pods go on with the last good one, and the refusal is counted."""
    with scene_on(controlplane, tmp_path, LIFE) as scene:
        scene.configure(ECR_ONLY + SOON)
        net = scene.installation.net
        with on_duty(scene, "team-a") as (running, (team,)):
            good = scene.password(team)
            handler = net.registries.handler_for(ECR)
            assert handler
            net.hosts[ECR] = only(lambda: {good, scene.password(team)}, handler)
            eventually(lambda: failures(running, "prod") == {"ProbeRefused"}, "the refusal")
            assert scene.metric(running, "rotator_probes_total", registry="prod", verdict="Refused") > 0
            assert scene.pulls(team)
            before = scene.password(team)
            del net.hosts[ECR]
            eventually(lambda: scene.password(team) != before, "the next credential")
            assert scene.pulls(team)


def only(accepted: Callable[[], set[str]], handler: Handler) -> Handler:
    """A registry that knows just these passwords; the rest of its answers are those of this one."""

    def answer(request: Request) -> Response:
        shown = request.headers.get("Authorization", "").removeprefix("Basic ")
        if shown and base64.b64decode(shown).decode().partition(":")[2] not in accepted():
            return Response(401, headers={"WWW-Authenticate": 'Basic realm="elsewhere"'})
        return handler(request)

    return answer


def test_an_outage_that_lasts_is_an_event_and_is_over_in_seconds(controlplane: ControlPlane, tmp_path: Path) -> None:
    """What is published comes to its end: an Event beside rotator, failing Pods, and soon all is well again."""
    with scene_on(controlplane, tmp_path, timedelta(seconds=6)) as scene:
        scene.configure(ECR_ONLY + "renewal: {at: 0.3, jitter: 0%, sweep: 2s}\n")
        with on_duty(scene, "team-a") as (running, (team,)):
            throw(scene, "prod", Fault.DOWN)
            pod = scene.pod(team)
            assert pod is not None
            eventually(lambda: not scene.comes_up(pod), "the published credential has expired")
            told = {"RegistryCredentialExpiring", "RegistryCredentialMissing"}
            eventually(lambda: scene.events(scene.home) & told, "the Event")
            throw(scene, "prod", None)
            eventually(lambda: scene.comes_up(pod), "the Pod that failed comes up")
            expiry = "rotator_credential_expiry_timestamp_seconds"
            eventually(lambda: scene.metric(running, expiry) > utc_now().timestamp(), "the metric says so")
