"""Who and what there is: namespaces, ServiceAccounts, registries, and the configuration that is to serve them."""

import json
from datetime import UTC, datetime, timedelta

from rotator.sandbox.faults import Fault
from tests.outside import ACR, ECR, GAR
from tests.scenarios.rivals import ECR_SHARED

Key = tuple[str, str]
"""Namespace and name."""

COVERED = ("team-a", "team-b", "team-c")
UNCOVERED = ("team-legacy", "other")
ACCOUNTS = ("workers", "apps", "guest")

REGISTRIES = ("prod", "images", "contoso")
HOSTS = {ECR: "prod", ECR_SHARED: "prod", GAR: "images", ACR: "contoso"}
USERS = {"prod": "AWS", "images": "oauth2accesstoken", "contoso": "00000000-0000-0000-0000-000000000000"}
AUDIENCES = {"prod": "eu-west-1", "images": "googleapis.com", "contoso": "contoso"}

REGISTRIES_OF = {"worker-pull": REGISTRIES, "app-pull": ("images",)}
ACCOUNTS_OF = {"worker-pull": ("workers",), "app-pull": ("workers", "apps")}

START = datetime(2030, 1, 1, tzinfo=UTC)

LONGEST_PAUSE = timedelta(minutes=5)
"""A registry that failed is tried again after this at the latest."""

CLOCKS_APART = timedelta(minutes=5)
"""What was issued further than this in the future was issued before the clock was set back."""

FAILING = tuple(fault for fault in Fault if fault not in {Fault.SLOW, Fault.HUNG, Fault.DRIPPING, Fault.NEARLY_SPENT})
"""What keeps a cloud from giving a token, at once: what takes its time is for other tests."""


def hosts_of(pull_secret: str) -> list[str]:
    """The hosts whose entries this pull secret is to have; none for another Secret."""
    return [host for host, registry in HOSTS.items() if registry in REGISTRIES_OF.get(pull_secret, ())]


def config_text(*, adopt: bool, listed: bool) -> str:
    """Two pull secrets that share a registry and a ServiceAccount; namespaces by their names or by a pattern."""
    names = json.dumps(COVERED if listed else ["team-*"])
    pull_secrets = [
        f"""
  - name: {name}
    registries: {json.dumps(registries)}
    namespaces: {{names: {names}, exclude: [team-legacy]}}
    serviceAccounts: {{names: {json.dumps(ACCOUNTS_OF[name])}}}
    adopt: {json.dumps(adopt)}"""
        for name, registries in REGISTRIES_OF.items()
    ]
    return f"""
registries:
  - {{name: prod, ecr: {{hosts: [{ECR}, {ECR_SHARED}]}}, deadline: 60s}}
  - {{name: images, gar: {{hosts: [{GAR}]}}, deadline: 60s}}
  - {{name: contoso, acr: {{hosts: [{ACR}], identity: {{type: workload}}}}, deadline: 60s}}
pullSecrets:{"".join(pull_secrets)}
"""
