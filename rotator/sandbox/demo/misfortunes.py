"""The misfortunes: what goes wrong on the way, when, and what is to be expected of it."""

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rotator.sandbox.apiserver.objects import Object
from rotator.sandbox.demo.stage import ACCOUNT, ECR, LIFE, NEWCOMER, PULL_SECRET, Stage
from rotator.sandbox.demo.workers import Tally, Workers
from rotator.sandbox.faults import Fault

Tell = Callable[[str], None]

SETTLING = 6.0
"""Seconds until what a watch has told is mended: far less than one is usual, but the machine may be slow."""

DOWNTIME = 5.0
"""Seconds of a cloud's outage: less than the half of a token's life at which renewal begins."""

EDITED, DELETED, RESET = "team-b", "team-d", "team-f"
EDIT = base64.b64encode(b"AWS:edited-by-hand").decode()


@dataclass(frozen=True, slots=True)
class Misfortune:
    """Something that happens from second `at` on, as soon as the moment is right; `mend` follows `lasts` later."""

    at: float
    happen: Callable[[], None]
    mend: Callable[[], None] | None = None
    lasts: float = DOWNTIME
    ready: Callable[[], bool] = lambda: True

    def aftermath(self, now: float) -> "list[Misfortune]":
        """What is to come when this has happened."""
        return [Misfortune(now + self.lasts, self.mend)] if self.mend else []


@dataclass
class Misfortunes:
    """The script. `tell` says what happens to whoever watches; `left` is a registry's published life in seconds."""

    stage: Stage
    tally: Tally
    workers: Workers
    tell: Tell
    left: Callable[[str], float]
    healing: dict[str, Callable[[], bool]] = field(default_factory=dict)

    def settle(self) -> None:
        """From the moment on when a namespace is well again, a failure there is a failure."""
        for namespace, is_well in list(self.healing.items()):
            if is_well():
                self.tally.healed(namespace)
                del self.healing[namespace]

    def script(self, seconds: float) -> list[Misfortune]:
        """What happens in a show of so many seconds. A cloud fails just when a renewal is due: there it matters."""
        return [
            Misfortune(0.12 * seconds, self.azure_down, self.azure_up, ready=lambda: self._is_nearly_due("contoso")),
            Misfortune(0.26 * seconds, self.entry_edited),
            Misfortune(0.32 * seconds, self.secret_deleted),
            Misfortune(0.38 * seconds, self.account_reset),
            Misfortune(0.44 * seconds, self.namespace_added),
            Misfortune(0.56 * seconds, self.leader_killed, self.replica_restarted),
            Misfortune(0.68 * seconds, self.aws_hangs, self.aws_answers, ready=lambda: self._is_nearly_due("prod")),
        ]

    def _is_nearly_due(self, registry: str) -> bool:
        half = LIFE.total_seconds() / 2
        return half < self.left(registry) < half + 1.5

    def azure_down(self) -> None:
        """Azure answers 503 to everything."""
        self.stage.net.azure.fault = Fault.DOWN
        self.tell("misfortune: Azure's token endpoints are down (503)")

    def azure_up(self) -> None:
        """And is back."""
        self.stage.net.azure.fault = None
        self.tell("Azure is back")

    def aws_hangs(self) -> None:
        """AWS takes every request and says nothing."""
        self.stage.net.aws.fault = Fault.HUNG
        self.tell("misfortune: AWS accepts connections and says nothing")

    def aws_answers(self) -> None:
        """And answers again."""
        self.stage.net.aws.fault = None
        self.tell("AWS answers again")

    def entry_edited(self) -> None:
        """Somebody writes another password into our Secret, with kubectl."""
        self.tally.excuse(EDITED, "its Secret was edited by hand", SETTLING)
        self.healing[EDITED] = lambda: not _is_edited(self._secret(EDITED))
        self.stage.api.store.change("secrets", EDITED, PULL_SECRET, _edit, manager="kubectl-edit")
        self.tell(f"misfortune: somebody edits the Secret in {EDITED} by hand")

    def secret_deleted(self) -> None:
        """Somebody tidies up, and deletes our Secret."""
        self.tally.excuse(DELETED, "its Secret was deleted", SETTLING)
        self.healing[DELETED] = lambda: self._secret(DELETED) is not None
        self.stage.api.store.delete("secrets", DELETED, PULL_SECRET)
        self.tell(f"misfortune: somebody deletes the Secret in {DELETED}")

    def account_reset(self) -> None:
        """Somebody applies the ServiceAccount as it was before rotator came: without a pull secret."""
        self.tally.excuse(RESET, "its ServiceAccount was reset", SETTLING)
        self.healing[RESET] = self._is_referenced
        self.stage.api.store.change("serviceaccounts", RESET, ACCOUNT, lambda account: account.pop("imagePullSecrets"))
        self.tell(f"misfortune: somebody resets the ServiceAccount in {RESET}")

    def _is_referenced(self) -> bool:
        account = self.stage.api.store.get("serviceaccounts", RESET, ACCOUNT)
        return account is not None and {"name": PULL_SECRET} in account.get("imagePullSecrets", [])

    def namespace_added(self) -> None:
        """A new team arrives, and starts its workers at once."""
        self.stage.add_namespace(NEWCOMER)
        self.tally.excuse(NEWCOMER, "the namespace is new", SETTLING)
        self.healing[NEWCOMER] = lambda: self._secret(NEWCOMER) is not None
        self.workers.add(NEWCOMER)
        self.tell(f"a namespace is added: {NEWCOMER}")

    def _secret(self, namespace: str) -> Object | None:
        return self.stage.api.store.get("secrets", namespace, PULL_SECRET)

    def leader_killed(self) -> None:
        """The memory of the leader's node runs short."""
        self.stage.kill_leader()
        self.tell("misfortune: the leader is killed (SIGKILL)")

    def replica_restarted(self) -> None:
        """The Deployment replaces it."""
        self.stage.start_rotator()
        self.tell("the Deployment starts another replica")


def _is_edited(secret: Object | None) -> bool:
    return secret is not None and _auths(secret)["auths"][ECR]["auth"] == EDIT


def _auths(secret: Object) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
    return content


def _edit(secret: Object) -> None:
    config = _auths(secret)
    config["auths"][ECR]["auth"] = EDIT
    secret["data"][".dockerconfigjson"] = base64.b64encode(json.dumps(config).encode()).decode()


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition came true within so many seconds."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True
