"""The WWW-Authenticate header, as the grammar has it and as registries write it."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.challenge import Challenge, parse

BEARER = Challenge("bearer", {"realm": "https://registry.test/v2/token", "service": "registry.test"})

CASES = {
    "quoted values": (['Bearer realm="https://registry.test/v2/token",service="registry.test"'], [BEARER]),
    "an unquoted value, as gcr.io has it": (
        ['Bearer realm="https://gcr.io/v2/token",service=gcr.io'],
        [Challenge("bearer", {"realm": "https://gcr.io/v2/token", "service": "gcr.io"})],
    ),
    "an unquoted URL, which the grammar forbids": (
        ["Bearer realm=https://registry.test/v2/token,service=registry.test"],
        [BEARER],
    ),
    "any case of scheme and names": (
        ['bEARER REALM="https://registry.test/v2/token", Service="registry.test"'],
        [BEARER],
    ),
    "spaces and tabs wherever they may be": (
        [' \tBearer \t realm = "https://registry.test/v2/token" ,\t service\t=registry.test , '],
        [BEARER],
    ),
    "several challenges in one line": (
        ['Basic realm="a", Bearer realm="https://registry.test/v2/token",service="registry.test", Negotiate'],
        [Challenge("basic", {"realm": "a"}), BEARER, Challenge("negotiate", {})],
    ),
    "several lines": (
        ['Basic realm="a"', 'Bearer realm="https://registry.test/v2/token",service="registry.test"'],
        [Challenge("basic", {"realm": "a"}), BEARER],
    ),
    "a token68": (
        ["Negotiate YWJj+/8=, Basic realm=a"],
        [Challenge("negotiate", {}, "YWJj+/8="), Challenge("basic", {"realm": "a"})],
    ),
    "escapes, commas and schemes within quotes": (
        [r'Bearer realm="a \"b\", Basic \\ realm=c",service=""'],
        [Challenge("bearer", {"realm": r'a "b", Basic \ realm=c', "service": ""})],
    ),
    "a scheme alone": (["Basic"], [Challenge("basic", {})]),
    "empty elements": (
        [',, Basic realm="a",, charset="UTF-8",'],
        [Challenge("basic", {"realm": "a", "charset": "UTF-8"})],
    ),
    "nothing": ([], []),
    "an empty line": ([""], []),
    "parameters of no scheme": (['realm="a", service=b'], []),
    "no grammar at all": (['=,;"\\', "\x00\x01", "€"], []),
    "an unclosed quote, which spoils what follows": (
        ['Basic realm="a", Bearer realm="b, Digest realm="c"'],
        [Challenge("basic", {"realm": "a"})],
    ),
    "an unclosed quote, which spoils no other line": (
        ['Bearer realm="b', "Basic realm=a"],
        [Challenge("basic", {"realm": "a"})],
    ),
    "an unclosed quote, which may have meant anything": (['Bearer realm="b, Basic realm=c'], []),
    "no comma between parameters": (
        ['Bearer realm="a" service="b", Basic realm="c"'],
        [Challenge("basic", {"realm": "c"})],
    ),
    "a name twice: which one would count?": (['Bearer realm="a", Realm="b"'], []),
    "a control character in a value": (
        ['Bearer realm="a\x1b[2Jb"', "Bearer realm=a\x1b[2Jb", 'Bearer realm="a\\\rb"'],
        [],
    ),
    "a parameter without a value": (['Bearer realm=,service="b"'], []),
}


@pytest.mark.parametrize(("lines", "challenges"), CASES.values(), ids=CASES.keys())
def test_parse(lines: list[str], challenges: list[Challenge]) -> None:
    """Every challenge that is well formed is found, and nothing else."""
    assert list(parse(lines)) == challenges


TOKENS = st.text("!#$%&'*+-.^_`|~" + string.digits + string.ascii_lowercase, min_size=1)
TEXTS = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"], include_characters="\t"))
TOKENS68 = st.from_regex(r"[0-9A-Za-z._~+/-]+={0,2}", fullmatch=True)
CHALLENGES = st.one_of(
    st.builds(Challenge, TOKENS, st.dictionaries(TOKENS, TEXTS)),
    st.builds(Challenge, TOKENS, st.just({}), TOKENS68),
)


def _quoted(text: str) -> str:
    return '"' + "".join(f"\\{character}" if character in '"\\' else character for character in text) + '"'


def _written(challenge: Challenge) -> str:
    parameters = (f"{name}={_quoted(value)}" for name, value in challenge.parameters.items())
    return f"{challenge.scheme} {challenge.token68 or ','.join(parameters)}".strip()


@given(st.lists(CHALLENGES))
def test_round_trip(challenges: list[Challenge]) -> None:
    """What is written by the grammar is read as it was meant, in one line as in many."""
    written = [_written(challenge) for challenge in challenges]
    assert list(parse(written)) == challenges
    assert list(parse([", ".join(written)])) == challenges


@given(st.lists(st.text() | st.text('Bearer =",\\ \t\n')))
def test_never_raises(lines: list[str]) -> None:
    """No input is an error: at worst there is no challenge in it, and no value holds a control character."""
    for challenge in parse(lines):
        assert not any(
            character < " " and character != "\t" for value in challenge.parameters.values() for character in value
        )
