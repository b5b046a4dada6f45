"""The keyring answers as the kubelet's own code does."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from rotator.errors import KeyringError, UnparsableImage, UnparsableSecret
from rotator.imagename import repository
from rotator.keyring import Match, PullSecretData, lookup
from rotator.model import DATA_KEY, SECRET_TYPE, SecretText

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "vectors/kubelet-keyring.json").read_text())
ERRORS: dict[str, type[KeyringError]] = {"secret": UnparsableSecret, "image": UnparsableImage}


def pull_secret(*keys: str, name: str = "s0") -> PullSecretData:
    """A Secret with an entry for each key, whose password is "name/key"."""
    auths = {key: {"auth": b64encode(f"user:{name}/{key}".encode()).decode()} for key in keys}
    return PullSecretData(name, SECRET_TYPE, {DATA_KEY: json.dumps({"auths": auths})})


def keys_tried(image: str, *secrets: PullSecretData) -> list[str]:
    """The keys that a kubelet would try, each as "secret/key"."""
    return [match.password.reveal() for match in lookup(secrets, image)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_vectors_of_the_kubelet(case: dict[str, Any]) -> None:
    """Every answer of the kubelet's own code: credentials in order, their Secrets, and both kinds of error."""
    secrets = [PullSecretData(given["name"], given["type"], {given["key"]: given["text"]}) for given in case["secrets"]]
    if "error" in case:
        with pytest.raises(ERRORS[case["error"]]):
            lookup(secrets, case["image"])
        return
    assert repository(case["image"]) == case["repository"]
    found = [[match.username, match.password.reveal(), match.secret] for match in lookup(secrets, case["image"])]
    in_order = sorted if case.get("unordered") else list
    assert in_order(found) == in_order(case["credentials"])


def test_the_vectors_are_all_there() -> None:
    """The file holds its 600 cases, with both errors and some that match."""
    assert len(CASES) == 600
    assert {case.get("error") for case in CASES} == {None, "secret", "image"}
    assert sum(bool(case["credentials"]) for case in CASES) > 50


# Each row was answered by the kubelet's code, Kubernetes 1.36 built with Go 1.26.
@pytest.mark.parametrize(
    ("key", "image", "covered"),
    [
        ("reg.io/foo", "reg.io/foobar", True),
        ("reg.io/foo/", "reg.io/foobar", False),
        ("reg.io/v2/", "reg.io/app", True),
        ("reg.io/v2", "reg.io/app", False),
        ("reg.io/v2", "reg.io/v2/app", True),
        ("reg.io/v1/v2/", "reg.io/app", False),
        ("HTTPS://reg.io", "reg.io/app", False),
        ("REG.io", "reg.io/app", False),
        ("user:password@reg.io", "reg.io/app", True),
        ("reg.io?x", "reg.io/app", True),
        ("reg.io/team#x", "reg.io/team/app", True),
        ("reg.io/team%3Fx", "reg.io/team/app", True),
        ("reg.io/te%2561m", "reg.io/team/app", True),
        ("reg.io/team%25", "reg.io/team/app", False),
        ("*.io", "reg.io/app", True),
        ("*", "reg.io/app", False),
        ("*", "localhost/app", True),
        ("r*g.*", "reg.io/app", True),
        ("*:*", "reg.io:5000/app", False),
        ("*.io:5000", "reg.io:5000/app", True),
        ("*.io", "reg.io:5000/app", False),
        ("reg.io:", "reg.io/app", True),
        ("reg.io:443", "reg.io/app", False),
        ("[::1]:5000", "[::1]:5000/app", True),
        ("[::1]", "[::1]/app", False),
        ("[::A]", "A/app", True),
        ("*]", "[::1]/app", True),
        ("re[a-g].io", "reg.io/app", False),
        ("", "reg.io/app", False),
        ("docker.io", "busybox", True),
        ("index.docker.io", "busybox", True),
        ("https://index.docker.io/v1/", "team/app", True),
        ("index.docker.io/v1", "team/app", False),
        ("index.docker.io", "localhost/app", True),
        ("index.docker.io", "localhost:5000/app", False),
    ],
)
def test_a_key_covers_an_image_as_in_the_kubelet(key: str, image: str, covered: bool) -> None:
    """Globs per label, ports, path prefixes, escapes and Docker Hub's own rule."""
    assert bool(keys_tried(image, pull_secret(key))) is covered


def test_longer_keys_come_first_and_secrets_in_order_within_one() -> None:
    """Over all Secrets, keys are tried in the reverse order of their text; for equal ones the first Secret is first."""
    first, second = pull_secret("reg.io", "*.io", name="a"), pull_secret("https://reg.io/", "reg.io/team", name="b")
    assert keys_tried("reg.io/team/app", first, second) == ["b/reg.io/team", "a/reg.io", "b/https://reg.io/", "a/*.io"]


def test_docker_hub_is_a_last_resort_only() -> None:
    """An entry for index.docker.io is not tried where one for docker.io fits."""
    assert keys_tried("busybox", pull_secret("docker.io", "index.docker.io")) == ["s0/docker.io"]


def test_a_match_says_where_it_came_from() -> None:
    """The Secret's name and the key as it is written there, for `rotator explain`."""
    (match,) = lookup([pull_secret("other.io"), pull_secret("https://reg.io/v2/", name="s1")], "reg.io/app:1")
    assert match == Match("s1", "https://reg.io/v2/", "user", SecretText("s1/https://reg.io/v2/"))


@pytest.mark.parametrize(
    ("kind", "data_key", "counts"),
    [
        ("kubernetes.io/dockerconfigjson", ".dockerconfigjson", True),
        ("kubernetes.io/dockerconfigjson", ".dockercfg", False),
        ("kubernetes.io/dockercfg", ".dockerconfigjson", False),
        ("Opaque", ".dockerconfigjson", False),
        ("Opaque", ".dockercfg", False),
    ],
)
def test_type_and_data_key_must_agree(kind: str, data_key: str, counts: bool) -> None:
    """Only a Secret of the right type with that type's key is read; another is skipped, however broken it is."""
    broken = PullSecretData("s0", kind, {data_key: "{"})
    if counts:
        with pytest.raises(UnparsableSecret):
            lookup([broken], "reg.io/app")
    else:
        assert lookup([broken], "reg.io/app") == ()


def test_a_dockercfg_holds_its_entries_without_auths() -> None:
    """The legacy type still works, and its top level is the map of entries."""
    legacy = PullSecretData("s0", "kubernetes.io/dockercfg", {".dockercfg": '{"reg.io":{"auth":"dTpw"}}'})
    assert lookup([legacy], "reg.io/app") == (Match("s0", "reg.io", "u", SecretText("p")),)


def test_an_empty_text_is_skipped_and_a_blank_one_fails() -> None:
    """The kubelet reads only data of some length, and a space is no JSON."""
    assert lookup([PullSecretData("s0", SECRET_TYPE, {DATA_KEY: ""})], "reg.io/app") == ()
    with pytest.raises(UnparsableSecret):
        lookup([PullSecretData("s0", SECRET_TYPE, {DATA_KEY: " "})], "reg.io/app")


def test_one_broken_secret_fails_every_image_and_is_named() -> None:
    """The first Secret that does not parse is named, also when an earlier one has a credential; no value is shown."""
    text = json.dumps({"auths": {"other.io": {"auth": "c2VjcmV0"}}})
    broken = [PullSecretData(name, SECRET_TYPE, {DATA_KEY: text}) for name in ("s1", "s2")]
    with pytest.raises(UnparsableSecret) as caught:
        lookup([pull_secret("reg.io"), *broken], "reg.io/app")
    assert caught.value.secret == "s1"
    assert "other.io" in str(caught.value)
    assert "c2VjcmV0" not in str(caught.value)


def test_the_image_is_parsed_before_the_secrets() -> None:
    """The kubelet checks the name first, so a bad name is what it reports."""
    with pytest.raises(UnparsableImage):
        lookup([PullSecretData("s0", SECRET_TYPE, {DATA_KEY: "{"})], "a//b")


def test_no_password_in_a_repr() -> None:
    """Neither what goes in nor what comes out prints a password."""
    secret = pull_secret("reg.io", name="hush")
    encoded = b64encode(b"user:hush/reg.io").decode()
    shown = f"{secret!r} {secret} {lookup([secret], 'reg.io/app')!r}"
    assert "hush/reg.io" not in shown
    assert encoded not in shown
