"""JSON and URLs as Go's standard library reads them (Go 1.26): whether a kubelet can use a pull secret depends on it.

Python's own readers differ: `json` stops at about a thousand levels of nesting and accepts NaN, `urllib.parse` accepts
nearly every host. Nothing here shows what it read: an error names a position.
"""

import ipaddress
import json
import re
from collections.abc import Iterator
from urllib.parse import unquote

from rotator.errors import DockerConfigError

MAX_DEPTH = 10_000  # maxNestingDepth in Go's encoding/json/scanner.go

_STRING = r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*+"'
_NUMBER = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?"
_SPACE = r"[ \t\r\n]*+"
_TOKEN = re.compile(
    rf"{_SPACE}(?:(?P<key>{_STRING}){_SPACE}:|(?P<scalar>{_STRING}|{_NUMBER}|true|false|null)|(?P<mark>[{{}}\[\],]))"
)
_VALUE = frozenset({"scalar", "{", "["})
_KEY = frozenset({"key"})
_NOTHING = frozenset[str]()


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Kind and text of each token. The kinds: `key` (its colon included), `scalar`, and each mark as itself."""
    end = len(text.rstrip(" \t\r\n"))
    position = 0
    while position < end:
        found = _TOKEN.match(text, position)
        if found is None:
            msg = f"not JSON at character {position}"
            raise DockerConfigError(msg)
        position = found.end()
        mark = found["mark"]
        if mark:
            yield mark, mark
        elif found["key"]:
            yield "key", f"{found['key']}:"
        else:
            yield "scalar", found["scalar"]


def compact(text: str) -> str:
    """The same JSON without the space between its tokens. Raises DockerConfigError where Go finds a syntax error.

    A byte that was not UTF-8 (a lone surrogate in the text) becomes U+FFFD, which is what Go reads.
    """
    tokens: list[str] = []
    opened: list[str] = []
    expected = _VALUE
    for kind, token in _tokens(text):
        if kind not in expected or len(opened) > MAX_DEPTH:
            msg = f"not JSON: token {len(tokens) + 1} does not belong there"
            raise DockerConfigError(msg)
        tokens.append(token)
        expected = _expected(kind, opened)
    if not tokens or expected:
        msg = "not JSON: it ends too early"
        raise DockerConfigError(msg)
    return valid("".join(tokens))


def _expected(kind: str, opened: list[str]) -> frozenset[str]:
    """What may follow a token of this kind; `opened` holds the brackets still open and is kept up to date."""
    if kind == "key":
        return _VALUE
    if kind == ",":
        return _KEY if opened[-1] == "{" else _VALUE
    if kind in {"{", "["}:
        opened.append(kind)
        return _KEY | {"}"} if kind == "{" else _VALUE | {"]"}
    if kind != "scalar":
        opened.pop()
    if not opened:
        return _NOTHING
    return frozenset({",", "}" if opened[-1] == "{" else "]"})


def members(text: str) -> tuple[tuple[str, str], ...]:
    """The members of a compact JSON object: each decoded name, in order, with the compact text of its value."""
    found: list[tuple[str, str]] = []
    name, start, position, depth = "", 0, 0, 0
    for kind, token in _tokens(text):
        depth += (kind in {"{", "["}) - (kind in {"}", "]"})
        if kind == "key" and depth == 1:
            name, start = string(token[:-1]), position + len(token)
        elif (kind == "," and depth == 1) or (depth == 0 and start):
            found.append((name, text[start:position]))
        position += len(token)
    return tuple(found)


def string(literal: str) -> str:
    """The value of a JSON string. What is no valid Unicode becomes U+FFFD, as in Go's unquote."""
    value: str = json.loads(literal)
    return valid(value)


def valid(text: str) -> str:
    """The text with U+FFFD for each lone surrogate."""
    return re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)


def fold(name: str) -> str:
    """The name of a field in lower case as encoding/json compares it: by Unicode's simple folding.

    `lower` does that for names in ASCII, but for the long s.
    """
    return name.lower().replace("\N{LATIN SMALL LETTER LONG S}", "s")


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_USERINFO = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*")
_PORT = r"(?::[0-9]*)?"
_HOST = re.compile(rf"(?:[A-Za-z0-9!\"$&'()*+,\-.;<=>\]_~]|[^\x00-\x7f]|%25|%[89A-Fa-f][0-9A-Fa-f])*{_PORT}")
_IP_LITERAL = re.compile(rf"\[([0-9A-Fa-f:.]*)\]{_PORT}")


def split_url(text: str) -> tuple[str, str] | None:
    """Host and decoded path of an http or https URL without its scheme; None where net/url's Parse fails.

    IPv6 zones are refused too: no image can name one.
    """
    address, _, fragment = text.partition("#")
    authority, slash, path = address.partition("?")[0].partition("/")
    userinfo, _, host = authority.rpartition("@")
    if _CONTROL.search(address) or any(_BROKEN_ESCAPE.search(part) for part in (fragment, path, userinfo)):
        return None
    if not _USERINFO.fullmatch(userinfo) or not _is_host(host):
        return None
    return unquote(host), unquote(slash + path)


def _is_host(host: str) -> bool:
    literal = _IP_LITERAL.fullmatch(host)
    if literal is None:
        return _HOST.fullmatch(host) is not None
    try:
        ipaddress.IPv6Address(literal[1])
    except ValueError:
        return False
    return True
