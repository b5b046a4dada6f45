"""The configuration: what is written in YAML, as types. Names are snake_case here and camelCase in the file.

Each setting says its unit, default and reason once, here: the JSON Schema, `config.example.yaml` and the documentation
repeat these descriptions. What must hold between settings stands in `rules`; `file` reads the file.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from rotator.config.rules import KINDS, exactly_one
from rotator.config.sources import (
    Acr,
    Ecr,
    Gar,
    Strict,
)
from rotator.config.values import (
    AccountPattern,
    Duration,
    ExactHost,
    Name,
    NamespacePattern,
    Reference,
    Repository,
    SecretName,
    Selector,
    Several,
    Share,
    share_within,
    whole_within,
    within,
)
from rotator.leadership import Timing

MOST_WRITERS = 64
"""More connections than this from one client are nobody's idea of fairness."""

_TIMING = Timing()
_LEASE_TIMES = (timedelta(seconds=1), timedelta(minutes=5), "a Lease is kept in whole seconds, and must change hands")


class Probe(Strict):
    """How a new credential is shown to its registry before it is published."""

    enabled: bool = Field(
        default=True, description="Whether it is shown. Default: true, so that no refused credential reaches a Secret."
    )
    repository: Repository | None = Field(
        default=None,
        description=(
            "Repository whose manifest is asked for, without host and tag. Default: none, "
            "which proves that the token is good, but not that it may pull."
        ),
    )
    reference: Reference = Field(default="latest", description="Tag or digest in that repository. Default: latest.")
    on_unknown: Literal["auto", "publish", "keep"] = Field(
        default="auto",
        description=(
            "What to do when the registry gives no verdict (5xx, time-out): publish the new credential, keep the old "
            "one, or auto. Default: auto, which publishes only if the old one would expire before the next try."
        ),
    )


class Registry(Strict):
    """One source of credentials: exactly one of ecr, gar, acr."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [kind]} for kind in KINDS]})

    name: Name = Field(
        description="Name of the registry, a DNS label, in pull secrets, logs and metrics. Required, unique.",
        examples=["prod"],
    )
    ecr: Ecr | None = Field(default=None, description="Amazon ECR. Exactly one of ecr, gar and acr is required.")
    gar: Gar | None = Field(default=None, description="Google Artifact Registry. Exactly one of ecr, gar, acr.")
    acr: Acr | None = Field(default=None, description="Azure Container Registry. Exactly one of ecr, gar, acr.")
    allow_hosts: Several[ExactHost] = Field(
        default=(),
        description=(
            "Further hosts (host or host:port, no patterns) that may be shown this credential: mirrors among the "
            "hosts, and token servers. Default: none, only hosts of the cloud's own form."
        ),
    )
    deadline: Annotated[
        Duration,
        within(timedelta(seconds=1), timedelta(minutes=2), "no answer takes less, and a pass waits for it"),
    ] = Field(
        default=timedelta(seconds=20),
        description=(
            "Longest time that one mint may take, a duration from 1s to 2m. Default: 20s, "
            "far above what a sound cloud needs and far below any credential's life."
        ),
    )
    probe: Probe = Field(default=Probe(), description="The check of a new credential. Default: enabled, as below.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        exactly_one({"ecr": self.ecr, "gar": self.gar, "acr": self.acr})
        return self

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

    names: Several[NamespacePattern] = Field(
        default=("*",),
        description='Names, or patterns with *, ? and [abc]. Default: "*", every namespace but what the rest excludes.',
        examples=[["shuffle", "team-*"]],
    )
    exclude: Several[NamespacePattern] = Field(
        default=(), description="Names or patterns that are left out, whatever names says. Default: none."
    )
    labels: Selector | None = Field(
        default=None,
        description="Kubernetes label selector that a namespace must meet too. Default: none, labels do not matter.",
    )


class ServiceAccounts(Strict):
    """ServiceAccounts that reference the pull secret. `ensure` attaches a missing reference, `verify` reports it."""

    names: Several[AccountPattern] = Field(
        default=(),
        description=(
            'Names, or patterns with *, ? and [abc]; "*" means all. Default: none, so that without names and labels no '
            "ServiceAccount is touched. Plain names need the least RBAC."
        ),
        examples=[["shuffle-workers", "shuffle-app"]],
    )
    labels: Selector | None = Field(
        default=None,
        description="Kubernetes label selector that they must meet (beside names, if there are any). Default: none.",
    )
    mode: Literal["ensure", "verify"] = Field(
        default="ensure",
        description=(
            "ensure attaches a missing reference, verify only reports it. Default: ensure, "
            "because a Pod created without the reference never heals."
        ),
    )


class PullSecret(Strict):
    """One Secret of type kubernetes.io/dockerconfigjson, in every selected namespace."""

    name: SecretName = Field(
        description="Name of the Secret, at most 63 characters, because it is a label's value too. Required, unique.",
        examples=["worker-pull"],
    )
    registries: Several[Name] = Field(
        description="Names of the registries whose hosts it opens. Required. No two of them may claim one host.",
        examples=[["prod"]],
    )
    namespaces: Namespaces = Field(
        description="Where it is kept. Required: in which namespaces a credential lies is a decision, not a default.",
        examples=[{"names": ["shuffle"]}],
    )
    service_accounts: ServiceAccounts = Field(
        default=ServiceAccounts(), description="Who references it. Default: no ServiceAccount is touched."
    )
    adopt: bool = Field(
        default=False,
        description=(
            "Whether a Secret of this name that rotator did not create may be written. Default: false, "
            "so that nobody's Secret is changed by surprise. Foreign entries are kept either way."
        ),
    )


class Renewal(Strict):
    """When credentials are renewed: `at` is a share of the life left at issue, `jitter` moves only the wake-up."""

    at: Annotated[
        Share,
        *share_within(0.05, 0.95, "earlier would ask the cloud without need, and later leave no time for a retry"),
    ] = Field(
        default=0.5,
        description=(
            "Share of the life left at issue after which a credential is due, from 0.05 to 0.95 (or 5% to 95%). "
            "Default: 0.5, so that an outage may last as long as half a life."
        ),
    )
    jitter: Annotated[
        Share,
        *share_within(0.0, 0.5, "more would let wake-ups drift past the expiry"),
    ] = Field(
        default=0.1,
        description=(
            "Share by which a wake-up may move, from 0 to 0.5 (or 0% to 50%). Default: 10%, "
            "so that many clusters do not ask one cloud at once. It never changes whether a credential is due."
        ),
    )
    sweep: Annotated[
        Duration,
        within(timedelta(seconds=2), timedelta(hours=1), "a pass reads the cluster and is the net under lost events"),
    ] = Field(
        default=timedelta(minutes=5),
        description=(
            "Time between passes over everything, a duration from 2s to 1h. Default: 5m, "
            "the longest that anything missed stays unrepaired."
        ),
    )


class FanOut(Strict):
    """How a pass writes to many namespaces: beside other clients of the API server, and not in their way."""

    concurrency: Annotated[
        int, *whole_within(1, MOST_WRITERS, "each is a connection, and the API server has other clients")
    ] = Field(
        default=16,
        description=(
            "Namespaces written at a time, from 1 to 64. Default: 16; more gained nothing against one API server. "
            "Fewer are written at a time while its answers are slow. Repairs of what somebody changed come beside them."
        ),
    )
    per_second: Annotated[int, *whole_within(1, 10_000, "no API server writes faster")] = Field(
        default=100,
        description=(
            "Namespaces renewed per second while nothing presses, from 1 to 10000. Default: 100. Faster where that "
            "would take more than a tenth of the time that the credentials have left, and as fast as can be for what "
            "is missing or expired, while another pass waits, and in rotator once."
        ),
    )


class LeaderElection(Strict):
    """Which of several replicas writes: the one that holds the Lease. Names and defaults are client-go's."""

    enabled: bool = Field(
        default=True,
        description=(
            "Whether a Lease decides who writes. Default: true, so that a second replica stands by and a rollout never "
            "has two writers. Only rotator run asks."
        ),
    )
    namespace: Name | None = Field(
        default=None,
        description="Namespace of the Lease. Default: the Pod's own, else that of the kubeconfig's context.",
    )
    name: Name = Field(
        default="rotator",
        description="Name of the Lease, a DNS label. Default: rotator. Two installations in one namespace need two.",
    )
    lease_duration: Annotated[Duration, within(*_LEASE_TIMES)] = Field(
        default=_TIMING.lease_duration,
        description=(
            "Time after which another may take over from a leader that is silent, a duration from 1s to 5m. "
            "Default: 15s. Longer than renewDeadline: what is between the two is for writes under way."
        ),
    )
    renew_deadline: Annotated[Duration, within(*_LEASE_TIMES)] = Field(
        default=_TIMING.renew_deadline,
        description=(
            "Time after which a leader that could not renew ceases to write by itself, a duration from 1s to 5m. "
            "Default: 10s. Longer than 1.2 times retryPeriod."
        ),
    )
    retry_period: Annotated[Duration, within(*_LEASE_TIMES)] = Field(
        default=_TIMING.retry_period,
        description="Time between two renewals, or two looks of a standby, a duration from 1s to 5m. Default: 2s.",
    )

    @property
    def timing(self) -> Timing:
        """The three durations. Raises ValueError where they do not go together."""
        return Timing(self.lease_duration, self.renew_deadline, self.retry_period)

    @model_validator(mode="after")
    def _durations_go_together(self) -> Self:
        _ = self.timing
        return self


class Former(Strict):
    """A pull secret that left the configuration, or some of its namespaces, where its Secrets are still looked for."""

    name: SecretName = Field(description="Name of the Secret. Required.", examples=["old-pull"])
    namespaces: Namespaces = Field(
        description="Where it was kept. Required. A namespace that a pull secret of this name covers is left out.",
        examples=[{"names": ["team-old"]}],
    )


class Prune(Strict):
    """What becomes of our Secrets that no pull secret covers any more: they are reported, or removed once expired."""

    enabled: bool = Field(
        default=False,
        description=(
            "Whether they are removed, the references to them first, once their last credential has expired: until "
            "then a mistake costs nothing. Default: false, so that nothing is deleted unless it is asked for."
        ),
    )
    former: Several[Former] = Field(
        default=(),
        description=(
            "Pull secrets, or namespaces of listed ones, that left this file: rotator lists no Secret without a name, "
            "so it finds them only here. Default: none. Take a line out when its Secrets are gone."
        ),
        examples=[[{"name": "old-pull", "namespaces": {"names": ["team-old"]}}]],
    )


class Config(Strict):
    """The whole configuration."""

    registries: Several[Registry] = Field(
        description="The sources of credentials. Required, at least one.",
        examples=[[{"name": "prod", "ecr": {"hosts": ["123456789012.dkr.ecr.eu-west-1.amazonaws.com"]}}]],
    )
    pull_secrets: Several[PullSecret] = Field(
        description="The Secrets to keep fresh. Required, at least one.",
        examples=[[{"name": "worker-pull", "registries": ["prod"], "namespaces": {"names": ["shuffle"]}}]],
    )
    renewal: Renewal = Field(default=Renewal(), description="When credentials are renewed. Default: as below.")
    fan_out: FanOut = Field(default=FanOut(), description="How fast many namespaces are written. Default: as below.")
    leader_election: LeaderElection = Field(
        default=LeaderElection(), description="Which of several replicas writes. Default: as below."
    )
    prune: Prune = Field(
        default=Prune(), description="What becomes of Secrets that left this file. Default: they are only reported."
    )

    def registry(self, name: str) -> Registry:
        """The registry of that name; references are validated by `rules`, so it exists."""
        return next(registry for registry in self.registries if registry.name == name)

    def pull_secret(self, name: str) -> PullSecret:
        """The pull secret of that name."""
        return next(pull_secret for pull_secret in self.pull_secrets if pull_secret.name == name)
