"""Label selectors: read and meant as Kubernetes does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator import labels
from rotator.labels import Requirement

LABELS = {"pull": "private", "team": "a", "empty": "", "example.com/tier": "gold"}


@pytest.mark.parametrize(
    ("selector", "requirements"),
    [
        ("", ()),
        ("  ", ()),
        ("a=b", (Requirement("a", "in", frozenset({"b"})),)),
        ("a==b", (Requirement("a", "in", frozenset({"b"})),)),
        (" a = b ", (Requirement("a", "in", frozenset({"b"})),)),
        ("a=", (Requirement("a", "in", frozenset({""})),)),
        ("a!=b", (Requirement("a", "notin", frozenset({"b"})),)),
        ("a in (b, c)", (Requirement("a", "in", frozenset({"b", "c"})),)),
        ("a in(b,)", (Requirement("a", "in", frozenset({"b", ""})),)),
        ("a notin (b)", (Requirement("a", "notin", frozenset({"b"})),)),
        ("example.com/a.b_c-d", (Requirement("example.com/a.b_c-d", "exists"),)),
        ("!a", (Requirement("a", "absent"),)),
        ("! a", (Requirement("a", "absent"),)),
        ("a,!b", (Requirement("a", "exists"), Requirement("b", "absent"))),
        ("a in (x,y),b", (Requirement("a", "in", frozenset({"x", "y"})), Requirement("b", "exists"))),
        ("in in (in)", (Requirement("in", "in", frozenset({"in"})),)),
    ],
)
def test_every_documented_form_is_read(selector: str, requirements: tuple[Requirement, ...]) -> None:
    """Equality based and set based requirements may be mixed, with spaces where Kubernetes allows them."""
    assert labels.parse(selector) == requirements


@pytest.mark.parametrize(
    "selector",
    [
        ",",
        "a,",
        ",a",
        "a=b,,c=d",
        "=b",
        "a=b=c",
        "a b",
        "a>1",
        "!a=b",
        "!",
        "a in b",
        "a in ()",
        "a in (b",
        "a in b)",
        "a in (b)c",
        "ain (b)",
        "a notin",
        "a=(b)",
        "a in ((b))",
        "-a",
        "a-",
        "/a",
        "a/",
        "a/b/c",
        "A.example/b",
        "a=-b",
        "a=b c",
        "a=b\nc",
        f"{'a' * 64}=b",
        f"a={'b' * 64}",
        f"{'a.' * 130}a/b=c",
        "a=é",
        "a in (b,c d)",
        "a," * 3000 + "a",
        "a~b",
    ],
)
def test_what_is_no_selector_is_refused(selector: str) -> None:
    """The mistake shows when the file is read, in words that say what to write, and not at the first request."""
    with pytest.raises(ValueError, match=r"; (write|select)"):
        labels.parse(selector)


@pytest.mark.parametrize(
    ("selector", "holds"),
    [
        ("", True),
        ("pull=private", True),
        ("pull==public", False),
        ("pull!=public", True),
        ("pull!=private", False),
        ("absent!=anything", True),
        ("absent=", False),
        ("empty=", True),
        ("team in (a, b)", True),
        ("team in (b)", False),
        ("absent in (a)", False),
        ("team notin (b)", True),
        ("team notin (a, b)", False),
        ("absent notin (a)", True),
        ("example.com/tier", True),
        ("tier", False),
        ("!tier", True),
        ("!empty", False),
        ("pull=private,team=b", False),
        ("pull=private,team,!tier", True),
    ],
)
def test_a_selector_means_what_it_means_in_kubernetes(selector: str, holds: bool) -> None:
    """All requirements must hold; `!=` and `notin` hold for an object without the label."""
    assert all(requirement.matches(LABELS) for requirement in labels.parse(selector)) is holds


@given(st.text(alphabet="ab=!,() in\t\n.-/_\0\N{LATIN SMALL LETTER SHARP S}", max_size=30))
def test_no_text_does_worse_than_a_value_error(selector: str) -> None:
    """Any text is either a selector or refused with a remedy."""
    try:
        requirements = labels.parse(selector)
    except ValueError as error:
        assert "; " in str(error)  # noqa: PT017  (either outcome is right, this one must carry a remedy)
    else:
        assert all(isinstance(requirement.matches({}), bool) for requirement in requirements)
