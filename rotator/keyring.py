"""Which credentials would a kubelet try for this image, and in which order?

Source: Kubernetes 1.36, pkg/credentialprovider/keyring.go and pkg/credentialprovider/secrets/secrets.go. Where the
kubelet's order is that of a Go map, and so varies from run to run, ours is that of the text.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from rotator import dockerconfig, golang
from rotator.dockerconfig import Entry
from rotator.errors import DockerConfigError, UnparsableSecret
from rotator.imagename import repository
from rotator.model import DATA_KEY, LEGACY_DATA_KEY, LEGACY_TYPE, SECRET_TYPE, SecretText

DEFAULT_REGISTRY = "index.docker.io"


@dataclass(frozen=True, slots=True)
class PullSecretData:
    """A Secret that a Pod names as pull secret: its data is decoded from base64, and never printed."""

    name: str
    type: str
    data: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Match:
    """One credential that the kubelet would try: the Secret, and the key of `auths` as it is written there."""

    secret: str
    key: str
    username: str
    password: SecretText


def lookup(secrets: Sequence[PullSecretData], image: str) -> tuple[Match, ...]:
    """The credentials for this image in the order in which a kubelet tries them; none: it pulls anonymously.

    Raises UnparsableImage, or UnparsableSecret for the first Secret that does not parse, whatever hosts it is for.
    """
    wanted = repository(image)
    ring = sorted(_ring(secrets), key=lambda item: item[0], reverse=True)
    found = tuple(match for location, match in ring if _covers(location, wanted))
    if found or not _is_default(wanted):
        return found
    return tuple(match for location, match in ring if location == DEFAULT_REGISTRY)


def _ring(secrets: Sequence[PullSecretData]) -> Iterator[tuple[str, Match]]:
    """Every usable entry of every Secret in order, with the location that it is for."""
    for secret in secrets:
        for key, entry in entries(secret).items():
            location = dockerconfig.location(key)
            if location is not None:
                yield location, Match(secret.name, key, entry.username, entry.password)


def entries(secret: PullSecretData) -> dict[str, Entry]:
    """The Secret's entries; of another type, or without its data key: none. Empty data is no error to the kubelet.

    Raises UnparsableSecret.
    """
    text = secret.data.get(DATA_KEY if secret.type == SECRET_TYPE else LEGACY_DATA_KEY)
    if not text or secret.type not in {SECRET_TYPE, LEGACY_TYPE}:
        return {}
    read = dockerconfig.parse if secret.type == SECRET_TYPE else dockerconfig.parse_legacy
    try:
        return read(text)
    except DockerConfigError as error:
        raise UnparsableSecret(secret.name, error.message) from error


def _covers(location: str, wanted: str) -> bool:
    """Is this repository covered: the same port, as many host labels, each a glob that fits, a prefix of the path?

    The prefix is one of text: `host/foo` covers `host/foobar` too (URLsMatch). The location is parsed once more, so
    what was an escape in the key can now be a query or an error, as in the kubelet.
    """
    glob, target = golang.split_url(location), golang.split_url(wanted)
    if glob is None or target is None or not target[1].startswith(glob[1]):
        return False
    (glob_labels, glob_port), (labels, port) = _labels_and_port(glob[0]), _labels_and_port(target[0])
    if glob_port != port or len(glob_labels) != len(labels):
        return False
    # Go's filepath.Match knows `?`, `\` and classes too, but net/url lets only `*` and an IPv6 literal's brackets into
    # a host, and those mean the same to fnmatch.
    return all(fnmatchcase(label, pattern) for label, pattern in zip(labels, glob_labels, strict=True))


def _labels_and_port(host: str) -> tuple[list[str], str]:
    """The labels of a host, and its port or "". Only before a port do an IPv6 literal's brackets go (SplitHostPort)."""
    name, _, port = host.rpartition(":")
    if not name or host.endswith("]"):
        return host.split("."), ""
    return name.removeprefix("[").removesuffix("]").split("."), port


def _is_default(wanted: str) -> bool:
    """Does the kubelet try Docker Hub's entries when no other fits? A host without dot and port counts as a user."""
    host = wanted.partition("/")[0]
    return host in {"docker.io", DEFAULT_REGISTRY} or not any(mark in host for mark in ".:")
