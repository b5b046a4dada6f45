"""The smallest roles for a configuration: what each pass reads and writes, as RBAC rules. Pure.

`rights` is what is asked for, `manifests` the roles and their bindings as plain data, `text` the same as YAML with a
word on each rule. What is asked for follows `cluster/gather.py`, which reads, `rotation/apply.py`, which writes,
`scopes.py`, which says what is watched, and `eventing.py`.
"""

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rotator import selection
from rotator.config import Config, Former, PullSecret
from rotator.plainyaml import dump
from rotator.scopes import scopes

API = "rbac.authorization.k8s.io"
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete")
GROUPS = {"leases": "coordination.k8s.io", "roles": API, "clusterroles": API, "*": "*"}
"""The API groups of resources outside the core."""

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Subject:
    """rotator's ServiceAccount, and what it is called."""

    namespace: str = "rotator"
    service_account: str = "rotator"
    name: str = "rotator"

    @property
    def labels(self) -> dict[str, str]:
        """Of everything that is installed for it."""
        return {"app.kubernetes.io/name": "rotator", "app.kubernetes.io/instance": self.name}

    @property
    def role(self) -> str:
        """The name of its roles and bindings, which no rotator of another namespace has.

        `kubectl apply` would let the second of two take the bindings from the first, and say nothing.
        """
        return self.name if self.name == self.namespace else f"{self.namespace}-{self.name}"


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one resource. `name` None: on every name; `namespace` None: in every namespace."""

    verb: str
    resource: str
    name: str | None
    namespace: str | None

    def is_implied(self, rights: Iterable["Right"]) -> bool:
        """Whether one of the others already allows it, for every name or in every namespace."""
        wider = (replace(self, name=None), replace(self, namespace=None), replace(self, name=None, namespace=None))
        return any(other != self and other in rights for other in wider)


def rights(config: Config, subject: Subject, *, watching: bool) -> tuple[Right, ...]:
    """What the configuration asks for, and nothing twice. `rotator run` is `watching`; `rotator once` needs less."""
    wanted = dict.fromkeys(_wanted(config))
    if watching:
        wanted |= dict.fromkeys((*_on_watches(config), *_on_lease(config, subject)))
    if wanted:
        wanted |= dict.fromkeys(_on_events(config, subject))
    return tuple(right for right in wanted if not right.is_implied(wanted))


def manifests(config: Config, subject: Subject, *, watching: bool) -> list[Manifest]:
    """A role and its binding for the whole cluster, where something asks for it, and then for each namespace."""
    scopes: dict[str | None, list[Right]] = {None: []}
    for right in rights(config, subject, watching=watching):
        scopes.setdefault(right.namespace, []).append(right)
    parts = [_role_and_binding(namespace, rights, subject) for namespace, rights in scopes.items() if rights]
    return [manifest for part in parts for manifest in part]


def text(roles: Sequence[Manifest]) -> str:
    """The manifests as YAML, for `kubectl apply -f -`."""
    return "---\n".join((_head(roles), *map(document, roles)))


def document(role: Manifest) -> str:
    """One of them as YAML, with a word on each rule."""
    rules = role.get("rules", ())
    words = _PURPOSES | (_WHERE_PRUNED if any("delete" in rule["verbs"] for rule in rules) else {})
    left = iter(rules)
    return re.sub(
        "^ *(?=- apiGroups:)", lambda indent: _purposes(next(left), words, indent[0]), dump(role), flags=re.MULTILINE
    )


# What a pass asks for ------------------------------------------------------------------------------------------------


def _wanted(config: Config) -> Iterator[Right]:
    everywhere = not all(selection.is_listed(secret.namespaces) for secret in selection.sought(config))
    if everywhere:
        yield Right("list", "namespaces", None, None)
    for pull_secret in config.pull_secrets:
        for namespace in _places(pull_secret):
            if not everywhere:
                yield Right("get", "namespaces", namespace, namespace)
            yield from _on_secret(pull_secret, namespace)
            yield from _on_service_accounts(pull_secret, namespace)
    for former in config.prune.former:
        for namespace in _places(former):
            if not everywhere:
                yield Right("get", "namespaces", namespace, namespace)
            yield Right("get" if namespace else "list", "secrets", former.name, namespace)
    if config.prune.enabled:
        yield from _on_orphans(config)


def _on_orphans(config: Config) -> Iterator[Right]:
    """An orphan is deleted by name, and read again after a conflict; any ServiceAccount there may reference it.

    Where namespaces are listed, none but the former ones can hold one.
    """
    listed = [secret for secret in config.pull_secrets if selection.is_listed(secret.namespaces)]
    for secret in selection.sought(config):
        for namespace in () if secret in listed else _places(secret):
            yield from (Right(verb, "secrets", secret.name, namespace) for verb in ("get", "delete"))
            yield from (Right(verb, "serviceaccounts", None, namespace) for verb in ("get", "list", "patch"))


def _places(pull_secret: PullSecret | Former) -> Sequence[str | None]:
    """The namespaces that are named; None for all of them, where patterns or labels choose."""
    if selection.is_listed(pull_secret.namespaces):
        return selection.named(pull_secret.namespaces)
    return (None,)


def _on_secret(pull_secret: PullSecret, namespace: str | None) -> Iterator[Right]:
    """Server-side apply is `patch`, and `create` where there is no Secret yet; after a conflict it is read again."""
    finding = () if namespace else ("list",)
    for verb in ("get", *finding, "create", "patch"):
        yield Right(verb, "secrets", pull_secret.name, namespace)


def _on_service_accounts(pull_secret: PullSecret, namespace: str | None) -> Iterator[Right]:
    """They are read by name only where both names are known; what is patched is read again after a conflict."""
    accounts = pull_secret.service_accounts
    if not accounts.names and accounts.labels is None:
        return
    names: Sequence[str | None] = accounts.names if selection.is_named(accounts) else (None,)
    for name in names:
        yield Right("get" if namespace and name else "list", "serviceaccounts", name, namespace)
        if accounts.mode == "ensure":
            yield Right("get", "serviceaccounts", name, namespace)
            yield Right("patch", "serviceaccounts", name, namespace)


def _on_watches(config: Config) -> Iterator[Right]:
    """Each watch begins with a list. What is heard of leads to a pass over one namespace, which reads by name."""
    for scope in scopes(config):
        for verb in ("list", "watch"):
            yield Right(verb, scope.resource, scope.name, scope.namespace)
        if scope.namespace is None and (scope.name or scope.resource == "namespaces"):
            yield Right("get", scope.resource, scope.name, None)


def _on_lease(config: Config, subject: Subject) -> Iterator[Right]:
    """It is made and kept by PUT, which carries the name, as a POST does not."""
    election = config.leader_election
    if election.enabled:
        for verb in ("get", "create", "update"):
            yield Right(verb, "leases", election.name, election.namespace or subject.namespace)


def _on_events(config: Config, subject: Subject) -> Iterator[Right]:
    """Where the objects are that Events stand beside, and rotator itself is. Their names are many."""
    places = [place for pull_secret in config.pull_secrets for place in _places(pull_secret)]
    for place in (*places, subject.namespace):
        for verb in ("create", "patch"):
            yield Right(verb, "events", None, place)


# As manifests --------------------------------------------------------------------------------------------------------


def _role_and_binding(namespace: str | None, rights: Sequence[Right], subject: Subject) -> tuple[Manifest, Manifest]:
    kind = "Role" if namespace else "ClusterRole"
    metadata = {"name": subject.role, **({"namespace": namespace} if namespace else {}), "labels": subject.labels}
    account = {"kind": "ServiceAccount", "name": subject.service_account, "namespace": subject.namespace}
    head = {"apiVersion": f"{API}/v1"}
    return (
        {**head, "kind": kind, "metadata": metadata, "rules": _rules(rights)},
        {
            **head,
            "kind": f"{kind}Binding",
            "metadata": dict(metadata),
            "roleRef": {"apiGroup": API, "kind": kind, "name": subject.role},
            "subjects": [account],
        },
    )


def _rules(rights: Sequence[Right]) -> list[Manifest]:
    """One rule for all names of a resource that may be treated alike."""
    verbs: dict[tuple[str, str | None], set[str]] = {}
    for right in sorted(rights, key=lambda right: right.resource):
        verbs.setdefault((right.resource, right.name), set()).add(right.verb)
    names: dict[tuple[str, tuple[str, ...], bool], list[str]] = {}
    for (resource, name), allowed in verbs.items():
        alike = names.setdefault((resource, tuple(sorted(allowed, key=VERBS.index)), name is None), [])
        alike += [] if name is None else [name]
    return [_rule(resource, chosen, allowed) for (resource, allowed, _), chosen in names.items()]


def _rule(resource: str, names: Sequence[str], verbs: Sequence[str]) -> Manifest:
    chosen = {"resourceNames": list(names)} if names else {}
    return {"apiGroups": [GROUPS.get(resource, "")], "resources": [resource], **chosen, "verbs": list(verbs)}


# As YAML -------------------------------------------------------------------------------------------------------------

_PURPOSES: dict[tuple[str, str], str] = {
    ("events", "create"): "create, patch: tell beside an object what happened to it; all else works without this rule",
    ("namespaces", "get"): "get: whether it exists, and is not being deleted",
    ("namespaces", "watch"): "watch: hear of a new one at once",
    ("secrets", "watch"): "watch: hear at once when it is changed or deleted",
    ("serviceaccounts", "watch"): "watch: hear at once when a reference is lost",
    ("leases", "create"): "get, create, update: of several replicas one writes, the holder of this Lease",
    ("namespaces", "list"): "list: which there are, with which labels, and which are being deleted",
    ("secrets", "get"): "get: what stands in it",
    ("secrets", "list"): "list: where it is, with its name as the field selector",
    ("secrets", "create"): "create, patch: server-side apply, which carries the name in its address",
    ("secrets", "delete"): "delete: one that has left the configuration, once it has expired",
    ("serviceaccounts", "get"): "get: what it references",
    ("serviceaccounts", "list"): "list: which there are, and what they reference",
    ("serviceaccounts", "patch"): "patch: append the reference where it is missing",
}

_WHERE_PRUNED = {
    ("serviceaccounts", "patch"): "patch: append the reference where it is missing, take out one to what is deleted",
}


def _head(roles: Sequence[Manifest]) -> str:
    places = dict.fromkeys(place for role in roles if (place := role["metadata"].get("namespace")))
    words = "What rotator may do with its configuration, as `rotator rbac` prints it."
    words += " Patterns, labels and `exclude` narrow what it does; RBAC knows names alone."
    if places:
        words += f" These namespaces must exist: {', '.join(places)}. One that is deleted takes its Role with it: apply"
        words += " this again when it is back."
    if not roles:
        words = "The configuration means no namespace, so rotator needs no right."
    return textwrap.indent(textwrap.fill(words, 118, break_on_hyphens=False), "# ") + "\n"


def _purposes(rule: Manifest, words: Mapping[tuple[str, str], str], indent: str) -> str:
    """Why the rule is there, as comments above it."""
    (resource,) = rule["resources"]
    said = [words[resource, verb] for verb in rule["verbs"] if (resource, verb) in words]
    return "".join(f"{indent}# {line}\n" for line in said) + indent
