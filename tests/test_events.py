"""What an Event is: its name, its words, and the table of reasons."""

import re
from pathlib import Path

import pytest

from rotator.events import LONGEST_MESSAGE, LONGEST_NAME, REASONS, Event, Reason, name_of, shown
from rotator.model import Kind, Subject

DOCS = Path(__file__).parents[1] / "docs" / "events.md"
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
SECRET = Subject(Kind.SECRET, "team-a", "worker-pull")


def name(reason: Reason = Reason.HEALED, subject: Subject = SECRET, detail: str = "worker-pull") -> str:
    """The name of such an Event."""
    return name_of(Event(reason, subject, "words", detail), subject)


def test_the_docs_hold_the_table_of_reasons() -> None:
    """Each reason with its type, its objects and its meaning, word for word, and no other."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+?) \| (.+) \|$", DOCS.read_text(), re.MULTILINE)
    assert rows == [(reason, each.type, each.beside, each.text) for reason, each in REASONS.items()]
    assert list(REASONS) == list(Reason)


def test_the_same_thing_has_the_same_name_again() -> None:
    """Whatever its message says: so it is counted up."""
    again = Event(Reason.HEALED, SECRET, "other words", "worker-pull", uid="u-2")
    assert name_of(again, SECRET) == name()


def test_another_thing_has_another_name() -> None:
    """Another reason, object, kind or pull secret is another Event."""
    account = Subject(Kind.SERVICE_ACCOUNT, "team-a", "worker-pull")
    other = Subject(Kind.SECRET, "team-a", "other-pull")
    names = {name(), name(Reason.FOREIGN), name(subject=account), name(subject=other), name(detail="app-pull")}
    assert len(names) == 5


@pytest.mark.parametrize("long", ["a" * 253, "a-" * 126 + "a", "a." * 126 + "a"])
@pytest.mark.parametrize("reason", Reason)
def test_a_name_is_one_that_kubernetes_takes(reason: Reason, long: str) -> None:
    """A DNS subdomain of at most 253 characters, also where the object's own name is as long as that."""
    made = name(reason, Subject(Kind.SECRET, "team-a", long))
    assert len(made) <= LONGEST_NAME
    assert NAME.fullmatch(made)


def test_a_message_is_bounded() -> None:
    """What is too long ends with a mark."""
    assert shown("short") == "short"
    long = "word " * 1000
    assert len(shown(long)) == LONGEST_MESSAGE
    assert shown(long)[:-1] == long[: LONGEST_MESSAGE - 1]
    assert shown(long)[-1] == "…"


def test_a_message_is_masked_like_a_line_of_the_log() -> None:
    """The second line of defence: what looks like a token never stands in an Event (invariant 7)."""
    assert shown("the cloud said eyJhbGciOiJIUzI1NiJ9.e30.abcdefghij to us") == "the cloud said *** to us"
