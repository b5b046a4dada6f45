"""Which collections are watched for a configuration."""

import pytest

from rotator.config import Config, Namespaces, PullSecret, ServiceAccounts
from rotator.scopes import Scope, scopes

NONE = ServiceAccounts()
NAMESPACES = Scope("namespaces")


def pull_secret(name: str, namespaces: Namespaces, accounts: ServiceAccounts = NONE) -> PullSecret:
    """A pull secret of which only the selection matters."""
    return PullSecret.model_construct(name=name, registries=(), namespaces=namespaces, service_accounts=accounts)


LISTED = Namespaces(names=("a", "b"))
CHOSEN = Namespaces(names=("team-*",))


@pytest.mark.parametrize(
    ("pull_secrets", "expected"),
    [
        pytest.param(
            [pull_secret("pull", LISTED)],
            [Scope("secrets", "a", "pull"), Scope("secrets", "b", "pull")],
            id="named namespaces: the Secret by name in each, and no Namespaces",
        ),
        pytest.param(
            [pull_secret("pull", Namespaces(names=("a", "b"), exclude=("b",), labels="x=y"))],
            [Scope("secrets", "a", "pull")],
            id="none in a namespace that is excluded",
        ),
        pytest.param(
            [pull_secret("pull", Namespaces(names=("a",)), ServiceAccounts(names=("x", "y"), labels="app=ci"))],
            [Scope("secrets", "a", "pull"), Scope("serviceaccounts", "a", "x"), Scope("serviceaccounts", "a", "y")],
            id="named ServiceAccounts, each by name",
        ),
        pytest.param(
            [pull_secret("pull", Namespaces(names=("a",)), ServiceAccounts(names=("x", "y-*"), labels="app=ci"))],
            [Scope("secrets", "a", "pull"), Scope("serviceaccounts", "a", labels="app=ci")],
            id="patterns: the ServiceAccounts that the selector chooses",
        ),
        pytest.param(
            [pull_secret("pull", CHOSEN, ServiceAccounts(names=("*",)))],
            [NAMESPACES, Scope("secrets", name="pull"), Scope("serviceaccounts")],
            id="chosen namespaces: Namespaces, and the rest in all of them",
        ),
        pytest.param(
            [pull_secret("pull", CHOSEN, ServiceAccounts(labels="app=ci"))],
            [NAMESPACES, Scope("secrets", name="pull"), Scope("serviceaccounts", labels="app=ci")],
            id="labels alone mean every name",
        ),
        pytest.param(
            [pull_secret("pull", CHOSEN)],
            [NAMESPACES, Scope("secrets", name="pull")],
            id="no ServiceAccounts where none are configured",
        ),
        pytest.param(
            [pull_secret("one", LISTED), pull_secret("two", CHOSEN)],
            [NAMESPACES, Scope("secrets", "a", "one"), Scope("secrets", "b", "one"), Scope("secrets", name="two")],
            id="each pull secret in its own way",
        ),
        pytest.param(
            [
                pull_secret("one", Namespaces(names=("a",)), ServiceAccounts(names=("x",))),
                pull_secret("two", Namespaces(names=("a",)), ServiceAccounts(names=("x",))),
            ],
            [Scope("secrets", "a", "one"), Scope("serviceaccounts", "a", "x"), Scope("secrets", "a", "two")],
            id="the same one once",
        ),
        pytest.param(
            [
                pull_secret("one", Namespaces(names=("a",)), ServiceAccounts(names=("x",))),
                pull_secret("two", CHOSEN, ServiceAccounts(names=("x",))),
                pull_secret("three", CHOSEN, ServiceAccounts(names=("*",))),
            ],
            [
                NAMESPACES,
                Scope("secrets", "a", "one"),
                Scope("secrets", name="two"),
                Scope("secrets", name="three"),
                Scope("serviceaccounts"),
            ],
            id="none that another one covers",
        ),
    ],
)
def test_what_is_watched(pull_secrets: list[PullSecret], expected: list[Scope]) -> None:
    """Just the collections whose changes matter, by name where names are known, none twice."""
    assert list(scopes(Config.model_construct(registries=(), pull_secrets=tuple(pull_secrets)))) == expected


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        (Scope("secrets"), Scope("secrets", "a", "x", "l=1"), True),
        (Scope("secrets", "a"), Scope("secrets", "a", "x"), True),
        (Scope("secrets", "a"), Scope("secrets", "b"), False),
        (Scope("secrets", "a"), Scope("secrets"), False),
        (Scope("secrets", labels="l=1"), Scope("secrets", name="x"), False),
        (Scope("secrets"), Scope("serviceaccounts"), False),
    ],
)
def test_a_scope_covers_what_has_no_object_beside_it(wide: Scope, narrow: Scope, covers: bool) -> None:
    """Only a scope that is as wide or wider in every respect."""
    assert wide.covers(narrow) is covers
