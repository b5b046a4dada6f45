"""Names of images, as the kubelet normalises them."""

import pytest

from rotator.errors import UnparsableImage
from rotator.imagename import reference, repository

SHA256 = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("busybox", "docker.io/library/busybox"),
        ("busybox:1.36", "docker.io/library/busybox"),
        ("team/app", "docker.io/team/app"),
        ("docker.io/busybox", "docker.io/library/busybox"),
        ("index.docker.io/busybox", "docker.io/library/busybox"),
        ("index.docker.io/team/app", "docker.io/team/app"),
        ("localhost/app", "localhost/app"),
        ("LOCALHOST/app", "LOCALHOST/app"),
        ("localhost:5000", "docker.io/library/localhost"),
        ("reg.io/app", "reg.io/app"),
        ("reg.io:5000/a/b/c:tag", "reg.io:5000/a/b/c"),
        ("[::1]:5000/app", "[::1]:5000/app"),
        ("[:::]/app", "[:::]/app"),
        (f"reg.io/app:tag@{SHA256}", "reg.io/app"),
        (f"reg.io/app@sha512:{'0' * 128}", "reg.io/app"),
        (f"app:{'x' * 128}", "docker.io/library/app"),
        ("reg.io/a__b/c--d/e.f", "reg.io/a__b/c--d/e.f"),
        ("a_b.io/app", "a_b.io/app"),
        ("f" * 63, f"docker.io/library/{'f' * 63}"),
        (f"reg.io/{'a' * 255}", f"reg.io/{'a' * 255}"),
    ],
)
def test_a_name_gives_its_repository(image: str, expected: str) -> None:
    """Docker Hub is written out, tag and digest go, and the host stays as it is spelled."""
    assert repository(image) == expected


@pytest.mark.parametrize(
    "image",
    [
        "",
        "/app",
        "app/",
        "a//b",
        "Bad/UPPER",
        "reg.io/Team/app",
        "Busybox",
        "-reg.io/app",
        "reg.io./app",
        "reg.io:/app",
        "[fe80::1%25en0]/app",
        "a___b/app",
        "a._b/app",
        "app-",
        "app:",
        "app:-x",
        f"app:{'x' * 129}",
        "app:é",
        "app\n",
        " app",
        "https://reg.io/app",
        "a:b:c",
        "app@",
        "app@sha256:" + "A" * 64,
        "app@SHA256:" + "0" * 64,
        "app@sha256:" + "0" * 63,
        "app@md5:" + "0" * 32,
        "f" * 64,
        f"reg.io/{'a' * 256}",
    ],
)
def test_a_name_that_does_not_parse_is_refused(image: str) -> None:
    """What the reference grammar refuses is an UnparsableImage that shows the name."""
    with pytest.raises(UnparsableImage) as caught:
        repository(image)
    assert repr(image) in str(caught.value)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("busybox", "latest"),
        ("ghcr.io:5000/a/b", "latest"),
        ("ghcr.io:5000/a/b:v1.2", "v1.2"),
        (f"a/b:v1@sha256:{'0' * 64}", f"sha256:{'0' * 64}"),
    ],
)
def test_what_is_asked_for_is_the_digest_else_the_tag(image: str, expected: str) -> None:
    """As a kubelet does: a tag beside a digest decides nothing."""
    assert reference(image) == expected
