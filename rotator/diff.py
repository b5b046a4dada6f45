"""What a pass would change: what comes, what is renewed, what goes, and what cannot be done. Pure.

It is the report of `check` seen from the objects; what is alike but for its namespace is one step.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rotator.config import Config
from rotator.model import NOTICES, Action, Change, Kind, State
from rotator.plan import judge_entries
from rotator.rotation import Outcome, Report, Result


class Sign(StrEnum):
    """What becomes of it."""

    ADD = "+"
    CHANGE = "~"
    REMOVE = "-"
    CANNOT = "✗"
    NOTICE = "·"


SIGNS = {
    Action.CREATE: Sign.ADD,
    Action.ATTACH: Sign.ADD,
    Action.UPDATE: Sign.CHANGE,
    Action.DETACH: Sign.REMOVE,
    Action.REMOVE: Sign.REMOVE,
}

REASONS = {
    State.MISSING: "",
    State.INCOMPLETE: "not there yet",
    State.DRIFTED: "changed by somebody else, or its record lost",
    State.EXPIRED: "expired",
    State.DUE: "due for renewal",
}
"""Why an entry is written."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One host of a Secret that is written; CANNOT: there is no credential for it now."""

    sign: Sign
    host: str
    registry: str
    reason: str


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that becomes of one object, or of all that are alike: in these namespaces ("*": in all)."""

    sign: Sign
    what: str
    reason: str
    entries: tuple[Entry, ...]
    namespaces: tuple[str, ...]


@dataclass(frozen=True)
class Diff:
    """The steps in order, what cannot be done, what is worth a notice, and the same in numbers."""

    changes: tuple[Step, ...]
    impossible: tuple[Step, ...]
    notices: tuple[Step, ...]
    summary: str


def diff(report: Report, config: Config, now: datetime) -> Diff:
    """What this report of a pass that wrote nothing comes to."""
    steps = _steps(_Seen(report, config, now))
    by_sign: dict[bool | None, list[Step]] = {}
    for step in steps:
        by_sign.setdefault({Sign.CANNOT: True, Sign.NOTICE: None}.get(step.sign, False), []).append(step)
    failed = [
        Step(Sign.CANNOT, f"registry {status.name}", str(status.error), (), ())
        for status in report.registries
        if status.error
    ]
    return Diff(
        changes=tuple(by_sign.get(False, ())),
        impossible=(*failed, *by_sign.get(True, ())),
        notices=tuple(by_sign.get(None, ())),
        summary=_summary(report),
    )


# Steps ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Seen:
    """The report, and what it takes to tell of each entry."""

    report: Report
    config: Config
    now: datetime

    def entries(self, result: Result) -> tuple[Entry, ...]:
        """What becomes of each host that the write is about."""
        change = result.change
        if change.action not in {Action.CREATE, Action.UPDATE}:
            return ()
        pull_secret = self.config.pull_secret(change.pull_secret)
        record = self.report.snapshot.secrets.get((change.subject.namespace, change.subject.name))
        states = judge_entries(pull_secret, record, self.config, self.now)
        return tuple(
            _entry(host, registry, states[host], is_set=host in result.entries)
            for host, registry in change.needs.items()
        )


def _entry(host: str, registry: str, state: State, *, is_set: bool) -> Entry:
    if is_set:
        sign = Sign.ADD if state in {State.MISSING, State.INCOMPLETE} else Sign.CHANGE
        return Entry(sign, host, registry, REASONS[state])
    if state is State.DUE:
        return Entry(Sign.NOTICE, host, registry, "due, and kept until there is a newer credential")
    return Entry(Sign.CANNOT, host, registry, "there is no credential to write")


def _steps(seen: _Seen) -> list[Step]:
    """One for all that are alike, in the order of their first."""
    alike: dict[tuple[Sign, str, str, tuple[Entry, ...]], list[Result]] = {}
    for result in seen.report.notable():
        entries = seen.entries(result) if result.outcome is Outcome.PLANNED else ()
        alike.setdefault((_sign(result), _what(result.change), _general(result), entries), []).append(result)
    return [
        Step(sign, what, reason if len(group) > 1 else _reason(group[0]), entries, _namespaces(group))
        for (sign, what, reason, entries), group in alike.items()
    ]


def _namespaces(group: list[Result]) -> tuple[str, ...]:
    return tuple(result.change.subject.namespace for result in group)


def _sign(result: Result) -> Sign:
    if result.failed:
        return Sign.CANNOT
    return SIGNS[result.change.action] if result.outcome is Outcome.PLANNED else Sign.NOTICE


def _what(change: Change) -> str:
    """The object; of a ServiceAccount that is changed, the reference."""
    subject = change.subject
    if change.action in {Action.ATTACH, Action.DETACH}:
        return f"reference to {change.pull_secret} on {subject.kind} {subject.name}"
    if subject.kind is Kind.NAMESPACE:
        return str(subject.kind)
    return f"every {subject.kind}" if subject.name == "*" else f"{subject.kind} {subject.name}"


KEPT = {
    Outcome.BLOCKED: "; there is no credential to write",
    Outcome.WAITING: "; it is kept until there is a newer credential",
}


def _reason(result: Result) -> str:
    """Why, and what to do about it."""
    change = result.change
    named = "" if result.outcome is Outcome.PLANNED else f"{change.state}, "
    error = f": {result.error}" if result.error else ""
    return f"{named}{change.message}{KEPT.get(result.outcome, '')}{error}"


def _general(result: Result) -> str:
    """The same without the namespace, for all that are alike."""
    return _reason(result).replace(result.change.subject.namespace, "*")


# The summary ---------------------------------------------------------------------------------------------------------

COUNTED = {
    Action.CREATE: ("Secret", "to write"),
    Action.UPDATE: ("Secret", "to write"),
    Action.ATTACH: ("reference", "to attach"),
    Action.DETACH: ("reference", "to detach"),
    Action.REMOVE: ("Secret", "to remove"),
}


def _summary(report: Report) -> str:
    parts = [*_to_do(report), *_not_to_do(report)]
    return f"Plan: {', '.join(parts)}" if parts else f"Plan: nothing to do, {_in_order(report)}"


def _to_do(report: Report) -> Iterator[str]:
    planned = (result.change.action for result in report.results if result.outcome is Outcome.PLANNED)
    for (noun, verb), count in _counts(map(COUNTED.__getitem__, planned)).items():
        yield f"{counted(count, noun)} {verb}"
    if minted := sum(status.minted for status in report.registries):
        yield f"{counted(minted, 'credential')} to mint"


def _not_to_do(report: Report) -> Iterator[str]:
    failed = sum(result.failed for result in report.results) + sum(bool(status.error) for status in report.registries)
    if failed:
        yield f"{failed} cannot be done"
    if waiting := sum(result.outcome is Outcome.WAITING for result in report.results):
        yield f"{waiting} kept until there is a newer credential"


def _counts(pairs: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], int]:
    """In the order of COUNTED, whatever comes first in the cluster."""
    counts = Counter(pairs)
    return {pair: counts[pair] for pair in dict.fromkeys(COUNTED.values()) if counts[pair]}


def _in_order(report: Report) -> str:
    kinds = Counter(result.change.subject.kind for result in report.results if result.change.state not in NOTICES)
    secrets, references = kinds[Kind.SECRET], kinds[Kind.SERVICE_ACCOUNT]
    return f"{counted(secrets, 'Secret')} and {counted(references, 'reference')} are in order"


def counted(count: int, noun: str) -> str:
    """So many of them."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
