"""Are the Secrets in order, ours and those beside them?"""

from collections.abc import Iterable, Iterator, Mapping

from rotator import keyring, selection
from rotator.doctor.diagnosis import Object, Result, Symptom, grouped
from rotator.doctor.evidence import Evidence
from rotator.errors import UnparsableSecret
from rotator.model import PROBLEMS, Change, Kind, State
from rotator.workloads import Account

RESULTS: Mapping[State, Result] = {
    **dict.fromkeys(PROBLEMS, Result.PROBLEM),
    State.EXPIRED: Result.PROBLEM,
    State.MISSING: Result.WARNING,
    State.INCOMPLETE: Result.WARNING,
    State.DRIFTED: Result.WARNING,
}
"""States of a Secret that are a symptom."""

NOT_RENEWED = "rotator writes it at once where it runs and can: see rotator status, and its log"


def in_order(evidence: Evidence) -> Iterable[Symptom]:
    """What a person must put right, what has expired, and what a rotator that runs would have written."""
    return grouped(_not_in_order(evidence.changes))


def parse(evidence: Evidence) -> Iterator[Symptom]:
    """The Secrets that do not parse, each with those whose Pods fail by it."""
    for (namespace, name), users in _users(evidence).items():
        secret = evidence.pull_secrets.get((namespace, name))
        problem = _problem(secret) if secret else ""
        if problem:
            objects = (Object("Secret", namespace, name), *users)
            yield Symptom(Result.PROBLEM, f"{problem}, which fails every pull", objects, "repair or remove it")


def not_shadowed(evidence: Evidence) -> Iterable[Symptom]:
    """Other pull secrets for our hosts before ours in a ServiceAccount's list."""
    return grouped(found for account in evidence.accounts.values() for found in _shadows(account, evidence))


def _not_in_order(changes: Iterable[Change]) -> Iterator[tuple[Symptom, Object]]:
    for change in changes:
        result = RESULTS.get(change.state)
        if result is not None and change.subject.kind is Kind.SECRET:
            hint = "" if change.state in PROBLEMS else NOT_RENEWED
            subject = change.subject
            yield (
                Symptom(result, f"{change.state}: {change.message}", hint=hint),
                Object(subject.kind, subject.namespace, subject.name),
            )


def _users(evidence: Evidence) -> dict[tuple[str, str], list[Object]]:
    """Who names each Secret: ServiceAccounts, and the Pods and templates that name their own."""
    users: dict[tuple[str, str], list[Object]] = {}
    for account in evidence.accounts.values():
        for name in account.pull_secrets:
            users.setdefault((account.namespace, name), []).append(
                Object("ServiceAccount", account.namespace, account.name)
            )
    for workload in evidence.workloads:
        for name in workload.pull_secrets:
            users.setdefault((workload.namespace, name), []).append(
                Object(workload.kind, workload.namespace, workload.name)
            )
    return users


def _problem(secret: keyring.PullSecretData) -> str:
    try:
        keyring.entries(secret)
    except UnparsableSecret as error:
        return error.message
    return ""


def _shadows(account: Account, evidence: Evidence) -> Iterator[tuple[Symptom, Object]]:
    ours = {pull_secret.name: pull_secret for pull_secret in evidence.config.pull_secrets}
    for position, name in enumerate(account.pull_secrets):
        if name not in ours:
            continue
        hosts = selection.hosts(ours[name], evidence.config)
        for other in account.pull_secrets[:position]:
            shadowed = [
                host for host in hosts if other not in ours and _covers(account.namespace, other, host, evidence)
            ]
            if shadowed:
                message = f"{other} comes before {name} and has a credential for {', '.join(shadowed)} too"
                hint = (
                    "take that entry or reference out, or put ours first: "
                    "Tekton, Argo Workflows, Knative and skopeo try only the first"
                )
                place = Object("ServiceAccount", account.namespace, account.name)
                yield Symptom(Result.WARNING, message, hint=hint), place


def _covers(namespace: str, name: str, host: str, evidence: Evidence) -> bool:
    try:
        return bool(keyring.lookup(evidence.keyring(namespace, (name,)), f"{host}/image"))
    except UnparsableSecret:
        return False  # that is another check's
