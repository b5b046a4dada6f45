"""Strict YAML: every line says what it means, or a line of ours says why it was not read."""

import subprocess
import sys

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rotator.config import strictyaml

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=8), PLAIN, min_size=1, max_size=3))
def test_plain_data_is_read_as_it_was_written(data: dict[str, object]) -> None:
    """Texts, numbers, truth values, lists and mappings come through unchanged."""
    assert strictyaml.read(yaml.safe_dump(data)) == (data, [])


@pytest.mark.parametrize("text", ["2026-11-23", "2026-99-99", "<<", "=", "1e3", "-", "~x", "0o17", "*.x"[1:]])
def test_what_is_no_number_stays_text(text: str) -> None:
    """Nothing becomes a date or a merge, as YAML 1.1 would have it."""
    assert strictyaml.read(f"a: {text}" if text != "-" else 'a: "-"') == ({"a": text}, [])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty; write registries and pullSecrets"),
        ("# nothing\n", "is empty; write registries and pullSecrets"),
        ("---\n", "is empty; write registries and pullSecrets"),
        ("null", "is empty; write registries and pullSecrets"),
        ("a: 1\n---\nb: 2\n", "line 2: starts a second document; write one file"),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", 'line 4: repeats the key "c" of line 3; keep one'),
        ("a: 1\n'a': 2\n", 'line 2: repeats the key "a" of line 1; keep one'),
        ("{a: 1, b: 2, a: 3}", 'line 1: repeats the key "a" of line 1; keep one'),
        ("1: 2", "line 1: has a key that is no text; write it in quotes"),
        ("yes: 2", "line 1: has a key that is no text; write it in quotes"),
        ("? [a]\n: b", "line 1: has a key that is no text; write it in quotes"),
        ("a: &x 1\nb: *x\n", "line 1: has an anchor or alias (& or *); write the value out"),
        ("a: *x\n", "line 1: has an anchor or alias (& or *); write the value out"),
        ("a: !!python/object/apply:os.system [true]", "line 1: has a tag (!); write the value without it"),
        ("a: !!str 1", "line 1: has a tag (!); write the value without it"),
        ("a: b: c", "line 1, column 5: is no YAML; check indentation"),
        ("a:\n\tb: c", "line 2, column 1: is no YAML; check indentation"),
        ("a: [1, 2", "is no YAML; check indentation"),
        ("names: [*]", 'line 1, column 10: is no YAML; put a text that starts with * or & in quotes, as "*"'),
        ("a: \0", "holds a control character, which YAML does not allow; remove it"),
        ("a: \ud800", "holds half of a surrogate pair, which no text does; write it as UTF-8"),
        ("a: 0x_", "line 1: is no number; write the value in quotes"),
        (f"a: {'9' * 5000}", "line 1: is no number; write the value in quotes"),
        (f"a: {'1:' * 300}1.5", "line 1: is no number; write the value in quotes"),
        (f"a: {'[' * 30}{']' * 30}", "line 1: is nested deeper than 20 levels; check the brackets"),
        (f"a: {'[' * 1_000_000}", "line 1: is nested deeper than 20 levels; check the brackets"),
        (f"a: {'b' * strictyaml.LARGEST}", "is larger than 1 MiB; write less"),
    ],
)
def test_each_trap_is_one_line(text: str, problem: str) -> None:
    """What the configuration does not need is refused with its line and what to write."""
    _, problems = strictyaml.read(text)
    assert problems
    assert all("\n" not in line for line in problems)
    assert problem in problems[0]


def test_a_billion_laughs_cost_nothing() -> None:
    """Aliases are refused before one of them is followed."""
    lines = ["a0: &a0 [lol]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30))]
    value, problems = strictyaml.read("\n".join(lines))
    assert value is None
    assert len(problems) == 20


def test_every_repeated_key_is_told_and_the_rest_is_read() -> None:
    """One problem hides no other: the value goes on to the next check."""
    value, problems = strictyaml.read("a: 1\na: 2\nb: {c: 1, c: 2}\n")
    assert value == {"a": 1, "b": {"c": 1}}
    assert len(problems) == 2


@pytest.mark.parametrize(
    "text",
    [
        "p: *hunter2",
        "p: &hunter2 x",
        "p: !hunter2 x",
        "p: !hunter2!x y",
        'p: "hunter2',
        "p: hunter2: x",
        "p: {hunter2",
        "%TAG !hunter2! !x\n%TAG !hunter2! !y\n--- a",
        'p: "hunter2\\z"',
        "p: |hunter2",
        "%hunter2\n---\n",
        "p: hunter2\x00",
    ],
)
def test_no_problem_repeats_the_text(text: str) -> None:
    """A password with a character that means something to YAML is not shown in the message about it."""
    _, problems = strictyaml.read(text)
    assert problems
    assert "hunter2" not in "".join(problems)


def test_no_problem_repeats_the_text_without_libyaml() -> None:
    """PyYAML's own parser, used where libyaml is missing, quotes the text in its messages: none of that is shown."""
    program = """
import sys
sys.modules["yaml._yaml"] = None
from rotator.config import strictyaml
print(strictyaml.read("p: !hunter2!x y"), strictyaml.read("a: {b: [1]}"))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603  (ours)
    assert "line 1, column 4: is no YAML" in done.stdout
    assert "({'a': {'b': [1]}}, [])" in done.stdout
    assert "hunter2" not in done.stdout


@given(st.text(alphabet="ab:1{}[],&*!|>%@#-?'\"\\ \n\t\0~<=._x\ufeff\N{LINE SEPARATOR}", max_size=60))
def test_no_text_raises(text: str) -> None:
    """Any text gives a value or a problem."""
    value, problems = strictyaml.read(text)
    assert value is not None or problems
