"""Which hosts, namespaces and ServiceAccounts does a pull secret mean?"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from rotator import labels as selectors
from rotator.config import Config, Former, Namespaces, PullSecret, ServiceAccounts
from rotator.model import NamespaceRecord, ServiceAccountRecord

_GLOB = frozenset("*?[")


def hosts(pull_secret: PullSecret, config: Config) -> dict[str, str]:
    """The keys of `auths` that this pull secret is to have, each with the name of its registry."""
    return {host: name for name in pull_secret.registries for host in config.registry(name).hosts}


def sought(config: Config) -> tuple[PullSecret | Former, ...]:
    """What is looked for: the pull secrets, and those that left the configuration."""
    return config.pull_secrets + config.prune.former


def reads_labels(config: Config) -> bool:
    """Whether anything chooses its namespaces by their labels."""
    return any(secret.namespaces.labels is not None for secret in sought(config))


def is_literal(name: str) -> bool:
    """Whether the name means one object, and can so be read by name, with RBAC for that name alone."""
    return _GLOB.isdisjoint(name)


def literals(names: Iterable[str]) -> tuple[str, ...]:
    """The names among the globs."""
    return tuple(name for name in names if is_literal(name))


def is_listed(namespaces: Namespaces) -> bool:
    """Whether each namespace is named, so that a Role in each suffices and nothing cluster-wide is read."""
    return all(map(is_literal, namespaces.names))


def named(namespaces: Namespaces) -> tuple[str, ...]:
    """The namespaces that are meant by their own name."""
    return tuple(name for name in literals(namespaces.names) if not _matches(namespaces.exclude, name))


def is_named(accounts: ServiceAccounts) -> bool:
    """Whether each ServiceAccount is named, so that no other needs to be read."""
    return bool(accounts.names) and all(map(is_literal, accounts.names))


def covers(namespaces: Namespaces, record: NamespaceRecord) -> bool:
    """Whether the pull secret belongs into this namespace."""
    return names(namespaces, record.name) and _selects(namespaces.labels, record.labels)


def names(namespaces: Namespaces, name: str) -> bool:
    """Whether the pull secret belongs into the namespace of this name, if its labels meet the selector."""
    return _matches(namespaces.names, name) and not _matches(namespaces.exclude, name)


def wants(accounts: ServiceAccounts, record: ServiceAccountRecord) -> bool:
    """Whether this ServiceAccount should reference the pull secret. Labels alone mean every name."""
    patterns = accounts.names or (("*",) if accounts.labels is not None else ())
    return _matches(patterns, record.name) and _selects(accounts.labels, record.labels)


def _matches(patterns: Iterable[str], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _selects(selector: str | None, labels: Mapping[str, str]) -> bool:
    return selector is None or all(requirement.matches(labels) for requirement in selectors.parse(selector))
