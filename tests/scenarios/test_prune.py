"""What leaves the configuration: reported, and where prune is enabled removed once it has expired, references first."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from rotator.clock import utc_now
from rotator.model import Action, State
from rotator.rotation import Outcome, Report, Result
from rotator.sandbox.apiserver import Call, Rule
from rotator.sandbox.faults import Fault
from tests.outside import ECR_ONLY, SECRET
from tests.scenarios.rivals import add_entry, add_reference
from tests.scenarios.world import World

LEFT = ECR_ONLY.replace('names: ["team-*"]', 'names: ["team-*"], exclude: [team-b]')
"""The configuration after team-b left it."""

PRUNE = "prune: {enabled: true}\n"
RENAMED = ECR_ONLY.replace(SECRET, "new-pull")
FORMER = f"prune: {{enabled: true, former: [{{name: {SECRET}, namespaces: {{names: [%s]}}}}]}}\n"


@pytest.fixture(autouse=True)
def stage(world: World) -> None:
    """Our Secret in two namespaces, each with two more references beside ours, and one ServiceAccount of a stranger."""
    for team in ("team-a", "team-b"):
        world.api.store.create_namespace(team)
        world.api.store.create_service_account(team, "workers", ["theirs", SECRET, "more"])
        world.api.store.create_service_account(team, "strangers", [SECRET])
        world.api.store.create_service_account(team, "others", ["theirs"])
    world.configure(ECR_ONLY)
    world.once()
    world.forget()


def left_over(report: Report) -> list[Result]:
    """What is said of orphans."""
    return [result for result in report.results if result.change.state is State.ORPHAN]


def outcomes(report: Report) -> list[tuple[str, str, Outcome]]:
    """Where, what, and what became of it."""
    subjects = [(result.change.subject, result.outcome) for result in left_over(report)]
    return sorted((subject.namespace, subject.name, outcome) for subject, outcome in subjects)


REMOVED = [
    ("team-b", "strangers", Outcome.DETACHED),
    ("team-b", SECRET, Outcome.REMOVED),
    ("team-b", "workers", Outcome.DETACHED),
]


def writes(world: World) -> list[tuple[str, str, str]]:
    """Verb, namespace and name of all that was changed."""
    return [
        (record.verb, record.namespace, record.name)
        for record in world.api.journal.records
        if record.verb not in {"get", "list", "watch"}
    ]


def test_an_orphan_goes_once_it_has_expired_and_its_references_before_it(world: World) -> None:
    """While it opens something nothing is touched; then each reference, in place, and the Secret; then silence."""
    world.configure(LEFT + PRUNE)
    rotation = world.rotation()
    early = rotation.run()
    assert [result.change.action for result in left_over(early)] == [Action.NOTHING]
    assert (writes(world), early.exit_code) == ([], 0)
    world.clock.advance(hours=13)
    late = rotation.run()
    assert (outcomes(late), late.exit_code) == (REMOVED, 0)
    *patches, last = [write for write in writes(world) if write[1] == "team-b"]
    assert sorted(patches) == [("patch", "team-b", "strangers"), ("patch", "team-b", "workers")]
    assert last == ("delete", "team-b", SECRET)
    assert world.find("secrets", "team-b", SECRET) is None
    assert (world.references("team-b"), world.references("team-b", "strangers")) == (["theirs", "more"], [])
    assert world.references("team-a") == ["theirs", SECRET, "more"]
    assert left_over(rotation.run()) == []


def test_check_says_what_would_go_and_touches_nothing(world: World) -> None:
    """The same changes as `once`, planned."""
    world.configure(LEFT + PRUNE)
    world.clock.advance(hours=13)
    report = world.rotation().run(write=False)
    assert outcomes(report) == [(place, name, Outcome.PLANNED) for place, name, _ in REMOVED]
    assert (writes(world), report.exit_code) == ([], 0)


@pytest.mark.parametrize("text", [LEFT, RENAMED, RENAMED + FORMER.replace("true", "false") % "team-b"])
def test_without_prune_no_delete_can_be_sent(world: World, text: str) -> None:
    """However long it has expired: what is found is reported, exit code 0, and not one reference changes."""
    world.configure(text)
    world.clock.advance(hours=1000)
    report = world.once()
    assert [result.outcome for result in left_over(report)] == ([] if text == RENAMED else [Outcome.NOTHING])
    assert report.exit_code == 0
    assert "delete" not in {verb for verb, _, _ in writes(world)}
    assert SECRET in world.references("team-b")
    assert world.secret("team-b")


@pytest.mark.parametrize("names", ["team-b", '"team-*"'])
def test_a_pull_secret_that_left_altogether_is_found_where_it_is_said_to_have_been(world: World, names: str) -> None:
    """By name or by pattern; there it goes, and elsewhere it stays."""
    world.api.store.create_namespace("elsewhere")
    notes = world.secret("team-a")["metadata"]
    text = base64.b64decode(world.secret("team-a")["data"][".dockerconfigjson"])
    world.api.store.put_secret(
        "elsewhere", SECRET, {".dockerconfigjson": text}, labels=notes["labels"], annotations=notes["annotations"]
    )
    world.configure(RENAMED + FORMER % names)
    world.clock.advance(hours=13)
    report = world.once()
    assert report.exit_code == 0
    removed = {place for place, _, outcome in outcomes(report) if outcome is Outcome.REMOVED}
    assert removed == ({"team-b"} if names == "team-b" else {"team-a", "team-b"})
    assert world.references("team-b") == ["theirs", "more", "new-pull"]
    assert world.find("secrets", "elsewhere", SECRET)


def test_a_look_at_one_namespace_removes_nothing(world: World) -> None:
    """An event there brings repairs at once; what is to be deleted waits for a sweep, which reads everything."""
    world.configure(LEFT + PRUNE)
    world.clock.advance(hours=13)
    assert left_over(world.rotation().run(only="team-b")) == []
    assert world.secret("team-b")


EVERYTHING = {
    resource: Rule(("get", "list", "create", "patch", "delete"), (resource,))
    for resource in ("namespaces", "secrets", "serviceaccounts")
}


@pytest.mark.parametrize("unread", ["namespaces", "secrets"])
def test_what_could_not_be_read_is_not_left_over(world: World, unread: str) -> None:
    """A gap in the snapshot is no namespace less in the configuration: nothing is detached or deleted."""
    rules = [rule for resource, rule in EVERYTHING.items() if resource != unread]
    named = Rule(("get",), ("namespaces",), ("team-a",))
    world.configure(LEFT.replace('"team-*"', '"team-*", team-a') + PRUNE)
    world.clock.advance(hours=13)
    report = world.rotation("limited", [*rules, named]).run()
    assert (left_over(report), report.exit_code) == ([], 1)
    assert {verb for verb, _, _ in writes(world)} <= {"patch"}
    assert SECRET in world.references("team-b")


def test_a_secret_stays_while_a_reference_to_it_does(world: World) -> None:
    """One patch is refused: that is a failure with its rule, and the Secret waits; the other reference is out."""
    rules = [
        EVERYTHING["namespaces"],
        EVERYTHING["secrets"],
        Rule(("get", "list"), ("serviceaccounts",)),
        Rule(("patch",), ("serviceaccounts",), ("strangers",)),
    ]
    world.configure(LEFT + PRUNE)
    world.clock.advance(hours=13)
    report = world.rotation("limited", rules).run()
    assert outcomes(report) == [
        ("team-b", "strangers", Outcome.DETACHED),
        ("team-b", SECRET, Outcome.WAITING),
        ("team-b", "workers", Outcome.FAILED),
    ]
    assert (report.exit_code, world.references("team-b")) == (1, ["theirs", SECRET, "more"])
    assert world.secret("team-b")


def test_service_accounts_that_cannot_be_read_hold_an_orphan(world: World) -> None:
    """Who references it is not known: it stays, and the error names the rule to add."""
    named = Rule(("list", "get", "patch"), ("serviceaccounts",), ("workers",))
    rules = [EVERYTHING["namespaces"], EVERYTHING["secrets"], named]
    world.configure(LEFT + PRUNE)
    world.clock.advance(hours=13)
    report = world.rotation("limited", rules).run()
    assert outcomes(report) == [("team-b", SECRET, Outcome.NOTHING)]
    messages = [result.change.message for result in report.results if result.failed]
    assert any("grant verbs [list] on serviceaccounts in namespace team-b" in message for message in messages)


def test_two_writers_of_references_lose_nothing(world: World) -> None:
    """Somebody changes the list between our read and our patch: only what names the orphan goes."""
    rivals = iter(range(3))

    def write(call: Call) -> None:
        if (call.verb, call.place.name) == ("patch", "workers") and (rival := next(rivals, None)) is not None:
            world.api.store.change("serviceaccounts", "team-b", "workers", lambda found: add_reference(found, rival))

    world.configure(LEFT + PRUNE)
    world.clock.advance(hours=13)
    world.api.before_request(write)
    assert outcomes(world.once()) == REMOVED
    assert world.references("team-b") == ["theirs", "more", "rival-0", "rival-1", "rival-2"]


def _note(secret: dict[str, Any]) -> None:
    secret["metadata"]["annotations"]["rival"] = "was here"


def _new(world: World) -> None:
    world.api.store.delete("secrets", "team-b", SECRET)
    world.api.store.put_secret("team-b", SECRET, {".dockerconfigjson": '{"auths":{"ghcr.io":{"auth":"YTpi"}}}'})


RIVALS: dict[str, tuple[Callable[[World], object], Outcome]] = {
    "a note of theirs": (lambda world: world.api.store.change("secrets", "team-b", SECRET, _note), Outcome.REMOVED),
    "an entry of theirs": (
        lambda world: world.api.store.change("secrets", "team-b", SECRET, lambda found: add_entry(found, 1)),
        Outcome.NOTHING,
    ),
    "a Secret of theirs in its place": (_new, Outcome.NOTHING),
    "a delete": (lambda world: world.api.store.delete("secrets", "team-b", SECRET), Outcome.GONE),
}


@pytest.mark.parametrize("case", RIVALS)
def test_a_secret_that_changed_meanwhile_is_judged_anew(world: World, case: str) -> None:
    """Only the Secret that was judged is deleted: the request names its UID and version."""
    overtake, outcome = RIVALS[case]
    done = iter([True])

    def interfere(call: Call) -> None:
        if call.verb == "delete" and next(done, False):
            overtake(world)

    world.configure(LEFT + PRUNE)
    world.clock.advance(hours=13)
    world.api.before_request(interfere)
    report = world.once()
    assert [result.outcome for result in left_over(report) if result.change.subject.name == SECRET] == [outcome]
    assert report.exit_code == 0
    assert (world.find("secrets", "team-b", SECRET) is not None) == (outcome is Outcome.NOTHING)


def test_what_is_done_is_logged_and_what_is_left_is_told_once(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """An orphan that stays is one line until something about it changes; no value of it is in any."""
    password = next(
        iter(json.loads(base64.b64decode(world.secret("team-b")["data"][".dockerconfigjson"]))["auths"].values())
    )
    world.configure(LEFT + PRUNE)
    rotation = world.rotation()
    capsys.readouterr()
    for _ in range(2):
        rotation.run()
    told = capsys.readouterr().out
    assert told.count("Orphan") == 1
    world.clock.advance(hours=13)
    rotation.run()
    done = capsys.readouterr().out
    assert (done.count("reference.detached"), done.count("secret.removed")) == (2, 1)
    assert password["auth"] not in told + done


def test_a_second_round_keeps_what_the_first_one_removed_in_the_report(world: World) -> None:
    """A slow cloud brings a second look at the cluster, where what was removed is not seen any more."""
    world.configure(LEFT.replace("deadline: 2s", "deadline: 60s") + PRUNE)
    world.clock.advance(hours=13)
    world.net.aws.fault = Fault.HUNG

    def answer_at_last(call: Call) -> None:
        if call.verb == "delete":
            world.net.aws.fault = None

    world.api.before_request(answer_at_last)
    report = world.once()
    assert (outcomes(report), report.exit_code) == (REMOVED, 0)
    assert ("patch", "team-a", SECRET) in writes(world)


def test_what_an_orphan_holds_is_not_what_pods_use(world: World) -> None:
    """Its expiry is nobody's: the registry's row shows that of the Secrets that are served."""
    world.configure(LEFT)
    world.clock.advance(hours=13)
    rotation = world.rotation()
    rotation.run()
    (registry,) = rotation.run().registries
    assert registry.expires_at is not None
    assert registry.expires_at > utc_now()
