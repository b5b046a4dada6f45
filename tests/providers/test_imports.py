"""Each SDK is imported for its own kind only."""

import subprocess
import sys

import pytest

SDKS = ("boto3", "botocore", "google.auth", "azure.identity", "azure.core", "msal")
OWN = {
    "ecr": ({"boto3", "botocore"}, "123456789012.dkr.ecr.eu-west-1.amazonaws.com"),
    "gar": ({"google.auth"}, "europe-west1-docker.pkg.dev"),
    "acr": ({"azure.identity", "azure.core", "msal"}, "contoso.azurecr.io"),
}
PROGRAM = """
import sys
from rotator.config import Registry
from rotator.providers import provider_for
before = set(sys.modules)
provider_for(Registry.model_validate({{"name": "prod", {kind!r}: {{"hosts": [{host!r}]}}}}))
print(*(sdk for sdk in {sdks!r} if sdk in before))
print(*(sdk for sdk in {sdks!r} if sdk in sys.modules))
"""


@pytest.mark.parametrize("kind", OWN)
def test_only_the_kinds_own_sdk_is_imported(kind: str) -> None:
    """Memory and start-up are paid for the configured clouds, and the table alone imports none."""
    own, host = OWN[kind]
    program = PROGRAM.format(kind=kind, host=host, sdks=SDKS)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)  # noqa: S603  (our own program)
    table, provider = done.stdout.split("\n")[:2]
    assert table.split() == []
    assert set(provider.split()) == own
