"""The values of settings: what is accepted, and that a refusal says what to write without repeating the value."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from rotator.config import values

GUID = "0a1b2c3d-0000-0000-0000-00000000ABCD"
GROUP = f"/subscriptions/{GUID}/resourceGroups/my.group(1)"
IDENTITY = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/puller"

ACCEPTED: dict[str, list[object]] = {
    "Name": ["prod", "a", "a-1", "a" * 63],
    "SecretName": ["worker-pull", "a.b-c.d", "a" * 63],
    "NamespacePattern": ["shuffle", "*", "team-*", "team-?", "team-[ab]", "team-[!a-c]-*", "[a-z]*"],
    "AccountPattern": ["shuffle-workers", "a.b", "*", "shuffle-*", "a.[bc]"],
    "Variable": ["CLIENT_SECRET", "_x1", "a"],
    "Guid": [GUID],
    "Tenant": [GUID, "contoso.onmicrosoft.com", "Contoso.example"],
    "ManagedIdentityId": [IDENTITY],
    "GoogleAccount": [
        "puller@my-project.iam.gserviceaccount.com",
        "123-compute@developer.gserviceaccount.com",
        "my-project@appspot.gserviceaccount.com",
        "puller@my-project.example.com.iam.gserviceaccount.com",
    ],
    "RoleArn": [
        "arn:aws:iam::123456789012:role/puller",
        "arn:aws:iam::123456789012:role/team/images/puller+=,.@_-",
        "arn:aws-cn:iam::123456789012:role/puller",
        "arn:aws-us-gov:iam::123456789012:role/puller",
        "arn:aws-iso-b:iam::123456789012:role/puller",
    ],
    "ExternalId": ["ab", "a/b:c@d=e,f.g+h-i_j", "a" * 1224],
    "SessionName": ["rotator", "a" * 64],
    "Region": ["eu-west-1", "us-gov-west-1", "us-isob-east-1", "eusc-de-east-1"],
    "Profile": ["default", "my profile", "a"],
    "Repository": ["worker", "team/worker", "a_b/c__d/e.f/g---h", "my-project/images/worker"],
    "Reference": ["latest", "1.2.3", "_a", f"sha256:{'0' * 64}"],
    "ExactHost": ["images.example", "images.example:5000", "127.0.0.1:5000"],
    "Selector": ["a=b", "a,!b"],
    "File": ["/var/run/secret"],
    "Several[str]": [["a"], ["a", "b"], ("a",)],
    "Duration": ["90s", "5m", "1h", "1h30m", "0s", timedelta(seconds=3)],
    "Share": [0.1, 1, "10%", "0.5%", "100%"],
}
REFUSED: dict[str, list[object]] = {
    "Name": ["", "Prod", "a_b", "-a", "a-", "a.b", "a" * 64, "a\n", "é"],
    "SecretName": ["", "A", "a_b", ".a", "a.", "a..b", "a-.b", "a" * 64, "a\n"],
    "NamespacePattern": [
        "",
        "A*",
        "a_b",
        "a.b*",
        "a.b",
        "team-[",
        "team-]",
        "team-[]",
        "team-{a,b}",
        "a b*",
        "-a",
        "*\n",
    ],
    "AccountPattern": ["", "A", "a_*", "a..b", "[", "*\n"],
    "Variable": ["", "1A", "A-B", "A B", "Zx8Q~hunter2", "$A", "A\n", "A" * 129],
    "Guid": ["", "hunter2", GUID[:-1], f"{GUID}0", f"{{{GUID}}}", f"{GUID}\n"],
    "Tenant": ["", "common", "contoso", "contoso.", ".example", "a b.example", "contoso.example\n", "a." * 127 + "com"],
    "ManagedIdentityId": ["", "puller", IDENTITY.lower(), f"{IDENTITY}/x", f"{IDENTITY}\n", IDENTITY[1:]],
    "GoogleAccount": [
        "",
        "me@example.com",
        "puller@gserviceaccount.com",
        "puller@evil.example.gserviceaccount.com.evil.example",
        "puller@evilgserviceaccount.com",
        "puller@my-project.iam.gserviceaccount.com\n",
        "a@b@my-project.iam.gserviceaccount.com",
        "a/b@my-project.iam.gserviceaccount.com",
    ],
    "RoleArn": [
        "",
        "puller",
        "arn:aws:iam::12345678901:role/puller",
        "arn:aws:iam::123456789012:user/puller",
        "arn:aws:iam::123456789012:role/",
        "arn:evil:iam::123456789012:role/puller",
        "arn:aws:sts::123456789012:assumed-role/puller/session",
        "arn:aws:iam::123456789012:role/puller\n",
    ],
    "ExternalId": ["", "a", "a b", "a" * 1225, "ab\n", "äöü"],
    "SessionName": ["", "a", "a b", "a/b", "a" * 65, "ab\n"],
    "Region": ["", "us", "us-east", "US-EAST-1", "us-east-1a", "us-east-1\n", "global"],
    "Profile": ["", " a", "a ", "[a]", "a\nb"],
    "Repository": ["", "Worker", "/worker", "worker/", "a//b", "a:latest", "a@sha256:0", "a..b", "a" * 256, "a\n"],
    "Reference": ["", ".a", "-a", "a" * 129, "sha256:0", "a/b", "a\n"],
    "ExactHost": ["", "*.example", "https://images.example", "Images.example", "images.example/a", "images.example\n"],
    "Selector": ["", "  ", "a=b=c"],
    "File": ["", "secret", "./secret", "~/secret", "/a\0b", 5, ["/a"]],
    "Several[str]": [[], ["a", "a"]],
    "Duration": [
        5,
        5.5,
        "",
        "5",
        "5 m",
        "1d",
        "1.5h",
        "m",
        "1m1h",
        "-5m",
        "5M",
        "5ms",
        "5m\n",
        "\u0665m",
        True,
        ["5m"],
        "9" * 9 + "s",
    ],
    "Share": ["10", "ten%", "10 %", "-10%", "10%\n", "1e1%"],
}


def adapter(name: str) -> TypeAdapter[Any]:
    """The value's type, validated as the configuration does it."""
    kind: Any = values.Several[str] if name == "Several[str]" else getattr(values, name)
    return TypeAdapter(kind, config={"strict": True})


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, good in ACCEPTED.items() for value in good])
def test_a_good_value_is_accepted(name: str, value: object) -> None:
    """Everything that the cloud or Kubernetes itself would accept in this place can be written."""
    adapter(name).validate_python(value)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, bad in REFUSED.items() for value in bad])
def test_a_bad_value_is_refused_with_a_remedy(name: str, value: object) -> None:
    """The refusal says what to write, and does not repeat what was written."""
    with pytest.raises(ValidationError) as caught:
        adapter(name).validate_python(value)
    (error,) = caught.value.errors()
    assert error["type"] == "value_error"
    words = str(error["ctx"]["error"])
    assert any(verb in words for verb in ("; write", "; list", "; keep"))
    assert "\n" not in words
    assert "hunter2" not in words


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("90s", timedelta(seconds=90)),
        ("5m", timedelta(minutes=5)),
        ("12h", timedelta(hours=12)),
        ("1h30m", timedelta(minutes=90)),
        ("1h2m3s", timedelta(hours=1, minutes=2, seconds=3)),
    ],
)
def test_a_duration_is_the_sum_of_its_units(text: str, duration: timedelta) -> None:
    """Hours, minutes and seconds, in this order, each at most once."""
    assert adapter("Duration").validate_python(text) == duration


@given(st.integers(0, 40 * 3600).map(lambda seconds: timedelta(seconds=seconds)))
def test_a_duration_is_written_as_it_is_read(duration: timedelta) -> None:
    """What messages and the schema show can be put into the file."""
    assert adapter("Duration").validate_python(values.duration_text(duration)) == duration


@pytest.mark.parametrize(("written", "share"), [("10%", 0.1), ("0.5%", 0.005), ("100%", 1.0), (0.25, 0.25), (1, 1.0)])
def test_a_share_is_a_number_or_a_percentage(written: object, share: float) -> None:
    """Both spellings mean the same."""
    assert adapter("Share").validate_python(written) == pytest.approx(share)


def test_a_file_is_a_path() -> None:
    """The path is kept as it was written; whether the file exists is asked when it is read."""
    assert adapter("File").validate_python("/no/such/file") == Path("/no/such/file")


def test_a_repeated_item_is_told_by_its_place() -> None:
    """The message finds both items without repeating them."""
    with pytest.raises(ValidationError, match="as items 0 and 2"):
        adapter("Several[str]").validate_python(["a", "b", "a"])


def test_a_host_with_scheme_gets_its_spelling() -> None:
    """The remedy is the text to write."""
    with pytest.raises(ValidationError, match=r"write images\.example:5000"):
        adapter("ExactHost").validate_python("https://Images.example:5000/v2/")
