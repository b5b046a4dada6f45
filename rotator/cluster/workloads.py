"""Pods, workloads and ServiceAccounts as the API server answers them, as far as they decide how images are pulled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from rotator.cluster.answers import Metadata, Page, Reference
from rotator.workloads import Account, Maker, Wait, Workload

STRICT = "kubernetes.io/enforce-mountable-secrets"
WAITING_FOR_AN_IMAGE = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
)
"""The kubelet's reasons that concern images (pkg/kubelet/images/types.go)."""
MESSAGE = 300
"""Characters kept of a kubelet's words, which may repeat a registry's whole answer."""


@dataclass(frozen=True, slots=True)
class Collection:
    """Where the API serves a kind, and what reads a page of it."""

    resource: str
    prefix: str
    decoder: msgspec.json.Decoder[Page[Any]]


class Container(msgspec.Struct):
    """Of a Pod, one container of any kind."""

    image: str = ""


class Waiting(msgspec.Struct):
    """Why a container does not run yet."""

    reason: str = ""
    message: str = ""


class ContainerState(msgspec.Struct):
    """Of a container's status."""

    waiting: Waiting | None = None


class ContainerStatus(msgspec.Struct):
    """What the kubelet says of a container."""

    image: str = ""
    state: ContainerState | None = None


class Spec(msgspec.Struct, rename="camel"):
    """Of a Pod or a template."""

    service_account_name: str = ""
    image_pull_secrets: list[Reference] | None = None
    containers: list[Container] | None = None
    init_containers: list[Container] | None = None
    ephemeral_containers: list[Container] | None = None

    def images(self) -> tuple[str, ...]:
        """Each image once, in the order in which a Pod needs them."""
        kinds = (self.init_containers, self.containers, self.ephemeral_containers)
        return tuple(dict.fromkeys(container.image for kind in kinds for container in kind or () if container.image))


class PodStatus(msgspec.Struct, rename="camel"):
    """Of a Pod."""

    phase: str = ""
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None
    ephemeral_container_statuses: list[ContainerStatus] | None = None

    def waits(self) -> tuple[Wait, ...]:
        """The containers that wait for an image."""
        kinds = (self.init_container_statuses, self.container_statuses, self.ephemeral_container_statuses)
        waiting = [
            (each.image, each.state.waiting)
            for kind in kinds
            for each in kind or ()
            if each.state is not None and each.state.waiting is not None
        ]
        return tuple(
            Wait(image, why.reason, why.message[:MESSAGE])
            for image, why in waiting
            if why.reason in WAITING_FOR_AN_IMAGE
        )


class Owner(msgspec.Struct):
    """Who made an object."""

    kind: str = ""
    controller: bool | None = None


class OwnedMetadata(Metadata):
    """Metadata that tells who made the object, and when."""

    creation_timestamp: datetime | None = None
    owner_references: list[Owner] | None = None


class Pod(msgspec.Struct):
    """A Pod after admission."""

    metadata: OwnedMetadata
    spec: Spec
    status: PodStatus = msgspec.field(default_factory=PodStatus)

    def record(self, kind: Maker) -> Workload | None:
        """What is asked of it; None of one that has ended or is on its way out, and pulls no more."""
        if self.status.phase in {"Succeeded", "Failed"} or self.metadata.deletion_timestamp:
            return None
        made = self.metadata.creation_timestamp
        return _workload(kind, self.metadata, self.spec, created_at=made, waits=self.status.waits())


class Template(msgspec.Struct):
    """Of Pods."""

    spec: Spec


class TemplateSpec(msgspec.Struct):
    """Of whatever makes Pods."""

    template: Template


class JobSpec(msgspec.Struct):
    """Of a Job in a CronJob."""

    spec: TemplateSpec


class CronJobSpec(msgspec.Struct, rename="camel"):
    """Of a CronJob."""

    job_template: JobSpec


class Condition(msgspec.Struct):
    """Of whatever makes Pods."""

    type: str = ""
    status: str = ""


class Progress(msgspec.Struct):
    """The status of whatever makes Pods."""

    conditions: list[Condition] | None = None

    @property
    def is_done(self) -> bool:
        """Whether it makes no more Pods: only Jobs have these conditions (batch/v1, JobConditionType)."""
        return any(each.type in {"Complete", "Failed"} and each.status == "True" for each in self.conditions or ())


class Templated(msgspec.Struct):
    """Whatever makes Pods."""

    metadata: OwnedMetadata
    spec: TemplateSpec
    status: Progress = msgspec.field(default_factory=Progress)

    def record(self, kind: Maker) -> Workload | None:
        """What is asked of it; None of a Job that is done."""
        return None if self.status.is_done else _of_template(kind, self.metadata, self.spec)


class CronJob(msgspec.Struct):
    """A CronJob."""

    metadata: OwnedMetadata
    spec: CronJobSpec

    def record(self, kind: Maker) -> Workload | None:
        """What is asked of it."""
        return _of_template(kind, self.metadata, self.spec.job_template.spec)


class ServiceAccount(msgspec.Struct, rename="camel"):
    """A ServiceAccount, with what the plan does not ask."""

    metadata: Metadata
    image_pull_secrets: list[Reference] | None = None

    def record(self) -> Account:
        """What is asked of it."""
        names = _names(self.image_pull_secrets)
        strict = (self.metadata.annotations or {}).get(STRICT) == "true"
        return Account(self.metadata.namespace, self.metadata.name, names, strict)


_TEMPLATED = msgspec.json.Decoder(Page[Templated])
COLLECTIONS: Mapping[Maker, Collection] = {
    Maker.POD: Collection("pods", "/api/v1", msgspec.json.Decoder(Page[Pod])),
    Maker.DEPLOYMENT: Collection("deployments", "/apis/apps/v1", _TEMPLATED),
    Maker.STATEFUL_SET: Collection("statefulsets", "/apis/apps/v1", _TEMPLATED),
    Maker.DAEMON_SET: Collection("daemonsets", "/apis/apps/v1", _TEMPLATED),
    Maker.JOB: Collection("jobs", "/apis/batch/v1", _TEMPLATED),
    Maker.CRON_JOB: Collection("cronjobs", "/apis/batch/v1", msgspec.json.Decoder(Page[CronJob])),
}
ACCOUNTS = msgspec.json.Decoder(Page[ServiceAccount])


def _of_template(kind: Maker, metadata: OwnedMetadata, spec: TemplateSpec) -> Workload | None:
    """One that something else made is left to that: a CronJob stands for its Jobs."""
    owned = any(owner.controller for owner in metadata.owner_references or ())
    return None if owned else _workload(kind, metadata, spec.template.spec)


def _workload(
    kind: Maker,
    metadata: Metadata,
    spec: Spec,
    created_at: datetime | None = None,
    waits: tuple[Wait, ...] = (),
) -> Workload:
    return Workload(
        kind=kind,
        namespace=metadata.namespace,
        name=metadata.name,
        service_account=spec.service_account_name or "default",
        pull_secrets=_names(spec.image_pull_secrets),
        images=spec.images(),
        created_at=created_at,
        waits=waits,
    )


def _names(references: Sequence[Reference] | None) -> tuple[str, ...]:
    return tuple(reference.name for reference in references or ())
