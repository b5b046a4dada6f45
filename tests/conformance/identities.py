"""The ways to mint, each as a configuration, a Pod's environment, and what the cloud counts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rotator.config import Registry
from rotator.model import Credential
from rotator.sandbox.cloud import Cloud, Token
from rotator.sandbox.internet import Internet, Node
from tests.providers.world import ACR_HOST, ECR_HOST, GAR_HOST, registry


@dataclass(frozen=True)
class Minted:
    """A registry, the variables of the Pod that mints for it, and the cloud's calls that one mint makes."""

    kind: str
    source: Mapping[str, object]
    environment: Mapping[str, str]
    calls: Mapping[str, int]
    who: str
    """A part of who we are to that cloud."""

    def registry(self, *, deadline: str = "20s") -> Registry:
        """The configuration."""
        return registry(self.kind, self.source, deadline=deadline)

    def cloud(self, internet: Internet) -> Cloud:
        """Who issues its tokens."""
        clouds: dict[str, Cloud] = {"ecr": internet.aws, "gar": internet.google, "acr": internet.azure}
        return clouds[self.kind]

    def token(self, internet: Internet, credential: Credential) -> Token | None:
        """The token as it stands in the cloud's book, if it is good there now."""
        return self.cloud(internet).accepts(credential.password.reveal())


def ecr_keys(internet: Internet, _: Path) -> Minted:
    """A user's long-lived keys in the environment."""
    return Minted(
        "ecr", {"hosts": [ECR_HOST]}, internet.aws.static_environment(), {"GetAuthorizationToken": 1}, ":user/rotator"
    )


def ecr_irsa(internet: Internet, directory: Path) -> Minted:
    """A Pod's projected token, which STS trades for a role's keys."""
    calls = {"AssumeRoleWithWebIdentity": 1, "GetAuthorizationToken": 1}
    return Minted(
        "ecr", {"hosts": [ECR_HOST]}, internet.aws.irsa_environment(directory), calls, ":assumed-role/rotator/"
    )


def ecr_role(internet: Internet, _: Path) -> Minted:
    """A role of another account, with the external id that its trust policy asks for."""
    internet.aws.roles[internet.aws.pull_role] = "contract-7"
    source = {"hosts": [ECR_HOST], "assumeRole": {"arn": internet.aws.pull_role, "externalId": "contract-7"}}
    return Minted(
        "ecr",
        source,
        internet.aws.static_environment(),
        {"AssumeRole": 1, "GetAuthorizationToken": 1},
        ":assumed-role/pull/",
    )


def ecr_public(internet: Internet, _: Path) -> Minted:
    """ECR Public."""
    return Minted(
        "ecr",
        {"hosts": ["public.ecr.aws"]},
        internet.aws.static_environment(),
        {"GetAuthorizationToken": 1},
        ":user/rotator",
    )


def gar_node(internet: Internet, _: Path) -> Minted:
    """The node's metadata server."""
    internet.node = Node.GOOGLE
    return Minted("gar", {"hosts": [GAR_HOST]}, {}, {"metadata": 1}, internet.google.account)


def gar_key(internet: Internet, directory: Path) -> Minted:
    """A service account's key, found by application default credentials."""
    file = internet.google.service_account_file(directory)
    return Minted(
        "gar",
        {"hosts": [GAR_HOST]},
        {"GOOGLE_APPLICATION_CREDENTIALS": str(file)},
        {"token": 1},
        internet.google.account,
    )


def gar_federation(internet: Internet, directory: Path) -> Minted:
    """Workload identity federation from any cluster, without impersonation."""
    source = {"hosts": [GAR_HOST], "credentialsFile": str(internet.google.external_account_file(directory))}
    return Minted("gar", source, {}, {"exchange": 1}, internet.google.pool)


def gar_impersonation(internet: Internet, directory: Path) -> Minted:
    """A key whose service account impersonates another."""
    source = {
        "hosts": [GAR_HOST],
        "credentialsFile": str(internet.google.service_account_file(directory)),
        "impersonate": {"serviceAccount": internet.google.pull_account, "lifetime": "30m"},
    }
    return Minted("gar", source, {}, {"token": 1, "generateAccessToken": 1}, internet.google.pull_account)


def acr_workload(internet: Internet, directory: Path) -> Minted:
    """A Pod's projected token, as the workload identity webhook gives it."""
    source = {"hosts": [ACR_HOST], "identity": {"type": "workload"}}
    environment = internet.azure.workload_identity_environment(directory)
    return Minted("acr", source, environment, {"token": 1, "exchange": 1}, internet.azure.client_id)


def acr_node(internet: Internet, _: Path) -> Minted:
    """The node's managed identity."""
    internet.node = Node.AZURE
    source = {"hosts": [ACR_HOST], "identity": {"type": "managed"}}
    return Minted("acr", source, {}, {"managedIdentity": 1, "exchange": 1}, internet.azure.client_id)


def acr_secret(internet: Internet, directory: Path) -> Minted:
    """An application's secret in a file, which ends with a newline as editors leave it."""
    file = directory / "secret"
    file.write_text(internet.azure.client_secret() + "\n")
    identity = {
        "type": "clientSecret",
        "clientId": internet.azure.client_id,
        "tenantId": internet.azure.tenant_id,
        "secretFile": str(file),
    }
    return Minted(
        "acr", {"hosts": [ACR_HOST], "identity": identity}, {}, {"token": 1, "exchange": 1}, internet.azure.client_id
    )


def acr_repository(internet: Internet, directory: Path) -> Minted:
    """A credential for pulls of one repository."""
    source = {"hosts": [ACR_HOST], "identity": {"type": "workload"}, "repository": "team/app"}
    environment = internet.azure.workload_identity_environment(directory)
    return Minted("acr", source, environment, {"token": 1, "exchange": 1, "accessToken": 1}, internet.azure.client_id)


Identity = Callable[[Internet, Path], Minted]

IDENTITIES: tuple[Identity, ...] = (
    ecr_keys,
    ecr_irsa,
    ecr_role,
    ecr_public,
    gar_node,
    gar_key,
    gar_federation,
    gar_impersonation,
    acr_workload,
    acr_node,
    acr_secret,
    acr_repository,
)
KINDS: tuple[Identity, ...] = (ecr_keys, gar_key, acr_secret)
"""One of each cloud, where the identity makes no difference."""
