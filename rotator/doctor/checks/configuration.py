"""Does the configuration mean what is there? What it means may come later, so nothing here is more than a warning."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

from rotator import selection
from rotator.config import Namespaces, PullSecret
from rotator.doctor.diagnosis import Object, Result, Symptom, grouped
from rotator.doctor.evidence import Evidence
from rotator.model import Change, Kind, NamespaceRecord, State

ABSENT = frozenset({State.NAMESPACE_MISSING, State.SERVICE_ACCOUNT_MISSING})
SPELLING = "correct it, or take it out; what comes into being later is served at once"


def matches(evidence: Evidence) -> Iterator[Symptom]:
    """What the configuration means and the cluster has not, and what it has of ours and nothing means any more."""
    for pull_secret in evidence.config.pull_secrets:
        words = dict.fromkeys((*_of_namespaces(pull_secret, evidence), *_of_accounts(pull_secret, evidence)))
        for message in words:
            yield Symptom(Result.WARNING, f"pull secret {pull_secret.name}: {message}", hint=SPELLING)
    names = frozenset(name for _, name in evidence.snapshot.service_accounts)
    yield from grouped(_absent(change, names) for change in evidence.changes if change.state in ABSENT)
    yield from grouped(_orphan(change) for change in evidence.changes if change.state is State.ORPHAN)


def _of_namespaces(pull_secret: PullSecret, evidence: Evidence) -> Iterator[str]:
    """Each part of `namespaces` that makes no difference. One that is named and absent has a line of its own."""
    if evidence.snapshot.only is not None or _has_gaps(evidence, Kind.NAMESPACE):
        return
    wanted, there = pull_secret.namespaces, tuple(evidence.snapshot.namespaces.values())
    named = [record for record in there if _matches_any(wanted.names, record.name)]
    for pattern in wanted.names:
        if not selection.is_literal(pattern) and not _matching(pattern, there):
            yield f"no namespace matches {pattern}"
    for pattern in wanted.exclude:
        if not _is_named_by(wanted, pattern) and not _matching(pattern, named):
            yield f"exclude {pattern} leaves no namespace out"
    left = [record for record in named if not _matches_any(wanted.exclude, record.name)]
    if left and not any(selection.covers(wanted, record) for record in left):
        yield f"none of {len(left)} namespaces has labels that {wanted.labels} selects"


def _of_accounts(pull_secret: PullSecret, evidence: Evidence) -> Iterator[str]:
    """Each pattern and selector of `serviceAccounts` that means none, in no namespace that is covered."""
    if not any(_covered(pull_secret, evidence)) or _has_gaps(evidence, Kind.SERVICE_ACCOUNT):
        return
    wanted, places = pull_secret.service_accounts, frozenset(_covered(pull_secret, evidence))
    there = [record for record in evidence.snapshot.service_accounts.values() if record.namespace in places]
    for pattern in wanted.names:
        if not selection.is_literal(pattern) and not any(fnmatchcase(record.name, pattern) for record in there):
            yield f"no ServiceAccount matches {pattern}"
    if wanted.labels is not None and not any(selection.wants(wanted, record) for record in there):
        yield f"no ServiceAccount has labels that {wanted.labels} selects"


def _covered(pull_secret: PullSecret, evidence: Evidence) -> Iterator[str]:
    for record in evidence.snapshot.namespaces.values():
        if selection.covers(pull_secret.namespaces, record):
            yield record.name


def _absent(change: Change, accounts: Collection[str]) -> tuple[Symptom, Object]:
    """`accounts` are the names of those that were read anywhere."""
    subject, message = change.subject, f"pull secret {change.pull_secret} means a {change.subject.kind}"
    if subject.kind is Kind.NAMESPACE:
        symptom = Symptom(Result.WARNING, f"{message} that does not exist", hint=SPELLING)
        return symptom, Object(subject.kind, "", subject.name)
    where = "there" if subject.name in accounts else "anywhere"
    symptom = Symptom(Result.WARNING, f"{message} {subject.name} that does not exist {where}", hint=SPELLING)
    return symptom, Object(subject.kind, subject.namespace, subject.name)


def _orphan(change: Change) -> tuple[Symptom, Object]:
    subject = change.subject
    return Symptom(Result.WARNING, change.message), Object(subject.kind, subject.namespace, subject.name)


def _has_gaps(evidence: Evidence, kind: Kind) -> bool:
    """Whether some could not be read: then nothing is concluded from what is not there."""
    return any(gap.kind is kind for gap in evidence.snapshot.gaps)


def _is_named_by(wanted: Namespaces, pattern: str) -> bool:
    """Whether it takes out names that are listed beside it, there or not."""
    return any(fnmatchcase(name, pattern) for name in selection.literals(wanted.names))


def _matching(pattern: str, records: Sequence[NamespaceRecord]) -> bool:
    return any(fnmatchcase(record.name, pattern) for record in records)


def _matches_any(patterns: Iterable[str], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
