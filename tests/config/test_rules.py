"""The rules between settings: each names its place, and none is hidden by another problem."""

from collections.abc import Sequence
from typing import Any

import pytest

from rotator.config import rules as configrules
from rotator.config.rules import Problem

ACCOUNT = "123456789012"
ECR = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com"
OTHER_ECR = "210987654321.dkr.ecr.eu-west-1.amazonaws.com"
FIPS = f"{ACCOUNT}.dkr.ecr-fips.us-east-1.amazonaws.com"
CHINA = f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn"
GAR = "europe-west1-docker.pkg.dev"
ACR = "contoso.azurecr.io"
MIRROR = "images.internal.example:5000"


def registry(**parts: object) -> dict[str, object]:
    """A registry of these parts, called prod."""
    return {"name": "prod", **parts}


def pull_secret(*registries: object, **parts: object) -> dict[str, object]:
    """A pull secret of these registries."""
    return {"name": "worker-pull", "registries": list(registries), **parts}


def found(*registries: object, pull_secrets: list[Any] | None = None) -> list[Problem]:
    """The problems of a file with these registries, all used by one pull secret unless others are given."""
    names = [part.get("name") for part in registries if isinstance(part, dict)]
    secrets = [pull_secret(*dict.fromkeys(names))] if pull_secrets is None else pull_secrets
    return list(configrules.problems({"registries": list(registries), "pullSecrets": secrets}))


@pytest.mark.parametrize(
    "part",
    [
        registry(ecr={"hosts": [ECR, OTHER_ECR]}),
        registry(ecr={"hosts": [FIPS], "region": "us-east-1"}),
        registry(ecr={"hosts": ["public.ecr.aws", "ecr-public.aws.com"]}),
        registry(ecr={"hosts": [MIRROR], "region": "eu-west-1"}, allowHosts=[MIRROR]),
        registry(ecr={"hosts": [ECR, MIRROR]}, allowHosts=[MIRROR]),
        registry(ecr={"hosts": [CHINA], "assumeRole": {"arn": f"arn:aws-cn:iam::{ACCOUNT}:role/a"}}),
        registry(gar={"hosts": [GAR, "eu.gcr.io"]}),
        registry(gar={"hosts": [MIRROR]}, allowHosts=[MIRROR]),
        registry(acr={"hosts": [ACR, "contoso.westeurope.geo.azurecr.io"], "cloud": "public"}),
        registry(acr={"hosts": [MIRROR], "cloud": "china"}, allowHosts=[MIRROR]),
        registry(acr={"hosts": [ACR], "repository": "a/b"}, probe={"repository": "a/b"}),
        registry(acr={"hosts": [ACR]}, probe={"repository": "a/b"}),
    ],
)
def test_sound_registries_have_no_problem(part: dict[str, object]) -> None:
    """What the clouds allow is allowed."""
    assert found(part) == []


@pytest.mark.parametrize(
    ("part", "path", "words"),
    [
        (registry(), (), "has none of ecr, gar, acr; write exactly one of them"),
        (
            registry(ecr={"hosts": [ECR]}, acr={"hosts": [ACR]}),
            (),
            "has ecr and acr, which exclude each other; keep one of them",
        ),
        (
            registry(gar={"hosts": [GAR, f"{GAR}.evil.example"]}),
            ("gar", "hosts", 1),
            (
                "is no host of Google Artifact Registry; write one like europe-west1-docker.pkg.dev, or list it under "
                "allowHosts if it may be trusted"
            ),
        ),
        (
            registry(acr={"hosts": [f"https://{ACR}/v2/"]}),
            ("acr", "hosts", 0),
            "is not spelled as a host; write contoso.azurecr.io",
        ),
        (
            registry(acr={"hosts": [f"{ACR}@evil.example"]}),
            ("acr", "hosts", 0),
            "is no host; write it in lower case without scheme and path, as in contoso.azurecr.io",
        ),
        (registry(acr={"hosts": ["Contoso.azurecr.io:443"]}), ("acr", "hosts", 0), f"; write {ACR}"),
        (
            registry(gar={"hosts": ["http://MIRROR.example"]}, allowHosts=["mirror.example"]),
            ("gar", "hosts", 0),
            "mirror.example",
        ),
        (
            registry(gar={"hosts": [ECR]}),
            ("gar", "hosts", 0),
            "is a host of Amazon ECR; write it under ecr of another registry",
        ),
        (
            registry(acr={"hosts": ["contoso.westeurope.data.azurecr.io"]}),
            ("acr", "hosts", 0),
            "is a data endpoint, where nobody logs in; write the login server, as in contoso.azurecr.io",
        ),
        (
            registry(acr={"hosts": ["contoso.azurecr.de"]}),
            ("acr", "hosts", 0),
            "Azure Germany, which was closed in 2021; write",
        ),
        (
            registry(ecr={"hosts": [ECR, FIPS]}),
            ("ecr", "hosts", 1),
            "is not in eu-west-1 as the hosts before; write one registry per region",
        ),
        (
            registry(ecr={"hosts": [ECR, "public.ecr.aws"]}),
            ("ecr", "hosts", 1),
            "mixes ECR Public with private hosts; write one registry for each",
        ),
        (
            registry(ecr={"hosts": [CHINA.removesuffix(".cn")]}),
            ("ecr", "hosts", 0),
            "joins a region and an ending that differ; hosts in China end in .com.cn",
        ),
        (
            registry(ecr={"hosts": [ECR], "region": "us-east-1"}),
            ("ecr", "region"),
            "is not the hosts' region; write eu-west-1, or leave region out",
        ),
        (
            registry(ecr={"hosts": [MIRROR]}, allowHosts=[MIRROR]),
            ("ecr", "region"),
            "is missing, and these hosts do not name it; write it as in region: eu-west-1",
        ),
        (
            registry(ecr={"hosts": [CHINA], "assumeRole": {"arn": f"arn:aws:iam::{ACCOUNT}:role/a"}}),
            ("ecr", "assumeRole", "arn"),
            "is of another partition than the region; write arn:aws-cn:iam::...",
        ),
        (
            registry(acr={"hosts": [ACR, "fabrikam.azurecr.io"]}),
            ("acr", "hosts", 1),
            "is of another registry than the hosts before; write one registry for each",
        ),
        (registry(acr={"hosts": [ACR, "contoso-abc.azurecr.io"]}), ("acr", "hosts", 1), "is of another registry"),
        (registry(acr={"hosts": [ACR, "contoso.azurecr.cn"]}), ("acr", "hosts", 1), "is of another registry"),
        (
            registry(acr={"hosts": [ACR], "cloud": "china"}),
            ("acr", "cloud"),
            "is not the hosts' cloud; write public, or leave cloud out",
        ),
        (
            registry(acr={"hosts": [MIRROR]}, allowHosts=[MIRROR]),
            ("acr", "cloud"),
            "is missing, and these hosts do not name it; write public, china or usGovernment",
        ),
        (
            registry(acr={"hosts": [ACR], "repository": "a"}, probe={"repository": "b"}),
            ("probe", "repository"),
            "is not what acr.repository narrows the credential to; write that one",
        ),
    ],
)
def test_a_registry_that_cannot_be_right_is_told(
    part: dict[str, object], path: tuple[str | int, ...], words: str
) -> None:
    """One problem, at the place to change, with what to write."""
    (problem,) = found(part)
    assert problem.path == ("registries", 0, *path)
    assert words in problem.text


def test_names_are_given_once() -> None:
    """A registry's and a pull secret's name mean one thing."""
    parts = [registry(gar={"hosts": [GAR]}), registry(acr={"hosts": [ACR]})]
    secrets = [pull_secret("prod"), pull_secret("prod")]
    assert found(*parts, pull_secrets=secrets) == [
        Problem(("registries", 1, "name"), "is the name of registries[0] too; write another"),
        Problem(("pullSecrets", 1, "name"), "is the name of pullSecrets[0] too; write another"),
    ]


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("prdo", 'did you mean "prod"?'), ("elsewhere", 'write one of: "prod"'), ("a\nb", "write one of")],
)
def test_a_registry_that_does_not_exist_is_told(name: str, remedy: str) -> None:
    """A typing error finds its registry, which is then not called unused as well."""
    (problem,) = found(registry(gar={"hosts": [GAR]}), pull_secrets=[pull_secret(name)])
    assert problem.path == ("pullSecrets", 0, "registries", 0)
    assert remedy in problem.text
    assert "\n" not in problem.text


def test_a_registry_that_no_pull_secret_uses_is_a_mistake() -> None:
    """It would be minted for nobody, and its user would wait for it."""
    parts = [registry(gar={"hosts": [GAR]}), {"name": "spare", "acr": {"hosts": [ACR]}}]
    assert found(*parts, pull_secrets=[pull_secret("prod")]) == [
        Problem(("registries", 1), "is used by no pull secret; name it in one, or remove it")
    ]


@pytest.mark.parametrize("unreadable", [None, 5, [], [5], "prod"])
def test_nothing_is_called_unused_while_a_list_cannot_be_read(unreadable: object) -> None:
    """The list's own refusal comes first."""
    secret = {"name": "worker-pull", "registries": unreadable}
    assert found(registry(gar={"hosts": [GAR]}), pull_secrets=[secret]) == []


def test_one_host_has_one_credential_in_a_pull_secret() -> None:
    """Two registries cannot both write one key of `auths`: both are named; in two pull secrets they may."""
    parts = [registry(gar={"hosts": [GAR]}), {"name": "other", "gar": {"hosts": ["gcr.io", GAR]}}]
    assert found(*parts) == [
        Problem(
            ("pullSecrets", 0, "registries", 1),
            f'"prod" and "other" both claim {GAR}; keep it in one, or write two pull secrets',
        )
    ]
    assert found(*parts, pull_secrets=[pull_secret("prod"), pull_secret("other", name="other-pull")]) == []


def former(names: Sequence[object], name: str = "worker-pull") -> dict[str, object]:
    """A pull secret that is said to have left these namespaces."""
    return {"former": [{"name": name, "namespaces": {"names": names}}]}


COVERED = {
    "the same name": ({"names": ["team-a"]}, ["team-a"], True),
    "a pattern that covers it": ({"names": ["team-*"]}, ["team-a"], True),
    "every namespace, by default": ({"exclude": ["kube-*"]}, ["team-a"], True),
    "another name": ({"names": ["team-b"]}, ["team-a"], False),
    "an exclusion": ({"names": ["team-*"], "exclude": ["team-a"]}, ["team-a"], False),
    "labels, which only the cluster knows": ({"names": ["team-*"], "labels": "a=b"}, ["team-a"], False),
    "a pattern of former ones": ({"names": ["team-a"]}, ["team-*"], False),
    "nothing to read": ({"names": 5}, ["team-a"], False),
    "no namespaces at all": ({}, ["team-a"], False),
}


@pytest.mark.parametrize("case", COVERED)
def test_what_is_covered_is_not_former(case: str) -> None:
    """It would never be found there; only a namespace that is certainly covered is called a mistake."""
    namespaces, names, is_mistake = COVERED[case]
    secrets = [pull_secret("prod", name="other-pull"), pull_secret("prod", namespaces=namespaces)]
    data = {"registries": [registry(gar={"hosts": [GAR]})], "pullSecrets": secrets, "prune": former([5, *names])}
    told = [
        Problem(
            ("prune", "former", 0, "namespaces", "names", 1),
            "is covered by pullSecrets[1]; take it out here, or exclude it there",
        )
    ]
    assert list(configrules.problems(data)) == (told if is_mistake else [])
    assert list(configrules.problems(data | {"prune": former(names, "old-pull")})) == []


@pytest.mark.parametrize("wrong", [None, 5, [], {"former": 5}, {"former": [5, {}, {"name": [], "namespaces": 5}]}])
def test_a_prune_section_of_any_type_is_passed_over(wrong: object) -> None:
    """The types refuse it."""
    assert list(configrules.problems({"prune": wrong, "pullSecrets": [pull_secret("prod")]})) == [
        Problem(("pullSecrets", 0, "registries", 0), 'there is no registry "prod"; write one of: none yet')
    ]


def test_every_problem_is_told_at_once() -> None:
    """Whoever mends a file mends it once."""
    parts = [
        registry(ecr={"hosts": [ECR, FIPS, "evil.example"], "region": "us-east-1"}, gar={"hosts": [ACR]}),
        registry(),
    ]
    assert [problem.path for problem in found(*parts, pull_secrets=[pull_secret("prod", "x")])] == [
        ("registries", 0),
        ("registries", 0, "ecr", "hosts", 2),
        ("registries", 0, "ecr", "hosts", 1),
        ("registries", 0, "ecr", "region"),
        ("registries", 0, "gar", "hosts", 0),
        ("registries", 1),
        ("registries", 1, "name"),
        ("pullSecrets", 0, "registries", 1),
    ]


@pytest.mark.parametrize(
    "data", [None, 5, "text", [], {}, {"registries": 5}, {"registries": [5, None, []], "pullSecrets": {}}]
)
def test_data_of_any_type_is_passed_over(data: object) -> None:
    """What is not of the expected type is for the types to refuse."""
    assert list(configrules.problems(data)) == []


@pytest.mark.parametrize("wrong", [None, 5, "text", [5], {"hosts": 5}, {"hosts": [None, {}]}])
@pytest.mark.parametrize("key", ["name", "ecr", "gar", "acr", "allowHosts", "probe"])
def test_a_part_of_any_type_is_passed_over(key: str, wrong: object) -> None:
    """A wrong type in one part leaves the other rules at work."""
    problems = found(
        registry(acr={"hosts": [ACR], "assumeRole": 5}) | {key: wrong},
        pull_secrets=[{}, {"name": [], "registries": [[]]}],
    )
    assert all(problem.path == ("registries", 0) for problem in problems)
