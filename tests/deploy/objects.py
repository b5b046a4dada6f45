"""Objects as plain data, in an order of their own, so that two ways to write the same are the same."""

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from rotator import rbac

Object = dict[str, Any]
Key = tuple[str, str, str]

PLURALS = {"NetworkPolicy": "networkpolicies"}


def path_of(found: Object) -> str:
    """Where the API has it."""
    group = found["apiVersion"]
    namespace = found["metadata"].get("namespace")
    kind = PLURALS.get(found["kind"], f"{found['kind'].lower()}s")
    place = f"/namespaces/{namespace}" if namespace else ""
    return f"/{'apis' if '/' in group else 'api'}/{group}{place}/{kind}/{found['metadata']['name']}"


def key(found: Object) -> Key:
    """Kind, namespace and name."""
    metadata = found["metadata"]
    return found["kind"], metadata.get("namespace", ""), metadata["name"]


def by_key(found: Iterable[Object]) -> Mapping[Key, Object]:
    """The objects, each as it means the same: rules as sets, the configuration as what it says."""
    return {key(each): _plain(each) for each in found}


def roles(found: Iterable[Object]) -> Mapping[Key, Object]:
    """Those of them that say who may do what."""
    return by_key(each for each in found if each["apiVersion"].startswith(rbac.API))


def of_kind(found: Iterable[Object], kind: str) -> Object:
    """The only one of its kind."""
    (only,) = (each for each in found if each["kind"] == kind)
    return only


def template(found: Iterable[Object]) -> Object:
    """The Pod that runs, in either mode."""
    (workload,) = (each for each in found if each["kind"] in {"Deployment", "CronJob"})
    spec = workload["spec"]
    made: Object = spec["template"] if workload["kind"] == "Deployment" else spec["jobTemplate"]["spec"]["template"]
    return made


def _plain(found: Object) -> Object:
    if "rules" in found:
        return {**found, "rules": sorted((_rule(rule) for rule in found["rules"]), key=str)}
    if found["kind"] == "ConfigMap":
        return {**found, "data": {**found["data"], "config.yaml": yaml.safe_load(found["data"]["config.yaml"])}}
    return found


def _rule(rule: Object) -> Object:
    return {name: sorted(values) for name, values in rule.items()}
