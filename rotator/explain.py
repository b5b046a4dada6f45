"""Would this image be pulled, and why (not)? What a kubelet would do now, with each of its credentials in turn.

Everything is read with the caller's own rights: any image, any Secret, rotator's or not. A credential is shown to the
registry that it is for, as the kubelet would show it, and to nobody else; no value of it is ever shown to a person.
What a node has beside pull secrets (credential providers, its own configuration) cannot be seen from here.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, TypedDict

from rotator import annotations, dockerconfig, imagename, keyring
from rotator.annotations import Note, stamp
from rotator.cluster.client import Cluster
from rotator.config import Probe
from rotator.errors import NotFound, UnparsableSecret
from rotator.jsonrecord import Time, told
from rotator.keyring import Match, PullSecretData
from rotator.model import DATA_KEY, LEGACY_DATA_KEY, SecretRecord, SecretText
from rotator.probe import Finding, Login, Verdict, probe, probe_as_anybody

TIMEOUT = timedelta(seconds=15)
"""For one credential at its registry, all requests together."""

DOCKER_HUB = "docker.io"
DOCKER_HUB_API, DOCKER_HUB_TOKENS = "registry-1.docker.io", "auth.docker.io"
"""Where containerd goes for docker.io (remotes/docker/registry.go), and where that sends it for a token."""


class Prospect(StrEnum):
    """What would become of the pull."""

    PULLS = "Pulls"
    PULLS_AS_ANYBODY = "PullsAsAnybody"
    REFUSED = "Refused"
    NO_CREDENTIAL = "NoCredential"
    IMAGE_MISSING = "ImageMissing"
    UNPARSABLE = "Unparsable"
    UNDECIDED = "Undecided"

    @property
    def is_good(self) -> bool:
        """Whether the image comes."""
        return self in {Prospect.PULLS, Prospect.PULLS_AS_ANYBODY}


class StepRecord(TypedDict):
    """One credential, or a pull secret that has none for the image."""

    pullSecret: Annotated[str, told("the Secret's name")]
    key: Annotated[str | None, told("the key of auths that fits, as it is written there; null: none does")]
    registry: Annotated[str | None, told("the registry whose credential rotator wrote there; null: somebody else's")]
    issuedAt: Annotated[Time | None, told("when that was issued")]
    expiresAt: Annotated[Time | None, told("when that expires")]
    verdict: Annotated[Verdict | None, told("what the image's registry says of it; null: it was not shown")]
    status: Annotated[int | None, told("the HTTP status that decided")]
    message: Annotated[str, told("the same for a person, with what to do about it")]


class ExplanationRecord(TypedDict):
    """What a kubelet would do for one image."""

    image: Annotated[str, told("as it was asked for")]
    namespace: Annotated[str, told("where the Pod is, or would be")]
    puller: Annotated[str, told("which Pod it is about, for a person")]
    steps: Annotated[list[StepRecord], told("the credentials in the order in which they are tried, then the rest")]
    verdict: Annotated[Prospect, told("what becomes of the pull; it succeeds with Pulls and PullsAsAnybody")]
    message: Annotated[str, told("the same for a person, with what to do about it")]


@dataclass(frozen=True, slots=True)
class Step:
    """One pull secret or credential, in the kubelet's order, and what comes of it. `key` is "" without a credential.

    `note` is rotator's own about this credential; None: somebody else's, or not as rotator wrote it.
    """

    secret: str
    key: str = ""
    note: Note | None = None
    finding: Finding | None = None
    problem: str = ""

    def record(self) -> StepRecord:
        """The step as JSON."""
        finding = self.finding
        return {
            "pullSecret": self.secret,
            "key": self.key or None,
            "registry": self.note.registry if self.note else None,
            "issuedAt": stamp(self.note.issued_at) if self.note else None,
            "expiresAt": stamp(self.note.expires_at) if self.note else None,
            "verdict": finding.verdict if finding else None,
            "status": finding.status if finding else None,
            "message": finding.message if finding else self.problem,
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a kubelet would do for this image, and the verdict in one line."""

    image: str
    puller: str
    namespace: str
    steps: tuple[Step, ...]
    prospect: Prospect
    message: str

    @property
    def exit_code(self) -> int:
        """0: it pulls."""
        return 0 if self.prospect.is_good else 1

    def record(self) -> ExplanationRecord:
        """The explanation as JSON."""
        return {
            "image": self.image,
            "namespace": self.namespace,
            "puller": self.puller,
            "steps": [step.record() for step in self.steps],
            "verdict": self.prospect,
            "message": self.message,
        }


Ask = Callable[[Login | None], Finding]
"""Asks the registry for the image, with a credential or as anybody."""


def of_service_account(cluster: Cluster, image: str, namespace: str, name: str) -> Explanation:
    """What a Pod would meet that is created now. Raises UnparsableImage, and ClusterError where nothing can be read."""
    account = cluster.service_account(namespace, name)
    return _explain(cluster, image, namespace, f"a new Pod of ServiceAccount {name}", account.pull_secrets or ())


def of_pod(cluster: Cluster, image: str, namespace: str, name: str) -> Explanation:
    """What this Pod meets, with the pull secrets that it got when it was created. Raises the same."""
    return _explain(cluster, image, namespace, f"Pod {name}", cluster.pod_pull_secrets(namespace, name))


def _explain(cluster: Cluster, image: str, namespace: str, puller: str, names: Sequence[str]) -> Explanation:
    ask = _asking(image)
    found, absent = _read(cluster, namespace, names)
    try:
        matches = keyring.lookup([data for data, _ in found], image)
    except UnparsableSecret as error:
        steps = (*absent, Step(error.secret, problem=error.message))
        message = f"pull secret {error.secret} does not parse, which fails every pull; {error.hint}"
        return Explanation(image, puller, namespace, steps, Prospect.UNPARSABLE, message)
    records = {record.name: record for _, record in found}
    tried = _tried(matches, records, ask)
    silent = [Step(name, problem="has no entry for this image") for name in records if name not in _secrets(tried)]
    findings = [step.finding for step in tried if step.finding]
    prospect, message = _judged(findings, ask) if findings else _judged_as_anybody(names, ask)
    return Explanation(image, puller, namespace, (*tried, *silent, *absent), prospect, message)


def _asking(image: str) -> Ask:
    """Raises UnparsableImage."""
    host, _, repository = imagename.repository(image).partition("/")
    settings = Probe(repository=repository, reference=imagename.reference(image))
    hub = host == DOCKER_HUB
    place, allowed = (DOCKER_HUB_API, (DOCKER_HUB_TOKENS,)) if hub else (host, ())

    def ask(login: Login | None) -> Finding:
        return probe(login, place, settings, allowed, TIMEOUT) if login else probe_as_anybody(place, settings, TIMEOUT)

    return ask


# The pull secrets ----------------------------------------------------------------------------------------------------

Found = tuple[PullSecretData, SecretRecord]


def _read(cluster: Cluster, namespace: str, names: Sequence[str]) -> tuple[list[Found], list[Step]]:
    """The Secrets in the Pod's order, each once; and those that are not there, which a kubelet passes over."""
    found, absent = [], []
    for name in dict.fromkeys(names):
        try:
            record, legacy = cluster.pull_secret(namespace, name)
        except NotFound:
            absent.append(Step(name, problem="there is no such Secret; the kubelet goes on without it"))
        else:
            found.append((PullSecretData(name, record.type, _data(record, legacy)), record))
    return found, absent


def _data(record: SecretRecord, legacy: SecretText | None) -> dict[str, str]:
    texts = {DATA_KEY: record.text, LEGACY_DATA_KEY: legacy}
    return {key: text.reveal() for key, text in texts.items() if text is not None}


def _note(match: Match, record: SecretRecord) -> Note | None:
    """What rotator noted about it, if what stands there is still what it wrote."""
    note = annotations.read(record.annotations).get(match.key)
    digest = dockerconfig.digests(record.text).get(match.key) if record.text and note else None
    return note if note and note.digest == digest else None


# The registry --------------------------------------------------------------------------------------------------------


def _tried(matches: Iterable[Match], records: dict[str, SecretRecord], ask: Ask) -> list[Step]:
    """Each credential in turn, until the image comes; whatever fails, the kubelet tries the next.

    Source: Kubernetes 1.36, pkg/kubelet/kuberuntime/kuberuntime_image.go.
    """
    steps = []
    for match in matches:
        finding = ask(match)
        steps.append(Step(match.secret, match.key, _note(match, records[match.secret]), finding))
        if _comes(finding):
            break
    return steps


def _comes(finding: Finding) -> bool:
    """Whether this answer is the image."""
    return finding.verdict in {Verdict.ACCEPTED, Verdict.OPEN} and finding.status != HTTPStatus.NOT_FOUND


def _secrets(steps: Iterable[Step]) -> set[str]:
    return {step.secret for step in steps}


def _judged(findings: Sequence[Finding], ask: Ask) -> tuple[Prospect, str]:
    """What the registry's answers to the credentials come to."""
    last = findings[-1]
    if _comes(last) and last.verdict is Verdict.OPEN:
        return Prospect.PULLS_AS_ANYBODY, "the registry asks for no credential"
    if _comes(last):
        return Prospect.PULLS, f"credential {len(findings)} of those tried opens it"
    by_verdict = {finding.verdict: finding for finding in findings}
    if unknown := by_verdict.get(Verdict.UNKNOWN):
        return Prospect.UNDECIDED, unknown.message
    if let_in := by_verdict.get(Verdict.ACCEPTED) or by_verdict.get(Verdict.OPEN):
        return Prospect.IMAGE_MISSING, let_in.message
    public = _comes(ask(None))
    more = "; anybody could pull it, but with a credential at hand no kubelet tries that" if public else ""
    return Prospect.REFUSED, f"{last.message}{more}"


def _judged_as_anybody(names: Sequence[str], ask: Ask) -> tuple[Prospect, str]:
    """No credential fits, so the kubelet asks as anybody."""
    finding = ask(None)
    if _comes(finding):
        return Prospect.PULLS_AS_ANYBODY, "no pull secret is for it, and none is needed"
    if finding.verdict is Verdict.OPEN:
        return Prospect.IMAGE_MISSING, finding.message
    if finding.verdict is Verdict.UNKNOWN:
        return Prospect.UNDECIDED, finding.message
    why = "none of the pull secrets is for it" if names else "there is no pull secret"
    return Prospect.NO_CREDENTIAL, f"{why}, and {finding.message}"
