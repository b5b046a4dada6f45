"""Which rights to ask for: those that the configuration needs, and those that would be more than it needs. Pure.

More than needed is what a reviewer of rotator's roles would object to: a needed right on every name or in every
namespace instead of one, and rights that lead to all others (`TELLING`). It is no complete list of what a role may
hold; `kubectl auth can-i --list` is that, for one namespace.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from rotator.config import Config
from rotator.rbac import Right, Subject, rights

EVERYTHING = Right("*", "*", None, None)

TELLING = (
    ("get", "secrets"),  # of every name: all that anybody keeps in the namespace
    ("list", "secrets"),
    ("patch", "secrets"),
    ("delete", "secrets"),
    ("create", "pods"),  # a Pod mounts any Secret, and runs as any ServiceAccount
    ("create", "serviceaccounts/token"),  # becomes any ServiceAccount
    ("patch", "serviceaccounts"),
    ("impersonate", "serviceaccounts"),
    ("escalate", "roles"),
    ("bind", "roles"),
    ("escalate", "clusterroles"),
    ("bind", "clusterroles"),
)
"""Verbs and resources that give away much, asked for on every name, in each place that rotator has to do with."""

SYSTEM = "kube-system"
"""Where whoever may do these things may do everything."""


def needed(config: Config, rotator: Subject) -> tuple[Right, ...]:
    """What `rotator run` needs."""
    return rights(config, rotator, watching=True)


def watching_only(config: Config, rotator: Subject) -> frozenset[Right]:
    """What `rotator once`, which a CronJob runs, does not need."""
    return frozenset(needed(config, rotator)) - frozenset(rights(config, rotator, watching=False))


def surplus(config: Config, rotator: Subject) -> tuple[Right, ...]:
    """What it does not need, the widest first: what is held in all namespaces is not asked for in each."""
    wanted = frozenset(needed(config, rotator))
    found = dict.fromkeys((EVERYTHING, *_wider(wanted), *_telling(config, rotator, wanted)))
    unneeded = (right for right in found if right not in wanted and not right.is_implied(wanted))
    return tuple(sorted(unneeded, key=lambda right: (right.namespace is not None, right.name is not None)))


def is_part(right: Right, held: Collection[Right]) -> bool:
    """Whether it comes with another one that is held."""
    return right.is_implied(held) or (EVERYTHING in held and right != EVERYTHING)


def _wider(wanted: Iterable[Right]) -> Iterator[Right]:
    """Each needed right, but in all namespaces, or on every name."""
    for right in wanted:
        if right.namespace is not None:
            yield replace(right, namespace=None)
        if right.name is not None:
            yield replace(right, name=None)


def _telling(config: Config, rotator: Subject, wanted: Iterable[Right]) -> Iterator[Right]:
    places = dict.fromkeys((None, SYSTEM, rotator.namespace, *(right.namespace for right in wanted)))
    for place in places:
        yield from (Right(verb, resource, None, place) for verb, resource in TELLING)
        if not config.prune.enabled:
            yield from (Right("delete", "secrets", pull_secret.name, place) for pull_secret in config.pull_secrets)
