"""The three kinds of source, ECR, Artifact Registry and ACR, as types: their hosts, and who asks them.

Part of the configuration's types: see `config`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from rotator.config.rules import at_most_one, exactly_one
from rotator.config.values import (
    Duration,
    ExternalId,
    File,
    GoogleAccount,
    Guid,
    ManagedIdentityId,
    Profile,
    Region,
    Repository,
    RoleArn,
    SessionName,
    Several,
    Tenant,
    Variable,
    within,
)


class Strict(BaseModel):
    """A part of the configuration: unknown keys are refused, nothing is converted silently or changes later."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        alias_generator=to_camel,
        populate_by_name=False,
        field_title_generator=lambda name, _: name.replace("_", " "),
        hide_input_in_errors=True,  # pydantic's own message would show the value, which may be a misplaced secret
    )


class AssumeRole(Strict):
    """The AWS role that asks for the token."""

    arn: RoleArn = Field(
        description="ARN of the IAM role to assume. Required: it is what gives access to another account's images.",
        examples=["arn:aws:iam::123456789012:role/puller"],
    )
    external_id: ExternalId | None = Field(
        default=None,
        description="External id that the role's trust policy asks for, 2 to 1224 characters. Default: none.",
    )
    session_name: SessionName = Field(
        default="rotator",
        description="Name of the session in CloudTrail, 2 to 64 characters. Default: rotator, which is easy to find.",
    )


class Ecr(Strict):
    """Amazon ECR: hosts of one region (of several accounts, if the principal may read them), or ECR Public."""

    hosts: Several[str] = Field(
        description=(
            "Hosts of one region, or of ECR Public. Required. One token serves every account of a region whose images "
            "the principal may read. FIPS and dual-stack hosts are hosts of their own: list those that images name."
        ),
        examples=[["123456789012.dkr.ecr.eu-west-1.amazonaws.com"]],
    )
    region: Region | None = Field(
        default=None,
        description="AWS region to ask. Default: the one in the hosts' names. Needed only for a host under allowHosts.",
    )
    profile: Profile | None = Field(
        default=None,
        description=(
            "Profile of the AWS configuration files. Default: none, so the default chain decides "
            "(environment, IRSA, EKS Pod Identity, instance metadata)."
        ),
    )
    assume_role: AssumeRole | None = Field(
        default=None,
        description="Role to assume before asking. Default: none, the identity of the environment asks itself.",
    )


class Impersonate(Strict):
    """The Google service account whose token is used; `lifetime` up to 12h where the organisation allows it."""

    service_account: GoogleAccount = Field(
        description="Email of the service account. Required. The identity needs Workload Identity User on it.",
        examples=["puller@my-project.iam.gserviceaccount.com"],
    )
    lifetime: Annotated[
        Duration,
        within(timedelta(seconds=10), timedelta(hours=12), "less cannot be renewed in time and Google issues no more"),
    ] = Field(
        default=timedelta(hours=1),
        description=(
            "Life to ask for, a duration from 10s to 12h. Default: 1h, the most that Google gives unless the "
            "organisation's policy iam.allowServiceAccountCredentialLifetimeExtension lists the account."
        ),
    )
    delegates: Several[GoogleAccount] = Field(
        default=(),
        description="Emails of the service accounts in between, first to last. Default: none, one step.",
    )


class Gar(Strict):
    """Google Artifact Registry and gcr.io. Without `credentialsFile`: application default credentials."""

    hosts: Several[str] = Field(
        description="Hosts of Artifact Registry or gcr.io, of any location: one token serves them all. Required.",
        examples=[["europe-west1-docker.pkg.dev"]],
    )
    credentials_file: File | None = Field(
        default=None,
        description=(
            "Absolute path of a service account key or of a workload identity federation file. Default: none, "
            "application default credentials, so no long-lived key is needed on GKE."
        ),
    )
    impersonate: Impersonate | None = Field(
        default=None,
        description=(
            "Service account to impersonate. Default: none. Recommended: its tokens always have a full life, "
            "those of a metadata server may arrive with a minute left."
        ),
    )


class DefaultIdentity(Strict):
    """azure-identity's default chain, without its interactive members."""

    model_config = ConfigDict(json_schema_extra={"required": ["type"]})

    type: Literal["default"] = Field(
        default="default", description="The default chain of azure-identity: environment, workload, managed identity."
    )
    tenant_id: Tenant | None = Field(
        default=None, description="Tenant (GUID or domain). Default: the one that the chain finds."
    )


class WorkloadIdentity(Strict):
    """Federated token of the Pod; what is left out is taken from the AZURE_* variable of the same name."""

    type: Literal["workload"] = Field(
        description="Workload identity federation: the Pod's projected token. Recommended on AKS: no secret to keep."
    )
    client_id: Guid | None = Field(
        default=None,
        description="Application (client) id, a GUID. Default: AZURE_CLIENT_ID, as the AKS webhook sets it.",
    )
    tenant_id: Tenant | None = Field(
        default=None, description="Tenant (GUID or domain). Default: AZURE_TENANT_ID, as the AKS webhook sets it."
    )
    token_file: File | None = Field(
        default=None,
        description="Absolute path of the projected token. Default: AZURE_FEDERATED_TOKEN_FILE, likewise.",
    )


class ManagedIdentity(Strict):
    """Managed identity: the system's, or the user-assigned one by client id or resource id."""

    type: Literal["managed"] = Field(description="Managed identity of the node. Default: the system-assigned one.")
    client_id: Guid | None = Field(
        default=None, description="Client id (GUID) of a user-assigned identity. Default: none. Not with resourceId."
    )
    resource_id: ManagedIdentityId | None = Field(
        default=None, description="Resource id of a user-assigned identity. Default: none. Not with clientId."
    )

    @model_validator(mode="after")
    def _one_id(self) -> Self:
        at_most_one({"clientId": self.client_id, "resourceId": self.resource_id})
        return self


class ClientSecret(Strict):
    """An application's secret, from a file or an environment variable, never from this file."""

    type: Literal["clientSecret"] = Field(description="An application's secret, for clusters outside of Azure.")
    client_id: Guid = Field(
        description="Application (client) id, a GUID. Required.", examples=["00000000-0000-0000-0000-000000000000"]
    )
    tenant_id: Tenant = Field(
        description="Tenant (GUID or domain). Required.", examples=["00000000-0000-0000-0000-000000000000"]
    )
    secret_file: File | None = Field(
        default=None,
        description="Absolute path of the file with the secret, read at each mint. This or secretEnv is required.",
    )
    secret_env: Variable | None = Field(
        default=None, description="Environment variable with the secret. This or secretFile is required."
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        exactly_one({"secretFile": self.secret_file, "secretEnv": self.secret_env})
        return self


class ClientCertificate(Strict):
    """An application's certificate with its private key (PEM or PKCS#12), from a file or an environment variable."""

    type: Literal["clientCertificate"] = Field(
        description="An application's certificate with its private key, PEM or PKCS#12, for clusters outside of Azure."
    )
    client_id: Guid = Field(
        description="Application (client) id, a GUID. Required.", examples=["00000000-0000-0000-0000-000000000000"]
    )
    tenant_id: Tenant = Field(
        description="Tenant (GUID or domain). Required.", examples=["00000000-0000-0000-0000-000000000000"]
    )
    certificate_file: File | None = Field(
        default=None,
        description="Absolute path of the certificate and key, read at each mint. This or certificateEnv is required.",
    )
    certificate_env: Variable | None = Field(
        default=None,
        description="Environment variable with the certificate and key as PEM. This or certificateFile is required.",
    )
    password_file: File | None = Field(
        default=None,
        description="Absolute path of the file with the key's password. Default: none, the key is bare.",
    )
    password_env: Variable | None = Field(
        default=None,
        description="Environment variable with the key's password. Default: none. Not with passwordFile.",
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        exactly_one({"certificateFile": self.certificate_file, "certificateEnv": self.certificate_env})
        at_most_one({"passwordFile": self.password_file, "passwordEnv": self.password_env})
        return self


AcrIdentity = Annotated[
    DefaultIdentity | WorkloadIdentity | ManagedIdentity | ClientSecret | ClientCertificate,
    Field(discriminator="type"),
]


class Acr(Strict):
    """Azure Container Registry: the hosts of one registry (its login server first, its regional ones after it)."""

    hosts: Several[str] = Field(
        description="Login server of a registry, then its regional hosts. Required. Each registry has its own tokens.",
        examples=[["contoso.azurecr.io"]],
    )
    identity: AcrIdentity = Field(
        default=DefaultIdentity(),
        description="Who asks, by its type. Default: {type: default}. Its secrets come from files or variables.",
    )
    cloud: Literal["public", "china", "usGovernment"] | None = Field(
        default=None,
        description="Azure cloud. Default: by the hosts' ending (io, cn, us). Needed only for allowHosts.",
    )
    audience: Literal["containerregistry", "arm"] = Field(
        default="containerregistry",
        description=(
            "Audience of the Azure token. Default: containerregistry, which every registry accepts; "
            "arm is refused where authentication-as-arm is disabled."
        ),
    )
    repository: Repository | None = Field(
        default=None,
        description=(
            "Narrows the credential to pulls of this one repository, without host and tag; it then lives some "
            "75 minutes. Default: none, every repository that the identity may pull, for about 3 hours."
        ),
    )
