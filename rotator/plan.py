"""Snapshot + configuration + credentials held + now -> Changes. Pure: it decides everything and does nothing.

One Secret is judged by a chain of small checks: the first that objects gives the state, the message and the action.
`CHECKS` is the table of contents. The same chain judges one Secret again after a conflict (`judge_secret`).
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from rotator import annotations, renewal, selection
from rotator.config import Config, PullSecret
from rotator.entries import Entries
from rotator.errors import DockerConfigError
from rotator.model import (
    NOTHING,
    PENDING,
    PROBLEMS,
    SECRET_TYPE,
    Action,
    Change,
    Credential,
    Gap,
    Kind,
    NamespaceRecord,
    Plan,
    SecretRecord,
    ServiceAccountRecord,
    Snapshot,
    State,
    Subject,
)
from rotator.orphans import Orphans


def plan(snapshot: Snapshot, config: Config, held: Mapping[str, Credential], now: datetime) -> Plan:
    """Decide about every object that the configuration means; `held` are the credentials in memory by registry."""
    changes = [_unreadable(gap) for gap in snapshot.gaps]
    for pull_secret in config.pull_secrets:
        changes += _changes(pull_secret, snapshot, config, now)
    changes += _left_over(Orphans(snapshot, config, now))
    return Plan(tuple(changes), _mints(changes, config, held, now))


def judge_secret(
    pull_secret: PullSecret, namespace: str, record: SecretRecord | None, config: Config, now: datetime
) -> Change:
    """Decide about one Secret; None: it does not exist."""
    return _Judge(pull_secret, config, now).judge(namespace, record)


Verdict = tuple[State, str, Action, Mapping[str, str]]


class _Judge:
    """Judges the Secrets of one pull secret: each content once, for after a rotation all namespaces hold the same."""

    def __init__(self, pull_secret: PullSecret, config: Config, now: datetime) -> None:
        self._pull_secret = pull_secret
        self._config = config
        self._now = now
        self._hosts = selection.hosts(pull_secret, config)
        self._verdicts: dict[object, Verdict] = {}

    def judge(self, namespace: str, record: SecretRecord | None) -> Change:
        """Decide about the Secret in this namespace."""
        content = _content(record) if record else None
        if content not in self._verdicts:
            self._verdicts[content] = self._verdict(record)
        subject = Subject(Kind.SECRET, namespace, self._pull_secret.name)
        return Change(subject, self._pull_secret.name, *self._verdicts[content])

    def _verdict(self, record: SecretRecord | None) -> Verdict:
        if record is None:
            return State.MISSING, "does not exist yet", Action.CREATE, self._hosts
        case = _Case(self._pull_secret, record, self._hosts, self._config, self._now)
        state, message = next(filter(None, (check(case) for check in CHECKS)))
        if state in PENDING:
            return state, message, Action.UPDATE, case.needs
        return state, message, Action.NOTHING, NOTHING


def _content(record: SecretRecord) -> tuple[object, ...]:
    """All that the checks look at."""
    return annotations.is_ours(record), record.type, record.immutable, annotations.noted(record), record.text


def judge_entries(
    pull_secret: PullSecret, record: SecretRecord | None, config: Config, now: datetime
) -> dict[str, State]:
    """The state of each host's entry in one Secret, None: it does not exist. Raises DockerConfigError."""
    hosts = selection.hosts(pull_secret, config)
    if record is None:
        return dict.fromkeys(hosts, State.MISSING)
    return _Case(pull_secret, record, hosts, config, now).states


# The cases that the checks look at -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Case:
    """One existing Secret, with what the checks ask about it."""

    pull_secret: PullSecret
    record: SecretRecord
    hosts: Mapping[str, str]
    config: Config
    now: datetime

    @cached_property
    def entries(self) -> Entries:
        """What stands in it now. Raises DockerConfigError."""
        return Entries.of(self.record, self.hosts)

    @cached_property
    def states(self) -> dict[str, State]:
        """The state of each host's entry."""
        return {host: self._state(host) for host in self.entries.registry_of}

    @property
    def needs(self) -> dict[str, str]:
        """The hosts whose entries are not up to date, with their registries: one write serves them all."""
        return {host: self.entries.registry_of[host] for host, state in self.states.items() if state in PENDING}

    def hosts_in(self, state: State) -> str:
        """The hosts whose entry is in this state, for a message; empty where there are none."""
        hosts = [host for host, found in self.states.items() if found is state]
        shown, more = ", ".join(hosts[:2]), len(hosts) - 2
        return f"{shown} and {more} more" if more > 0 else shown

    def _state(self, host: str) -> State:
        if self.entries.is_absent(host):
            return State.INCOMPLETE
        note = self.entries.intact(host, self.now)
        if note is None:
            return State.DRIFTED
        if note.expires_at <= self.now:
            return State.EXPIRED
        due = renewal.is_due(note.issued_at, note.expires_at, self.config.renewal.at, self.now)
        return State.DUE if due else State.UP_TO_DATE


# The checks, in the order in which they object -----------------------------------------------------------------------

Finding = tuple[State, str]


def _foreign(case: _Case) -> Finding | None:
    if annotations.is_ours(case.record) or case.pull_secret.adopt:
        return None
    return (
        State.FOREIGN,
        "somebody else made or replaced it; set adopt: true on the pull secret, rename that, or delete this Secret",
    )


def _wrong_type(case: _Case) -> Finding | None:
    if case.record.type == SECRET_TYPE:
        return None
    remedy = "a type cannot be changed: delete this Secret and rotator makes it anew, or rename the pull secret"
    return State.WRONG_TYPE, f"its type is {case.record.type[:80]!r}, not {SECRET_TYPE}; {remedy}"


def _immutable(case: _Case) -> Finding | None:
    if not case.record.immutable:
        return None
    return State.IMMUTABLE, "it is immutable and cannot be renewed; delete it and rotator makes it anew"


def _malformed(case: _Case) -> Finding | None:
    try:
        _ = case.entries
    except DockerConfigError as error:
        remedy = "repair it, or delete this Secret and rotator makes it anew"
        return State.MALFORMED, f"{error.message}, which fails every pull of its Pods; {remedy}"
    return None


def _drifted(case: _Case) -> Finding | None:
    hosts = case.hosts_in(State.DRIFTED)
    return (
        (State.DRIFTED, f"the entry for {hosts} is not what rotator wrote there; it is written anew") if hosts else None
    )


def _expired(case: _Case) -> Finding | None:
    hosts = case.hosts_in(State.EXPIRED)
    return (State.EXPIRED, f"the credential for {hosts} has expired") if hosts else None


def _incomplete(case: _Case) -> Finding | None:
    hosts = case.hosts_in(State.INCOMPLETE)
    return (State.INCOMPLETE, f"it has no entry for {hosts} yet") if hosts else None


def _due(case: _Case) -> Finding | None:
    hosts = case.hosts_in(State.DUE)
    return (State.DUE, f"the credential for {hosts} is due for renewal") if hosts else None


def _up_to_date(case: _Case) -> Finding:
    until = min(case.entries.notes[host].expires_at for host in case.states)
    return State.UP_TO_DATE, f"valid until {annotations.stamp(until)}"


CHECKS: tuple[Callable[[_Case], Finding | None], ...] = (
    _foreign,
    _wrong_type,
    _immutable,
    _malformed,
    _drifted,
    _expired,
    _incomplete,
    _due,
    _up_to_date,
)


# Everything that one pull secret means -------------------------------------------------------------------------------


def _changes(pull_secret: PullSecret, snapshot: Snapshot, config: Config, now: datetime) -> Iterator[Change]:
    yield from _missing_namespaces(pull_secret, snapshot)
    unread = _Unread(snapshot.gaps)
    accounts = _by_namespace(snapshot.service_accounts.values())
    judge = _Judge(pull_secret, config, now).judge
    for namespace in snapshot.namespaces.values():
        if not selection.covers(pull_secret.namespaces, namespace):
            continue
        if namespace.terminating:
            yield _terminating(pull_secret, namespace)
            continue
        if unread.has(Kind.SECRET, namespace.name, pull_secret.name):
            continue
        record = snapshot.secrets.get((namespace.name, pull_secret.name))
        secret = judge(namespace.name, record)
        yield from _references(pull_secret, namespace.name, accounts.get(namespace.name, []), secret, unread)
        yield secret


def _references(
    pull_secret: PullSecret, namespace: str, accounts: list[ServiceAccountRecord], secret: Change, unread: "_Unread"
) -> Iterator[Change]:
    present = {account.name for account in accounts}
    for name in selection.literals(pull_secret.service_accounts.names):
        if name not in present and not unread.has(Kind.SERVICE_ACCOUNT, namespace, name):
            subject = Subject(Kind.SERVICE_ACCOUNT, namespace, name)
            message = "does not exist (yet); it is served as soon as it does"
            yield Change(subject, pull_secret.name, State.SERVICE_ACCOUNT_MISSING, message)
    for account in accounts:
        if selection.wants(pull_secret.service_accounts, account):
            yield _reference(pull_secret, account, secret)


def _reference(pull_secret: PullSecret, account: ServiceAccountRecord, secret: Change) -> Change:
    subject = Subject(Kind.SERVICE_ACCOUNT, account.namespace, account.name)
    name = pull_secret.name
    if name in (account.pull_secrets or ()):
        return Change(subject, name, State.REFERENCED, sys.intern(f"references {name}"))  # one for all
    if pull_secret.service_accounts.mode == "verify":
        message = f"does not reference {name}; add it to imagePullSecrets, or set mode: ensure"
        return Change(subject, name, State.REFERENCE_MISSING, message)
    # A reference to a Secret that is not ours to repair could only bring its trouble to this ServiceAccount's Pods.
    if secret.state in PROBLEMS:
        message = f"does not reference {name}, and will not before that Secret is put right ({secret.state})"
        return Change(subject, name, State.REFERENCE_MISSING, message)
    return Change(subject, name, State.REFERENCE_MISSING, f"does not reference {name} yet", Action.ATTACH)


def _left_over(orphans: Orphans) -> Iterator[Change]:
    """The orphans, and before each that may go the references to it, whoever attached them."""
    found = [orphans.judge(record) for record in orphans.found()]
    going = {orphan.subject.namespace for orphan in found if orphan.action is Action.REMOVE}
    accounts = _by_namespace(a for a in orphans.snapshot.service_accounts.values() if a.namespace in going)
    for orphan in found:
        if orphan.action is Action.REMOVE:
            yield from _references_to(orphan, accounts.get(orphan.subject.namespace, []))
        yield orphan


def _references_to(orphan: Change, accounts: list[ServiceAccountRecord]) -> Iterator[Change]:
    name = orphan.pull_secret
    for account in accounts:
        if name in (account.pull_secrets or ()):
            subject = Subject(Kind.SERVICE_ACCOUNT, account.namespace, account.name)
            yield Change(subject, name, State.ORPHAN, f"references {name}, which is to be removed", Action.DETACH)


def _missing_namespaces(pull_secret: PullSecret, snapshot: Snapshot) -> Iterator[Change]:
    unread = _Unread(snapshot.gaps)
    for name in selection.named(pull_secret.namespaces):
        expected = snapshot.only is None or name == snapshot.only
        if expected and name not in snapshot.namespaces and not unread.has(Kind.NAMESPACE, name, name):
            subject = Subject(Kind.NAMESPACE, name, name)
            message = "does not exist (yet); it is served as soon as it does"
            yield Change(subject, pull_secret.name, State.NAMESPACE_MISSING, message)


def _terminating(pull_secret: PullSecret, namespace: NamespaceRecord) -> Change:
    subject = Subject(Kind.NAMESPACE, namespace.name, namespace.name)
    return Change(subject, pull_secret.name, State.TERMINATING, "is being deleted and is left alone")


def _by_namespace(accounts: Iterable[ServiceAccountRecord]) -> dict[str, list[ServiceAccountRecord]]:
    grouped: dict[str, list[ServiceAccountRecord]] = {}
    for account in accounts:
        grouped.setdefault(account.namespace, []).append(account)
    return grouped


def _unreadable(gap: Gap) -> Change:
    return Change(Subject(gap.kind, gap.namespace, gap.name), "", State.UNREADABLE, str(gap.error))


class _Unread:
    """What could not be read, so that it is not taken for absent."""

    def __init__(self, gaps: Iterable[Gap]) -> None:
        self._gaps = {(gap.kind, gap.namespace, gap.name) for gap in gaps}

    def has(self, kind: Kind, namespace: str, name: str) -> bool:
        if not self._gaps:
            return False
        return any((kind, place, which) in self._gaps for place in (namespace, "*") for which in (name, "*"))


def _mints(changes: Iterable[Change], config: Config, held: Mapping[str, Credential], now: datetime) -> dict[str, str]:
    """The registries to be asked, with the first reason found. A held credential that is not due serves as it is."""
    mints: dict[str, str] = {}
    for change in changes:
        for registry in sorted(set(change.needs.values()) - mints.keys()):
            credential = held.get(registry)
            if credential is None:
                mints[registry] = f"{change.subject} is {change.state}"
            elif renewal.is_due(credential.issued_at, credential.expires_at, config.renewal.at, now):
                mints[registry] = f"the credential in hand expires at {annotations.stamp(credential.expires_at)}"
    return mints
