"""Do the ServiceAccounts carry what their Pods need, and no more?"""

from collections.abc import Iterable, Iterator

from rotator.doctor.diagnosis import Object, Result, Symptom, grouped
from rotator.doctor.evidence import Evidence
from rotator.model import Action, Change, Kind, State


def references_in_place(evidence: Evidence) -> Iterable[Symptom]:
    """The references that are missing: the next Pod there starts without."""
    return grouped(
        _missing(change)
        for change in evidence.changes
        if change.state is State.REFERENCE_MISSING and change.subject.kind is Kind.SERVICE_ACCOUNT
    )


def own_pull_secrets_admitted(evidence: Evidence) -> Iterable[Symptom]:
    """Templates whose Pods the API server refuses (ServiceAccount admission, plugin/pkg/admission/serviceaccount)."""
    return grouped(_not_admitted(evidence))


def credentials_not_shared(evidence: Evidence) -> Iterator[Symptom]:
    """The registries whose one credential serves several ServiceAccounts of a namespace."""
    for registry in evidence.config.registries:
        users = _users(registry.name, evidence)
        names = {name for members in users.values() for name in members}
        if users and any(len(members) > 1 for members in users.values()):
            yield Symptom(
                Result.WARNING,
                f"registry {registry.name} serves {len(names)} ServiceAccounts ({_some(names)}) with one credential: "
                "each of them can pull what any of them runs",
                hint="where that matters, give each component a registry with an identity of its own",
            )


def _missing(change: Change) -> tuple[Symptom, Object]:
    subject = change.subject
    hint = "" if change.action is Action.NOTHING else "rotator attaches it at once where it runs: see rotator status"
    symptom = Symptom(Result.PROBLEM, change.message, hint=hint)
    return symptom, Object(subject.kind, subject.namespace, subject.name)


def _not_admitted(evidence: Evidence) -> Iterator[tuple[Symptom, Object]]:
    for template in evidence.templates:
        account = evidence.accounts.get((template.namespace, template.service_account))
        if account is None or not account.is_strict:
            continue
        for name in template.pull_secrets:
            if name not in account.pull_secrets:
                symptom = Symptom(
                    Result.PROBLEM,
                    f"its Pods are refused: ServiceAccount {account.name} enforces mountable secrets and does not name "
                    f"pull secret {name}",
                    hint="take the name out of the template, or add it to the ServiceAccount",
                )
                yield symptom, Object(template.kind, template.namespace, template.name)


def _users(registry: str, evidence: Evidence) -> dict[str, set[str]]:
    """The names of the ServiceAccounts that a registry's credential serves, by namespace."""
    users: dict[str, set[str]] = {}
    for (namespace, name), pull_secrets in evidence.meant.items():
        if any(registry in pull_secret.registries for pull_secret in pull_secrets):
            users.setdefault(namespace, set()).add(name)
    return users


def _some(names: set[str], shown: int = 3) -> str:
    first = sorted(names)[:shown]
    return ", ".join([*first, "..."] if len(names) > shown else first)
