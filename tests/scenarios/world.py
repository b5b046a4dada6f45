"""A cluster, three clouds and a clock that a test moves by hand; the pass runs in the test's own process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine

from rotator.clock import utc_now
from rotator.cluster.client import Cluster
from rotator.config import Config, parse
from rotator.providers import provider_for
from rotator.rotation import Minting, Report, Rotation
from rotator.rotation.observing import SILENT, Observer
from rotator.sandbox.apiserver import ApiServer, Rule
from rotator.sandbox.internet import Internet
from tests.outside import CONFIG, Outside
from tests.providers.world import pod_on, set_all


@dataclass
class Clock:
    """The wall clock of the whole process, clouds and SDKs included: it runs, and a test moves it forward."""

    _traveller: time_machine.Traveller

    def advance(self, **by: float) -> None:
        """Let time pass."""
        self._traveller.shift(timedelta(**by))


@dataclass
class World(Outside):
    """Everything outside rotator, a clock, and the ways to run the pass."""

    clock: Clock
    config: Config = field(default_factory=lambda: parse(CONFIG, "config.yaml"))
    _clusters: list[Cluster] = field(default_factory=list)

    def configure(self, text: str) -> None:
        """Use this configuration from now on."""
        self.config = parse(text, "config.yaml")

    def rotation(
        self,
        user: str = "rotator",
        rules: list[Rule] | None = None,
        leads: Callable[[], bool] = lambda: True,
        observer: Observer = SILENT,
    ) -> Rotation:
        """A new process, as it were: no memory of earlier passes."""
        if rules is not None:
            self.api.add_user(user, rules)
        kubeconfig = self.api.kubeconfig(self.directory / f"kubeconfig-{user}", user)
        cluster = Cluster.connect(kubeconfig, may_write=leads)
        self._clusters.append(cluster)
        minting = Minting(self.config, provider_for, utc_now, observer)
        return Rotation(self.config, cluster, minting, leads=leads, observer=observer)

    def once(self) -> Report:
        """One pass of a new process."""
        return self.rotation().run()

    def close(self) -> None:
        """Give back the connections."""
        for cluster in self._clusters:
            cluster.close()


@contextmanager
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The world, with the environment of a Pod that has an identity in each cloud."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    with (
        time_machine.travel(datetime.now(UTC)) as traveller,
        Internet() as net,
        pod_on(net, monkeypatch),
        ApiServer(net.authority) as api,
    ):
        made = World(net, tmp_path, api, Clock(traveller))
        set_all(monkeypatch, made.identities())
        yield made
        made.close()
