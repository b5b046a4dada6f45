"""Hosts: every form of every cloud is known, and nothing that only looks like one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator import hosts
from rotator.hosts import AcrHost, EcrHost, GarHost

ACCOUNT = "123456789012"
LOOKALIKE_E = "\N{CYRILLIC SMALL LETTER IE}"
ARABIC_DIGIT = "\N{ARABIC-INDIC DIGIT ONE}"

ECR = {
    f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com": EcrHost(ACCOUNT, "eu-west-1", "amazonaws.com"),
    f"{ACCOUNT}.dkr.ecr-fips.us-east-1.amazonaws.com": EcrHost(ACCOUNT, "us-east-1", "amazonaws.com", fips=True),
    f"{ACCOUNT}.dkr.ecr.us-gov-west-1.amazonaws.com": EcrHost(ACCOUNT, "us-gov-west-1", "amazonaws.com"),
    f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn": EcrHost(ACCOUNT, "cn-north-1", "amazonaws.com.cn"),
    f"{ACCOUNT}.dkr.ecr.eusc-de-east-1.amazonaws.eu": EcrHost(ACCOUNT, "eusc-de-east-1", "amazonaws.eu"),
    f"{ACCOUNT}.dkr-ecr.us-east-1.on.aws": EcrHost(ACCOUNT, "us-east-1", "on.aws", dual_stack=True),
    f"{ACCOUNT}.dkr-ecr-fips.us-east-1.on.aws": EcrHost(ACCOUNT, "us-east-1", "on.aws", fips=True, dual_stack=True),
    f"{ACCOUNT}.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn": EcrHost(
        ACCOUNT, "cn-north-1", "on.amazonwebservices.com.cn", dual_stack=True
    ),
    f"{ACCOUNT}.dkr.ecr.us-isob-east-1.sc2s.sgov.gov": EcrHost(ACCOUNT, "us-isob-east-1", "sc2s.sgov.gov"),
    f"{ACCOUNT}.dkr.ecr.us-iso-east-1.c2s.ic.gov": EcrHost(ACCOUNT, "us-iso-east-1", "c2s.ic.gov"),
    f"{ACCOUNT}.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk": EcrHost(ACCOUNT, "eu-isoe-west-1", "cloud.adc-e.uk"),
    f"{ACCOUNT}.dkr.ecr.us-isof-south-1.csp.hci.ic.gov": EcrHost(ACCOUNT, "us-isof-south-1", "csp.hci.ic.gov"),
    "public.ecr.aws": EcrHost(None, "us-east-1", "ecr.aws", public=True),
    "ecr-public.aws.com": EcrHost(None, "us-east-1", "aws.com", dual_stack=True, public=True),
}
GAR = {
    "europe-west1-docker.pkg.dev": GarHost("europe-west1"),
    "us-docker.pkg.dev": GarHost("us"),
    "docker.europe-west3.rep.pkg.dev": GarHost("europe-west3"),
    "gcr.io": GarHost(None),
    "eu.gcr.io": GarHost(None),
    "staging-k8s.gcr.io": GarHost(None),
}
ACR = {
    "contoso.azurecr.io": AcrHost("contoso", "public"),
    "contoso.azurecr.cn": AcrHost("contoso", "china"),
    "contoso.azurecr.us": AcrHost("contoso", "usGovernment"),
    "contoso-e7ggejfuhzhgedc8.azurecr.io": AcrHost("contoso-e7ggejfuhzhgedc8", "public"),
    "contoso.westeurope.geo.azurecr.io": AcrHost("contoso", "public", regional=True),
    "contoso-e7ggejfuhzhgedc8.westeurope.geo.azurecr.io": AcrHost("contoso-e7ggejfuhzhgedc8", "public", regional=True),
}
REAL = [*ECR, *GAR, *ACR]

STRANGERS = [
    "",
    ".",
    "aws",
    f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
    f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com.cn.evil.example",
    f"evil.example/{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com",
    f"evil.{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com",
    f"{ACCOUNT}.dkr.ecr.eu-west-1.evil-amazonaws.com",
    f"{ACCOUNT}.dkr.ecr.eu-west-1xamazonaws.com",
    f"{ACCOUNT}.dkr.ecr.evil.example.amazonaws.com",
    f"{ACCOUNT}.dkr.ecr..amazonaws.com",
    f"{ACCOUNT}.dkr.ecr.xn--eu-west-1.amazonaws.com",
    f"{ACCOUNT}xdkr.ecr.eu-west-1.amazonaws.com",
    f"{ACCOUNT}.dkr.ecr.{'a' * 64}.amazonaws.com",
    f"{ACCOUNT}.dkr.s3.eu-west-1.amazonaws.com",
    f"1{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com",
    f"{ACCOUNT[1:]}.dkr.ecr.eu-west-1.amazonaws.com",
    f"{ARABIC_DIGIT}{ACCOUNT[1:]}.dkr.ecr.eu-west-1.amazonaws.com",
    f"api.ecr.eu-west-1.amazonaws.com@{ACCOUNT}",
    "evil.public.ecr.aws",
    "public.ecr.aws.evil.example",
    "publicxecr.aws",
    "europe-west1-docker.pkg.dev.evil.example",
    "evil.example/europe-west1-docker.pkg.dev",
    "evil.europe-west1-docker.pkg.dev",
    "evil-docker.pkg.dev.example",
    "europe-west1-dockerxpkg.dev",
    "-docker.pkg.dev",
    "docker.pkg.dev",
    "docker.evil.example.rep.pkg.dev",
    "evilgcr.io",
    "a.b.gcr.io",
    ".gcr.io",
    "-.gcr.io",
    "xn--gcr-abc.gcr.io",
    f"gc{LOOKALIKE_E}r.io",
    "gcr.io.evil.example",
    "gcrxio",
    "contoso.azurecr.io@evil.example",
    "evil.example@contoso.azurecr.io",
    "evil.example/contoso.azurecr.io",
    "contoso.azurecr.io.evil.example",
    "contosoazurecr.io",
    "contoso.evil.azurecr.io",
    "contoso.westeurope.data.azurecr.io",
    "contoso.data.azurecr.io",
    "contoso.geo.azurecr.io",
    "contoso.azurecr.de",
    "contoso.azurecr.com",
    "xn--contoso.azurecr.io",
    "contoso--evil.azurecr.io",
    "-contoso.azurecr.io",
    "contoso-.azurecr.io",
    "four.azurecr.io",
    f"{'a' * 51}.azurecr.io",
    f"contoso-{'a' * 60}.azurecr.io",
    f"contos{LOOKALIKE_E}.azurecr.io",
]
PARSERS = [hosts.ecr, hosts.gar, hosts.acr]


@pytest.mark.parametrize(("host", "parts"), ECR.items())
def test_every_ecr_host_is_taken_apart(host: str, parts: EcrHost) -> None:
    """Account, region and the kind of endpoint are read from each form that AWS documents."""
    assert hosts.ecr(host) == parts


@pytest.mark.parametrize(("host", "parts"), GAR.items())
def test_every_google_host_is_taken_apart(host: str, parts: GarHost) -> None:
    """The location is read from multi-regional and regional hosts; gcr.io has none."""
    assert hosts.gar(host) == parts


@pytest.mark.parametrize(("host", "parts"), ACR.items())
def test_every_azure_host_is_taken_apart(host: str, parts: AcrHost) -> None:
    """A registry's name and cloud are read from its login server and its regional hosts; a hash belongs to the name."""
    assert hosts.acr(host) == parts


@pytest.mark.parametrize("host", REAL)
def test_a_host_belongs_to_one_cloud(host: str) -> None:
    """No credential can be meant for two clouds at once."""
    assert sum(parse(host) is not None for parse in PARSERS) == 1


@pytest.mark.parametrize("host", STRANGERS)
def test_what_only_looks_like_a_host_of_a_cloud_is_none(host: str) -> None:
    """A host that somebody else could own, or that no registry has, is never shown a credential."""
    assert [parse(host) for parse in PARSERS] == [None, None, None]


@pytest.mark.parametrize("host", REAL)
@pytest.mark.parametrize(
    "disguise",
    [
        "{}\n",
        "{}.",
        "{}:443",
        "{}/",
        "{} ",
        " {}",
        "https://{}",
        "user@{}",
        "{}?",
        "{}#",
        "{}\\",
        "*{}",
        "{}\0",
        "\n{}",
    ],
)
def test_a_host_is_nothing_but_the_host(host: str, disguise: str) -> None:
    """Newline, dot, port, path, scheme, userinfo and the like make it another text, so it is refused."""
    assert [parse(disguise.format(host)) for parse in PARSERS] == [None, None, None]


@pytest.mark.parametrize("host", REAL)
def test_capitals_are_refused(host: str) -> None:
    """A kubelet compares keys of `auths` letter by letter, so there is one spelling."""
    assert [parse(host.upper()) for parse in PARSERS] == [None, None, None]


@given(st.sampled_from(REAL), st.text(min_size=1, max_size=20))
def test_an_added_ending_never_keeps_a_host(host: str, ending: str) -> None:
    """Whatever stands behind a cloud's domain makes it somebody else's, except where both are a cloud's own."""
    if host + ending not in REAL:
        assert [parse(host + ending) for parse in PARSERS] == [None, None, None]


@pytest.mark.parametrize(
    ("region", "partition"),
    [
        ("eu-west-1", "aws"),
        ("cn-northwest-1", "aws-cn"),
        ("us-gov-east-1", "aws-us-gov"),
        ("us-iso-east-1", "aws-iso"),
        ("us-isob-east-1", "aws-iso-b"),
        ("eu-isoe-west-1", "aws-iso-e"),
        ("us-isof-south-1", "aws-iso-f"),
        ("eusc-de-east-1", "aws-eusc"),
    ],
)
def test_a_region_tells_its_partition(region: str, partition: str) -> None:
    """Roles of one partition cannot be assumed in another, so the two must be comparable."""
    assert hosts.partition(region) == partition


@pytest.mark.parametrize("host", [*REAL, "localhost:5000", "127.0.0.1:5000", "a", "registry.internal.example:65535"])
def test_a_host_may_have_a_port(host: str) -> None:
    """Any DNS name or IPv4 address in lower case is a host, with or without a port."""
    assert hosts.is_host(host)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A.example",
        "a.example:",
        "a.example:0",
        "a.example:65536",
        "a.example:443 ",
        "a.example.",
        "a..b",
        "-a",
        "a-.b",
        "*.example",
        "a_b",
        "a/b",
        "https://a.example",
        "u@a.example",
        "a.example\n",
        f"a.{'b' * 64}",
        "a." * 127 + "com",
        f"{LOOKALIKE_E}.example",
        f"a.example:{ARABIC_DIGIT}",
        "[::1]:5000",
    ],
)
def test_what_is_no_host_is_refused(text: str) -> None:
    """Scheme, path, userinfo, pattern, capitals and impossible ports or labels make it no host."""
    assert not hosts.is_host(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("https://contoso.azurecr.io/v2/", ("contoso.azurecr.io",)),
        ("Contoso.AzureCR.io", ("contoso.azurecr.io",)),
        ("contoso.azurecr.io:443", ("contoso.azurecr.io:443", "contoso.azurecr.io")),
        ("user:hunter2@contoso.azurecr.io", ("contoso.azurecr.io",)),
        ("contoso.azurecr.io@evil.example", ("evil.example",)),
        ("contoso.azurecr.io.\n", ("contoso.azurecr.io",)),
        ("contoso.azurecr.io/team/worker:latest", ("contoso.azurecr.io",)),
        ("*.azurecr.io", ()),
        ("", ()),
    ],
)
def test_the_host_that_was_meant_is_found(text: str, meant: tuple[str, ...]) -> None:
    """A message can say what to write, and never repeats a password in front of the host."""
    assert hosts.spellings(text) == meant
