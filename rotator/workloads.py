"""Pods, and what makes them: how they pull, and what of it fails. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Maker(StrEnum):
    """The kinds of object that say how Pods pull: Pods themselves, and those that carry a template of them."""

    POD = "Pod"
    DEPLOYMENT = "Deployment"
    STATEFUL_SET = "StatefulSet"
    DAEMON_SET = "DaemonSet"
    JOB = "Job"
    CRON_JOB = "CronJob"


@dataclass(frozen=True, slots=True)
class Wait:
    """A container that waits for its image: the kubelet's reason, such as ImagePullBackOff, and its words."""

    image: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Workload:
    """A Pod or a template: who pulls which images with what.

    `pull_secrets` of a Pod are those after admission, which copies the ServiceAccount's where the Pod names none; of a
    template those that it names. `created_at` and `waits` are a Pod's.
    """

    kind: Maker
    namespace: str
    name: str
    service_account: str
    pull_secrets: tuple[str, ...]
    images: tuple[str, ...]
    created_at: datetime | None = None
    waits: tuple[Wait, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """A ServiceAccount as its Pods meet it: `is_strict` where they may name no pull secret that it does not name.

    That is the annotation kubernetes.io/enforce-mountable-secrets.
    """

    namespace: str
    name: str
    pull_secrets: tuple[str, ...] = ()
    is_strict: bool = False
