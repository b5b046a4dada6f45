"""The configuration: what is written in YAML, as types, with its validation.

`models` is what a reader of the file sees, `sources` the three kinds of registry in it; `values` says what one setting
can be, `rules` what must hold between settings; `file` reads it all, strictly, and words every problem at once.
"""

from rotator.config.file import load, parse, read, schema
from rotator.config.models import (
    MOST_WRITERS,
    Config,
    FanOut,
    Former,
    LeaderElection,
    Namespaces,
    Probe,
    Prune,
    PullSecret,
    Registry,
    Renewal,
    ServiceAccounts,
)
from rotator.config.sources import (
    Acr,
    AcrIdentity,
    AssumeRole,
    ClientCertificate,
    ClientSecret,
    DefaultIdentity,
    Ecr,
    Gar,
    Impersonate,
    ManagedIdentity,
    WorkloadIdentity,
)

__all__ = [
    "MOST_WRITERS",
    "Acr",
    "AcrIdentity",
    "AssumeRole",
    "ClientCertificate",
    "ClientSecret",
    "Config",
    "DefaultIdentity",
    "Ecr",
    "FanOut",
    "Former",
    "Gar",
    "Impersonate",
    "LeaderElection",
    "ManagedIdentity",
    "Namespaces",
    "Probe",
    "Prune",
    "PullSecret",
    "Registry",
    "Renewal",
    "ServiceAccounts",
    "WorkloadIdentity",
    "load",
    "parse",
    "read",
    "schema",
]
