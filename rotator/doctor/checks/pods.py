"""Will Pods pull what they run: those that are there, and those that templates will make?"""

from collections.abc import Iterable, Iterator

from rotator import hosts, imagename, keyring, selection
from rotator.doctor.diagnosis import Object, Result, Symptom, grouped
from rotator.doctor.evidence import Evidence
from rotator.errors import UnparsableImage, UnparsableSecret
from rotator.events import shown
from rotator.keyring import PullSecretData
from rotator.workloads import Maker, Workload

EXPLAIN = "rotator explain IMAGE --namespace NAMESPACE --pod POD tells what the registry says to each credential"


def images_pulled(evidence: Evidence) -> Iterable[Symptom]:
    """The Pods that wait for an image, by what the kubelet says."""
    return grouped(
        (Symptom(Result.PROBLEM, f"{wait.image}: {wait.reason}: {shown(wait.message)}", hint=EXPLAIN), _object(pod))
        for pod in evidence.pods
        for wait in pod.waits
    )


def references_used(evidence: Evidence) -> Iterable[Symptom]:
    """Those that name pull secrets, and not ours: what the ServiceAccount references does not reach them."""
    return grouped(
        (
            Symptom(
                Result.WARNING,
                f"names its own pull secrets, so {', '.join(left_out)} of ServiceAccount {workload.service_account} "
                "does not reach it",
                hint="leave imagePullSecrets out of the template, or add the name to it",
            ),
            _object(workload),
        )
        for workload in evidence.workloads
        if (left_out := _left_out(workload, evidence)) and _names_its_own(workload, evidence)
    )


def created_after_reference(evidence: Evidence) -> Iterable[Symptom]:
    """The Pods that got no reference, because their ServiceAccount had none then: they never will."""
    return grouped(
        (
            Symptom(
                Result.WARNING,
                f"was created before its ServiceAccount {pod.service_account} referenced {', '.join(left_out)}, "
                "and never gets it",
                hint="replace it when it suits (kubectl rollout restart); what it runs now is not affected",
            ),
            _object(pod),
        )
        for pod in evidence.pods
        if (left_out := _left_out(pod, evidence)) and not _names_its_own(pod, evidence)
    )


def images_covered(evidence: Evidence) -> Iterable[Symptom]:
    """The images of private registries for which no pull secret has a credential."""
    return grouped(_uncovered(evidence))


def _object(workload: Workload) -> Object:
    return Object(workload.kind, workload.namespace, workload.name)


# Which pull secrets reach a Pod --------------------------------------------------------------------------------------


def _left_out(workload: Workload, evidence: Evidence) -> list[str]:
    """The pull secrets of ours that its ServiceAccount references, that it would use, and that it does not get."""
    account = evidence.accounts.get((workload.namespace, workload.service_account))
    if account is None or (workload.kind is not Maker.POD and not workload.pull_secrets):
        return []
    return [
        name
        for name in account.pull_secrets
        if name not in workload.pull_secrets and _would_use(workload, name, evidence)
    ]


def _would_use(workload: Workload, name: str, evidence: Evidence) -> bool:
    """Whether one of its images is of a host that this pull secret of ours is for."""
    wanted = {
        host
        for pull_secret in evidence.config.pull_secrets
        if pull_secret.name == name
        for host in selection.hosts(pull_secret, evidence.config)
    }
    return any(_host(image) in wanted for image in workload.images)


def _names_its_own(workload: Workload, evidence: Evidence) -> bool:
    """Whether the list is its own. A Pod's that is all of its ServiceAccount's was copied from there, at its creation.

    An empty list was copied too, from an empty one.
    """
    if workload.kind is not Maker.POD:
        return bool(workload.pull_secrets)
    account = evidence.accounts.get((workload.namespace, workload.service_account))
    return account is None or not set(workload.pull_secrets) <= set(account.pull_secrets)


# Which images are covered --------------------------------------------------------------------------------------------


def _uncovered(evidence: Evidence) -> Iterator[tuple[Symptom, Object]]:
    covered = _Coverage()
    for workload in evidence.workloads:
        names = _names(workload, evidence)
        for image in workload.images:
            host = _host(image)
            is_ours = host in evidence.hosts
            if (is_ours or _is_private(host)) and not covered.by(evidence.keyring(workload.namespace, names), image):
                yield _symptom(image, host, names, is_ours=is_ours), _object(workload)


def _symptom(image: str, host: str, names: tuple[str, ...], *, is_ours: bool) -> Symptom:
    message = f"no credential covers {image}, in {', '.join(names) or 'no pull secret at all'}"
    if is_ours:
        return Symptom(Result.PROBLEM, message, hint="cover its namespace and ServiceAccount with a pull secret for it")
    unless = "where nodes or others have no access to it of their own"
    return Symptom(Result.WARNING, message, hint=f"add {host} to a registry of the configuration, {unless}")


def _names(workload: Workload, evidence: Evidence) -> tuple[str, ...]:
    """The pull secrets that its Pods get: admission copies the ServiceAccount's where a template names none."""
    if workload.kind is Maker.POD or workload.pull_secrets:
        return workload.pull_secrets
    account = evidence.accounts.get((workload.namespace, workload.service_account))
    return account.pull_secrets if account else ()


def _host(image: str) -> str:
    """The image's host; of a name that does not parse: none."""
    try:
        return imagename.repository(image).partition("/")[0]
    except UnparsableImage:
        return ""


def _is_private(host: str) -> bool:
    """Whether it is a registry of a cloud that serves nobody without a credential. Others may be public."""
    ecr = hosts.ecr(host)
    return (ecr is not None and not ecr.public) or hosts.acr(host) is not None


class _Coverage:
    """Whether a keyring has something for an image: asked once for all Pods that have the same texts."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], bool] = {}

    def by(self, secrets: tuple[PullSecretData, ...], image: str) -> bool:
        texts = tuple((secret.type, *secret.data.items()) for secret in secrets)
        if (texts, image) not in self._known:
            self._known[texts, image] = _has_match(secrets, image)
        return self._known[texts, image]


def _has_match(secrets: tuple[PullSecretData, ...], image: str) -> bool:
    try:
        return bool(keyring.lookup(secrets, image))
    except UnparsableSecret:
        return True  # what does not parse is another check's
