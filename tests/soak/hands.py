"""The hands that do harm: each fault that may be drawn, how it begins and how it is taken back."""

import base64
import json
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Generic, TypeVar

from rotator.sandbox.apiserver import StatusError
from rotator.sandbox.apiserver.objects import Object
from rotator.sandbox.demo.replicas import Replica
from rotator.sandbox.demo.stage import ACCOUNT, HOME, Stage
from rotator.sandbox.demo.workers import Workers
from rotator.sandbox.faults import Fault
from rotator.sandbox.registry import Registry
from tests.apiclient import EMPTY_AUTHS
from tests.soak.audit import DATA, Audit
from tests.soak.grounds import CHOSEN, LABEL, Grounds, cloud_of, clouds
from tests.soak.troubles import EVERYBODY, Troubles, shut

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
REGISTRY_FAULTS = (Fault.DOWN, Fault.SLOW, Fault.HUNG, Fault.THROTTLING, Fault.REFUSING, Fault.ECHOING)
API_FAULTS = ("down", "429", "500", "slow", "compacted")
MANY = 30
"""Requests that fail in a row: less than what rotator sends in a fault's time."""

FROZEN_S = 5.0
"""A leader that is frozen loses its Lease of three seconds, and finds another's when it thaws."""

BEHIND_S = 8.0
"""Most of the time between two renewals, so that many fall into it."""

_Card = TypeVar("_Card")


class Deck(Generic[_Card]):
    """What may be drawn, in an order of chance, each once before any comes again."""

    def __init__(self, cards: Sequence[_Card], chance: random.Random) -> None:
        self._cards = tuple(cards)
        self._chance = chance
        self._left: list[_Card] = []

    def draw(self) -> _Card:
        """The next one."""
        if not self._left:
            self._left = self._chance.sample(self._cards, len(self._cards))
        return self._left.pop()


def _nothing() -> None:
    """Nothing to take back."""


@dataclass(frozen=True)
class Harm:
    """Something that was done: its name, whom it concerns while it lasts, its end, and how long it lasts at least."""

    name: str
    concerns: tuple[str, ...] = ()
    end: Callable[[], None] = _nothing
    least: float = 0.0


class Hands:
    """Does what chance says. The last replica is never killed, so that it can be seen whether it grows."""

    def __init__(
        self, stage: Stage, grounds: Grounds, troubles: Troubles, audit: Audit, workers: Workers, chance: random.Random
    ) -> None:
        self._stage = stage
        self._grounds = grounds
        self._troubles = troubles
        self._audit = audit
        self._workers = workers
        self._chance = chance
        self._good = stage.config_file.read_text()
        self._numbers = count()
        self._guests: list[str] = []
        self._unselected: list[str] = []
        self._clouds = Deck(("aws", "google", "azure"), chance)
        self._cloud_faults = Deck(CLOUD_FAULTS, chance)
        self._registry_faults = Deck(REGISTRY_FAULTS, chance)
        self._api_faults = Deck(API_FAULTS, chance)
        # Of a few repairs of one object the later ones wait: so each has its turn before any has the next.
        self._places = Deck(grounds.homes, chance)
        self._outages = Deck(
            (
                *(self._cloud, self._cloud, self._registries, self._behind, self._api, self._api),
                *(self._killed, self._terminated, self._frozen, self._forbidden, self._replaced),
            ),
            chance,
        )
        self._deeds = Deck(
            (
                *(self._edited, self._deleted, self._reset, self._planted, self._strange),
                *(self._added, self._removed, self._configured, self._relabelled, self._relabelled),
            ),
            chance,
        )

    def outage(self, now: float) -> Harm:
        """Something that lasts, and that rotator has to live through."""
        return self._outages.draw()(now)

    def deed(self, now: float) -> Harm:
        """Something that somebody does, and that rotator has to mend or to bear."""
        return self._deeds.draw()(now)

    # What lasts: clouds and registries --------------------------------------------------------------------------------

    def _cloud(self, _now: float) -> Harm:
        name, fault = self._clouds.draw(), self._cloud_faults.draw()
        cloud = clouds(self._stage)[name]
        cloud.fault = fault

        def mend() -> None:
            cloud.fault = None

        return Harm(f"{name} {fault}", (name,), mend)

    def _registries(self, _now: float) -> Harm:
        """All registries of one cloud fail: nobody can pull there, and no probe succeeds."""
        name, fault = self._clouds.draw(), self._registry_faults.draw()
        registries = self._of(name)
        for registry in registries:
            registry.fault = fault

        def mend() -> None:
            for registry in registries:
                registry.fault = None

        return Harm(f"registries {fault}", (name, shut(name)), mend)

    def _behind(self, _now: float) -> Harm:
        """All registries of one cloud refuse what it gives from now on; what it gave before still opens them."""
        name = self._clouds.draw()
        registries = self._of(name)
        for registry in registries:
            registry.behind = clouds(self._stage)[name].clock() + self._grounds.life

        def mend() -> None:
            for registry in registries:
                registry.behind = None

        return Harm("registries refuse new tokens", (name,), mend, BEHIND_S)

    def _of(self, cloud: str) -> list[Registry]:
        hosts = [host for hosts in self._grounds.registries.values() for host in hosts if cloud_of(host) == cloud]
        return [self._stage.net.registries[host] for host in hosts]

    # What lasts: the cluster ------------------------------------------------------------------------------------------

    def _api(self, _now: float) -> Harm:
        faults, what = self._stage.api.faults, self._api_faults.draw()
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
        return Harm(f"API server {what}", (EVERYBODY,), self._api_mended)

    def _api_mended(self) -> None:
        faults = self._stage.api.faults
        faults.down, faults.delay = False, 0.0
        faults.throttle(0)
        faults.fail(0)

    def _forbidden(self, _now: float) -> Harm:
        """403 in one namespace, for kubelets too."""
        namespace = self._places.draw()
        forbidden = self._stage.api.faults.forbidden_namespaces
        forbidden.add(namespace)
        return Harm("namespace forbidden", (namespace, shut(namespace)), lambda: forbidden.discard(namespace))

    def _replaced(self, now: float) -> Harm:
        """A Secret of another type has the name of ours, until somebody deletes it."""
        namespace = self._somewhere(now)
        store, name = self._stage.api.store, self._grounds.pull_secret(namespace)
        self._audit.removed(namespace)
        with suppress(StatusError):  # it may not be back yet
            store.delete("secrets", namespace, name)
        with suppress(StatusError):  # it may be back already
            store.create("secrets", namespace, {"metadata": {"name": name}, "type": "Opaque"})
        theirs = store.get("secrets", namespace, name)

        def mend() -> None:
            self._audit.must(store.get("secrets", namespace, name) == theirs, f"a Secret of another's in {namespace}")
            with suppress(StatusError):
                store.delete("secrets", namespace, name)
            if namespace not in self._unselected:
                self._audit.covers(namespace)

        return Harm("Secret replaced by another type", (namespace, shut(namespace)), mend)

    # What lasts: the replicas -----------------------------------------------------------------------------------------

    def _killed(self, _now: float) -> Harm:
        mortal, *_ = self._stage.replicas
        mortal.kill()
        return Harm("replica killed", (EVERYBODY,), lambda: self._started(mortal))

    def _terminated(self, _now: float) -> Harm:
        mortal, *_ = self._stage.replicas
        mortal.terminate()
        return Harm("replica terminated", (EVERYBODY,), lambda: self._started(mortal))

    def _started(self, replica: Replica) -> None:
        """With a good configuration: with a bad one it would not start, and nobody could take over."""
        replica.wait(10)
        self._stage.config_file.write_text(self._good)
        replica.start()

    def _frozen(self, _now: float) -> Harm:
        """Whoever leads: it is to lose the lead, and to do its work again when it gets it back.

        The one that is never killed gets it back at once, or it would have no chance to grow.
        """
        replica = self._leader()
        mortal, *_ = self._stage.replicas
        if replica.process:
            replica.process.send_signal(signal.SIGSTOP)

        def thaw() -> None:
            if replica.process:
                replica.process.send_signal(signal.SIGCONT)
            if replica is not mortal:
                mortal.terminate()
                self._started(mortal)

        return Harm("leader frozen", (EVERYBODY,), thaw, FROZEN_S)

    def _leader(self) -> Replica:
        lease = self._stage.api.store.get("leases", HOME, "rotator")
        holder = lease["spec"].get("holderIdentity") if lease else ""
        return next((each for each in self._stage.replicas if holder and each.holds(holder)), self._stage.replicas[-1])

    # What is done once ------------------------------------------------------------------------------------------------

    def _edited(self, now: float) -> Harm:
        self._edit(now, lambda secret, _: secret["data"].update({DATA: EMPTY_AUTHS}))
        return Harm("Secret edited")

    def _planted(self, now: float) -> Harm:
        """A tenant puts a credential of its own under one of our hosts."""
        password = f"planted-{next(self._numbers)}"

        def plant(secret: Object, namespace: str) -> None:
            host = self._grounds.images(namespace)[0].host
            auth = base64.b64encode(f"tenant:{password}".encode()).decode()
            content = json.dumps({"auths": {host: {"auth": auth}}}).encode()
            secret["data"][DATA] = base64.b64encode(content).decode()
            self._audit.plants(namespace, password)

        self._edit(now, plant)
        return Harm("credential planted")

    def _deleted(self, now: float) -> Harm:
        namespace = self._somewhere(now)
        with suppress(StatusError):  # it may not be back yet
            self._stage.api.store.delete("secrets", namespace, self._grounds.pull_secret(namespace))
        self._audit.forgets(namespace)
        return Harm("Secret deleted")

    def _reset(self, now: float) -> Harm:
        namespace = self._somewhere(now)
        self._change("serviceaccounts", namespace, ACCOUNT, lambda account: account.pop("imagePullSecrets", None))
        self._audit.forgets_account(namespace, now)
        return Harm("reference reset")

    def _strange(self, now: float) -> Harm:
        """Somebody adds an entry, an annotation and a reference of his own: rotator keeps them."""
        namespace = self._somewhere(now)
        with suppress(StatusError):  # it may not be back yet
            self._audit.strange(namespace)
        return Harm("another's entry added")

    def _added(self, now: float) -> Harm:
        name = f"team-guest-{next(self._numbers)}"
        self._troubles.deed(name, now)
        self._stage.add_namespace(name)
        self._audit.covers(name)
        self._guests.append(name)
        self._workers.add(name)
        return Harm("namespace added")

    def _removed(self, now: float) -> Harm:
        if not self._guests:
            return self._added(now)
        name = self._guests.pop(0)
        self._troubles.gone(name)
        self._audit.removed(name)
        self._stage.api.store.delete_namespace(name)
        return Harm("namespace deleted")

    def _relabelled(self, now: float) -> Harm:
        """A namespace loses the label that selects it; the next time one gets it back."""
        if self._unselected:
            return self._selected(now)
        namespace = self._chance.choice(self._grounds.selected)
        self._troubles.gone(namespace)
        self._audit.leaves(namespace, now)
        self._unselected.append(namespace)
        self._change("namespaces", "", namespace, lambda obj: obj["metadata"]["labels"].pop(LABEL))
        return Harm("namespace unselected")

    def _selected(self, now: float) -> Harm:
        namespace = self._unselected.pop()
        self._troubles.deed(namespace, now)
        self._audit.covers(namespace)
        self._change("namespaces", "", namespace, lambda obj: obj["metadata"]["labels"].update({LABEL: CHOSEN}))
        return Harm("namespace selected")

    def _configured(self, _now: float) -> Harm:
        if self._chance.random() < 0.5:
            self._stage.config_file.write_text(self._good + "nonsense: [\n")
            return Harm("configuration bad")
        jitter = self._chance.randint(1, 10)
        self._stage.config_file.write_text(self._good.replace("jitter: 10%", f"jitter: {jitter}%"))
        return Harm("configuration good")

    def _somewhere(self, now: float) -> str:
        namespace = next(name for _ in self._grounds.homes if (name := self._places.draw()) not in self._unselected)
        self._troubles.deed(namespace, now)
        return namespace

    def _edit(self, now: float, change: Callable[[Object, str], object]) -> None:
        namespace = self._somewhere(now)
        self._change("secrets", namespace, self._grounds.pull_secret(namespace), lambda obj: change(obj, namespace))
        self._audit.forgets(namespace)

    def _change(self, resource: str, namespace: str, name: str, change: Callable[[Object], object]) -> None:
        def changed(obj: Object) -> None:
            change(obj)

        with suppress(StatusError):  # it may not be back yet
            self._stage.api.store.change(resource, namespace, name, changed)


def plan(chance: random.Random, seconds: float, rest: float) -> Iterator[tuple[float, bool, float]]:
    """When what happens: the time, whether it lasts, and how long. After each outage there is a rest, its end calm.

    Every third rest is twice as long: whatever is late has no excuse then.
    """
    at = 3.0
    for number in count(1):
        if at + rest >= seconds:
            return
        yield at, True, chance.uniform(1.0, 4.0)
        for _ in range(chance.randint(1, 3)):
            yield at + chance.uniform(0.0, rest - 4.0), False, 0.0
        at += 4.0 + (rest if number % 3 else 2 * rest)
