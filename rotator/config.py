"""The configuration: what is written in YAML, as types. Names are snake_case here and camelCase in the file."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Strict(BaseModel):
    """A part of the configuration: unknown keys are refused, nothing is converted silently or changes later."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, alias_generator=to_camel, populate_by_name=False
    )


class AssumeRole(Strict):
    """The AWS role that asks for the token."""

    arn: str
    external_id: str | None = None
    session_name: str = "rotator"


class Ecr(Strict):
    """Amazon ECR: hosts of one region (of several accounts, if the principal may read them), or ECR Public."""

    hosts: tuple[str, ...]
    region: str | None = None
    profile: str | None = None
    assume_role: AssumeRole | None = None


class Impersonate(Strict):
    """The Google service account whose token is used; `lifetime` up to 12h where the organisation's policy allows it."""

    service_account: str
    lifetime: timedelta = timedelta(hours=1)
    delegates: tuple[str, ...] = ()


class Gar(Strict):
    """Google Artifact Registry and gcr.io. Without `credentials_file`: application default credentials."""

    hosts: tuple[str, ...]
    credentials_file: Path | None = None
    impersonate: Impersonate | None = None


class DefaultIdentity(Strict):
    """azure-identity's default chain, without its interactive members."""

    type: Literal["default"] = "default"
    tenant_id: str | None = None


class WorkloadIdentity(Strict):
    """Federated token of the Pod; each None is taken from the AZURE_* variable of the same name."""

    type: Literal["workload"]
    client_id: str | None = None
    tenant_id: str | None = None
    token_file: Path | None = None


class ManagedIdentity(Strict):
    """Managed identity: the system's, or the user-assigned one by client id or resource id."""

    type: Literal["managed"]
    client_id: str | None = None
    resource_id: str | None = None


class ClientSecret(Strict):
    """An application's secret, from a file or an environment variable, never from this file."""

    type: Literal["clientSecret"]
    client_id: str
    tenant_id: str
    secret_file: Path | None = None
    secret_env: str | None = None


class ClientCertificate(Strict):
    """An application's certificate with its private key (PEM or PKCS#12), from a file or an environment variable."""

    type: Literal["clientCertificate"]
    client_id: str
    tenant_id: str
    certificate_file: Path | None = None
    certificate_env: str | None = None
    password_file: Path | None = None
    password_env: str | None = None


AcrIdentity = Annotated[
    DefaultIdentity | WorkloadIdentity | ManagedIdentity | ClientSecret | ClientCertificate,
    Field(discriminator="type"),
]


class Acr(Strict):
    """Azure Container Registry: the hosts of one registry (its login server first, its regional ones after it)."""

    hosts: tuple[str, ...]
    identity: AcrIdentity = DefaultIdentity()
    cloud: Literal["public", "china", "usGovernment"] | None = None  # None: from the host's ending
    audience: Literal["containerregistry", "arm"] = "containerregistry"
    repository: str | None = None  # narrows the credential to pulls of this one repository


class Probe(Strict):
    """How a new credential is shown to its registry before it is published."""

    enabled: bool = True
    repository: str | None = None  # HEAD of its manifest proves the permission, /v2/ alone just the token
    reference: str = "latest"
    on_unknown: Literal["auto", "publish", "keep"] = "auto"


class Registry(Strict):
    """One source of credentials: exactly one of ecr, gar, acr."""

    name: str
    ecr: Ecr | None = None
    gar: Gar | None = None
    acr: Acr | None = None
    allow_hosts: tuple[str, ...] = ()
    deadline: timedelta = timedelta(seconds=20)
    probe: Probe = Probe()

    @property
    def source(self) -> Ecr | Gar | Acr:
        """The one kind that is configured."""
        source = self.ecr or self.gar or self.acr
        assert source is not None  # noqa: S101  (the validator holds it)
        return source

    @property
    def kind(self) -> Literal["ecr", "gar", "acr"]:
        """Its name."""
        return "ecr" if self.ecr else "gar" if self.gar else "acr"

    @property
    def hosts(self) -> tuple[str, ...]:
        """The keys of `auths` that this registry's credential is for."""
        return self.source.hosts


class Namespaces(Strict):
    """Namespaces by name or glob, less the excluded; `labels` (a Kubernetes selector) narrows them further."""

    names: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    labels: str | None = None


class ServiceAccounts(Strict):
    """The ServiceAccounts that reference the pull secret. `ensure` attaches a missing reference, `verify` reports it."""

    names: tuple[str, ...] = ()
    labels: str | None = None
    mode: Literal["ensure", "verify"] = "ensure"


class PullSecret(Strict):
    """One Secret of type kubernetes.io/dockerconfigjson, in every selected namespace."""

    name: str
    registries: tuple[str, ...]
    namespaces: Namespaces
    service_accounts: ServiceAccounts = ServiceAccounts()
    adopt: bool = False


class Renewal(Strict):
    """When credentials are renewed: `at` is a share of the life left at issue, `jitter` a share added to the wake-up."""

    at: float = 0.5
    jitter: float = 0.1
    sweep: timedelta = timedelta(minutes=5)


class Config(Strict):
    """The whole configuration."""

    registries: tuple[Registry, ...]
    pull_secrets: tuple[PullSecret, ...]
    renewal: Renewal = Renewal()

    def registry(self, name: str) -> Registry:
        """The registry of that name; references are validated, so it exists."""
        return next(registry for registry in self.registries if registry.name == name)


def load(path: Path) -> Config:
    """Read and validate the file. Raises ConfigError with every problem at once."""
    raise NotImplementedError


def parse(text: str, source: str) -> Config:
    """Validate YAML text; `source` names it in messages. Raises ConfigError with every problem at once."""
    raise NotImplementedError
