"""What a person reads on a terminal: tables, and one line for each thing that was done or is wrong."""

import io
import re
from datetime import timedelta

import pytest
from rich.console import Console, Group
from rich.padding import Padding
from rich.text import Text

from rotator import explain, screens
from rotator.annotations import Note
from rotator.diff import Diff, Entry, Sign, Step
from rotator.errors import Forbidden, MintRefused
from rotator.model import Action, Change, Kind, State, Subject
from rotator.probe import Finding, Verdict
from rotator.rotation import Outcome, RegistryStatus, Report, Result
from rotator.status import RegistryRow, Status
from tests import build

WIDTH = 80


def result(
    namespace: str,
    state: State,
    outcome: Outcome = Outcome.NOTHING,
    *,
    kind: Kind = Kind.SECRET,
    message: str = "is so",
) -> Result:
    """What became of the pull secret, or of the ServiceAccount, in this namespace."""
    name = build.SECRET if kind is Kind.SECRET else "workers"
    action = Action.NOTHING if outcome is Outcome.NOTHING else Action.UPDATE
    return Result(Change(Subject(kind, namespace, name), build.SECRET, state, message, action), outcome)


def failed(namespace: str, words: str) -> Result:
    """A Secret that the API server did not take."""
    change = Change(Subject(Kind.SECRET, namespace, build.SECRET), build.SECRET, State.MISSING, "is so", Action.CREATE)
    return Result(change, Outcome.FAILED, Forbidden(words, hint="grant it"))


def shown(*results: Result, registries: tuple[RegistryStatus, ...] = (), width: int = WIDTH) -> list[str]:
    """The lines of the screen, without styles."""
    console = Console(file=io.StringIO(), width=width)
    console.print(screens.report_screen(Report(results, registries, build.snapshot()), build.config(), build.NOW))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def planned(*steps: Step, summary: str = "Plan: nothing to do", width: int = WIDTH) -> list[str]:
    """The lines of a plan's screen, without styles."""
    kinds = [[step for step in steps if (step.sign is Sign.CANNOT) is is_impossible] for is_impossible in (False, True)]
    console = Console(file=io.StringIO(), width=width)
    console.print(screens.plan_screen(Diff(tuple(kinds[0]), tuple(kinds[1]), (), summary)), highlight=False)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def row(lines: list[str], name: str) -> list[str]:
    """The cells of the table's row of this name."""
    (found,) = [line for line in lines if line.split()[:1] == [name]]
    return found.split()


REGISTRIES = {
    "minted": (
        RegistryStatus("prod", "ecr", ("a", "b"), minted=True, credential=build.credential()),
        ["prod", "ecr", "2", "2026-11-24T00:00:00Z", "12h", "00m", "minted"],
    ),
    "fresh": (
        RegistryStatus("prod", "ecr", ("a",), published_until=build.NOW + timedelta(minutes=7)),
        ["prod", "ecr", "1", "2026-11-23T12:07:00Z", "7m", "fresh"],
    ),
    "expired": (
        RegistryStatus("prod", "ecr", ("a",), published_until=build.NOW - timedelta(hours=1)),
        ["prod", "ecr", "1", "2026-11-23T11:00:00Z", "-1h", "00m", "expired"],
    ),
    "not needed": (RegistryStatus("prod", "ecr", ("a",)), ["prod", "ecr", "1", "-", "-", "not", "needed"]),
    "failed": (
        RegistryStatus("prod", "ecr", ("a",), error=MintRefused("no")),
        ["prod", "ecr", "1", "-", "-", "MintRefused"],
    ),
}


@pytest.mark.parametrize("case", REGISTRIES)
def test_each_registry_is_a_row_with_its_expiry_and_state(case: str) -> None:
    """When what is published expires, how far away that is, and what became of the mint."""
    status, cells = REGISTRIES[case]
    assert row(shown(registries=(status,)), "prod") == cells


def test_each_pull_secret_is_a_row_with_what_became_of_it() -> None:
    """Secrets and ServiceAccounts counted, and the outcomes; what only a person can mend is a problem."""
    lines = shown(
        result("team-a", State.MISSING, Outcome.WRITTEN),
        result("team-b", State.UP_TO_DATE),
        result("team-c", State.FOREIGN),
        result("team-a", State.REFERENCED, kind=Kind.SERVICE_ACCOUNT),
        result("team-b", State.SERVICE_ACCOUNT_MISSING, kind=Kind.SERVICE_ACCOUNT),
        width=100,
    )
    cells = row(lines, build.SECRET)
    assert cells[1:3] == ["3", "2"]
    assert " ".join(cells[3:]) == "1 written, 2 in order, 1 problem, 1 absent"


def test_what_is_left_over_is_counted_and_said() -> None:
    """With what to do about it; it is no problem, and what was removed is told as what was done."""
    lines = shown(
        result("team-a", State.UP_TO_DATE),
        result("team-b", State.ORPHAN, message="delete it"),
        result("team-c", State.ORPHAN, Outcome.REMOVED),
        width=100,
    )
    assert " ".join(row(lines, build.SECRET)[3:]) == "1 in order, 1 left over, 1 removed"
    assert "· Secret team-b/worker-pull: Orphan, delete it" in lines
    assert "· Secret team-c/worker-pull: Orphan [removed], is so" in lines


def test_what_is_in_order_is_worth_no_line() -> None:
    """Below the tables stands only what was done, failed or is worth a notice."""
    lines = shown(result("team-a", State.UP_TO_DATE), result("team-b", State.TERMINATING, kind=Kind.NAMESPACE))
    assert not [line for line in lines if line.startswith(("✗", "·"))]


def test_failures_come_first_and_say_the_error_with_its_remedy() -> None:
    """Whoever reads one line reads the one that matters."""
    lines = shown(result("team-a", State.MISSING, Outcome.WRITTEN), failed("team-b", "no way"), width=200)
    told = [line for line in lines if line.startswith(("✗", "·"))]
    assert told == [
        "✗ Secret team-b/worker-pull: Missing [failed], is so: no way; grant it",
        "· Secret team-a/worker-pull: Missing [written], is so",
    ]


def test_what_is_alike_in_many_namespaces_is_one_line() -> None:
    """A rotation of ten thousand namespaces is one line; another error is another."""
    many = [result(f"team-{number}", State.DUE, Outcome.WRITTEN) for number in range(10_000)]
    lines = shown(*many, failed("other", "no way"), width=200)
    told = [line for line in lines if line.startswith(("✗", "·"))]
    assert told[1:] == ["· Secret worker-pull in 10000 namespaces (team-0, team-1, ...): Due [written], is so"]


def test_too_many_lines_are_counted_and_failures_are_not_among_the_left_out() -> None:
    """A screen has an end; `--output json` has none."""
    many = [result(f"team-{n}", State.DUE, Outcome.WRITTEN, message=f"is {n}") for n in range(30)]
    lines = shown(*many, failed("other", "no way"), width=200)
    told = [line for line in lines if line.startswith(("✗", "·"))]
    assert len(told) == screens.SHOWN
    assert told[0].startswith("✗ Secret other/worker-pull")
    assert lines[-1] == "... and 11 more lines; --output json has them all"
    assert "more lines" not in "".join(shown(*many[: screens.SHOWN], width=200))


def test_each_failed_registry_has_a_line_with_its_remedy() -> None:
    """The table has room for the error's class only."""
    error = MintRefused("registry 'prod': AWS refused", hint="check the role")
    lines = shown(registries=(RegistryStatus("prod", "ecr", ("a",), error=error),))
    assert lines[-1] == "✗ registry 'prod': AWS refused; check the role"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_screen_fits_its_terminal_and_loses_no_word(width: int) -> None:
    """Long hosts and messages are folded, never cut: a remedy without its end is none."""
    error = MintRefused("registry 'prod': AWS refused " + "q" * 100, hint="the end")
    status = RegistryStatus("prod", "ecr", ("a",), minted=False, error=error)
    lines = shown(result("team-a", State.FOREIGN, message="z" * 150), registries=(status,), width=width)
    assert max(map(len, lines)) <= width
    text = "".join(lines)
    assert (text.count("q"), text.count("z")) == (100, 150)
    assert "the end" in " ".join(lines)


def test_brackets_in_a_message_are_text() -> None:
    """For rich, [red] is a style; a message may hold a regular expression or an IPv6 address."""
    assert any(
        "matches [a-z]" in line for line in shown(result("a", State.FOREIGN, message="matches [a-z]"), width=200)
    )


def test_a_plan_says_what_becomes_of_which_object_where_and_why() -> None:
    """A sign before each line, the hosts below, several namespaces by number, and the sum last."""
    entries = (
        Entry(Sign.ADD, "contoso.azurecr.io", "contoso", ""),
        Entry(Sign.CHANGE, build.ECR, "prod", "due for renewal"),
    )
    lines = planned(
        Step(Sign.CHANGE, "Secret worker-pull", "not shown, for the entries say it", entries, ("a", "b", "c")),
        Step(Sign.CANNOT, "Secret other-pull", "Foreign, is somebody else's; rename it", (), ("d",)),
        summary="Plan: 3 Secrets to write, 1 cannot be done",
    )
    assert lines == [
        "~ Secret worker-pull in 3 namespaces (a, b, ...)",
        "    + contoso.azurecr.io (contoso)",
        f"    ~ {build.ECR} (prod): due for renewal",
        "",
        "Cannot be done:",
        "✗ Secret other-pull in d",
        "    Foreign, is somebody else's; rename it",
        "",
        "Plan: 3 Secrets to write, 1 cannot be done.",
    ]


def test_a_plan_names_namespaces_that_are_missing_and_what_is_meant_everywhere() -> None:
    """One by its name, several by their number; `*` is no name."""
    lines = planned(
        Step(Sign.NOTICE, "Namespace", "absent", (), ("a",)),
        Step(Sign.NOTICE, "Namespace", "absent", (), ("a", "b")),
        Step(Sign.CANNOT, "every Secret", "Unreadable", (), ("*",)),
    )
    assert lines[0::2][:3] == ["· Namespace a", "· 2 namespaces (a, b)", ""]
    assert "✗ every Secret in all namespaces" in lines


@pytest.mark.parametrize("width", [40, 80])
def test_a_plan_fits_its_terminal_and_has_an_end(width: int) -> None:
    """Further lines of a text begin below its first; of very many hosts and steps the rest is counted."""
    entries = tuple(Entry(Sign.ADD, f"host-{n}.{'x' * 50}", "prod", "w" * 30) for n in range(screens.SHOWN))
    steps = [Step(Sign.ADD, f"Secret {n}", "why " * 30, entries, ("a",)) for n in range(screens.SHOWN + 7)]
    lines = planned(*steps, width=width)
    assert max(map(len, lines)) <= width
    assert "... and 7 more; --output json has them all" in " ".join(lines)
    assert sum("more hosts" in line for line in lines) == screens.SHOWN
    assert {line[:2] for line in lines if line.startswith(" ")} == {"  "}


HOUR = timedelta(hours=1)
STANDING = {
    "published": (-HOUR, HOUR, True, ["prod", "ecr", "1h", "00m", "ago", "-", "1h", "00m", "published"]),
    "not everywhere": (-HOUR, HOUR, False, ["prod", "ecr", "1h", "00m", "ago", "-", "1h", "00m", "not", "everywhere"]),
    "expired": (-HOUR, -HOUR, True, ["prod", "ecr", "1h", "00m", "ago", "-", "-1h", "00m", "expired"]),
    "expires now": (-HOUR, timedelta(0), True, ["prod", "ecr", "1h", "00m", "ago", "-", "0s", "expired"]),
    "not published": (None, None, False, ["prod", "ecr", "-", "-", "-", "not", "published"]),
}


@pytest.mark.parametrize("case", STANDING)
def test_each_registry_of_a_status_says_how_it_stands(case: str) -> None:
    """What nothing is known of is a dash; from the moment of its end on a credential is expired."""
    renewed, expires, everywhere, cells = STANDING[case]
    found = RegistryRow(
        "prod",
        "ecr",
        renewed_at=None if renewed is None else build.NOW + renewed,
        issued_at=None,
        due_at=None,
        expires_at=None if expires is None else build.NOW + expires,
        everywhere=everywhere,
    )
    console = Console(file=io.StringIO(), width=WIDTH)
    status = Status((found,), (), None, "nobody has led")
    console.print(screens.status_screen(status, build.NOW))
    assert isinstance(console.file, io.StringIO)
    assert row(console.file.getvalue().splitlines(), "prod") == cells


@pytest.mark.parametrize(
    ("left", "says"), [(HOUR, "expires in 1h 00m"), (-HOUR, "expired 1h 00m ago"), (timedelta(0), "expired 0s ago")]
)
def test_an_explanation_says_whose_a_credential_is_and_how_old(left: timedelta, says: str) -> None:
    """From the moment of its end on it is expired."""
    note = Note("prod", build.NOW - 2 * HOUR, build.NOW + left, "digest")
    finding = Finding(build.ECR, Verdict.ACCEPTED, "accepts the credential (200)")
    step = explain.Step(build.SECRET, build.ECR, note=note, finding=finding)
    found = explain.Explanation("image", "a new Pod", "team-a", (step,), explain.Prospect.PULLS, "it does")
    console = Console(file=io.StringIO(), width=WIDTH)
    console.print(screens.explanation_screen(found, build.NOW))
    assert isinstance(console.file, io.StringIO)
    (line,) = [line for line in console.file.getvalue().splitlines() if "registry prod" in line]
    assert line.strip() == f"rotator's, for registry prod: issued 2h 00m ago, {says}"


SPANS = {
    timedelta(0): "0s",
    timedelta(seconds=47.9): "47s",
    timedelta(seconds=59.9): "59s",
    timedelta(seconds=60): "1m",
    timedelta(minutes=59, seconds=59): "59m",
    timedelta(hours=1): "1h 00m",
    timedelta(hours=11, minutes=58): "11h 58m",
    timedelta(days=2): "48h 00m",
    timedelta(seconds=-90): "-1m",
}


@pytest.mark.parametrize("duration", SPANS, ids=SPANS.values())
def test_a_duration_as_a_person_says_it(duration: timedelta) -> None:
    """Rounded down; what is past has a minus."""
    assert screens.span(duration) == SPANS[duration]


HOSTILE = "\x1b]0;own\x1b[2J\x1b[31mred\x9b1m\u202eback\x07\r"


@pytest.mark.parametrize("part", ["text", "str", "group", "padding", "cell", "text cell"])
def test_no_text_drives_the_terminal(part: str) -> None:
    """Wherever it stands, what would is shown as an escape; the rest of it stays."""
    table = screens.parts.table_of("one")
    table.add_row(Text(HOSTILE) if part == "text cell" else HOSTILE)
    parts = {"text": Text(HOSTILE), "str": HOSTILE, "group": Group(Text(HOSTILE)), "padding": Padding(Text(HOSTILE), 1)}
    screen = screens.Screen(
        file=io.StringIO(), width=WIDTH, force_terminal=True, color_system="truecolor", markup=False
    )
    screen.print(parts.get(part, table), style="bold")
    assert isinstance(screen.file, io.StringIO)
    found = re.sub("\x1b\\[[0-9;]*m", "", screen.file.getvalue().replace("\x1b[31mred", "DRIVEN"))  # rich's own styles
    assert r"\x1b]0;own\x1b[2J\x1b[31mred\x9b1m\u202eback" in "".join(found.split())  # a narrow cell is folded
    assert not set(found) & set("\x1b\x07\x9b\u202e\r")
    assert "DRIVEN" not in found


def test_the_progress_bar_is_gone_when_it_is_done() -> None:
    """On a terminal it is erased; nothing of it stands between the tables."""
    console = Console(file=io.StringIO(), force_terminal=True, width=WIDTH)
    with screens.progress_bar(console) as bar:
        bar.update(bar.add_task("writing", total=None), completed=3, total=3)
    assert isinstance(console.file, io.StringIO)
    assert "3/3" in console.file.getvalue()
    assert console.file.getvalue().endswith("\x1b[2K")
