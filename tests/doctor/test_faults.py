"""Each check of Secrets, ServiceAccounts and Pods: silent where all is well, and a fault on a real cluster is named."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from rotator.doctor import CHECKS, Result
from rotator.doctor.diagnosis import Object
from tests.doctor.ward import ACCOUNT, IMAGE, Hospital, Ward, entries, examined, named, pod_spec, pull_secret
from tests.outside import ACR, ECR, SECRET
from tests.waiting import eventually

NAMES = (
    "secrets-in-order",
    "pull-secrets-parse",
    "entries-not-shadowed",
    "references-in-place",
    "own-pull-secrets-admitted",
    "credentials-not-shared",
    "images-pulled",
    "references-used",
    "references-before-pods",
    "images-covered",
)
OURS = named(*NAMES)


@dataclass(frozen=True)
class Fault:
    """What is done to a ward, which check must name it, with which words, about which objects; and who else may."""

    check: str
    result: Result
    words: str
    objects: tuple[str, ...]
    make: Callable[[Ward], object]
    also: tuple[str, ...] = ()


def expire(ward: Ward) -> None:
    """As if rotator had been away for a day."""
    found = ward.installation.secret(ward.namespace)
    notes = found["metadata"]["annotations"]
    stale = {
        key: value.replace("2026-", "2025-").replace("2027-", "2025-") if "20" in value else value
        for key, value in notes.items()
    }
    ward.patch(f"secrets/{SECRET}", {"metadata": {"annotations": stale}})


def make_foreign(ward: Ward) -> None:
    """Somebody deleted ours and made their own."""
    ward.delete(f"secrets/{SECRET}")
    ward.create(pull_secret(SECRET, entries(ECR)))


def make_another_type(ward: Ward) -> None:
    """Ours by its annotations and labels, but of the wrong type."""
    metadata = ward.installation.secret(ward.namespace)["metadata"]
    ward.delete(f"secrets/{SECRET}")
    kept = {key: metadata[key] for key in ("name", "labels", "annotations")}
    ward.create({"apiVersion": "v1", "kind": "Secret", "metadata": kept, "type": "Opaque"})


def make_immutable(ward: Ward) -> None:
    """Somebody locked ours."""
    ward.patch(f"secrets/{SECRET}", {"immutable": True})


def add_rivals(ward: Ward) -> None:
    """An older tool's pull secret for a host of ours comes first."""
    ward.add_pull_secret("older-tool", entries(ECR))
    ward.reference("older-tool", SECRET)


def break_a_neighbour(ward: Ward) -> None:
    """Somebody else's pull secret, after ours, is not what a kubelet can parse."""
    ward.add_pull_secret("broken", json.dumps({"auths": {"registry.example.com": {"auth": "%"}}}))
    ward.reference(SECRET, "broken")


def own_pull_secret(ward: Ward) -> list[dict[str, str]]:
    """A pull secret that only a template or Pod names."""
    ward.add_pull_secret("own", entries(ECR))
    return [{"name": "own"}]


def make_strict(ward: Ward) -> None:
    """Admission refuses the Deployment's Pods: it names a Secret that its ServiceAccount does not."""
    strict = {"metadata": {"annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}}}
    ward.patch(f"serviceaccounts/{ACCOUNT}", strict)
    ward.add_deployment("strict", imagePullSecrets=[{"name": "elsewhere"}, {"name": SECRET}])


def let_a_pull_fail(ward: Ward, words: str = "401 Unauthorized") -> None:
    """As a kubelet reports it, with the registry's words."""
    waiting = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{IMAGE}": {words}'}
    status = {"name": "main", "image": IMAGE, "imageID": "", "ready": False, "restartCount": 0}
    ward.patch("pods/worker-0/status", {"status": {"containerStatuses": [{**status, "state": {"waiting": waiting}}]}})


def add_a_pod_too_early(ward: Ward) -> None:
    """Created before its ServiceAccount had the reference; admission knows of that from a watch, so a moment later."""
    ward.patch(f"serviceaccounts/{ACCOUNT}", {"imagePullSecrets": None})

    def is_early() -> bool:
        if "imagePullSecrets" not in ward.add_pod("early")["spec"]:
            return True
        ward.delete("pods/early?gracePeriodSeconds=0")
        return False

    eventually(is_early, "a Pod that admission gives no reference")
    ward.reference(SECRET)


def add_a_cronjob(ward: Ward) -> None:
    """Of an image that no credential is for."""
    template = {"template": {"spec": pod_spec(f"{ACR}/other:1", "default", restartPolicy="Never")}}
    spec = {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": template}}
    ward.create({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "yearly"}, "spec": spec})


FAULTS = {
    "an expired credential": Fault("secrets-in-order", Result.PROBLEM, "Expired:", (f"Secret {SECRET}",), expire),
    "a foreign Secret": Fault(
        "secrets-in-order", Result.PROBLEM, "Foreign: somebody else made", (f"Secret {SECRET}",), make_foreign
    ),
    "a Secret of another type": Fault(
        "secrets-in-order",
        Result.PROBLEM,
        "WrongType: its type is 'Opaque'",
        (f"Secret {SECRET}",),
        make_another_type,
        also=("images-covered",),
    ),
    "an immutable Secret": Fault(
        "secrets-in-order",
        Result.PROBLEM,
        "Immutable:",
        (f"Secret {SECRET}",),
        make_immutable,
    ),
    "a Secret that is gone": Fault(
        "secrets-in-order",
        Result.WARNING,
        "Missing:",
        (f"Secret {SECRET}",),
        lambda ward: ward.delete(f"secrets/{SECRET}"),
        also=("images-covered",),
    ),
    "a neighbour that does not parse": Fault(
        "pull-secrets-parse",
        Result.PROBLEM,
        "which fails every pull",
        ("Secret broken", f"ServiceAccount {ACCOUNT}"),
        break_a_neighbour,
    ),
    "an entry that shadows ours": Fault(
        "entries-not-shadowed",
        Result.WARNING,
        f"older-tool comes before {SECRET} and has a credential for {ECR} too",
        (f"ServiceAccount {ACCOUNT}",),
        add_rivals,
    ),
    "a lost reference": Fault(
        "references-in-place",
        Result.PROBLEM,
        f"does not reference {SECRET} yet",
        (f"ServiceAccount {ACCOUNT}",),
        lambda ward: ward.reference(),
        also=("images-covered",),
    ),
    "a strict ServiceAccount": Fault(
        "own-pull-secrets-admitted",
        Result.PROBLEM,
        "does not name pull secret elsewhere",
        ("Deployment strict",),
        make_strict,
    ),
    "a Pod that cannot pull": Fault(
        "images-pulled",
        Result.PROBLEM,
        f'{IMAGE}: ImagePullBackOff: Back-off pulling image "{IMAGE}": 401 Unauthorized',
        ("Pod worker-0",),
        let_a_pull_fail,
    ),
    "a Deployment with pull secrets of its own": Fault(
        "references-used",
        Result.WARNING,
        f"names its own pull secrets, so {SECRET} of ServiceAccount {ACCOUNT} does not reach it",
        ("Deployment stubborn",),
        lambda ward: ward.add_deployment("stubborn", imagePullSecrets=own_pull_secret(ward)),
    ),
    "a Pod with pull secrets of its own": Fault(
        "references-used",
        Result.WARNING,
        f"names its own pull secrets, so {SECRET} of ServiceAccount {ACCOUNT} does not reach it",
        ("Pod stubborn",),
        lambda ward: ward.add_pod("stubborn", imagePullSecrets=own_pull_secret(ward)),
    ),
    "a Pod older than its reference": Fault(
        "references-before-pods",
        Result.WARNING,
        f"was created before its ServiceAccount {ACCOUNT} referenced {SECRET}",
        ("Pod early",),
        add_a_pod_too_early,
        also=("images-covered",),
    ),
    "a Deployment of another ServiceAccount": Fault(
        "images-covered",
        Result.PROBLEM,
        f"no credential covers {ECR}/tools:1, in no pull secret at all",
        ("Deployment tools",),
        lambda ward: ward.add_deployment("tools", f"{ECR}/tools:1", "default"),
    ),
    "a CronJob of another ServiceAccount": Fault(
        "images-covered", Result.PROBLEM, f"no credential covers {ACR}/other:1", ("CronJob yearly",), add_a_cronjob
    ),
    "a private registry that is not configured": Fault(
        "images-covered",
        Result.WARNING,
        f"no credential covers 210987654321.dkr.ecr.eu-west-1.amazonaws.com/x:1, in {SECRET}",
        ("Deployment elsewhere",),
        lambda ward: ward.add_deployment("elsewhere", "210987654321.dkr.ecr.eu-west-1.amazonaws.com/x:1"),
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named(ward: Ward, fault: Fault) -> None:
    """The check says what is wrong, how bad, with which objects; no other check speaks, but those that it concerns."""
    fault.make(ward)
    found = ward.examine(*OURS)
    (symptom,) = found[fault.check].symptoms
    assert fault.words in symptom.message
    assert symptom.result is found[fault.check].result is fault.result
    assert set(symptom.objects) == {named_in(ward, text) for text in fault.objects}
    speaking = {name for name, finding in found.items() if finding.symptoms}
    assert speaking == {fault.check, *fault.also}


def named_in(ward: Ward, text: str) -> Object:
    """The object of this kind and name in the ward."""
    kind, name = text.split()
    return Object(kind, ward.namespace, name)


@pytest.mark.parametrize("name", NAMES)
def test_a_check_is_silent_where_all_is_well(hospital: Hospital, name: str) -> None:
    """A ward where everything is in order gives no symptom at all."""
    found = hospital.ward().examine(*named(name))
    assert found[name].symptoms == ()
    assert found[name].result is Result.OK


def test_several_service_accounts_on_one_credential_are_told(ward: Ward) -> None:
    """Least privilege: three ServiceAccounts with one registry's credential; said once, with a hint."""
    installation = ward.installation
    config = installation.directory / "config.yaml"
    before = config.read_text()
    for name in ("reader", "writer"):
        ward.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
        ward.reference(SECRET, account=name)
    try:
        installation.configure(before.replace("names: [workers]", "names: [workers, reader, writer]"))
        found = ward.examine(*OURS)
    finally:
        config.write_text(before)
    assert [finding.check for finding in found.values() if finding.symptoms] == ["credentials-not-shared"]
    messages = [symptom.message for symptom in found["credentials-not-shared"].symptoms]
    assert [message.partition(" with")[0] for message in messages] == [
        f"registry {name} serves 3 ServiceAccounts (reader, workers, writer)" for name in ("prod", "images", "contoso")
    ]


def test_what_pulls_no_more_is_no_symptom(ward: Ward) -> None:
    """A Pod that has ended, one that is being deleted, and a Job that failed: none of them will pull anything again."""
    image = f"{ECR}/tools:1"
    for name in ("ended", "leaving"):
        ward.add_pod(name, image, "default")
    template = {"spec": pod_spec(image, "default", restartPolicy="Never")}
    ward.create(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "failed"}, "spec": {"template": template}}
    )
    (seen,) = ward.examine(*named("images-covered"))["images-covered"].symptoms
    assert {each.name for each in seen.objects} == {"ended", "leaving", "failed"}
    ward.patch("pods/ended/status", {"status": {"phase": "Succeeded"}})
    ward.patch("pods/leaving", {"metadata": {"finalizers": ["example.com/hold"]}})
    ward.delete("pods/leaving")
    conditions = [{"type": kind, "status": "True"} for kind in ("FailureTarget", "Failed")]
    ward.patch("jobs/failed/status", {"status": {"startTime": "2026-01-01T00:00:00Z", "conditions": conditions}})
    assert ward.examine(*named("images-covered"))["images-covered"].symptoms == ()


def test_all_covered_namespaces_are_looked_into(hospital: Hospital) -> None:
    """Without a namespace: what is alike in many is one symptom, and what is not covered is not looked at."""
    ill = [hospital.ward(), hospital.ward()]
    for ward in ill:
        let_a_pull_fail(ward)
    outside = Ward(hospital.installation, hospital.installation.full("outside"))
    hospital.installation.add_namespace(outside.namespace, ACCOUNT)
    outside.add_pod("worker-0")
    let_a_pull_fail(outside)
    (symptom,) = (
        symptom
        for symptom in examined(hospital.installation, named("images-pulled"), None)["images-pulled"].symptoms
        if "401" in symptom.message
    )
    found = {each.namespace for each in symptom.objects}
    assert {ward.namespace for ward in ill} <= found
    assert outside.namespace not in found


def test_every_check_of_the_cluster_is_tested_here() -> None:
    """A new check that looks at these topics has to bring its fault."""
    assert {fault.check for fault in FAULTS.values()} | {"credentials-not-shared"} == set(NAMES)
    assert {check.name for check in CHECKS} >= set(NAMES)
