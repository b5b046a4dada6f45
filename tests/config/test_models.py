"""The configuration's types: what the rest of the program may rely on."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from rotator import config
from rotator.config import Acr, ClientSecret, Config, DefaultIdentity, Ecr, Gar, Registry

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
GUID = "00000000-0000-0000-0000-000000000000"
SMALL = {
    "registries": [{"name": "prod", "ecr": {"hosts": [ECR]}}],
    "pullSecrets": [{"name": "worker-pull", "registries": ["prod"], "namespaces": {}}],
}


@pytest.mark.parametrize(
    ("part", "kind", "source"),
    [
        ({"ecr": {"hosts": [ECR]}}, "ecr", Ecr(hosts=(ECR,))),
        ({"gar": {"hosts": ["gcr.io"]}}, "gar", Gar(hosts=("gcr.io",))),
        ({"acr": {"hosts": ["contoso.azurecr.io"]}}, "acr", Acr(hosts=("contoso.azurecr.io",))),
    ],
)
def test_a_registry_has_one_kind(part: dict[str, object], kind: str, source: Ecr | Gar | Acr) -> None:
    """Kind, source and hosts are those of the one part that is configured."""
    registry = Registry.model_validate({"name": "prod", **part})
    assert (registry.kind, registry.source, registry.hosts) == (kind, source, source.hosts)


@pytest.mark.parametrize("parts", [{}, {"ecr": {"hosts": [ECR]}, "gar": {"hosts": ["gcr.io"]}}])
def test_a_registry_of_no_kind_or_two_does_not_exist(parts: dict[str, object]) -> None:
    """However it is made, a registry has exactly one source."""
    with pytest.raises(ValidationError):
        Registry.model_validate({"name": "prod", **parts})


def test_the_smallest_file_has_safe_defaults() -> None:
    """Half of the life, one sweep in five minutes, a probe, no ServiceAccount touched and nothing adopted."""
    small = Config.model_validate(SMALL)
    (registry,), (secret,) = small.registries, small.pull_secrets
    assert small.renewal == config.Renewal(at=0.5, jitter=0.1, sweep=timedelta(minutes=5))
    assert registry.deadline == timedelta(seconds=20)
    assert registry.probe == config.Probe(enabled=True, repository=None, reference="latest", onUnknown="auto")
    assert registry.allow_hosts == ()
    assert secret.namespaces == config.Namespaces(names=("*",))
    assert secret.service_accounts == config.ServiceAccounts(mode="ensure")
    assert (secret.namespaces.exclude, secret.namespaces.labels) == ((), None)
    assert (secret.service_accounts.names, secret.service_accounts.labels) == ((), None)
    assert not secret.adopt


def test_a_registry_is_found_by_its_name() -> None:
    """Pull secrets name registries."""
    small = Config.model_validate(SMALL)
    assert small.registry("prod") is small.registries[0]


def test_the_configuration_never_changes() -> None:
    """What was validated stays what it is."""
    with pytest.raises(ValidationError, match="frozen"):
        Config.model_validate(SMALL).renewal.at = 0.9  # type: ignore[misc]  # mypy knows it too


def test_an_identity_is_chosen_by_its_type() -> None:
    """Without an identity the default chain asks; otherwise the type says which settings there are."""
    secret = {"type": "clientSecret", "clientId": GUID, "tenantId": GUID, "secretEnv": "SECRET"}
    hosts = ["contoso.azurecr.io"]
    assert Acr.model_validate({"hosts": hosts}).identity == DefaultIdentity()
    assert Acr.model_validate({"hosts": hosts, "identity": secret}).identity == ClientSecret.model_validate(secret)


def test_pydantics_own_message_shows_no_value() -> None:
    """Should one ever be printed, a secret in the wrong place is not in it."""
    with pytest.raises(ValidationError) as caught:
        Registry.model_validate({"name": "prod", "ecr": {"hosts": [ECR], "password": "hunter2"}})
    assert "hunter2" not in f"{caught.value} {caught.value!r}"
