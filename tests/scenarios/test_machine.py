"""State machines: anything happens, in any order, and after each pass the invariants hold (see `oracle`).

The tests try the same examples in every run, so that CI is steady. To search for new ones, say how many each machine is
to try: `ROTATOR_SEARCH=1000 pytest tests/scenarios/test_machine.py`. A failure is told as the steps that lead to it.
"""

import os
from collections.abc import Callable
from datetime import timedelta
from itertools import cycle
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from rotator.sandbox.faults import Fault
from tests.scenarios.machine import oracle
from tests.scenarios.machine.hands import (
    OTHERS_TEXT,
    PLANTS,
    REFERENCE_EDITS,
    SECRET_EDITS,
    Way,
    delete_namespace,
    edit_references,
    path_of,
    set_text,
    write,
)
from tests.scenarios.machine.mishaps import RIVALS, TROUBLES, Mishap
from tests.scenarios.machine.reading import Object
from tests.scenarios.machine.scene import Scene
from tests.scenarios.machine.seen import Pass, Sight
from tests.scenarios.machine.setting import (
    ACCOUNTS,
    COVERED,
    FAILING,
    HOSTS,
    REGISTRIES,
    REGISTRIES_OF,
    UNCOVERED,
    Key,
)

SEARCH = int(os.environ.get("ROTATOR_SEARCH", "0"))

LITTLE = [timedelta(seconds=3), timedelta(minutes=4), timedelta(minutes=11)]
MUCH = [timedelta(minutes=29), timedelta(minutes=50), timedelta(hours=2), timedelta(hours=7), timedelta(hours=13)]
SOME = [timedelta(), timedelta(minutes=40), timedelta(hours=2), timedelta(hours=7)]
BACK = [-timedelta(minutes=2), -timedelta(hours=1)]

T = TypeVar("T")


def from_scene(choose: Callable[[Scene], list[T]]) -> st.SearchStrategy[T]:
    """One of what there is at this moment; a rule that draws it needs a precondition that there is some."""
    return st.runner().flatmap(lambda machine: st.sampled_from(choose(machine.scene)))


def namespaces(scene: Scene) -> list[str]:
    """The covered namespaces that live."""
    sight = Sight.of(scene.store)
    return [name for name in COVERED if sight.serves(name)]


def absent(scene: Scene) -> list[str]:
    """Those that are not there."""
    return [name for name in COVERED if name not in Sight.of(scene.store).namespaces]


def terminating(scene: Scene) -> list[str]:
    """Those that are being deleted."""
    sight = Sight.of(scene.store)
    return [name for name in COVERED if name in sight.namespaces and not sight.serves(name)]


def secrets(scene: Scene) -> list[Key]:
    """The Secrets of our names in living namespaces."""
    sight = Sight.of(scene.store)
    return [key for key in sight.secrets if key[1] in REGISTRIES_OF and sight.serves(key[0])]


def accounts(scene: Scene) -> list[Key]:
    """The ServiceAccounts in living namespaces."""
    sight = Sight.of(scene.store)
    return [key for key in sight.accounts if key[1] in ACCOUNTS and sight.serves(key[0])]


def some(choose: Callable[[Scene], list[Any]]) -> Callable[[Any], bool]:
    """The precondition that there is some."""
    return lambda machine: bool(choose(machine.scene))


class Machine(RuleBasedStateMachine):
    """What every machine does: passes of one process or a new one, time, and the simplest things that people do."""

    scene: Scene

    def __init__(self) -> None:
        super().__init__()
        self.scene = Scene()
        self.sound = True

    @initialize(adopt=st.booleans(), listed=st.booleans())
    def begin(self, adopt: bool, listed: bool) -> None:
        """Two namespaces to serve, and two that are none of our business."""
        self.scene.configure(adopt=adopt, listed=listed)
        for name in (*COVERED[:2], *UNCOVERED):
            self.scene.add_namespace(name)
        for name in UNCOVERED:
            self.scene.store.put_secret(name, "worker-pull", {".dockerconfigjson": OTHERS_TEXT})

    def run_checked(self, *, writing: bool = True, only: str | None = None, mishap: Mishap | None = None) -> Pass:
        """One pass, and everything that must hold after it."""
        self.sound = False
        seen = self.scene.run(writing=writing, only=only, mishap=mishap)
        oracle.check(self.scene, seen)
        self.sound = True
        return seen

    @rule(
        only=st.sampled_from([None, None, None, *COVERED]),
        again=st.booleans(),
        pod=st.sampled_from(COVERED),
        host=st.sampled_from(sorted(HOSTS)),
    )
    def a_pass(self, only: str | None, again: bool, pod: str, host: str) -> None:
        """Over everything, or one namespace as after a watch event; perhaps another right after it; and a Pod pulls."""
        seen = self.run_checked(only=only)
        if again:
            oracle.check_nothing_was_left(self.run_checked(only=only))
        oracle.check_pull(self.scene, seen, pod, host)

    @rule(adopt=st.booleans(), foreseen=st.booleans())
    def a_pass_of_a_new_process(self, adopt: bool, foreseen: bool) -> None:
        """A restart, perhaps with another setting; perhaps `check`, a process of its own, foresees what it does."""
        self.scene.restart(adopt=adopt)
        if foreseen:
            checked = self.run_checked(writing=False)
            self.scene.restart(adopt=adopt)
        seen = self.run_checked()
        if foreseen:
            oracle.check_foreseen(checked, seen)

    @rule(by=st.sampled_from(LITTLE + MUCH + BACK))
    def time_passes(self, by: timedelta) -> None:
        """A little or much; or the clock is set back."""
        self.scene.advance(by)

    @precondition(some(secrets))
    @rule(key=from_scene(secrets))
    def somebody_deletes_a_secret(self, key: Key) -> None:
        """It is made anew."""
        self.scene.store.delete("secrets", *key)

    @precondition(some(absent))
    @rule(name=from_scene(absent))
    def a_namespace_comes(self, name: str) -> None:
        """Perhaps one of a name that was there before."""
        self.scene.add_namespace(name)

    def teardown(self) -> None:
        """Everything recovers: after a pass or two all is well, and Pods pull from every registry."""
        try:
            if self.sound:
                self.all_recovers()
        finally:
            self.scene.close()

    def all_recovers(self) -> None:
        """No fault any more, and the longest pause over, or the longest life of what was nearly spent."""
        self.scene.recover()
        for pause in (
            (timedelta(minutes=6), timedelta(hours=13)) if self.scene.process.cached else (timedelta(minutes=6),)
        ):
            self.scene.advance(pause)
            self.run_checked()
        seen = self.run_checked()
        oracle.check_nothing_was_left(seen)
        oracle.check_all_is_well(self.scene, seen)
        for namespace, host in zip(cycle(COVERED), HOSTS, strict=False):
            oracle.check_pull(self.scene, seen, namespace, host)


class Objects(Machine):
    """Objects that come and go, and the hands of others on them, between passes and within them."""

    @precondition(some(namespaces))
    @rule(name=from_scene(namespaces), linger=st.booleans())
    def a_namespace_goes(self, name: str, linger: bool) -> None:
        """At once, or it stays Terminating for a while."""
        delete_namespace(self.scene.store, name, linger=linger)

    @precondition(some(terminating))
    @rule(name=from_scene(terminating))
    def a_namespace_is_gone_at_last(self, name: str) -> None:
        """All in it is gone too."""
        self.scene.store.finish_namespace(name)

    @precondition(some(namespaces))
    @rule(
        namespace=from_scene(namespaces),
        account=st.sampled_from(ACCOUNTS),
        names=st.none() | st.lists(st.sampled_from(["docker-hub", "quay", "worker-pull"]), unique=True),
    )
    def an_account_goes(self, namespace: str, account: str, names: list[str] | None) -> None:
        """And perhaps comes again, with whatever references its owner thinks of."""
        if self.scene.store.get("serviceaccounts", namespace, account):
            self.scene.store.delete("serviceaccounts", namespace, account)
        if names is not None:
            self.scene.store.create_service_account(namespace, account, names)

    @precondition(some(accounts))
    @rule(key=from_scene(accounts), edit=st.sampled_from(sorted(REFERENCE_EDITS)), way=st.sampled_from(Way))
    def somebody_edits_references(self, key: Key, edit: str, way: Way) -> None:
        """The list is one value to the API: who writes it writes all of it."""
        old = self.scene.client.get(path_of("serviceaccounts", *key)).body
        new = {**old}
        edit_references(new, edit)
        assert write(self.scene.client, "serviceaccounts", old, new, way).status == 200

    @precondition(some(secrets))
    @rule(
        key=from_scene(secrets),
        edits=st.lists(st.sampled_from(sorted(SECRET_EDITS)), min_size=1, max_size=3, unique=True),
        host=st.sampled_from(sorted(HOSTS)),
        way=st.sampled_from(Way),
    )
    def somebody_edits_a_secret(self, key: Key, edits: list[str], host: str, way: Way) -> None:
        """Whatever it says: the API server takes it, or refuses (422) where the Secret is immutable."""

        def change(secret: Object) -> None:
            for edit in edits:
                SECRET_EDITS[edit](secret, host)

        self._edit(key, change, way)

    @precondition(some(secrets))
    @rule(key=from_scene(secrets), way=st.sampled_from(Way))
    def somebody_puts_back_an_old_text(self, key: Key, way: Way) -> None:
        """As a tool does that keeps Secrets in a repository: the entries are ours, and old."""
        if text := self.scene.texts.get(key):
            self._edit(key, lambda secret: set_text(secret, text), way)

    @precondition(some(namespaces))
    @rule(
        namespace=from_scene(namespaces),
        name=st.sampled_from(sorted(REGISTRIES_OF)),
        plant=st.sampled_from(sorted(PLANTS)),
    )
    def somebody_makes_a_secret_of_our_name(self, namespace: str, name: str, plant: str) -> None:
        """In place of ours, if there is one."""
        if self.scene.store.get("secrets", namespace, name):
            self.scene.store.delete("secrets", namespace, name)
        self.scene.store.put_secret(namespace, name, **{"data": {".dockerconfigjson": OTHERS_TEXT}, **PLANTS[plant]})

    @precondition(some(secrets))
    @rule(key=from_scene(secrets), to=from_scene(namespaces))
    def somebody_copies_a_secret(self, key: Key, to: str) -> None:
        """From one namespace to another, where there is none yet."""
        if not self.scene.store.get("secrets", to, key[1]):
            self.scene.copy_secret(key, to)

    @precondition(some(namespaces))
    @rule(
        namespace=from_scene(namespaces),
        resource=st.sampled_from(["secrets", "serviceaccounts"]),
        what=st.sampled_from(sorted(RIVALS)),
        times=st.integers(1, 2),
        lost=st.sampled_from(["", *sorted(REGISTRIES_OF)]),
        by=st.sampled_from(SOME),
    )
    def a_pass_with_rivals(
        self, namespace: str, resource: str, what: str, times: int, lost: str, by: timedelta
    ) -> None:
        """There is something to write, and just before that somebody does something there."""
        if lost and self.scene.store.get("secrets", namespace, lost):
            self.scene.store.delete("secrets", namespace, lost)
        self.scene.advance(by)
        self.run_checked(mishap=Mishap(what, namespace, resource, times))

    @precondition(some(namespaces))
    @rule(
        namespace=from_scene(namespaces),
        resource=st.sampled_from(["secrets", "serviceaccounts"]),
        what=st.sampled_from(sorted(TROUBLES)),
        by=st.sampled_from(SOME),
    )
    def a_pass_in_trouble(self, namespace: str, resource: str, what: str, by: timedelta) -> None:
        """There is something to write, and the API server does not take it, or the process is stopped."""
        self.scene.advance(by)
        if self.run_checked(mishap=Mishap(what, namespace, resource)).broken_off:
            self.scene.restart(adopt=self.scene.adopt)

    def _edit(self, key: Key, change: Callable[[Object], None], way: Way) -> None:
        old = self.scene.client.get(path_of("secrets", *key)).body
        new = {**old, "metadata": {**old["metadata"]}}
        change(new)
        answer = write(self.scene.client, "secrets", old, new, way)
        assert answer.status == (422 if old.get("immutable") and new["data"] != old["data"] else 200), answer


class Clouds(Machine):
    """Clouds and registries that fail and recover, while time passes."""

    @rule(registry=st.sampled_from(REGISTRIES), fault=st.sampled_from([Fault.NEARLY_SPENT, *FAILING]))
    def a_cloud_fails(self, registry: str, fault: Fault) -> None:
        """It gives no token, or one that is nearly spent."""
        self.scene.cloud(registry).fault = fault

    @rule(registry=st.sampled_from(REGISTRIES))
    def a_cloud_recovers(self, registry: str) -> None:
        """It gives tokens as ever."""
        self.scene.cloud(registry).fault = None

    @rule(host=st.sampled_from(sorted(HOSTS)), mode=st.sampled_from(["refusing", "silent"]))
    def a_registry_fails(self, host: str, mode: str) -> None:
        """It refuses what it is shown, or says nothing of it (503)."""
        self.scene.set_host(host, mode)

    @rule(host=st.sampled_from(sorted(HOSTS)))
    def a_registry_recovers(self, host: str) -> None:
        """It takes every token that lives."""
        self.scene.set_host(host, None)

    @rule(by=st.sampled_from(MUCH))
    def much_time_passes(self, by: timedelta) -> None:
        """Something is due, or over."""
        self.scene.advance(by)


class Everything(Objects, Clouds):
    """All of it at once."""


def search(machine: type[Machine], number: int) -> None:
    """Run the machine on the examples of this number, or on as many new ones as were asked for."""
    steady = type(machine.__name__, (machine,), {})
    if not SEARCH:
        seed(number)(steady)
    run_state_machine_as_test(
        steady,
        settings=settings(
            # Few at a time: from the tenth on hypothesis varies what it has, for which so short a search is too dear.
            max_examples=SEARCH or 9,
            stateful_step_count=60 if SEARCH else 40,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        ),
    )


pytestmark = pytest.mark.timeout(0 if SEARCH else 600)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_invariants_hold_whatever_is_done_to_the_objects(number: int) -> None:
    """Namespaces and ServiceAccounts come and go, and others write our objects, between passes and within them."""
    search(Objects, number)


@pytest.mark.parametrize("number", [1, 2])
def test_invariants_hold_whatever_clouds_and_registries_do(number: int) -> None:
    """They fail in every way and recover, while time passes and the clock is set back."""
    search(Clouds, number)


@pytest.mark.parametrize("number", [1, 2])
def test_invariants_hold_whatever_happens_together(number: int) -> None:
    """Both at once."""
    search(Everything, number)
