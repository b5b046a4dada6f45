"""Reads objects as they stand in the cluster, with code of its own: nothing here is rotator's."""

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from tests.scenarios.machine.setting import CLOCKS_APART, hosts_of

Object = dict[str, Any]

LABEL = "rotator.dev/pull-secret"
NOTES = "rotator.dev/entries"

Members = tuple[tuple[str, Any], ...]
"""A JSON object with its order and its doubles, all the way down."""

Times = tuple[datetime, datetime]
"""Issue and expiry of a credential."""

BROKEN = (("auth", "%%%"),)
"""One such entry, under whatever key, and a kubelet takes nothing from the whole Secret."""


def text_of(secret: Object) -> str:
    """What stands under `.dockerconfigjson`."""
    return base64.b64decode(secret["data"][".dockerconfigjson"]).decode()


def members(secret: Object) -> Members:
    """The text of a pull secret."""
    read: Members = json.loads(text_of(secret), object_pairs_hook=tuple)
    return read


def auths(secret: Object) -> Members:
    """Its entries; none where they are no object."""
    found = dict(members(secret)).get("auths")
    return found if isinstance(found, tuple) else ()


def host_of(secret: Object, key: str) -> str | None:
    """The host of this pull secret that a key names as a whole, in the two spellings that the machines use."""
    hosts = hosts_of(secret["metadata"]["name"])
    return next((host for host in hosts if key in {host, f"https://{host}/v1/"}), None)


def is_broken(secret: Object, *, ours_too: bool = False) -> bool:
    """Whether a kubelet fails on it. A broken entry of ours is to be replaced, so it counts only where it is asked."""
    entries = dict(members(secret)).get("auths", ())
    return not isinstance(entries, tuple) or any(
        value == BROKEN and (ours_too or host_of(secret, key) is None) for key, value in entries
    )


def is_marked(secret: Object) -> bool:
    """Whether it bears a mark of ours."""
    meta = secret["metadata"]
    return LABEL in (meta.get("labels") or {}) or NOTES in (meta.get("annotations") or {})


def references(account: Object) -> list[str]:
    """The names of a ServiceAccount's pull secrets."""
    return [reference["name"] for reference in account.get("imagePullSecrets") or []]


@dataclass(frozen=True)
class Standing:
    """One entry of ours as it stands: its value, and the note about it."""

    entry: Any
    note: Object | None

    @classmethod
    def of(cls, secret: Object | None, host: str) -> Self | None:
        """The entry of this host, if just one key names it, in its own spelling."""
        found = {key: value for key, value in auths(secret) if host_of(secret, key) == host} if secret else {}
        return cls(found[host], _note(secret, host)) if secret and list(found) == [host] else None

    @property
    def credential(self) -> tuple[str, str]:
        """User and password; both empty for what is no such entry."""
        try:
            user, _, password = base64.b64decode(dict(self.entry)["auth"]).decode().partition(":")
        except (KeyError, TypeError, ValueError):
            return "", ""
        return user, password

    @property
    def times(self) -> Times:
        """Issue and expiry, as noted."""
        assert self.note is not None
        return datetime.fromisoformat(self.note["issuedAt"]), datetime.fromisoformat(self.note["expiresAt"])


def _note(secret: Object, host: str) -> Object | None:
    try:
        note: Object | None = json.loads(secret["metadata"]["annotations"][NOTES]).get(host)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return note


def is_due(issued_at: datetime, expires_at: datetime, now: datetime) -> bool:
    """Whether half of its life is over, or its time of issue is still to come."""
    return now >= issued_at + (expires_at - issued_at) / 2 or issued_at > now + CLOCKS_APART
