"""Which Events a pass gives: a few words beside the objects concerned, and none for an ordinary rotation.

Good news are told as they come. A trouble is told once when it appears or changes, and again from time to time while it
lasts. A registry's trouble is told once, beside rotator's own ServiceAccount, however many namespaces it concerns.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from rotator import annotations
from rotator.clock import Clock, utc_now
from rotator.events import Event, Reason
from rotator.model import Change, Kind, SecretRecord, Snapshot, State, Subject
from rotator.rotation.report import Outcome, RegistryStatus, Report, Result
from rotator.rotation.telling import Gist, Told

AGAIN = timedelta(minutes=10)
"""How long a trouble lasts before it is told again. Kubernetes keeps an Event for an hour by default."""

NEAR = 0.25
"""Of its life: a credential that has less than this left and cannot be renewed is worth a person's while."""

_TROUBLES = {
    State.FOREIGN: Reason.FOREIGN,
    State.WRONG_TYPE: Reason.WRONG_TYPE,
    State.IMMUTABLE: Reason.IMMUTABLE,
    State.MALFORMED: Reason.MALFORMED,
    State.UNREADABLE: Reason.UNREADABLE,
    State.REFERENCE_MISSING: Reason.REFERENCE_MISSING,
}

Key = tuple[Reason, Subject | None, str]


class Eventing:
    """Turns reports into Events, and gives them to `send`, which must not block. Thread-safe."""

    def __init__(self, send: Callable[[Event], None], clock: Clock = utc_now, *, again: timedelta = AGAIN) -> None:
        self._send = send
        self._clock = clock
        self._troubles: Told[Key] = Told(again=again)
        self._known: frozenset[int] = frozenset()
        self._lock = threading.Lock()

    def passed(self, report: Report, _seconds: float = 0.0) -> None:
        """Tell what this pass did and what it could not do. It must have been one that writes."""
        known = self._note_known(report)
        for event in (*_news(report, known), *self._fresh(report)):
            self._send(event)

    def contested(self, change: Change, managers: Sequence[str]) -> None:
        """Tell that somebody changes this object back again and again: these field managers, if they are known."""
        who = ", ".join(managers) or "somebody whom Kubernetes does not name (its audit log does)"
        message = f"{who} changes it back again and again; rotator repairs it ever less often: let only one of them win"
        self._send(Event(Reason.CONTESTED, change.subject, message, change.pull_secret))

    def _fresh(self, report: Report) -> list[Event]:
        """The troubles that are to be told now. A registry is judged by all namespaces only."""
        now = self._clock()
        found = dict(_troubles(report, now))

        def looked_at(key: Key) -> bool:
            only, subject = report.snapshot.only, key[1]
            return only is None or (subject is not None and subject.namespace == only)

        gists = {key: gist for key, (gist, _) in found.items()}
        fresh = self._troubles.fresh(gists, looked_at, now.timestamp())
        return [found[key][1] for key in fresh]

    def _note_known(self, report: Report) -> frozenset[int]:
        """The Secrets that were there before this pass; what it saw, wrote or still misses is known from now on."""
        seen = report.snapshot.secrets
        here = {hash(place) for place in seen}  # a number takes a fifth of two texts, and stays from sweep to sweep
        here.update(hash(_place(result.change)) for result in report.results if result.outcome is Outcome.WRITTEN)
        with self._lock:
            before = self._known
            if report.snapshot.only is None:
                places = (_place(result.change) for result in report.results)
                self._known = frozenset(here | {hash(place) for place in places if place not in seen} & before)
            elif not here <= before:
                self._known = before | here
        return before


# Good news -----------------------------------------------------------------------------------------------------------


def _news(report: Report, known: frozenset[int]) -> Iterator[Event]:
    for result in report.results:
        change = result.change
        if result.outcome is Outcome.ATTACHED:
            yield _event(Reason.ATTACHED, change, f"added {change.pull_secret} to imagePullSecrets", report.snapshot)
        elif result.outcome is Outcome.WRITTEN and (what := _what_was_healed(change, report.snapshot, known)):
            yield _event(Reason.HEALED, change, what, report.snapshot)


def _what_was_healed(change: Change, snapshot: Snapshot, known: frozenset[int]) -> str:
    """What somebody else had done to it; empty for a roll-out and a renewal."""
    record = snapshot.secrets.get(_place(change))
    if record is None:
        return "it was deleted, and is there again" if hash(_place(change)) in known else ""
    return "an entry of it was changed or removed, and is restored" if _is_damaged(change, record) else ""


def _is_damaged(change: Change, record: SecretRecord) -> bool:
    """Whether an entry that we wrote was lost: not where it is adopted, or the configuration changed."""
    notes = annotations.read(record.annotations)
    match change.state:
        case State.DRIFTED:
            unnoted = annotations.is_ours(record) and not notes
            return unnoted or any(host in notes and notes[host].registry == name for host, name in change.needs.items())
        case State.INCOMPLETE:
            return any(host in notes and notes[host].registry == name for host, name in change.needs.items())
        case _:
            return False


# Troubles ------------------------------------------------------------------------------------------------------------

Trouble = tuple[Key, tuple[Gist, Event]]


def _troubles(report: Report, now: datetime) -> Iterator[Trouble]:
    for result in report.results:
        if (reason := _reason(result)) and result.change.subject.name != "*":
            yield _trouble(reason, result, report.snapshot)
    if report.snapshot.only is None:
        for status in report.registries:
            if event := _judged(status, report.snapshot, now):
                error = status.error.reason if status.error else ""
                yield (event.reason, None, status.name), ((error,), event)


def _reason(result: Result) -> Reason | None:
    """What a person should look at beside this object. What waits for a registry is that registry's trouble."""
    if result.change.subject.kind is Kind.NAMESPACE:
        return None
    if result.outcome is Outcome.FAILED:
        return Reason.REFUSED
    return _TROUBLES[result.change.state] if result.change.is_problem else None


def _trouble(reason: Reason, result: Result, snapshot: Snapshot) -> Trouble:
    change = result.change
    error = result.error
    message = str(error) if error else change.message
    gist = (error.reason if error else "", change.message)  # an error's words may differ each time
    return (reason, change.subject, change.pull_secret), (gist, _event(reason, change, message, snapshot))


def _judged(status: RegistryStatus, snapshot: Snapshot, now: datetime) -> Event | None:
    """The trouble of a registry that fails, once it is near."""
    until = status.published_until
    if status.error is None:
        return None
    if until is None or until <= now:
        state = "no Pod can pull with it" if until is None else f"what Pods use expired at {annotations.stamp(until)}"
        return Event(Reason.CREDENTIAL_MISSING, None, f"registry {status.name}: {state}: {status.error}", status.name)
    if until - now < _life(status, snapshot, until) * NEAR:
        state = f"what Pods use expires at {annotations.stamp(until)}"
        return Event(Reason.CREDENTIAL_EXPIRING, None, f"registry {status.name}: {state}: {status.error}", status.name)
    return None


def _life(status: RegistryStatus, snapshot: Snapshot, until: datetime) -> timedelta:
    """The whole life of the credential that ends then, by what we noted on the Secrets that hold it."""
    lives = (
        note.expires_at - note.issued_at
        for record in snapshot.secrets.values()
        for host, note in annotations.read(record.annotations).items()
        if host in status.hosts and note.expires_at == until
    )
    return max(lives, default=timedelta(0))


def _event(reason: Reason, change: Change, message: str, snapshot: Snapshot) -> Event:
    subject = change.subject
    found = snapshot.secrets if subject.kind is Kind.SECRET else snapshot.service_accounts
    record = found.get((subject.namespace, subject.name))
    uid, version = (record.uid, record.resource_version) if record else ("", "")
    return Event(reason, subject, message, change.pull_secret, uid, version)


def _place(change: Change) -> tuple[str, str]:
    return change.subject.namespace, change.subject.name
