"""The name of an image as a Pod spec gives it, and the repository that the kubelet looks up for it.

Source: ParseNormalizedNamed in github.com/distribution/reference 0.6.0, which the kubelet calls (Kubernetes 1.36,
pkg/util/parsers).
"""

import re

from rotator.errors import UnparsableImage

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATH = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
# The grammar knows other algorithms, but go-digest then refuses each that is not one of these, in lower case.
_DIGEST = r"sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128}"
_REFERENCE = re.compile(rf"(?P<domain>{_DOMAIN}/)?(?P<path>{_PATH})(?::(?P<tag>{_TAG}))?(?:@(?P<digest>{_DIGEST}))?")
_IDENTIFIER = re.compile("[a-f0-9]{64}")
_LONGEST_PATH = 255


def repository(image: str) -> str:
    """The repository of this image, without tag and digest: `docker.io/library/busybox` for `busybox:1`.

    Raises UnparsableImage.
    """
    found = _parsed(image)
    return f"{found['domain'] or ''}{found['path']}"


def reference(image: str) -> str:
    """What is asked for in the repository: the digest, else the tag, else latest. Raises UnparsableImage."""
    found = _parsed(image)
    return found["digest"] or found["tag"] or "latest"


def _parsed(image: str) -> re.Match[str]:
    if _IDENTIFIER.fullmatch(image):
        msg = f"image {image!r}: 64 hexadecimal digits are an identifier, not a name"
        raise UnparsableImage(msg)
    found = _REFERENCE.fullmatch(_normalised(image))
    if found is None:
        msg = f"image {image!r} is not a valid name"
        raise UnparsableImage(msg, hint="write host/path:tag, the path in lower case")
    if len(found["path"]) > _LONGEST_PATH:
        msg = f"image {image!r}: its path is longer than {_LONGEST_PATH} characters"
        raise UnparsableImage(msg)
    return found


def _normalised(image: str) -> str:
    """The image with its domain written out, and with `library/` where Docker Hub wants it (splitDockerDomain)."""
    first, slash, rest = image.partition("/")
    if not slash:
        return f"docker.io/library/{image}"
    is_domain = first == "localhost" or any(mark in first for mark in ".:") or first != first.lower()
    domain, path = (first, rest) if is_domain else ("docker.io", image)
    if domain == "index.docker.io":
        domain = "docker.io"
    if domain == "docker.io" and "/" not in path:
        path = f"library/{path}"
    return f"{domain}/{path}"
