"""Which cloud's registry is this host? Anchored patterns, because the host decides who is shown a credential.

A host is what stands before the first slash of an image's name: lower-case ASCII, without scheme, userinfo, trailing
dot or port. Whatever is not exactly of its cloud's form gives None. Forms: facts on ECR, Artifact Registry and ACR as
their own credential helpers match them (amazon-ecr-credential-helper `api/client.go`, the kubelet's former
`credentialprovider/gcp` and cloud-provider-azure `azure_credentials.go`), each tightened to real DNS labels.
"""

import re
from dataclasses import dataclass
from typing import Literal

AcrCloud = Literal["public", "china", "usGovernment"]

# A label as clouds use them: no leading, trailing or double hyphen, so no punycode (xn--...) look-alike either.
_WORDS = r"[a-z0-9]+(?:-[a-z0-9]+)*"
_LONGEST_LABEL = 63  # RFC 1035, 2.3.4
_LONGEST_HOST = 253

_ECR = re.compile(
    rf"(?P<account>[0-9]{{12}})\.dkr[.-]ecr(?P<fips>-fips)?\.(?P<region>{_WORDS})\."
    r"(?P<suffix>amazonaws\.com(?:\.cn)?|amazonaws\.eu|on\.aws|on\.amazonwebservices\.com\.cn"
    r"|sc2s\.sgov\.gov|c2s\.ic\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)"
)
_GAR = re.compile(
    rf"(?P<location>{_WORDS})-docker\.pkg\.dev|docker\.(?P<regional>{_WORDS})\.rep\.pkg\.dev|(?:{_WORDS}\.)?gcr\.io"
)
# Registry names have 5 to 50 alphanumeric characters; a registry with a domain name label has "-HASH" behind it.
_ACR = re.compile(
    rf"(?P<name>[a-z0-9]{{5,50}}(?:-[a-z0-9]+)?)\.(?:(?P<region>{_WORDS})\.geo\.azurecr\.io|azurecr\.(?P<ending>io|cn|us))"
)
_HOST_AND_PORT = re.compile(r"(?P<host>[a-z0-9-]+(?:\.[a-z0-9-]+)*)(?::(?P<port>[1-9][0-9]{0,4}))?")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")
_HIGHEST_PORT = 65535

_ECR_PUBLIC_REGION = "us-east-1"  # the token API of ECR Public answers only there
_CLOUDS: dict[str, AcrCloud] = {"io": "public", "cn": "china", "us": "usGovernment"}

# https://docs.aws.amazon.com/general/latest/gr/aws-arns.html and botocore's partitions.json
_PARTITIONS = (
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("eu-isoe-", "aws-iso-e"),
    ("us-isof-", "aws-iso-f"),
    ("eusc-", "aws-eusc"),
)


@dataclass(frozen=True, slots=True)
class EcrHost:
    """A host of Amazon ECR. `account` is None for ECR Public, whose tokens come from us-east-1."""

    account: str | None
    region: str
    suffix: str
    fips: bool = False
    dual_stack: bool = False
    public: bool = False


@dataclass(frozen=True, slots=True)
class GarHost:
    """A host of Google Artifact Registry. `location` is None for gcr.io and its subdomains."""

    location: str | None


@dataclass(frozen=True, slots=True)
class AcrHost:
    """A login server of Azure Container Registry; `regional` for NAME.REGION.geo.azurecr.io.

    `name` keeps a "-HASH": contoso-abc123 and contoso may be registries of two tenants, never to share a token.
    """

    name: str
    cloud: AcrCloud
    regional: bool = False


_ECR_PUBLIC = {
    "public.ecr.aws": EcrHost(None, _ECR_PUBLIC_REGION, "ecr.aws", public=True),
    "ecr-public.aws.com": EcrHost(None, _ECR_PUBLIC_REGION, "aws.com", dual_stack=True, public=True),
}


def ecr(host: str) -> EcrHost | None:
    """The parts of an ECR host, None when it is not one."""
    if host in _ECR_PUBLIC:
        return _ECR_PUBLIC[host]
    found = _ECR.fullmatch(host)
    if found is None or not _labels_fit(host):
        return None
    suffix = found["suffix"]
    return EcrHost(
        found["account"], found["region"], suffix, fips=found["fips"] is not None, dual_stack=suffix.startswith("on.")
    )


def gar(host: str) -> GarHost | None:
    """The parts of an Artifact Registry or gcr.io host, None when it is not one."""
    found = _GAR.fullmatch(host)
    if found is None or not _labels_fit(host):
        return None
    return GarHost(found["location"] or found["regional"])


def acr(host: str) -> AcrHost | None:
    """The parts of an ACR login server, None when it is not one.

    `*.data.azurecr.io` serves layers and knows no login. `*.azurecr.de` is none either: Azure Germany was closed on
    29 October 2021, so whoever answers there today is nobody to show a token to.
    """
    found = _ACR.fullmatch(host)
    if found is None or not _labels_fit(host):
        return None
    return AcrHost(found["name"], _CLOUDS[found["ending"] or "io"], regional=found["region"] is not None)


def partition(region: str) -> str:
    """The AWS partition that a region belongs to: the second part of every ARN there."""
    return next((name for prefix, name in _PARTITIONS if region.startswith(prefix)), "aws")


def is_host(text: str) -> bool:
    """Whether the text is `host` or `host:port` in the one spelling that a key of `auths` may have."""
    found = _HOST_AND_PORT.fullmatch(text)
    if found is None or not _labels_fit(found["host"]):
        return False
    edges = [edge for label in found["host"].split(".") for edge in (label[0], label[-1])]
    return "-" not in edges and int(found["port"] or 1) <= _HIGHEST_PORT


def spellings(text: str) -> tuple[str, ...]:
    """The hosts that a person may have meant by a URL, an image's name or capitals; first with its port, then without.

    Suggestions for a message only: never use one in place of what was written.
    """
    authority = _SCHEME.sub("", text.strip().lower(), count=1).split("/", 1)[0].rpartition("@")[2]
    meant = dict.fromkeys(part.rstrip(".") for part in (authority, authority.partition(":")[0]))
    return tuple(host for host in meant if is_host(host))


def _labels_fit(host: str) -> bool:
    return len(host) <= _LONGEST_HOST and all(0 < len(label) <= _LONGEST_LABEL for label in host.split("."))
