"""The checks: each a pure function of the evidence, which gives a symptom for each trouble that it sees."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rotator.doctor.checks import configuration, permissions, pods, secrets, serviceaccounts, us
from rotator.doctor.diagnosis import Symptom
from rotator.doctor.evidence import Evidence, Topic


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name for the command line and JSON, what is well where it is silent, and what it looks at."""

    name: str
    description: str
    looks_at: tuple[Topic, ...]
    judge: Callable[[Evidence], Iterable[Symptom]]


CHECKS: tuple[Check, ...] = (
    Check(
        "permissions-fit",
        "rotator's ServiceAccount may do what the configuration asks for, and no more",
        (Topic.ACCESS,),
        permissions.fit,
    ),
    Check(
        "cloud-identities",
        "each registry's cloud knows who we are",
        (Topic.IDENTITIES,),
        us.identities,
    ),
    Check(
        "credentials-minted",
        "each cloud gives a credential that its registry accepts; it is not kept",
        (Topic.MINTS,),
        us.mints,
    ),
    Check(
        "clocks-agree",
        "our clock is that of the API server and of the registries",
        (Topic.CLOCKS,),
        us.clocks,
    ),
    Check(
        "lease-held",
        "a rotator runs, and leads",
        (Topic.LEASE,),
        us.lease_held,
    ),
    Check(
        "configuration-matches",
        "every namespace and ServiceAccount that the configuration means is there, and no Secret of ours is left over",
        (Topic.OURS,),
        configuration.matches,
    ),
    Check(
        "secrets-in-order",
        "our Secrets are there, rotator's to write, and hold credentials that live",
        (Topic.OURS,),
        secrets.in_order,
    ),
    Check(
        "pull-secrets-parse",
        "every pull secret that a Pod would read parses; one that does not fails all pulls of the Pod, public or not",
        (Topic.ACCOUNTS, Topic.PULL_SECRETS, Topic.PODS, Topic.TEMPLATES),
        secrets.parse,
    ),
    Check(
        "entries-not-shadowed",
        "no other pull secret comes before ours with an entry for the same host; some clients take the first",
        (Topic.ACCOUNTS, Topic.PULL_SECRETS),
        secrets.not_shadowed,
    ),
    Check(
        "references-in-place",
        "every ServiceAccount that is meant references its pull secrets",
        (Topic.OURS,),
        serviceaccounts.references_in_place,
    ),
    Check(
        "own-pull-secrets-admitted",
        "no workload names a pull secret that its strict ServiceAccount does not allow",
        (Topic.ACCOUNTS, Topic.TEMPLATES),
        serviceaccounts.own_pull_secrets_admitted,
    ),
    Check(
        "credentials-not-shared",
        "each component's ServiceAccount has a credential of its own, so that it can pull only what it runs",
        (Topic.OURS,),
        serviceaccounts.credentials_not_shared,
    ),
    Check(
        "images-pulled",
        "no Pod waits for an image that cannot be pulled",
        (Topic.PODS,),
        pods.images_pulled,
    ),
    Check(
        "references-used",
        "Pods and templates leave the pull secrets to their ServiceAccount, instead of naming others",
        (Topic.ACCOUNTS, Topic.PODS, Topic.TEMPLATES),
        pods.references_used,
    ),
    Check(
        "references-before-pods",
        "every Pod was created after its ServiceAccount got its reference",
        (Topic.ACCOUNTS, Topic.PODS),
        pods.created_after_reference,
    ),
    Check(
        "images-covered",
        "every image of a configured registry has a credential that covers it",
        (Topic.ACCOUNTS, Topic.PULL_SECRETS, Topic.PODS, Topic.TEMPLATES),
        pods.images_covered,
    ),
)
