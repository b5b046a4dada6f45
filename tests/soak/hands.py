"""The hands that do harm: each fault that may be drawn, how it begins and how it is taken back."""

import random
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count

from rotator.sandbox.apiserver import StatusError
from rotator.sandbox.apiserver.objects import Object
from rotator.sandbox.demo.replicas import Replica
from rotator.sandbox.demo.stage import ACCOUNT, NAMESPACES, PULL_SECRET, Stage
from rotator.sandbox.demo.workers import Workers
from rotator.sandbox.faults import Fault
from tests.apiclient import EMPTY_AUTHS
from tests.soak.troubles import EVERYBODY, Troubles

CLOUD_FAULTS = (
    Fault.DOWN,
    Fault.SLOW,
    Fault.HUNG,
    Fault.DRIPPING,
    Fault.THROTTLING,
    Fault.REFUSING,
    Fault.MALFORMED,
    Fault.ECHOING,
    Fault.BLANK,
)
MANY = 30
"""Requests that fail in a row: less than what rotator sends in a fault's time."""


def _nothing() -> None:
    """Nothing to take back."""


@dataclass(frozen=True)
class Harm:
    """Something that was done: its name, whom it concerns while it lasts (None: nobody's pull), and its end."""

    name: str
    concern: str | None = None
    end: Callable[[], None] = _nothing


class Hands:
    """Does what chance says. The last replica is never killed, so that it can be seen whether it grows."""

    def __init__(self, stage: Stage, troubles: Troubles, workers: Workers, chance: random.Random) -> None:
        self._stage = stage
        self._troubles = troubles
        self._workers = workers
        self._chance = chance
        self._good = stage.config_file.read_text()
        self._numbers = count()
        self._guests: list[str] = []

    def outage(self) -> Harm:
        """Something that lasts, and that rotator has to live through."""
        return self._chance.choice((self._cloud, self._cloud, self._api, self._replica))()

    def deed(self, now: float) -> Harm:
        """Something that somebody does, and that rotator has to mend or to bear."""
        deeds = (self._edited, self._deleted, self._reset, self._added, self._removed, self._configured)
        return self._chance.choice(deeds)(now)

    # What lasts -------------------------------------------------------------------------------------------------------

    def _cloud(self) -> Harm:
        name, fault = self._chance.choice(("aws", "google", "azure")), self._chance.choice(CLOUD_FAULTS)
        cloud = {"aws": self._stage.net.aws, "google": self._stage.net.google, "azure": self._stage.net.azure}[name]
        cloud.fault = fault

        def mend() -> None:
            cloud.fault = None

        return Harm(f"{name} {fault}", name, mend)

    def _api(self) -> Harm:
        faults, what = self._stage.api.faults, self._chance.choice(("down", "429", "500", "slow", "compacted"))
        match what:
            case "down":
                faults.down = True
            case "429":
                faults.throttle(MANY)
            case "500":
                faults.fail(MANY)
            case "slow":
                faults.delay = 0.5
            case _:
                self._stage.api.store.compact()
        self._stage.api.end_watches()
        return Harm(f"API server {what}", EVERYBODY, self._api_mended)

    def _api_mended(self) -> None:
        faults = self._stage.api.faults
        faults.down, faults.delay = False, 0.0
        faults.throttle(0)
        faults.fail(0)

    def _replica(self) -> Harm:
        mortal, *_ = self._stage.replicas
        what = self._chance.choice(("killed", "terminated", "frozen"))
        if what == "frozen":
            return self._frozen(self._chance.choice(self._stage.replicas))
        if what == "killed":
            mortal.kill()
        else:
            mortal.terminate()
        return Harm(f"replica {what}", EVERYBODY, lambda: self._replaced(mortal))

    def _replaced(self, replica: Replica) -> None:
        replica.wait(10)
        replica.start()

    def _frozen(self, replica: Replica) -> Harm:
        if replica.process:
            replica.process.send_signal(signal.SIGSTOP)

        def thaw() -> None:
            if replica.process:
                replica.process.send_signal(signal.SIGCONT)

        return Harm("replica frozen", EVERYBODY, thaw)

    # What is done once ------------------------------------------------------------------------------------------------

    def _edited(self, now: float) -> Harm:
        self._change(
            now, "secrets", PULL_SECRET, lambda secret: secret["data"].update({".dockerconfigjson": EMPTY_AUTHS})
        )
        return Harm("Secret edited")

    def _deleted(self, now: float) -> Harm:
        namespace = self._somewhere(now)
        with suppress(StatusError):  # it may not be back yet
            self._stage.api.store.delete("secrets", namespace, PULL_SECRET)
        return Harm("Secret deleted")

    def _reset(self, now: float) -> Harm:
        self._change(now, "serviceaccounts", ACCOUNT, lambda account: account.pop("imagePullSecrets", None))
        return Harm("reference reset")

    def _added(self, now: float) -> Harm:
        name = f"team-guest-{next(self._numbers)}"
        self._troubles.deed(name, now)
        self._stage.add_namespace(name)
        self._guests.append(name)
        self._workers.add(name)
        return Harm("namespace added")

    def _removed(self, now: float) -> Harm:
        if not self._guests:
            return self._added(now)
        name = self._guests.pop(0)
        self._troubles.gone(name)
        self._stage.api.store.delete_namespace(name)
        return Harm("namespace deleted")

    def _configured(self, _now: float) -> Harm:
        if self._chance.random() < 0.5:
            self._stage.config_file.write_text(self._good + "nonsense: [\n")
            return Harm("configuration bad")
        jitter = self._chance.randint(1, 10)
        self._stage.config_file.write_text(self._good.replace("jitter: 10%", f"jitter: {jitter}%"))
        return Harm("configuration good")

    def _somewhere(self, now: float) -> str:
        namespace = self._chance.choice(NAMESPACES)
        self._troubles.deed(namespace, now)
        return namespace

    def _change(self, now: float, resource: str, name: str, change: Callable[[Object], object]) -> None:
        def changed(obj: Object) -> None:
            change(obj)

        with suppress(StatusError):  # it may not be back yet
            self._stage.api.store.change(resource, self._somewhere(now), name, changed)


def plan(chance: random.Random, seconds: float, rest: float) -> Iterator[tuple[float, bool, float]]:
    """When what happens: the time, whether it lasts, and how long. After each outage there is a rest."""
    at = 3.0
    while at + rest < seconds:
        yield at, True, chance.uniform(1.0, 4.0)
        for _ in range(chance.randint(1, 3)):
            yield at + chance.uniform(0.0, 4.0 + rest), False, 0.0
        at += 4.0 + rest
