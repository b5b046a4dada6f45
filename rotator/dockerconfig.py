"""The text of a pull secret: parse it as the kubelet does, set our entries in it, and leave the rest as it is.

Sources: Kubernetes 1.36, pkg/credentialprovider/config.go (fields and `auth`) and keyring.go (how a key is read).
Error texts name the key of an entry and never a value.
"""

import base64
import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache

from rotator import golang
from rotator.errors import DockerConfigError
from rotator.model import Credential, SecretText

Members = tuple[tuple[str, str], ...]
"""The members of a JSON object in order: decoded names, compact JSON values."""

_FIELDS = frozenset({"username", "password", "email", "auth"})
_ALPHABET = "[A-Za-z0-9+/]"
_BASE64 = re.compile(rf"(?:{_ALPHABET}{{4}})*+(?:{_ALPHABET}{{2}}(?:==)?|{_ALPHABET}{{3}}=?)?")


@dataclass(frozen=True, slots=True)
class Entry:
    """What the kubelet takes from one entry."""

    username: str
    password: SecretText


def parse(text: str) -> dict[str, Entry]:
    """The entries of a `.dockerconfigjson`, by key. Raises DockerConfigError where the kubelet fails."""
    return _entries(_auths(_document(SecretText(text))))


def parse_legacy(text: str) -> dict[str, Entry]:
    """The entries of a `.dockercfg`, which has no `auths` around them. Raises DockerConfigError."""
    return _entries(_object("the text", golang.compact(text)))


def digests(text: SecretText, ours: Collection[str] = ()) -> dict[str, str]:
    """For each key of `auths`, as it stands there, the SHA-256 (hex) of its entry's compact JSON.

    Raises DockerConfigError when the text, or an entry under a key that names none of the hosts `ours`, is not what
    the kubelet can parse: a broken entry of ours will be replaced, a foreign one can only be mended by its owner.
    """
    return dict(_digests(text, frozenset(ours)))


def broken(text: SecretText, ours: Collection[str]) -> frozenset[str]:
    """The keys that name one of these hosts, but whose entry the kubelet cannot parse: it fails on the whole text."""
    return _broken(text, frozenset(ours))


def holds_more(text: SecretText) -> bool:
    """Whether the text has top-level keys beside `auths`. Raises DockerConfigError."""
    return not all(_is_auths(name) for name, _ in _document(text))


@lru_cache(maxsize=64)
def digest_of(credential: Credential) -> str:
    """The digest of the entry that we write for this credential."""
    return _digest(_written(credential))


def names_host(key: str, host: str) -> bool:
    """Is this key just another spelling of the host as a whole, so that it covers each of its images?"""
    return host in {key, location(key)}


def _host_named(key: str, hosts: Collection[str]) -> str | None:
    """The one of these hosts that the key names as a whole."""
    return next((name for name in (key, location(key)) if name in hosts), None)


def location(key: str) -> str | None:
    """What the kubelet makes of a key: host and path, without scheme, `/v1/` and `/v2/`; None: it skips the entry.

    `/v1` and `/v2` go only with a slash behind them; without it they are a path like any other (keyring.go, Add).
    """
    parts = golang.split_url(re.sub("^https?://", "", key))
    if parts is None:
        return None
    host, path = parts
    if path.startswith(("/v1/", "/v2/")):
        path = path[3:]
    return host if path == "/" else host + path


def merge(text: SecretText | None, entries: Mapping[str, Credential], drop: Collection[str] = ()) -> SecretText:
    """The text with our entries, by host, and without the keys in `drop`, as compact JSON.

    Foreign entries and other top-level keys keep content and order. Of all keys that name a host the first gives the
    place, and the others go: clients that stop at the first match would use a stale one. New hosts are appended.
    Raises DockerConfigError when the kubelet could not parse the result, ValueError when it would hold no entry.
    """
    return _merged(text, tuple(entries.items()), frozenset(drop))


# The caches serve the pass over thousands of namespaces that all hold the same bytes: each text is worked out once.
@lru_cache(maxsize=16)
def _document(text: SecretText) -> Members:
    document = _object("the text", golang.compact(text.reveal()))
    for name, value in document:
        # The kubelet's struct has this second field, so a wrong type in it breaks the whole Secret.
        if golang.fold(name) == "httpheaders" and not all(
            header == "null" or header.startswith('"') for _, header in _object("HttpHeaders", value)
        ):
            msg = "HttpHeaders is not an object of strings"
            raise DockerConfigError(msg)
    return document


def _auths(document: Members) -> Members:
    """The entries under every spelling of `auths`: Go reads them all into one map, and a null empties it."""
    found: Members = ()
    for name, value in document:
        if _is_auths(name) and value == "null":
            _entries(found)  # Go forgets them, but has read them: a broken one has failed by now
            found = ()
        elif _is_auths(name):
            found += _object("auths", value)
    return found


def _entries(auths: Members) -> dict[str, Entry]:
    return {key: _entry(key, value) for key, value in auths}


def _object(what: str, value: str) -> Members:
    if value == "null":
        return ()
    if not value.startswith("{"):
        msg = f"{what} is not a JSON object"
        raise DockerConfigError(msg)
    return golang.members(value)


def _entry(key: str, value: str) -> Entry:
    """One entry, as DockerConfigEntry's UnmarshalJSON reads it: a null leaves a field as it was, the last one wins."""
    fields = dict.fromkeys(_FIELDS, "")
    for name, content in _object(f"entry {_shown(key)}", value):
        field = golang.fold(name)
        if field not in _FIELDS or content == "null":
            continue
        if not content.startswith('"'):
            msg = f"entry {_shown(key)}: {field} is not a string"
            raise DockerConfigError(msg)
        fields[field] = golang.string(content)
    if not fields["auth"]:
        return Entry(fields["username"], SecretText(fields["password"]))
    return _decoded(key, fields["auth"])


def _decoded(key: str, auth: str) -> Entry:
    """The entry that `auth` says: base64, padded or not, with line breaks or not (Go's decoder skips those)."""
    packed = auth.replace("\r", "").replace("\n", "")
    if not _BASE64.fullmatch(packed):
        msg = f"entry {_shown(key)}: auth is not base64"
        raise DockerConfigError(msg)
    decoded = base64.b64decode(packed + "=" * (-len(packed) % 4))
    username, colon, password = golang.valid(decoded.decode(errors="surrogateescape")).partition(":")
    if not colon:
        msg = f"entry {_shown(key)}: auth holds no colon between username and password"
        raise DockerConfigError(msg)
    return Entry(username, SecretText(password))


def _shown(key: str) -> str:
    """The key for a message: anybody may have written it, and as a URL it may carry a password before its host."""
    return repr(re.sub("^(https?://)?.*@", r"\1***@", key, flags=re.DOTALL)[:100])


@lru_cache(maxsize=16)
def _digests(text: SecretText, ours: frozenset[str]) -> tuple[tuple[str, str], ...]:
    entries = _auths(_document(text))
    for key, value in entries:
        if _host_named(key, ours) is None:
            _entry(key, value)
    return tuple((key, _digest(value)) for key, value in entries)


@lru_cache(maxsize=16)
def _broken(text: SecretText, ours: frozenset[str]) -> frozenset[str]:
    entries = _auths(_document(text))
    return frozenset(key for key, value in entries if _host_named(key, ours) is not None and not _parses(key, value))


def _parses(key: str, value: str) -> bool:
    try:
        _entry(key, value)
    except DockerConfigError:
        return False
    return True


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def _written(credential: Credential) -> str:
    """Just `auth`, as `docker login` writes it: every client reads it, and to the kubelet it overrides the rest."""
    pair = f"{credential.username}:{credential.password.reveal()}"
    return _encoded({"auth": base64.b64encode(pair.encode()).decode()})


def _encoded(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@lru_cache(maxsize=16)
def _merged(text: SecretText | None, entries: tuple[tuple[str, Credential], ...], drop: frozenset[str]) -> SecretText:
    document = _document(text) if text else ()
    auths = _replaced(_auths(document), {host: _written(credential) for host, credential in entries}, drop)
    if not auths:
        msg = "a pull secret without entries is never written"
        raise ValueError(msg)
    merged = SecretText(_joined(_with_auths(document, _joined(auths))))
    parse(merged.reveal())
    return merged


def _replaced(auths: Members, written: Mapping[str, str], drop: frozenset[str]) -> Members:
    waiting = dict(written)
    kept: list[tuple[str, str]] = []
    for key, value in auths:
        host = _host_named(key, written)
        if host in waiting:
            kept.append((host, waiting.pop(host)))
        elif host is None and key not in drop:
            kept.append((key, value))
    return (*kept, *waiting.items())


def _with_auths(document: Members, auths: str) -> Members:
    """The document with one `auths`, where its first spelling stood: two would be two answers for other clients."""
    kept = [member for member in document if not _is_auths(member[0])]
    place = next((place for place, (name, _) in enumerate(document) if _is_auths(name)), len(kept))
    return (*kept[:place], ("auths", auths), *kept[place:])


def _is_auths(name: str) -> bool:
    return golang.fold(name) == "auths"


def _joined(members: Members) -> str:
    return "{" + ",".join(f"{_encoded(name)}:{value}" for name, value in members) + "}"
