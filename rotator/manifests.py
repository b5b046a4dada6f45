"""Everything that rotator needs in a cluster, for a configuration, as manifests. Pure.

`manifests` is the objects as plain data, `text` the same as YAML with a word on each. The chart in deploy/chart makes
the same objects; a test compares the two. The namespace itself is the user's.
"""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rotator import __version__, rbac
from rotator.config import Config

Manifest = dict[str, Any]

USER = 65532
"""Of nobody else: the `nonroot` of distroless images."""

LONGEST_CRON_JOB = 52
"""Characters of its name: a Job's has eleven more ("CronJob", kubernetes.io)."""

FILES = "/etc/rotator"
TOKENS = "/var/run/tokens"
SECRETS = "/var/run/secrets"
KUBERNETES = "/var/run/secrets/kubernetes.io/serviceaccount"
PORTS = {"metrics": 8080, "health": 8081}
API_PORTS = (443, 6443)
"""Where API servers, clouds and registries listen; a policy sees the API server's own port, not that of its Service."""

_FIELD = "[0-9A-Za-z*?/,-]+"
CRON = f"@(yearly|annually|monthly|weekly|daily|midnight|hourly|every [0-9hms]+)|{_FIELD}( {_FIELD}){{4}}"
"""The form of a CronJob's schedule: five fields, or a word ("CronJob", kubernetes.io)."""

METADATA = (
    ("169.254.169.254/32", 80),  # AWS, Azure, Google: instance metadata
    ("fd00:ec2::254/128", 80),  # AWS, where nodes have IPv6 alone
    ("169.254.169.252/32", 988),  # GKE: the metadata server of workload identity, on each node
    ("169.254.170.23/32", 80),  # EKS: the Pod Identity agent, on each node
    ("fd00:ec2::23/128", 80),
)
"""The link-local endpoints that clouds hand out identities at. "Authenticate to Google Cloud APIs from GKE workloads"
(cloud.google.com) and "Set up the Amazon EKS Pod Identity Agent" (docs.aws.amazon.com) name them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How rotator is to be installed. `name` is that of every object."""

    mode: Literal["deployment", "cronjob"] = "deployment"
    namespace: str = "rotator"
    name: str = "rotator"
    image: str = f"rotator:{__version__}"
    schedule: str = "*/5 * * * *"
    log_level: str = "info"
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Of the ServiceAccount: IRSA and the workload identities of Google and Azure are told there who it is."""
    pod_labels: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    """Of the environment."""
    tokens: Mapping[str, str] = field(default_factory=dict)
    """Tokens of the ServiceAccount for clouds that trust this cluster: the file's name in TOKENS, and the audience."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Beside the configuration in FILES: name and text."""
    secrets: Sequence[str] = ()
    """Secrets of the namespace, each mounted in SECRETS under its name."""
    ports: Sequence[int] = ()
    """Further TCP ports that it may call: of a proxy, a mirror, or an API server."""

    @property
    def subject(self) -> rbac.Subject:
        """Whom roles are for."""
        return rbac.Subject(self.namespace, self.name, self.name)

    @property
    def labels(self) -> dict[str, str]:
        """Of every object; they also select the Pods."""
        return self.subject.labels

    @property
    def runs(self) -> bool:
        """Whether it runs all the time, and so serves probes and metrics."""
        return self.mode == "deployment"


def manifests(config: Config, content: str, wanted: Wanted) -> list[Manifest]:
    """The objects for the configuration, which is `content` as a file, in the order in which they are to be made."""
    return [
        _service_account(wanted),
        _config_map(content, wanted),
        *rbac.manifests(config, wanted.subject, watching=wanted.runs),
        _network_policy(wanted),
        *(_running(config, wanted) if wanted.runs else [_cron_job(wanted)]),
    ]


def unmounted(content: str, wanted: Wanted) -> list[str]:
    """Paths in the Pod that the configuration, a file or a variable names, and that nothing is mounted at."""
    named = " ".join((content, *wanted.files.values(), *wanted.variables.values()))
    there = {f"{FILES}/{name}" for name in ("config.yaml", *wanted.files)} | {
        f"{TOKENS}/{name}" for name in wanted.tokens
    }
    found = re.findall(rf"(?:{FILES}|{TOKENS})/[A-Za-z0-9_.-]+", named)
    return [path for path in dict.fromkeys(found) if path not in there]


def text(objects: Sequence[Manifest]) -> str:
    """The manifests as YAML, for `kubectl apply --server-side -f -`."""
    return "---\n".join((_head(objects), *map(_document, objects)))


def replicas(config: Config) -> int:
    """Two where a Lease decides who writes, so that one stands by; else one, for two would write side by side."""
    return 2 if config.leader_election.enabled else 1


# What is there besides the program ------------------------------------------------------------------------------------


def _object(kind: str, wanted: Wanted, api: str = "v1") -> Manifest:
    metadata = {"name": wanted.name, "namespace": wanted.namespace, "labels": wanted.labels}
    return {"apiVersion": api, "kind": kind, "metadata": metadata}


def _service_account(wanted: Wanted) -> Manifest:
    account = {**_object("ServiceAccount", wanted), "automountServiceAccountToken": False}
    if wanted.annotations:
        account["metadata"]["annotations"] = dict(wanted.annotations)
    return account


def _config_map(content: str, wanted: Wanted) -> Manifest:
    return {**_object("ConfigMap", wanted), "data": {"config.yaml": content, **wanted.files}}


def _network_policy(wanted: Wanted) -> Manifest:
    dns = [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    metadata = [{"to": [{"ipBlock": {"cidr": cidr}}], "ports": _tcp(port)} for cidr, port in METADATA]
    spec = {
        "podSelector": {"matchLabels": wanted.labels},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": _tcp(*PORTS.values())}] if wanted.runs else [],
        "egress": [{"ports": dns}, {"ports": _tcp(*API_PORTS, *wanted.ports)}, *metadata],
    }
    return {**_object("NetworkPolicy", wanted, "networking.k8s.io/v1"), "spec": spec}


def _tcp(*ports: int) -> list[Manifest]:
    return [{"port": port, "protocol": "TCP"} for port in ports]


# The program ---------------------------------------------------------------------------------------------------------


def _running(config: Config, wanted: Wanted) -> Iterator[Manifest]:
    """A Deployment, and the Service that Prometheus finds it by."""
    several = replicas(config) > 1
    strategy = {"type": "RollingUpdate"} if several else {"type": "Recreate"}  # without a Lease never two at once
    spec = {
        "replicas": replicas(config),
        "strategy": strategy,
        "selector": {"matchLabels": wanted.labels},
        "template": _template(wanted, "run"),
    }
    yield {**_object("Deployment", wanted, "apps/v1"), "spec": spec}
    if several:
        selected = {"selector": {"matchLabels": wanted.labels}}
        budget = {"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", **selected}
        yield {**_object("PodDisruptionBudget", wanted, "policy/v1"), "spec": budget}
    ports = [{"name": "metrics", "port": PORTS["metrics"], "targetPort": "metrics"}]
    service = {"clusterIP": "None", "selector": wanted.labels, "ports": ports}
    yield {**_object("Service", wanted), "spec": service}


def _cron_job(wanted: Wanted) -> Manifest:
    """One pass at a time. What one failed to do is done by the next, so none is tried again or made up for."""
    job = {"activeDeadlineSeconds": 240, "backoffLimit": 0, "template": _template(wanted, "once")}
    spec = {
        "schedule": wanted.schedule,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": 240,
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {"spec": job},
    }
    return {**_object("CronJob", wanted, "batch/v1"), "spec": spec}


def _template(wanted: Wanted, command: str) -> Manifest:
    pod = {
        "serviceAccountName": wanted.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **(_LONG if wanted.runs else {"restartPolicy": "Never"}),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **({"topologySpreadConstraints": _spread(wanted)} if wanted.runs else {}),
        "containers": [_container(wanted, command)],
        "volumes": list(_volumes(wanted)),
    }
    return {"metadata": {"labels": wanted.labels | dict(wanted.pod_labels)}, "spec": pod}


_LONG = {"terminationGracePeriodSeconds": 10}
"""`rotator run` ends within five seconds of a SIGTERM, whatever hangs."""


def _spread(wanted: Wanted) -> list[Manifest]:
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": wanted.labels},
        }
        for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    ]


def _container(wanted: Wanted, command: str) -> Manifest:
    variables = {"ROTATOR_LOG_LEVEL": wanted.log_level, "ROTATOR_LOG_FORMAT": "json", **wanted.variables}
    return {
        "name": "rotator",
        "image": wanted.image,
        "args": [command],
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        **(_served() if wanted.runs else {}),
        # docs/benchmarks.md: 118 MiB at most with 10,000 namespaces; no limit of CPU, which would stall a renewal
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": list(_mounts(wanted)),
    }


def _served() -> Manifest:
    probe = {"livenessProbe": ("/healthz", 10), "readinessProbe": ("/readyz", 5)}
    return {
        "ports": [{"name": name, "containerPort": port} for name, port in PORTS.items()],
        **{
            name: {"httpGet": {"path": path, "port": "health"}, "periodSeconds": period}
            for name, (path, period) in probe.items()
        },
    }


def _mounts(wanted: Wanted) -> Iterator[Manifest]:
    yield {"name": "config", "mountPath": FILES, "readOnly": True}
    yield {"name": "kubernetes", "mountPath": KUBERNETES, "readOnly": True}
    yield {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108  (of this Pod alone)
    if wanted.tokens:
        yield {"name": "tokens", "mountPath": TOKENS, "readOnly": True}
    for number, name in enumerate(wanted.secrets):
        yield {"name": f"secret-{number}", "mountPath": f"{SECRETS}/{name}", "readOnly": True}


def _volumes(wanted: Wanted) -> Iterator[Manifest]:
    """The ConfigMap is mounted whole: only so does the kubelet follow its changes, and rotator them."""
    yield {"name": "config", "configMap": {"name": wanted.name}}
    yield {"name": "kubernetes", "projected": {"sources": _kubernetes_sources()}}
    yield {"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}}
    if wanted.tokens:
        yield {"name": "tokens", "projected": {"sources": [_token(*token) for token in wanted.tokens.items()]}}
    for number, name in enumerate(wanted.secrets):
        yield {"name": f"secret-{number}", "secret": {"secretName": name}}


def _kubernetes_sources() -> list[Manifest]:
    """What automount would bring, and nothing else: a token of an hour, the authority, and the namespace."""
    namespace = {"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}
    return [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
    ]


def _token(path: str, audience: str) -> Manifest:
    return {"serviceAccountToken": {"path": path, "audience": audience, "expirationSeconds": 3600}}


# As YAML -------------------------------------------------------------------------------------------------------------

_PURPOSES = {
    "ServiceAccount": "Who rotator is, to this cluster and to clouds that trust it. The webhooks of EKS (IRSA, Pod "
    "Identity) and AKS add a token of their own, and its variables, to Pods of a ServiceAccount that they know.",
    "ConfigMap": "The configuration. The Deployment follows its changes without a restart.",
    "NetworkPolicy": "In: metrics and probes, for Prometheus and the kubelet, wherever they are. Out: names, the API "
    "server, clouds and registries, and where clouds hand out identities.",
    "Deployment": "With a Lease one replica works and the other stands by, ready to take over.",
    "CronJob": "One pass each time, and never two at once.",
    "PodDisruptionBudget": "A drained node takes one replica at a time.",
    "Service": "For Prometheus.",
}


def _head(objects: Sequence[Manifest]) -> str:
    home, *others = dict.fromkeys(place for each in objects if (place := each["metadata"].get("namespace")))
    words = f"rotator in the namespace {home}, which must exist{', as must ' if others else ''}{', '.join(others)}."
    words += " As `rotator manifests` prints it, for `kubectl apply --server-side -f -`. Print it again when the"
    words += " configuration changes: its roles follow from it."
    return _comment(words)


def _document(manifest: Manifest) -> str:
    purpose = _PURPOSES.get(manifest["kind"])
    return (_comment(purpose) if purpose else "") + rbac.document(manifest)


def _comment(words: str) -> str:
    return textwrap.indent(textwrap.fill(words, 118, break_on_hyphens=False, break_long_words=False), "# ") + "\n"
