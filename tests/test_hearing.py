"""Which events lead to a pass over their namespace: a table, and our own echoes."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rotator.cluster.client import Cluster
from rotator.cluster.watch import Seen
from rotator.config import Config, parse
from rotator.hearing import Hearing, wants_a_pass
from rotator.model import DesiredSecret, SecretText, Subject
from rotator.sandbox.apiserver import ApiServer
from rotator.workqueue import Workqueue

CONFIG = """
registries:
  - {name: prod, ecr: {hosts: [123456789012.dkr.ecr.eu-west-1.amazonaws.com]}}
pullSecrets:
  - name: pull
    registries: [prod]
    namespaces: {names: ["team-*"], exclude: [team-old], labels: pull=yes}
    serviceAccounts: {names: [workers], labels: app=ci}
  - {name: bare, registries: [prod], namespaces: {names: [argo]}}
"""


def namespace(name: str, event: str = "ADDED", *, labels: str = "yes", terminating: bool = False) -> Seen:
    """An event of a Namespace."""
    return Seen(event, "namespaces", name, name, "1", terminating, {"pull": labels})  # type: ignore[arg-type]


def secret(place: str, name: str = "pull", event: str = "MODIFIED") -> Seen:
    """An event of a Secret."""
    return Seen(event, "secrets", place, name, "1")  # type: ignore[arg-type]


def account(place: str, *references: str, name: str = "workers", event: str = "MODIFIED", app: str = "ci") -> Seen:
    """An event of a ServiceAccount."""
    return Seen(event, "serviceaccounts", place, name, "1", False, {"app": app}, references or None)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def config() -> Config:
    """Two pull secrets, one by pattern and label."""
    return parse(CONFIG, "config.yaml")


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(namespace("team-a"), id="a namespace is new"),
        pytest.param(namespace("team-a", "MODIFIED"), id="a namespace may have got its label"),
        pytest.param(secret("team-a"), id="a Secret was edited"),
        pytest.param(secret("team-a", event="DELETED"), id="a Secret was deleted"),
        pytest.param(secret("argo", "bare"), id="the Secret of another pull secret was edited"),
        pytest.param(account("team-a", event="ADDED"), id="a ServiceAccount is new"),
        pytest.param(account("team-a", "theirs"), id="a reference was lost"),
    ],
)
def test_what_may_need_something_leads_to_a_pass(config: Config, seen: Seen) -> None:
    """A pass over that namespace could find something to do."""
    assert wants_a_pass(config, seen)


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(namespace("team-a", "DELETED"), id="a namespace is gone"),
        pytest.param(namespace("team-a", terminating=True), id="a namespace is being deleted"),
        pytest.param(namespace("team-old"), id="an excluded namespace"),
        pytest.param(namespace("other"), id="a namespace that nobody means"),
        pytest.param(namespace("team-a", labels="no"), id="a namespace without the label"),
        pytest.param(secret("team-old"), id="a Secret in an excluded namespace"),
        pytest.param(secret("argo"), id="a Secret of that name where it is not ours"),
        pytest.param(secret("team-a", "other"), id="another Secret"),
        pytest.param(account("team-a", "theirs", "pull"), id="a ServiceAccount that has its reference"),
        pytest.param(account("team-a", event="DELETED"), id="a ServiceAccount that is gone"),
        pytest.param(account("team-a", name="default"), id="another ServiceAccount"),
        pytest.param(account("team-a", app="web"), id="a ServiceAccount without the label"),
        pytest.param(account("other"), id="a ServiceAccount elsewhere"),
    ],
)
def test_what_asks_for_nothing_is_passed_over(config: Config, seen: Seen) -> None:
    """Ten thousand heartbeats of other objects cost no request."""
    assert not wants_a_pass(config, seen)


class Argo:
    """The namespace argo on an emulated cluster, with two pull secrets of ours, and who hears of it."""

    def __init__(self, api: ApiServer, cluster: Cluster) -> None:
        self._api = api
        self._cluster = cluster
        self.spared: set[str] = set()
        two = CONFIG + "  - {name: second, registries: [prod], namespaces: {names: [argo]}}\n"
        self._queue = Workqueue(time.monotonic)
        self.hearing = Hearing(
            parse(two, "config.yaml"),
            cluster,
            self._queue,
            spare=self._is_spared,
            resync=lambda: None,
        )

    def write(self, name: str, *, heard_first: bool = False) -> None:
        """Write a Secret as rotator does, and hear of it: after the answer to the write, or before it."""
        text = SecretText(f'{{"auths":{{"a.example":{{"username":"{time.monotonic()}"}}}}}}')
        labels = {"app.kubernetes.io/managed-by": "rotator"}
        coming = 1 + max(self._version(each) for each in ("bare", "second"))
        if heard_first:
            self.hearing.changed(Seen("MODIFIED", "secrets", "argo", name, str(coming)))
        self._cluster.apply_secret(DesiredSecret("argo", name, text, labels, {}, None, None), force=True)
        if heard_first:
            assert self._version(name) == coming
        else:
            self.hear(name)

    def edit(self, name: str) -> None:
        """Somebody else edits it, and that is heard."""
        self._api.store.change("secrets", "argo", name, lambda found: found["metadata"].update(annotations={"a": "b"}))
        self.hear(name)

    def hear(self, name: str) -> None:
        """Hear of the Secret as it is."""
        self.hearing.changed(Seen("MODIFIED", "secrets", "argo", name, str(self._version(name))))

    def _version(self, name: str) -> int:
        found = self._api.store.get("secrets", "argo", name)
        return int(found["metadata"]["resourceVersion"]) if found else 0

    def wants_a_pass(self) -> bool:
        """Whether what was heard so far leads to one."""
        if not len(self._queue):
            return False
        work = self._queue.take()
        assert work
        self._queue.done(work.key)
        return not self.hearing.is_only_echo(work.key)

    def _is_spared(self, subject: Subject) -> bool:
        return subject.name in self.spared


@pytest.fixture
def argo(tmp_path: Path) -> Iterator[Argo]:
    """On a cluster of its own."""
    with ApiServer() as api, closing(Cluster.connect(api.kubeconfig(tmp_path / "config"))) as cluster:
        api.store.create_namespace("argo")
        yield Argo(api, cluster)


def test_our_own_writes_are_echoes_and_each_is_judged_once(argo: Argo) -> None:
    """What was judged is forgotten: a later write of another Secret is an echo too, and hearing one again is none."""
    argo.write("bare")
    assert not argo.wants_a_pass()
    argo.write("second")
    assert not argo.wants_a_pass()
    argo.hear("second")
    assert argo.wants_a_pass()


def test_an_echo_that_comes_before_the_answer_is_one(argo: Argo) -> None:
    """It is heard, but when its turn comes the answer has told the version."""
    argo.write("bare")
    argo.write("bare", heard_first=True)
    assert not argo.wants_a_pass()
    argo.write("second")
    argo.write("second", heard_first=True)
    argo.edit("bare")
    assert argo.wants_a_pass()


def test_one_edit_among_echoes_is_no_echo(argo: Argo) -> None:
    """Nor is an edit of what we wrote a moment ago."""
    argo.write("bare")
    argo.write("second")
    argo.edit("second")
    argo.write("bare")
    assert argo.wants_a_pass()


def test_an_edit_that_we_wrote_over_leads_to_no_pass(argo: Argo) -> None:
    """Our write was made on top of it."""
    argo.write("bare")
    argo.edit("bare")
    argo.write("bare")
    assert not argo.wants_a_pass()


def test_silence_is_no_echo(argo: Argo) -> None:
    """What is in the queue for another reason than an event, a pause that is over, gets its pass."""
    assert not argo.hearing.is_only_echo("argo")


def test_what_is_spared_is_left_unheard(argo: Argo) -> None:
    """An edit of what somebody changes back again and again asks for no pass, alone or among echoes."""
    argo.write("bare")
    argo.spared = {"bare"}
    argo.edit("bare")
    argo.write("second")
    assert not argo.wants_a_pass()
