"""The grounds: the world of the demo with more registries and namespaces, so that minutes hold a thousand renewals."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta

import yaml

from rotator.sandbox.cloud import Cloud
from rotator.sandbox.demo.stage import ACCOUNT, ACR, ECR, ECR_SHARED, GAR, IMAGES, NAMESPACES, PULL_SECRET, Stage
from rotator.sandbox.worker import Image

AT, JITTER = 0.25, 0.1
"""Renewal at a quarter of a token's life: more renewals a minute, and a long time in which one must not be missed."""

KINDS = {"ecr": ("prod", 2), "gar": ("images", 5), "acr": ("contoso", 5)}
"""Of each kind the demo's registry that is taken as a model, and how many a line has: fewer of ECR, since a new leader
first builds a boto3 client for each, all at once."""

DEADLINE = "4s"
"""For one mint: a mint that hangs is given up, and another one succeeds, within a calm stretch."""

LABEL, CHOSEN = "pull", "private"
"""The label that selects the namespaces of a line."""


@dataclass(frozen=True)
class Line:
    """A pull secret of its own for some namespaces that a label selects, with registries that nobody else has."""

    number: int

    @property
    def pull_secret(self) -> str:
        """Its name."""
        return f"line-{self.number}-pull"

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Those that are there from the beginning."""
        return tuple(f"line-{self.number}-{letter}" for letter in "abc")

    @property
    def registries(self) -> Mapping[str, str]:
        """Each one's host, by its name."""
        ecr = {f"ecr-{n}": f"3{n:011d}.dkr.ecr.eu-west-1.amazonaws.com" for n in self._numbers("ecr")}
        gar = {f"gar-{n}": f"europe-west{n + 2}-docker.pkg.dev" for n in self._numbers("gar")}
        acr = {f"acr-{n}": f"contoso{n}.azurecr.io" for n in self._numbers("acr")}
        return ecr | gar | acr

    def _numbers(self, kind: str) -> range:
        _, many = KINDS[kind]
        return range(many * self.number, many * (self.number + 1))


@dataclass(frozen=True)
class Grounds:
    """Where it all happens. `life` is that of each token."""

    life: timedelta
    lines: Sequence[Line] = field(default_factory=tuple)

    @property
    def homes(self) -> tuple[str, ...]:
        """The namespaces that are there from the beginning."""
        return (*NAMESPACES, *self.selected)

    @property
    def selected(self) -> tuple[str, ...]:
        """Those of them that a label selects."""
        return tuple(name for line in self.lines for name in line.namespaces)

    @property
    def registries(self) -> Mapping[str, Sequence[str]]:
        """The hosts of each registry, by its name."""
        more = {name: [host] for line in self.lines for name, host in line.registries.items()}
        return {"prod": [ECR, ECR_SHARED], "images": [GAR], "contoso": [ACR]} | more

    @property
    def longest_wait(self) -> float:
        """Seconds after which a new credential is due and its alarm has rung."""
        return self.life.total_seconds() * (AT + (1 - AT) * JITTER)

    def pull_secret(self, namespace: str) -> str:
        """The name of the one there."""
        return next((line.pull_secret for line in self.lines if namespace in line.namespaces), PULL_SECRET)

    def images(self, namespace: str) -> Sequence[Image]:
        """What its Pods run."""
        hosts = [line.registries.values() for line in self.lines if namespace in line.namespaces]
        return tuple(Image(host, "acme/images/app") for host in hosts[0]) if hosts else IMAGES

    def prepare(self, stage: Stage) -> None:
        """Make the namespaces, and write the configuration."""
        for name in self.selected:
            stage.api.store.create_namespace(name, {LABEL: CHOSEN})
            stage.api.store.create_service_account(name, ACCOUNT)
        config = yaml.safe_load(stage.config_file.read_text())
        like = {entry["name"]: entry for entry in config["registries"]}
        for line in self.lines:
            config["registries"] += [_registry(like, name, host) for name, host in line.registries.items()]
            config["pullSecrets"].append(_pull_secret(line))
        for registry in config["registries"]:
            registry["deadline"] = DEADLINE
        config["renewal"] |= {"at": AT, "jitter": f"{JITTER:.0%}"}
        stage.config_file.write_text(yaml.safe_dump(config))


def _registry(like: Mapping[str, Mapping[str, Mapping[str, object]]], name: str, host: str) -> Mapping[str, object]:
    kind = name.partition("-")[0]
    model = like[KINDS[kind][0]]
    return deepcopy({**model, "name": name, kind: {**model[kind], "hosts": [host]}})  # rotator takes no YAML anchors


def _pull_secret(line: Line) -> Mapping[str, object]:
    return {
        "name": line.pull_secret,
        "registries": list(line.registries),
        "namespaces": {"names": [f"line-{line.number}-*"], "labels": f"{LABEL}={CHOSEN}"},
        "serviceAccounts": {"names": [ACCOUNT], "mode": "ensure"},
    }


CLOUD_OF: Mapping[str, str] = {".dkr.ecr.": "aws", "-docker.pkg.dev": "google", ".azurecr.io": "azure"}


def cloud_of(host: str) -> str:
    """The name of the cloud whose tokens open this host."""
    return next(cloud for mark, cloud in CLOUD_OF.items() if mark in host)


def clouds(stage: Stage) -> Mapping[str, Cloud]:
    """The clouds by these names."""
    return {"aws": stage.net.aws, "google": stage.net.google, "azure": stage.net.azure}
