"""The WWW-Authenticate header: which challenges does a server pose? Pure, and it raises for no input.

    WWW-Authenticate = #challenge
    challenge        = auth-scheme [ 1*SP ( token68 / #auth-param ) ]
    auth-param       = token BWS "=" BWS ( token / quoted-string )          RFC 9110, 11.2, 11.3 and 11.6.1

The comma separates both challenges and parameters, so an element of the list opens a challenge exactly if it begins
with a token that no "=" follows. More than the grammar is accepted in one place: an unquoted value may hold any
character but space, comma and quote, as some registries send their realm bare. What is malformed is no challenge, and
spoils none of the others.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"  # noqa: S105  (a rule of the grammar)
_QUOTED = r'"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[^\x00-\x08\x0a-\x1f\x7f])*+"'
_BARE = r'[^",\x00-\x20\x7f]++'

# Possessive quantifiers (`++`) never backtrack: the time stays proportional to the header's length.
_ELEMENT = re.compile(r'(?:[^",]++|"(?:[^"\\]|\\.)*+")*+', re.DOTALL)
_OPENING = re.compile(rf"(?P<scheme>{_TOKEN})(?:[ \t]++(?!=)(?P<rest>.++))?", re.DOTALL)
_TOKEN68 = re.compile(r"[0-9A-Za-z\-._~+/]++=*+")
_PARAMETER = re.compile(rf"(?P<name>{_TOKEN})[ \t]*+=[ \t]*+(?:(?P<quoted>{_QUOTED})|(?P<bare>{_BARE}))")
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge. The scheme and the names of the parameters are in lower case; it has parameters or a token68."""

    scheme: str
    parameters: Mapping[str, str]
    token68: str = ""


def parse(lines: Iterable[str]) -> tuple[Challenge, ...]:
    """The challenges of all WWW-Authenticate lines of one answer, in their order; malformed ones are left out."""
    opened = (pair for line in lines for pair in _opened(line))
    challenges = (_challenge(scheme, pieces) for scheme, pieces in opened)
    return tuple(challenge for challenge in challenges if challenge is not None)


def _opened(line: str) -> list[tuple[str, list[str]]]:
    """Each scheme with the pieces that follow it, up to the next scheme."""
    opened: list[tuple[str, list[str]]] = []
    for element in _elements(line):
        opening = _OPENING.fullmatch(element)
        if opening:
            opened.append((opening["scheme"], [opening["rest"]] if opening["rest"] else []))
        elif opened:
            opened[-1][1].append(element)
    return opened


def _elements(line: str) -> Iterator[str]:
    """The elements of the list; an unclosed quote makes all that follows it one element, which nothing matches."""
    position = 0
    while position <= len(line):
        match = _ELEMENT.match(line, position)
        end = match.end() if match else position
        if line[end : end + 1] == '"':
            end = len(line)
        if element := line[position:end].strip(" \t"):
            yield element
        position = end + 1


def _challenge(scheme: str, pieces: list[str]) -> Challenge | None:
    if len(pieces) == 1 and _TOKEN68.fullmatch(pieces[0]):
        return Challenge(scheme.lower(), {}, pieces[0])
    parameters: dict[str, str] = {}
    for piece in pieces:
        match = _PARAMETER.fullmatch(piece)
        if match is None or match["name"].lower() in parameters:  # each name once (RFC 9110, 11.2)
            return None
        parameters[match["name"].lower()] = _value(match)
    return Challenge(scheme.lower(), parameters)


def _value(parameter: re.Match[str]) -> str:
    return _ESCAPED.sub(r"\1", parameter["quoted"][1:-1]) if parameter["quoted"] else parameter["bare"]
