"""Where one of the printed rights is missing: the job fails, the error names the rule to add, and that is enough.

One right at a time on the emulation, where a rival is always quicker than the write; the way from no right at all to
the printed ones on a real cluster.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from structlog.testing import capture_logs

from rotator import rbac
from rotator.clock import utc_now
from rotator.config import parse
from rotator.daemon.duty import Duty
from rotator.errors import ClusterUnusable
from rotator.eventing import Eventing
from rotator.rotation import Rotation
from rotator.sandbox.apiserver import Call, Rule
from rotator.sending import Sender
from tests.controlplane.server import ControlPlane
from tests.installation import ACCOUNT, Installation, installed_on
from tests.outside import ECR, SECRET
from tests.scenarios.roles import BY_NAME, BY_PATTERN, CASES, GHCR, HEAD, TEAMS, TWO, VERIFIED, flat, print_roles, stage
from tests.scenarios.world import World
from tests.waiting import PATIENCE, eventually

HINT = re.compile(r"grant verbs \[([a-z, ]+)\] on ([a-z]+)(?: named ([\w.-]+))?(?: in namespace ([\w.-]+))?")

RIVALRY = 3
"""Writes of one object that a rival overtakes: fewer than the tries of one pass, more than its two rounds."""


@dataclass(frozen=True)
class Right:
    """Verb, resource, and where they are narrowed the object's name and namespace."""

    verb: str
    resource: str
    name: str
    namespace: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource} {self.name or '*'} in {self.namespace or '*'}"

    def allows(self, other: "Right") -> bool:
        """Whether the other one is part of this."""
        same = (self.verb, self.resource) == (other.verb, other.resource)
        return same and self.name in {"", other.name} and self.namespace in {"", other.namespace}

    def rule(self) -> Rule:
        """The rule as the emulation takes it."""
        names, places = ((value,) if value else () for value in (self.name, self.namespace))
        return Rule((self.verb,), (self.resource,), names, places or None)


def rights_of(roles: Iterable[dict[str, Any]]) -> list[Right]:
    """What the roles allow, one by one and in a fixed order."""
    return [
        Right(verb, resource, name, role["metadata"].get("namespace", ""))
        for role in roles
        for verb, _, resource, name in sorted(flat(role.get("rules", [])))
    ]


def hinted(text: str) -> list[Right]:
    """What the errors in rotator's words ask for. A Namespace's own Role may allow to read it."""
    return [
        Right(verb, resource, name, namespace or (name if resource == "namespaces" else ""))
        for verbs, resource, name, namespace in dict.fromkeys(HINT.findall(text))
        for verb in verbs.split(", ")
    ]


# One right at a time -------------------------------------------------------------------------------------------------


def every_right(case: str, *, watching: bool = False) -> list[Right]:
    """The rights of the roles for this configuration."""
    return rights_of(rbac.manifests(parse(HEAD + CASES[case], case), rbac.Subject(), watching=watching))


def printed(case: str, *, watching: bool = False) -> list[Right]:
    """Those that the job cannot do without: all but those on Events."""
    return [right for right in every_right(case, watching=watching) if right.resource != "events"]


def prepare(world: World, case: str) -> None:
    """The same stage as on the real cluster, with a rival who is quicker than the first writes of each object."""
    store = world.api.store
    for team in (*TEAMS, "team-x", "other"):
        store.create_namespace(team, {"pull": "team-private"} if team in TEAMS else {})
        for account in ("workers", "apps"):
            store.create_service_account(team, account, [SECRET] if case == VERIFIED else [])
            store.change("serviceaccounts", team, account, _label)
    store.put_secret("team-a", SECRET, {".dockerconfigjson": f'{{"auths":{{"{GHCR}":{{"auth":"YTpi"}}}}}}'})
    overtaken: Counter[tuple[str, str, str]] = Counter()

    def overtake(call: Call) -> None:
        target = (call.place.resource.name, call.place.namespace, call.place.name)
        if call.verb == "patch" and overtaken[target] < RIVALRY and store.get(*target):
            overtaken[target] += 1
            store.change(*target, lambda thing: _annotate(thing, overtaken[target]))

    world.api.before_request(overtake)
    world.configure(HEAD + CASES[case])


def _label(account: dict[str, Any]) -> None:
    account["metadata"]["labels"] = {"app": "ci"}


def _annotate(thing: dict[str, Any], number: int) -> None:
    thing["metadata"].setdefault("annotations", {})["rival"] = f"was here {number} times"


def complaints(run: Callable[[], Iterable[str]]) -> str:
    """What goes wrong, in rotator's words."""
    try:
        return "\n".join(run())
    except ClusterUnusable as error:
        return str(error)


def job(world: World, rotation: Rotation) -> Iterator[str]:
    """Roll-out with adoption, a renewal, and Secrets that are made anew; every error on the way."""
    for happens in (_nothing, _time_passes, _secrets_are_deleted):
        happens(world)
        report = rotation.run()
        yield from (str(result.error or result.change.message) for result in report.results if result.failed)


def _nothing(_: World) -> None:
    """As it stands."""


def _time_passes(world: World) -> None:
    world.clock.advance(hours=7)


def _secrets_are_deleted(world: World) -> None:
    for made in world.api.store.list("secrets"):
        world.api.store.delete("secrets", made["metadata"]["namespace"], made["metadata"]["name"])


@pytest.mark.parametrize("case", CASES)
def test_with_every_right_nothing_goes_wrong(world: World, case: str) -> None:
    """The whole job under the printed rights, with the rivals that the tests below rely on."""
    prepare(world, case)
    rotation = world.rotation("whole", [right.rule() for right in printed(case)])
    assert complaints(lambda: job(world, rotation)) == ""
    assert set(world.auths("team-a")) == {ECR}


@pytest.mark.parametrize(
    ("case", "right"),
    [
        pytest.param(case, right, id=f"{case}: {right}")
        for case in CASES
        for right in printed(case)
        if right.namespace != "team-b"  # its Role says what that of team-a says
        and right.resource != "leases"  # tests/daemon asks for that
    ],
)
def test_without_one_right_the_error_names_the_rule_to_add(world: World, case: str, right: Right) -> None:
    """Each verb on each name is needed: without it something fails, the hint asks for it, and with it all is well."""
    prepare(world, case)
    rights = printed(case)
    left = [other.rule() for other in rights if other != right]
    said = complaints(lambda: job(world, world.rotation("without", left)))
    asked = hinted(said)
    assert any(right.allows(hint) for hint in asked), said or "nothing failed"
    assert all(any(other.allows(hint) for other in rights) for hint in asked), said
    granted = [hint.rule() for hint in asked]
    assert world.rotation("without", left + granted).run().exit_code == 0


@pytest.mark.parametrize("missing", ["create", "patch"])
def test_without_events_the_job_is_done_and_one_line_names_the_rule(world: World, missing: str) -> None:
    """A right that one may keep from rotator: nothing fails, and the log says once what would be needed."""
    prepare(world, BY_NAME)
    rules = [right.rule() for right in every_right(BY_NAME) if (right.verb, right.resource) != (missing, "events")]
    rotation = world.rotation("silent", rules)
    sender = Sender(rotation.cluster.record, utc_now, time.monotonic)
    eventing = Eventing(sender.offer)
    with capture_logs() as events:
        sender.start()
        report = rotation.run()
        eventing.passed(report)
        sender.stop(timedelta(seconds=PATIENCE))
    assert (report.exit_code, world.api.store.list("events")) == (0, [])
    assert sender.failed == 2  # two references were attached
    (line,) = [event for event in events if event["event"] == "event.failed"]
    (hint, *others) = hinted(line["hint"])
    assert {right.verb for right in (hint, *others)} == {"create", "patch"}
    assert all(any(right.allows(each) for right in every_right(BY_NAME)) for each in (hint, *others))


# From nothing to all of it -------------------------------------------------------------------------------------------


def roles_for(rights: Iterable[Right], installation: Installation) -> list[dict[str, Any]]:
    """A role and a binding for each."""
    api, made = "rbac.authorization.k8s.io", []
    account = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": installation.full(ACCOUNT)}
    for right in rights:
        kind = "Role" if right.namespace else "ClusterRole"
        name = installation.full(f"{right.verb}-{right.resource}-{right.name or 'all'}")
        meta = {"metadata": {"name": name, **({"namespace": right.namespace} if right.namespace else {})}}
        names = {"resourceNames": [right.name]} if right.name else {}
        rules: list[dict[str, Any]] = [
            {"apiGroups": [""], "resources": [right.resource], "verbs": [right.verb], **names}
        ]
        role: dict[str, Any] = {"apiVersion": f"{api}/v1", "kind": kind, **meta, "rules": rules}
        bound = {"roleRef": {"apiGroup": api, "kind": kind, "name": name}, "subjects": [account]}
        made += [role, {"apiVersion": f"{api}/v1", "kind": f"{kind}Binding", **meta, **bound}]
    return made


@pytest.mark.parametrize("case", [BY_NAME, TWO])
def test_the_errors_lead_from_no_right_to_a_good_pass(controlplane: ControlPlane, tmp_path: Path, case: str) -> None:
    """Whoever grants just what each run's errors name ends with a good pass, and granted no more than is printed."""
    with installed_on(controlplane, tmp_path) as installation:
        names = stage(installation, case)
        enough = rights_of(yaml.safe_load_all(print_roles(installation)))
        granted: set[Right] = set()
        while (done := installation.run("once")).returncode != 0:
            asked = set(hinted(done.stderr)) - granted
            assert asked, done.stderr
            installation.grant(*roles_for(asked, installation))
            granted |= asked
        assert ECR in installation.auths(names["team-b"])
        assert [right for right in granted if not any(other.allows(right) for other in enough)] == []


# What only a daemon needs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "right"),
    [
        pytest.param(case, right, id=f"{case}: {right}")
        for case in (BY_NAME, BY_PATTERN, VERIFIED)
        for right in sorted(set(printed(case, watching=True)) - set(printed(case)), key=str)
        if right.namespace != "team-b"  # its Role says what that of team-a says
        and right.resource != "leases"  # tests/daemon asks for that
    ],
)
def test_a_daemon_without_one_right_names_the_rule_to_add(world: World, case: str, right: Right) -> None:
    """Without it something is not heard of, or not read when it was: the log asks for just that, and the rest works."""
    prepare(world, case)
    rules = [other.rule() for other in printed(case, watching=True) if other != right]
    duty = Duty(world.rotation("without", rules), utc_now)
    with capture_logs() as events:
        duty.begin()
        try:
            eventually(lambda: any(event["event"] == "pass.finished" for event in events), "the first pass")
            _secrets_are_deleted(world)  # an event, for what is read by name then
            eventually(lambda: any(map(right.allows, hinted(_words(events)))), f"{right} is asked for")
        finally:
            duty.end()
    asked = hinted(_words(events))
    assert all(any(other.allows(hint) for other in printed(case, watching=True)) for hint in asked), asked


def _words(events: Iterable[Mapping[str, Any]]) -> str:
    return "\n".join(f"{event.get('message', '')} {event.get('hint', '')}" for event in list(events))
