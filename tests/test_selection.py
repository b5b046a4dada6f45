"""Selection: which namespaces and ServiceAccounts a pull secret means."""

import pytest

from rotator import selection
from rotator.config import Namespaces, ServiceAccounts
from rotator.model import NamespaceRecord, ServiceAccountRecord


@pytest.mark.parametrize(
    ("names", "exclude", "labels", "name", "covered"),
    [
        (("team-a",), (), None, "team-a", True),
        (("team-a",), (), None, "team-ab", False),
        (("team-*",), (), None, "team-ab", True),
        (("team-*",), ("team-legacy",), None, "team-legacy", False),
        (("*",), ("kube-*",), None, "kube-system", False),
        (("team-?",), (), None, "team-a", True),
        (("team-[ab]",), (), None, "team-c", False),
        (("*",), (), "pull=private", "team-a", True),
        (("*",), (), "pull=public", "team-a", False),
        (("team-b",), (), "pull=private", "team-a", False),
    ],
)
def test_a_namespace_is_covered_by_name_less_the_excluded_and_narrowed_by_labels(
    names: tuple[str, ...], exclude: tuple[str, ...], labels: str | None, name: str, covered: bool
) -> None:
    """Names or globs choose, `exclude` removes, labels narrow."""
    namespaces = Namespaces.model_construct(names=names, exclude=exclude, labels=labels)
    assert selection.covers(namespaces, NamespaceRecord(name, {"pull": "private"})) is covered


@pytest.mark.parametrize(
    ("names", "labels", "listed"),
    [
        (("a", "b"), None, True),
        (("a", "b*"), None, False),
        (("a", "b?"), None, False),
        (("a", "[bc]"), None, False),
        (("a",), "x=y", True),
        (("*",), "x=y", False),
    ],
)
def test_only_literal_names_make_a_list_that_a_role_per_namespace_serves(
    names: tuple[str, ...], labels: str | None, listed: bool
) -> None:
    """With a glob the namespaces must be listed; without one nothing cluster-wide is read, labels or not."""
    assert selection.is_listed(Namespaces.model_construct(names=names, exclude=(), labels=labels)) is listed


def test_the_named_namespaces_are_those_that_nothing_excludes() -> None:
    """Patterns name none, and who is excluded by name or pattern is not meant."""
    namespaces = Namespaces.model_construct(names=("a", "b", "c-1", "d-*"), exclude=("b", "c-*"), labels=None)
    assert selection.named(namespaces) == ("a",)


@pytest.mark.parametrize(
    ("names", "labels", "named"),
    [
        (("a", "b"), None, True),
        (("a",), "x=y", True),
        (("a", "b*"), None, False),
        (("[ab]",), None, False),
        ((), "x=y", False),
    ],
)
def test_service_accounts_with_literal_names_are_read_by_name(
    names: tuple[str, ...], labels: str | None, named: bool
) -> None:
    """A selector then only narrows what was read: no other ServiceAccount needs to be."""
    accounts = ServiceAccounts.model_construct(names=names, labels=labels, mode="ensure")
    assert selection.is_named(accounts) is named


@pytest.mark.parametrize(
    ("names", "labels", "name", "wanted"),
    [
        ((), None, "workers", False),
        (("workers",), None, "workers", True),
        (("*",), None, "default", True),
        (("shuffle-*",), None, "workers", False),
        ((), "app=ci", "workers", True),
        ((), "app=web", "workers", False),
        (("other",), "app=ci", "workers", False),
    ],
)
def test_service_accounts_are_chosen_by_name_or_labels_and_none_by_default(
    names: tuple[str, ...], labels: str | None, name: str, wanted: bool
) -> None:
    """Without names and labels no ServiceAccount is touched; labels alone mean every name."""
    accounts = ServiceAccounts.model_construct(names=names, labels=labels, mode="ensure")
    record = ServiceAccountRecord("team-a", name, "u", "1", labels={"app": "ci"})
    assert selection.wants(accounts, record) is wanted
