"""The audit: every Secret is looked at as it changes, for what no failed pull would show; and renewals are counted."""

import base64
import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from rotator.sandbox.apiserver import Call
from rotator.sandbox.apiserver.objects import Object, dig
from rotator.sandbox.demo.stage import ACCOUNT, Stage
from tests.soak.grounds import Grounds, cloud_of, clouds
from tests.soak.troubles import CALM, Troubles

STRANGER = "registry.example.com"
"""The key of an entry that is not rotator's; and another's reference is `STRANGERS_SECRET`."""

STRANGERS_SECRET = "their-pull"
STRANGERS_AUTH = {"auth": base64.b64encode(b"them:theirs").decode()}
STRANGERS_KEY = "example.com/theirs"

DATA = ".dockerconfigjson"

GRACE = timedelta(seconds=1)
"""An expiry so short ago lies between the write and the look."""

LATE = 1.5 * CALM
"""Seconds without a trouble in which a credential that is due is renewed, also where fifty are due at once."""

HEARD = 20.0
"""Seconds after which rotator has heard of a label that was taken away, whatever else goes on."""

ENOUGH = 10
"""Findings after which no more are noted: one defect is found again at each look."""


@dataclass
class _Seen:
    """A Secret when it was looked at last."""

    uid: str
    version: str
    stranger: bool = False
    passwords: dict[str, str] = field(default_factory=dict)
    since: dict[str, float] = field(default_factory=dict)


class Audit:
    """Looks at everything, again and again. `found` is what was wrong."""

    def __init__(self, stage: Stage, grounds: Grounds, troubles: Troubles) -> None:
        self._stage = stage
        self._grounds = grounds
        self._troubles = troubles
        self._clouds = clouds(stage)
        self._homes: dict[str, str] = dict.fromkeys(grounds.homes, "")
        self._name_of = {host: name for name, hosts in grounds.registries.items() for host in hosts}
        self._seen: dict[str, _Seen] = {}
        self._accounts: set[str] = set()  # namespaces whose ServiceAccount has another's reference
        self._reset: dict[str, float] = {}
        self._planted: dict[str, str] = {}
        self._left: dict[str, float] = {}
        self._now = 0.0
        self._published: dict[str, set[str]] = {name: set() for name in grounds.registries}
        self._found: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def found(self) -> list[str]:
        """What was wrong, each once."""
        deletions = {
            f"rotator deleted {record.resource} {record.namespace}/{record.name}"
            for record in self._stage.api.journal.records
            if record.user == "rotator" and record.verb.startswith("delete")
        }
        return [*list(self._found)[:ENOUGH], *sorted(deletions)[:ENOUGH]]

    @property
    def renewals(self) -> int:
        """Credentials that came into a Secret in the place of an older one of the same registry, each counted once."""
        return sum(max(len(passwords) - 1, 0) for passwords in self._published.values())

    # What the hands tell ----------------------------------------------------------------------------------------------

    def covers(self, namespace: str) -> None:
        """From now on it is to have a Secret; what was written while nobody looked is no news."""
        self._homes[namespace] = ""
        self._left.pop(namespace, None)
        secret = self._stage.api.store.get("secrets", namespace, self._grounds.pull_secret(namespace))
        if secret and (seen := self._seen.get(namespace)):
            with suppress(KeyError, ValueError):
                seen.passwords |= dict(_passwords(json.loads(base64.b64decode(secret["data"][DATA]))["auths"]))

    def leaves(self, namespace: str, now: float) -> None:
        """From now on nothing there is to be touched; what stands there is no news when it is covered again."""
        self._homes.pop(namespace, None)
        self._left[namespace] = now

    def removed(self, namespace: str) -> None:
        """It is there no more."""
        self._homes.pop(namespace, None)
        self._seen.pop(namespace, None)
        self._accounts.discard(namespace)

    def forgets(self, namespace: str) -> None:
        """Somebody did something to the Secret there: what comes after it is another one."""
        self._seen.pop(namespace, None)

    def forgets_account(self, namespace: str, now: float) -> None:
        """Somebody took all references from the ServiceAccount there."""
        self._accounts.discard(namespace)
        self._reset[namespace] = now

    def plants(self, namespace: str, password: str) -> None:
        """A tenant puts this into its own Secret; it must go nowhere else."""
        self._planted[password] = namespace

    def must(self, holds: bool, what: str) -> None:
        """What was nobody's business of rotator's is as it was."""
        if not holds:
            self._note(f"{what} was touched")

    def strange(self, namespace: str) -> None:
        """Put another's entry, annotation and reference beside rotator's."""
        store, name = self._stage.api.store, self._grounds.pull_secret(namespace)
        store.change("secrets", namespace, name, _add_entry)
        store.change("serviceaccounts", namespace, ACCOUNT, _add_reference)
        self._accounts.add(namespace)
        if seen := self._seen.get(namespace):
            seen.stranger = True
        else:
            self._seen[namespace] = _Seen("", "", stranger=True)

    # What is looked at ------------------------------------------------------------------------------------------------

    def before_request(self, call: Call) -> None:
        """A hook of the API server: no Secret is made before its reference, nor written where no label asks for it."""
        if call.verb not in {"patch", "create", "update"} or call.place.resource.name != "secrets":
            return
        namespace, name = call.place.namespace, call.place.name
        if self._now - self._left.get(namespace, self._now) > HEARD:
            self._note(f"{namespace}/{name} was written though no label asks for it")
        if namespace in self._homes and self._stage.api.store.get("secrets", namespace, name) is None:
            self._must_refer(namespace, name)

    def _must_refer(self, namespace: str, name: str) -> None:
        account = self._stage.api.store.get("serviceaccounts", namespace, ACCOUNT)
        # A reference that is reset this moment is mended after the Secret that is under way; and a Secret does not wait
        # for a reference that the API server would not take.
        excused = self._now - self._reset.get(namespace, -HEARD) < CALM or self._troubles.is_failing(
            namespace, self._now
        )
        if account and name not in _references(account) and not excused:
            self._note(f"{namespace}/{name} was made before its reference")

    def look(self, now: float) -> None:
        """Look at each Secret, and at each ServiceAccount that has another's reference."""
        self._now = now
        present: dict[tuple[str, str], Object] = {
            (dig(secret, "metadata", "namespace"), dig(secret, "metadata", "name")): secret
            for secret in self._stage.api.store.list("secrets")
        }
        for namespace in self._homes:
            secret = present.get((namespace, self._grounds.pull_secret(namespace)))
            if secret is not None:
                self._look_at(namespace, secret, now)
            elif (seen := self._seen.get(namespace)) and seen.uid:
                self._note(f"the Secret in {namespace} was deleted")
        for namespace in self._accounts & self._homes.keys():
            account = self._stage.api.store.get("serviceaccounts", namespace, ACCOUNT)
            if account and _references(account)[:1] != [STRANGERS_SECRET]:
                self._note(f"another's reference was lost in {namespace}")

    def _look_at(self, namespace: str, secret: Object, now: float) -> None:
        seen = self._seen.setdefault(namespace, _Seen("", ""))
        uid, version = dig(secret, "metadata", "uid"), dig(secret, "metadata", "resourceVersion")
        if seen.uid and uid != seen.uid:
            self._note(f"the Secret in {namespace} was made anew: its UID is another")
        if version != seen.version:
            self._read(namespace, secret, seen, now)
        seen.uid, seen.version = uid, version
        self._find_overdue(namespace, seen, now)

    def _read(self, namespace: str, secret: Object, seen: _Seen, now: float) -> None:
        try:
            auths = json.loads(base64.b64decode(secret["data"][DATA]))["auths"]
            passwords = dict(_passwords(auths))
        except (KeyError, ValueError):
            self._note(f"the Secret in {namespace} cannot be read")
            return
        if seen.stranger and not _keeps_the_strange(secret, auths):
            self._note(f"another's entry or annotation was lost in {namespace}")
        for host, password in passwords.items():
            if host in self._name_of and seen.passwords.get(host) != password:
                seen.passwords[host] = password
                seen.since[host] = now
                self._find_unfit(namespace, host, password)

    def _find_unfit(self, namespace: str, host: str, password: str) -> None:
        """A credential that has just come into a Secret is one that its cloud gave, that lives, and that opens."""
        if self._planted.get(password) == namespace:
            return
        cloud = self._clouds[cloud_of(host)]
        token = cloud.token(password)
        if token is None:
            self._note(f"what no cloud gave was written for {host} in {namespace}")
        elif token.expires_at + GRACE < cloud.clock():
            self._note(f"an expired credential was written for {host} in {namespace}")
        elif self._stage.net.registries[host].is_behind(token):
            self._note(f"a credential that {host} refuses was written in {namespace}")
        else:
            self._published[self._name_of[host]].add(password)

    def _find_overdue(self, namespace: str, seen: _Seen, now: float) -> None:
        for host, since in seen.since.items():
            late = now - since - self._grounds.longest_wait
            if late > LATE and not self._troubles.excuses(namespace, host, now, late, LATE):
                self._note(f"{host} in {namespace} was not renewed when it was due")

    def _note(self, problem: str) -> None:
        with self._lock:
            self._found[problem] += 1


def _passwords(auths: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    for host, entry in auths.items():
        yield host, base64.b64decode(entry["auth"]).decode().partition(":")[2]


def _keeps_the_strange(secret: Object, auths: Mapping[str, object]) -> bool:
    annotations = dig(secret, "metadata", "annotations") or {}
    return auths.get(STRANGER) == STRANGERS_AUTH and annotations.get(STRANGERS_KEY) == "kept"


def _references(account: Object) -> list[str]:
    return [reference["name"] for reference in account.get("imagePullSecrets") or ()]


def _add_entry(secret: Object) -> None:
    content = json.loads(base64.b64decode(secret["data"][DATA]))
    content["auths"][STRANGER] = STRANGERS_AUTH
    secret["data"][DATA] = base64.b64encode(json.dumps(content).encode()).decode()
    secret["metadata"].setdefault("annotations", {})[STRANGERS_KEY] = "kept"


def _add_reference(account: Object) -> None:
    references = [name for name in _references(account) if name != STRANGERS_SECRET]
    account["imagePullSecrets"] = [{"name": name} for name in (STRANGERS_SECRET, *references)]
