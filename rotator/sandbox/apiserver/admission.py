"""Admission: no object into a namespace that is absent or going, and Pods get what their ServiceAccount gives.

Sources: apiserver/pkg/admission/plugin/namespace/lifecycle/admission.go and
kubernetes/plugin/pkg/admission/serviceaccount/admission.go.
"""

from rotator.sandbox.apiserver.etcd import Etcd
from rotator.sandbox.apiserver.objects import Object, dig, key_of, metadata
from rotator.sandbox.apiserver.resources import NAMESPACES, PODS, SERVICE_ACCOUNTS, Resource
from rotator.sandbox.apiserver.status import Cause, forbidden, not_found

IMMORTAL = frozenset(("default", "kube-system", "kube-public"))
ENFORCE_MOUNTABLE = "kubernetes.io/enforce-mountable-secrets"


def admitted(etcd: Etcd, resource: Resource, obj: Object) -> Object:
    """The new object as admission leaves it. Raises a StatusError (403, 404)."""
    if resource.namespaced:
        _check_namespace(etcd, resource, obj)
    return _pod(etcd, obj) if resource is PODS else obj


def _check_namespace(etcd: Etcd, resource: Resource, obj: Object) -> None:
    namespace = metadata(obj)["namespace"]
    home = etcd.get(NAMESPACES.name, namespace)
    if home is None:
        raise not_found(NAMESPACES, namespace)
    if dig(home, "status", "phase") == "Terminating":
        problem = f"unable to create new content in namespace {namespace} because it is being terminated"
        cause = Cause("NamespaceTerminating", "metadata.namespace", f"namespace {namespace} is being terminated")
        raise forbidden(resource, _name(obj), problem, [cause])


def check_deletion(resource: Resource, name: str) -> None:
    """Some namespaces stay. Raises a StatusError (403)."""
    if resource is NAMESPACES and name in IMMORTAL:
        raise forbidden(resource, name, "this namespace may not be deleted")


def _name(obj: Object) -> str:
    """As admission knows it: a name is generated later."""
    return metadata(obj).get("name") or metadata(obj).get("generateName") or ""


def _pod(etcd: Etcd, pod: Object) -> Object:
    """The Pod with its ServiceAccount's name, and its pull secrets if the Pod names none itself."""
    spec = pod.get("spec") or {}
    name = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    namespace = metadata(pod)["namespace"]
    account = etcd.get(SERVICE_ACCOUNTS.name, key_of(namespace, name))
    if account is None:
        problem = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        raise forbidden(PODS, _name(pod), problem)
    spec = spec | {"serviceAccountName": name, "serviceAccount": name}
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = account["imagePullSecrets"]
    _check_mountable(account, spec, pod)
    return pod | {"spec": spec, "status": {"phase": "Pending"}}


def _check_mountable(account: Object, spec: Object, pod: Object) -> None:
    if dig(metadata(account), "annotations", ENFORCE_MOUNTABLE) != "true":
        return
    referenced = {item.get("name") for item in account.get("imagePullSecrets") or ()}
    for index, item in enumerate(spec.get("imagePullSecrets") or ()):
        if item.get("name") not in referenced:
            what = f'imagePullSecrets[{index}].name="{item.get("name")}" is not allowed because service account'
            problem = f"{what} {metadata(account)['name']} does not reference that imagePullSecret"
            raise forbidden(PODS, _name(pod), problem)
