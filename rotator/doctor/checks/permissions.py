"""May rotator do what its configuration asks for, and no more?"""

from collections.abc import Iterable, Iterator

from rotator.doctor import rights
from rotator.doctor.diagnosis import Object, Result, Symptom, fact
from rotator.doctor.evidence import Evidence
from rotator.rbac import VERBS, Right

EVENTS = "events"
ABOVE = frozenset({"namespaces", "clusterroles"})
"""Resources that are in no namespace."""


def fit(evidence: Evidence) -> Iterator[Symptom]:
    """The rights that are missing, and those that are more than the configuration needs."""
    rotator = evidence.ourselves.rotator
    printed = f"rotator rbac --namespace {rotator.namespace} --service-account {rotator.service_account}"
    yield fact(f"these are of ServiceAccount {rotator.namespace}/{rotator.service_account}")
    yield from _too_little(evidence, f"{printed} | kubectl apply -f -")
    yield from _too_much(evidence, f"{printed} prints what suffices: see what else is bound to it")
    if unasked := evidence.ourselves.unasked:
        yield Symptom(Result.WARNING, f"{unasked} more rights were not asked for: there are too many namespaces")


def _too_little(evidence: Evidence, hint: str) -> Iterator[Symptom]:
    """What is missing. Events are for people, and all else works without them."""
    missing, is_of_a_cronjob = _missing(evidence)
    if is_of_a_cronjob:
        yield fact("they suffice for rotator once, as a CronJob runs it; rotator run needs more (rotator rbac)")
    hint += "" if evidence.ourselves.here else "; if rotator runs as another, name it with --rotator"
    needed = [right for right in missing if right.resource != EVENTS]
    yield from _said(Result.PROBLEM, "it may not", needed, hint)
    events = [right for right in missing if right.resource == EVENTS]
    yield from _said(Result.WARNING, "it cannot tell Events, for it may not", events, hint)


def _too_much(evidence: Evidence, hint: str) -> Iterator[Symptom]:
    """What is spare, and no part of what else is."""
    ours = evidence.ourselves
    spare = {right: None for right in rights.surplus(evidence.config, ours.rotator) if ours.rights.get(right)}
    widest = [right for right in spare if not rights.is_part(right, spare)]
    yield from _said(Result.WARNING, "more than it needs: it may", widest, hint)


def _missing(evidence: Evidence) -> tuple[list[Right], bool]:
    """The needed rights that it has not; and whether all that `rotator run` needs besides is left out, on purpose."""
    ours = evidence.ourselves
    missing = [right for right in rights.needed(evidence.config, ours.rotator) if ours.rights.get(right) is False]
    besides = rights.watching_only(evidence.config, ours.rotator)
    others = [right for right in missing if right not in besides]
    is_of_a_cronjob = bool(besides) and besides <= set(missing) and all(right.resource == EVENTS for right in others)
    return (others, True) if is_of_a_cronjob else (missing, False)


def _said(result: Result, words: str, found: Iterable[Right], hint: str) -> Iterator[Symptom]:
    """One symptom for all namespaces in which the same is said of a resource."""
    verbs: dict[tuple[str, str | None], list[str]] = {}
    for right in found:
        verbs.setdefault((_words(right), right.namespace), []).append(right.verb)
    places: dict[tuple[str, str, bool], list[Object]] = {}
    for (what, namespace), several in verbs.items():
        listed = ", ".join(sorted(several, key=_order))
        alike = places.setdefault((listed, what, namespace is None), [])
        alike += [Object("Namespace", "", namespace)] if namespace else []
    for (listed, what, _), objects in places.items():
        place = " in" if objects else " in all namespaces" if what.partition(" ")[0] not in ABOVE else ""
        said = f"{listed} {what}{place}" if what != rights.EVERYTHING.resource else "do everything"
        yield Symptom(result, f"{words} {said}", tuple(objects), hint)


def _words(right: Right) -> str:
    return right.resource + (f" {right.name}" if right.name else "")


def _order(verb: str) -> tuple[int, str]:
    return VERBS.index(verb) if verb in VERBS else len(VERBS), verb
