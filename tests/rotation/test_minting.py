"""Minting: one at a time for each registry, each failure counted and waited out, nothing asked for without need."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from rotator.config import Registry
from rotator.errors import IdentityMissing, MintError, MintRefused, MintThrottled
from rotator.model import Credential
from rotator.probe import Verdict
from rotator.rotation import Report
from rotator.rotation.minting import Minting, PublishedUntil
from tests.build import CONFIG, ECR, GAR, NOW, config, credential

SECONDS = 30
"""How long a test waits for a thread before it fails."""
LONG = {ECR: NOW + timedelta(hours=12)}
"""Published for so long that only the backoff itself decides."""
UNASKED = CONFIG.replace("]}\n  - name", "]}\n    probe: {enabled: false}\n  - name").replace(
    "]}\npullSecrets", "]}\n    probe: {enabled: false}\npullSecrets"
)
"""No registry is asked: these tests are about the clouds."""
OTHER_PROD = UNASKED.replace("    probe: {enabled: false}\n", "    probe: {enabled: false}\n    deadline: 7s\n", 1)
"""The same, but for a setting of the first registry."""


@dataclass
class Cloud:
    """A provider that does what it is told to, one answer after the other, the last one for good."""

    answers: list[Callable[[], Credential]] = field(default_factory=lambda: [credential])
    calls: int = 0
    open: threading.Event = field(default_factory=threading.Event)

    def mint(self) -> Credential:
        """The next answer, as soon as the cloud is open."""
        self.calls += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        assert self.open.wait(SECONDS)
        return answer()


def failing(error: Exception) -> Callable[[], Credential]:
    """An answer that is this error."""

    def answer() -> Credential:
        raise error

    return answer


class Office:
    """A minting, its two clouds, and its clock."""

    def __init__(self) -> None:
        self.now = NOW
        self.clouds = {"prod": Cloud(), "images": Cloud()}
        self.built: list[str] = []
        self.minting = Minting(config(UNASKED), self._provider_for, lambda: self.now)
        for cloud in self.clouds.values():
            cloud.open.set()

    def mint(self, registry: str = "prod", published: PublishedUntil = LONG) -> None:
        """Ask for a credential, and wait for the end of it."""
        self.minting.start(registry, "a test", published, self.minting.held.get(registry)).result(SECONDS)

    def fail(self, error: Exception, published: PublishedUntil = LONG) -> tuple[int, timedelta]:
        """Meet this error: the failures in a row, and the pause before the next try."""
        self.clouds["prod"].answers = [failing(error)]
        self.mint(published=published)
        failure = self.minting.failure("prod")
        assert failure is not None
        return failure.count, failure.retry_at - self.now

    def _provider_for(self, registry: Registry) -> Cloud:
        self.built.append(registry.name)
        return self.clouds[registry.name]


@pytest.fixture
def office() -> Office:
    """Both clouds are open and give a credential."""
    return Office()


def test_invariant_4_a_mint_under_way_is_joined(office: Office) -> None:
    """Whoever asks for the same registry meanwhile waits for the same mint; after its end a new one can begin."""
    cloud = office.clouds["prod"]
    cloud.open.clear()
    mints = [office.minting.start("prod", "a test", {}, None) for _ in range(3)]
    assert {id(mint) for mint in mints} == {id(mints[0])}
    assert not mints[0].done()
    cloud.open.set()
    mints[0].result(SECONDS)
    assert cloud.calls == 1
    office.mint()
    assert cloud.calls == 2


def test_invariant_6_a_mint_under_way_holds_up_no_other(office: Office) -> None:
    """One cloud hangs; the other registry's credential is there all the same."""
    office.clouds["prod"].open.clear()
    hanging = office.minting.start("prod", "a test", {}, None)
    office.mint("images")
    assert (set(office.minting.held), set(office.minting.offers), hanging.done()) == ({"images"}, {GAR}, False)
    office.clouds["prod"].open.set()
    hanging.result(SECONDS)


def test_a_provider_is_built_when_it_is_first_needed_and_once(office: Office) -> None:
    """A kind that nobody asks for costs no import, and a provider may keep its connections."""
    assert office.built == []
    office.mint()
    office.mint()
    assert office.built == ["prod"]


def test_invariant_6_a_defect_is_a_failure_of_its_registry_only(office: Office) -> None:
    """What no provider should raise: its class and place are told, its words are not, and the registry is retried."""
    count, _ = office.fail(ZeroDivisionError("hunter2"))
    office.mint("images")
    failure = office.minting.failure("prod")
    assert failure is not None
    assert isinstance(failure.error, MintError)
    assert "ZeroDivisionError at test_minting.py" in failure.error.message
    assert "hunter2" not in str(failure.error)
    assert (count, failure.error.hint) == (1, "please report this")
    assert office.minting.failure("images") is None
    office.clouds["prod"].answers = [credential]
    office.mint()
    assert set(office.minting.held) == {"prod", "images"}


def test_failures_are_counted_until_a_success_and_each_pause_is_longer(office: Office) -> None:
    """2 s, 4 s, 8 s; a success forgets them, so that the next failure is a first one again."""
    refused = MintRefused("no")
    found = [office.fail(refused) for _ in range(3)]
    assert found == [(1, timedelta(seconds=2)), (2, timedelta(seconds=4)), (3, timedelta(seconds=8))]
    office.clouds["prod"].answers = [credential]
    office.mint()
    assert office.minting.failure("prod") is None
    assert office.fail(refused) == (1, timedelta(seconds=2))


def test_the_clouds_own_figure_is_waited_for(office: Office) -> None:
    """Retry-After lengthens the first pause, as long as what is published lives."""
    throttled = MintThrottled("slow down", retry_after=timedelta(seconds=70))
    assert office.fail(throttled) == (1, timedelta(seconds=70))
    assert office.fail(throttled, {ECR: NOW + timedelta(seconds=40)}) == (2, timedelta(seconds=10))


@pytest.mark.parametrize(("error", "seconds"), [(MintThrottled("slow down"), 30), (IdentityMissing("no role"), 300)])
@pytest.mark.parametrize("published", [{}, {ECR: None}, {ECR: NOW + timedelta(hours=12), "other": None}])
def test_while_pods_cannot_pull_what_may_pass_is_tried_often(
    office: Office, error: MintError, seconds: int, published: dict[str, datetime | None]
) -> None:
    """Nothing is published for some host: every half a minute, or five where a person has to mend it first."""
    for _ in range(12):
        _, pause = office.fail(error, published)
    assert pause == timedelta(seconds=seconds)


def test_the_host_whose_entry_ends_first_bounds_the_pause(office: Office) -> None:
    """A quarter of the life that is left there, whatever the other hosts have."""
    throttled = MintThrottled("slow down", retry_after=timedelta(minutes=4))
    ends: dict[str, datetime | None] = {ECR: NOW + timedelta(hours=12), "other": NOW + timedelta(minutes=4)}
    assert office.fail(throttled, ends) == (1, timedelta(minutes=1))


def test_who_is_wanted(office: Office) -> None:
    """Those of the plan, and needed ones that failed before, but none before its pause is over."""
    wanted = office.minting.wanted
    assert wanted(["images", "prod"], [], NOW) == ["images", "prod"]
    assert wanted([], ["prod", "images"], NOW) == []
    _, pause = office.fail(MintRefused("no"))
    early = NOW + pause - timedelta(seconds=1)
    assert (wanted(["prod", "images"], ["prod"], early), wanted([], ["prod"], early)) == (["images"], [])
    assert wanted(["prod"], ["prod"], NOW + pause) == ["prod"]
    assert wanted([], ["prod", "images"], NOW + pause) == ["prod"]
    assert wanted([], [], NOW + pause) == []


def test_a_failure_keeps_what_was_minted_before(office: Office) -> None:
    """The credential in hand still opens its registry, and serves a namespace that comes meanwhile."""
    office.mint()
    held = office.minting.held["prod"]
    office.fail(MintRefused("no"))
    assert office.minting.held["prod"] is held
    assert [offer.credential for offer in office.minting.offers[ECR]] == [held]


def test_a_registry_that_stays_keeps_all_that_it_has_and_another_begins_anew(office: Office) -> None:
    """Another setting makes it another registry, whatever its name: its credential, failure and provider are gone."""
    office.mint("prod")
    office.mint("images")
    office.fail(MintRefused("no"))
    office.clouds["images"].answers = [failing(MintRefused("no"))]
    office.mint("images")
    held = office.minting.held
    office.minting.serve(config(OTHER_PROD))
    assert office.minting.held == {"images": held["images"]}
    assert set(office.minting.offers) == {GAR}
    assert (office.minting.failure("prod"), office.minting.failure("images") is None) == (None, False)
    office.mint("prod")
    office.mint("images")
    assert office.built == ["prod", "images", "prod"]


@pytest.mark.parametrize("answer", [credential, failing(MintRefused("no"))])
def test_what_a_mint_gives_for_what_left_meanwhile_counts_for_nothing(
    office: Office, answer: Callable[[], Credential]
) -> None:
    """Neither a credential nor a failure: who has that name now was not asked yet."""
    cloud = office.clouds["prod"]
    cloud.answers = [answer]
    cloud.open.clear()
    late = office.minting.start("prod", "a test", LONG, None)
    office.minting.serve(config(OTHER_PROD))
    cloud.open.set()
    late.result(SECONDS)
    assert (office.minting.held, office.minting.offers, office.minting.failure("prod")) == ({}, {}, None)


def test_nobody_waits_for_the_mint_of_what_left(office: Office) -> None:
    """Who has its name now is asked at once, and the end of the old one does not end that."""
    cloud = office.clouds["prod"]
    cloud.open.clear()
    late = office.minting.start("prod", "a test", LONG, None)
    office.minting.serve(config(OTHER_PROD))
    new = office.minting.start("prod", "a test", LONG, None)
    assert new is not late
    cloud.open.set()
    new.result(SECONDS)
    assert set(office.minting.held) == {"prod"}


def test_a_mint_under_way_for_what_stays_is_joined_after_a_change(office: Office) -> None:
    """Another registry changed: this one's cloud is asked once, and what it gives counts."""
    cloud = office.clouds["images"]
    cloud.open.clear()
    under_way = office.minting.start("images", "a test", {}, None)
    office.minting.serve(config(OTHER_PROD))
    assert office.minting.start("images", "a test", {}, None) is under_way
    cloud.open.set()
    under_way.result(SECONDS)
    assert (set(office.minting.held), cloud.calls) == ({"images"}, 1)


def test_a_provider_that_was_being_built_for_what_left_is_nobody_elses() -> None:
    """Its registry has another setting by then: the next mint has a provider that knows it."""
    building, go_on, built = threading.Event(), threading.Event(), list[Registry]()

    def build(registry: Registry) -> OpenCloud:
        building.set()
        assert go_on.wait(SECONDS)
        built.append(registry)
        return OpenCloud(credential)

    minting = Minting(config(UNASKED), build, lambda: NOW)
    early = minting.start("prod", "a test", LONG, None)
    assert building.wait(SECONDS)
    minting.serve(config(OTHER_PROD))
    go_on.set()
    early.result(SECONDS)
    minting.start("prod", "a test", LONG, None).result(SECONDS)
    assert built == [config(UNASKED).registry("prod"), config(OTHER_PROD).registry("prod")]


@dataclass
class Listener:
    """Notes what it is told."""

    mints: list[tuple[str, str]] = field(default_factory=list)
    probes: list[tuple[str, Verdict]] = field(default_factory=list)

    def minted(self, registry: str, result: str, seconds: float) -> None:
        """A mint."""
        assert seconds >= 0
        self.mints.append((registry, result))

    def probed(self, registry: str, verdict: Verdict, seconds: float) -> None:
        """A probe."""
        assert seconds >= 0
        self.probes.append((registry, verdict))

    def passed(self, report: Report, seconds: float) -> None:
        """No pass is made here."""


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (credential, "ok"),
        (failing(MintThrottled("slow down")), "MintThrottled"),
        (failing(ZeroDivisionError("hunter2")), "MintError"),
    ],
)
def test_the_observer_is_told_of_each_mint(answer: Callable[[], Credential], result: str) -> None:
    """Its result by the reason that the log gives, a defect's included; what is not probed is not told as probed."""
    listener = Listener()
    minting = Minting(config(UNASKED), lambda _: OpenCloud(answer), lambda: NOW, listener)
    minting.start("prod", "a test", LONG, None).result(SECONDS)
    assert (listener.mints, listener.probes) == ([("prod", result)], [])


def test_the_observer_is_told_of_a_provider_that_cannot_be_built() -> None:
    """The cloud was not even asked, but the mint has failed all the same."""

    def broken(_registry: Registry) -> Cloud:
        msg = "no role"
        raise IdentityMissing(msg)

    listener = Listener()
    Minting(config(UNASKED), broken, lambda: NOW, listener).start("prod", "a test", LONG, None).result(SECONDS)
    assert listener.mints == [("prod", "IdentityMissing")]


@dataclass(frozen=True)
class OpenCloud:
    """A provider with one answer."""

    mint: Callable[[], Credential]
