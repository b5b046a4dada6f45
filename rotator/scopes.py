"""Which collections are watched for a configuration, so that a change is noticed at once. Pure.

It follows what `cluster/gather.py` reads. Where namespaces are named, each object is watched by its name, which a Role
in that namespace allows. Namespaces themselves are watched only where patterns or labels choose them: no Role in a
namespace allows that (403, seen on a real server), and what comes into being in a named one is heard of anyhow.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rotator import selection
from rotator.config import Config, PullSecret, ServiceAccounts


@dataclass(frozen=True, slots=True)
class Scope:
    """One collection: of a resource, in one namespace or (None) in all, those of one name or label selector."""

    resource: str
    namespace: str | None = None
    name: str | None = None
    labels: str | None = None

    def covers(self, other: "Scope") -> bool:
        """Whether whatever is in the other one is in this one too."""
        return (
            self.resource == other.resource
            and self.namespace in {None, other.namespace}
            and self.name in {None, other.name}
            and self.labels in {None, other.labels}
        )


def scopes(config: Config) -> tuple[Scope, ...]:
    """Each collection once, and none that another one covers."""
    wanted = dict.fromkeys(_wanted(config))
    return tuple(scope for scope in wanted if not any(other != scope and other.covers(scope) for other in wanted))


def _wanted(config: Config) -> Iterator[Scope]:
    if not all(selection.is_listed(pull_secret.namespaces) for pull_secret in config.pull_secrets):
        yield Scope("namespaces")
    for pull_secret in config.pull_secrets:
        for namespace in _places(pull_secret):
            yield Scope("secrets", namespace, pull_secret.name)
            yield from _of_accounts(pull_secret.service_accounts, namespace)


def _places(pull_secret: PullSecret) -> Sequence[str | None]:
    if selection.is_listed(pull_secret.namespaces):
        return selection.named(pull_secret.namespaces)
    return (None,)


def _of_accounts(accounts: ServiceAccounts, namespace: str | None) -> Iterator[Scope]:
    if selection.is_named(accounts):
        yield from (Scope("serviceaccounts", namespace, name) for name in accounts.names)
    elif accounts.names or accounts.labels is not None:
        yield Scope("serviceaccounts", namespace, labels=accounts.labels)
