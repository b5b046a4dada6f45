"""JSON and URLs as Go reads them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator import golang
from rotator.errors import DockerConfigError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(value=JSON, indent=st.sampled_from([None, 1, "\t"]), escaped=st.booleans())
def test_compact_is_the_same_json_without_space(value: object, indent: int | str | None, escaped: bool) -> None:
    """Whatever the spelling, `compact` leaves the value and gives what json writes without separators."""
    text = json.dumps(value, indent=indent, ensure_ascii=escaped)
    assert golang.compact(f" \r\n{text}\t") == json.dumps(value, separators=(",", ":"), ensure_ascii=escaped)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        "}",
        "[1,]",
        '{"a":1,}',
        '{"a"}',
        '{"a":}',
        "{1:2}",
        "{,}",
        "[,]",
        "[1 2]",
        '["a":1]',
        "[}",
        '{"a":1]',
        "1 2",
        "{}{}",
        "{}x",
        "01",
        "1.",
        ".5",
        "+1",
        "-",
        "1e",
        "NaN",
        "Infinity",
        "-Infinity",
        "tru",
        "True",
        "'a'",
        '"a',
        '"\x1f"',
        '"\\x41"',
        '"\\u12g4"',
        "\ufeff{}",
        "{}\x00",
        "\N{NO-BREAK SPACE}{}",
        "\x0c{}",
        "// no\n{}",
    ],
)
def test_what_go_calls_a_syntax_error_is_one(text: str) -> None:
    """Nothing that encoding/json refuses passes, also where Python's json is more generous."""
    with pytest.raises(DockerConfigError, match="not JSON"):
        golang.compact(text)


@pytest.mark.parametrize("text", ["1e999", "-0", "9" * 5000, '"\\ud800"', '"\x7f"', '"\\/"', "[[]]", '{"":{"":[]}}'])
def test_what_go_accepts_is_kept_as_it_is_spelled(text: str) -> None:
    """Numbers that fit no machine type, lone surrogates and escapes are valid JSON to Go, and stay as they are."""
    assert golang.compact(text) == text


def test_nesting_ends_where_it_does_in_go() -> None:
    """Ten thousand levels are fine, one more is an error, and no recursion limit of Python interferes."""
    assert golang.compact("[" * 10_000 + "]" * 10_000)
    with pytest.raises(DockerConfigError):
        golang.compact("[" * 10_001 + "]" * 10_001)


def test_bytes_that_are_not_utf8_become_replacement_characters() -> None:
    """One U+FFFD for each bad byte inside a string; outside of strings such a byte is an error."""
    text = b'{"a":"\xff\xe2\x82"}'.decode(errors="surrogateescape")
    assert golang.compact(text) == '{"a":"\ufffd\ufffd\ufffd"}'
    with pytest.raises(DockerConfigError):
        golang.compact(b"{\xff}".decode(errors="surrogateescape"))


@given(pairs=st.lists(st.tuples(st.text(), JSON), max_size=6))
def test_members_come_in_order_with_duplicates(pairs: list[tuple[str, object]]) -> None:
    """Every member of an object is given, in its order, also when its name comes twice."""
    literals = [(name, json.dumps(value, separators=(",", ":"))) for name, value in pairs]
    text = "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in literals) + "}"
    assert list(golang.members(text)) == literals


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        (r'"\ud83d\ude00"', "\N{GRINNING FACE}"),
        (r'"\ud800"', "\ufffd"),
        (r'"\ud800\ud83d\ude00"', "\ufffd\N{GRINNING FACE}"),
        (r'"\/\t"', "/\t"),
    ],
)
def test_strings_are_unquoted_as_in_go(literal: str, value: str) -> None:
    """Pairs of surrogates join, lone ones are replaced."""
    assert golang.string(literal) == value


@pytest.mark.parametrize(
    ("name", "field"), [("Auth", "auth"), ("AUTH\u017f", "auths"), ("paßword", "paßword"), ("emaİl", "emai̇l")]
)
def test_names_fold_as_in_go(name: str, field: str) -> None:
    """Simple folding: the long s is an s, but the sharp s is no double s and the dotted I is no i."""
    assert golang.fold(name) == field


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("reg.io", ("reg.io", "")),
        ("reg.io/", ("reg.io", "/")),
        ("reg.io:5000/a/b", ("reg.io:5000", "/a/b")),
        ("reg.io:/a", ("reg.io:", "/a")),
        ("user:p%40ss@reg.io/a", ("reg.io", "/a")),
        ("a@b@reg.io", ("reg.io", "")),
        ("reg.io/a%20b", ("reg.io", "/a b")),
        ("reg.io?a/b", ("reg.io", "")),
        ("reg.io#a/b", ("reg.io", "")),
        ("reg.io#\x01", ("reg.io", "")),
        ("*.reg.io", ("*.reg.io", "")),
        ("r%C3%A9g.io", ("rég.io", "")),
        ("a%25b", ("a%b", "")),
        ("[::1]:5000/a", ("[::1]:5000", "/a")),
        ("[::ffff:1.2.3.4]", ("[::ffff:1.2.3.4]", "")),
        ("", ("", "")),
        ("reg.io\x01", None),
        ("reg.io?\x7f", None),
        ("reg.io/%zz", None),
        ("reg.io#%zz", None),
        ("%zz@reg.io", None),
        ("a b@reg.io", None),
        ("a b.io", None),
        ("reg%2eio", None),
        ("r\\eg.io", None),
        ("a:5000:5000", None),
        ("reg.io:http", None),
        ("::1", None),
        ("[::1", None),
        ("[::1]x", None),
        ("[1.2.3.4]", None),
        ("[a-c]ontoso.azurecr.io", None),
        ("contoso[.azurecr.io", None),
    ],
)
def test_urls_are_split_as_by_net_url(text: str, parts: tuple[str, str] | None) -> None:
    """Host and decoded path where Go's Parse succeeds with https:// before the text, None where it fails."""
    assert golang.split_url(text) == parts
