"""The soak, in short, and its own instruments: what they must see, and what they must let pass."""

import base64
import json
import random
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.model import DATA_KEY as KEY
from rotator.sandbox.demo.stage import ACCOUNT, PULL_SECRET, Stage
from rotator.sandbox.demo.workers import Verdict
from tests.outside import ECR, GAR
from tests.soak.audit import LATE, Audit
from tests.soak.grounds import Grounds
from tests.soak.growth import FEWEST, grown
from tests.soak.hands import Deck, plan
from tests.soak.soaking import LONG, Demands, Figures, Soak, leaked
from tests.soak.troubles import CALM, EVERYBODY, HEALED, RESOLUTION, Troubles, longest_calm, shut
from tests.vitals import Vitals

LIFE = timedelta(seconds=40)
LOOK = Vitals(rss=90.0, pss=80.0, peak=95.0, cpu=1.0, threads=16, descriptors=30)


def test_a_short_soak_is_survived(tmp_path: Path) -> None:
    """Every Pod pulls that could have, through more than a token's life; nothing secret is shown."""
    figures = Soak(tmp_path, 7, seconds=24, life=timedelta(seconds=18), lines=1, demands=Demands(renewals=15)).run()
    assert figures.wrong == []
    assert figures.pulls[Verdict.PULLED] > 50
    assert figures.harms.total() >= 2
    assert figures.characters > 0


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ([], 20.0),
        ([(0.0, 5.0)], 15.0),
        ([(12.0, 14.0), (4.0, 6.0)], 6.0),
        ([(4.0, 16.0), (5.0, 6.0)], 4.0),
        ([(0.0, 30.0)], 0.0),
    ],
)
def test_the_longest_calm_lies_between_the_troubles(wrong: list[tuple[float, float]], expected: float) -> None:
    """Between 0 and 20, whatever their order, and where one lies within another."""
    assert longest_calm(wrong, 0.0, 20.0) == expected


def noted(concern: str, began: float, ended: float) -> Troubles:
    """A trouble that lasted."""
    troubles, now = Troubles(), began
    while now <= ended:
        troubles.note(concern, now)
        now += RESOLUTION / 2
    return troubles


def test_a_calm_stretch_leaves_no_excuse() -> None:
    """A window that holds one: a credential could have been there; a shorter one, and it could not."""
    troubles = noted(EVERYBODY, 100.0, 104.0)
    assert troubles.excuses("team-a", ECR, 104.0 + CALM - 1, window=CALM)
    assert not troubles.excuses("team-a", ECR, 104.0 + CALM + 1, window=20.0)
    assert not troubles.excuses("team-a", ECR, 105.0, window=20.0)  # calm lay before it, in which renewal was due


def test_all_the_time_in_which_nobody_looked_is_no_calm() -> None:
    """The machine stood still from 90 to 100: what lay between two looks is a trouble as a whole."""
    troubles = Troubles()
    troubles.note(EVERYBODY, 100.0, since=90.0)
    assert troubles.excuses("team-a", ECR, 100.0 + CALM - 1, window=10.0 + CALM)
    assert not troubles.excuses("team-a", ECR, 100.0 + CALM + 1, window=20.0)


def test_another_clouds_trouble_excuses_nothing() -> None:
    """Failures stay where they are (invariant 6)."""
    troubles = noted("google", 100.0, 120.0)
    assert troubles.excuses("team-a", GAR, 120.0, window=20.0)
    assert not troubles.excuses("team-a", ECR, 120.0, window=20.0)


def test_a_deed_excuses_its_own_namespace_until_it_could_be_mended() -> None:
    """In seconds where all was well before, else as long as a trouble; a namespace that is deleted is owed nothing."""
    troubles = Troubles()
    troubles.deed("team-a", 100.0)
    assert troubles.excuses("team-a", ECR, 100.0 + HEALED - 1, window=20.0)
    assert not troubles.excuses("team-a", ECR, 100.0 + HEALED + 1, window=20.0)
    assert not troubles.excuses("team-b", ECR, 101.0, window=20.0)
    troubles.note("aws", 95.0)
    assert troubles.excuses("team-a", ECR, 100.0 + CALM - 1, window=20.0)
    assert not troubles.excuses("team-a", ECR, 100.0 + CALM + 1, window=20.0)
    troubles.gone("team-b")
    assert troubles.excuses("team-b", ECR, 101.0, window=20.0)
    troubles.deed("team-b", 110.0)
    assert not troubles.excuses("team-b", ECR, 110.0 + CALM + 1, window=20.0)


def test_only_what_is_shut_now_excuses_any_pull() -> None:
    """A registry that fails, or a Secret that is taken away: no credential helps, and a moment later it must."""
    troubles = noted(shut("aws"), 100.0, 104.0)
    assert troubles.is_shut("team-a", ECR, 104.0)
    assert not troubles.is_shut("team-a", GAR, 104.0)
    assert not troubles.is_shut("team-a", ECR, 104.0 + 2 * RESOLUTION)
    assert noted(shut("team-a"), 100.0, 104.0).is_shut("team-a", GAR, 104.0)


def test_every_card_is_drawn_before_any_comes_again() -> None:
    """Else minutes could pass without a frozen leader, and what only that shows would go unseen."""
    deck = Deck("abcde", random.Random(1))  # noqa: S311  (no secret)
    for _ in range(3):
        assert sorted(deck.draw() for _ in range(5)) == list("abcde")


class Scene:
    """An audit of one namespace whose Secret is written by hand, at times of our choice."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.troubles = Troubles()
        self.audit = Audit(stage, Grounds(LIFE), self.troubles)
        self.google = stage.net.google

    def token(self, life: timedelta = LIFE) -> str:
        """A new one of Google's."""
        self.google.life = life
        return self.google.issue(lambda _: secrets.token_hex(), audience="", subject="", life=life).value

    def write(self, password: str) -> None:
        """Put it into the Secret, and nothing else."""
        auths = {GAR: {"auth": base64.b64encode(f"oauth2accesstoken:{password}".encode()).decode()}}
        self.stage.api.store.put_secret("shuffle", PULL_SECRET, {KEY: json.dumps({"auths": auths})})

    def found(self, now: float) -> list[str]:
        """What a look at this time finds."""
        self.audit.look(now)
        return self.audit.found


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """Before anything was written."""
    with Stage(tmp_path) as stage:
        yield Scene(stage)


def test_renewals_in_time_are_counted_and_nothing_is_found(scene: Scene) -> None:
    """The first credential is none, and to look again or to write the same again counts nothing."""
    for now in range(0, 40, 4):
        if now % 8 == 0:
            scene.write(scene.token())
        assert scene.found(100.0 + now) == []
    assert scene.audit.renewals == 4


def test_what_is_not_renewed_is_found_long_before_it_expires(scene: Scene) -> None:
    """Due, the alarm rung, and a calm stretch over; unless its cloud was in trouble all the time."""
    scene.write(scene.token())
    due = 100.0 + Grounds(LIFE).longest_wait
    assert scene.found(100.0) == scene.found(due + LATE - 1) == []
    assert scene.found(due + LATE + 1) == [f"{GAR} in shuffle was not renewed when it was due"]


def test_a_credential_that_opens_nothing_is_found(scene: Scene) -> None:
    """One that has expired, one that its registry does not know yet, and one that nobody gave (invariant 1)."""
    scene.write(scene.token(life=timedelta(seconds=-5)))
    assert scene.found(100.0) == [f"an expired credential was written for {GAR} in shuffle"]
    scene.stage.net.registries[GAR].behind = scene.google.clock()
    scene.write(scene.token())
    assert scene.found(101.0)[1:] == [f"a credential that {GAR} refuses was written in shuffle"]
    scene.write("guessed")
    assert scene.found(102.0)[2:] == [f"what no cloud gave was written for {GAR} in shuffle"]


def test_what_was_written_while_nobody_looked_is_no_news(scene: Scene) -> None:
    """A pass under way when a label is taken away still writes; when the label is back that has expired."""
    scene.write(scene.token())
    assert scene.found(100.0) == []
    scene.audit.leaves("shuffle", 100.0)
    scene.write(scene.token(life=timedelta(seconds=-5)))
    scene.audit.covers("shuffle")
    assert scene.found(101.0) == []


def test_a_tenants_own_credential_is_found_only_elsewhere(scene: Scene) -> None:
    """What it did to itself is its own affair; what comes of it in another namespace is not (invariant 11)."""
    scene.audit.plants("shuffle", "own")
    scene.audit.plants("airflow", "another's")
    scene.write("own")
    assert scene.found(100.0) == []
    scene.write("another's")
    assert scene.found(101.0) == [f"what no cloud gave was written for {GAR} in shuffle"]


def test_a_secret_that_is_made_anew_is_found_unless_somebody_deleted_it(scene: Scene) -> None:
    """By its UID (invariant 2)."""
    for told in (True, False):
        scene.write(scene.token())
        assert scene.found(100.0) == []
        scene.stage.api.store.delete("secrets", "shuffle", PULL_SECRET)
        if told:
            scene.audit.forgets("shuffle")
    scene.write(scene.token())
    assert scene.found(101.0) == ["the Secret in shuffle was made anew: its UID is another"]


def test_what_is_anothers_is_missed(scene: Scene) -> None:
    """An entry and an annotation of the Secret, and a reference of the ServiceAccount (invariant 3)."""
    scene.write(scene.token())
    scene.audit.strange("shuffle")
    assert scene.found(100.0) == []
    scene.write(scene.token())
    assert scene.found(101.0) == ["another's entry or annotation was lost in shuffle"]
    scene.stage.api.store.change("serviceaccounts", "shuffle", ACCOUNT, lambda obj: obj.update(imagePullSecrets=[]))
    assert scene.found(102.0)[1:] == ["another's reference was lost in shuffle"]


def test_a_leak_is_seen_and_a_passing_peak_is_not() -> None:
    """A thread at each look is too much; a peak that is over, or one made in the warm-up, is not."""
    assert grown([LOOK] * 40) == []
    assert grown([replace(LOOK, threads=16 + 2 * number) for number in range(40)]) == ["threads grew from 54 to 76"]
    assert grown([replace(LOOK, rss=90.0 + number) for number in range(40)]) == ["rss grew from 109 to 120"]
    assert grown([*[LOOK] * 39, replace(LOOK, threads=99)]) == []
    assert grown([replace(LOOK, rss=20.0)] * 10 + [LOOK] * 30) == []


def test_a_secret_is_found_anywhere_in_the_text() -> None:
    """At its beginning, in its middle and at its end; one that only begins alike is none."""
    secrets = {"AAAAAAAAAAAA-first-value", "AAAAAAAAAAAA-second-value", "BBBBBBBBBBBB-third-value"}
    assert leaked("x" * 30 + "AAAAAAAAAAAA-second-value", secrets) == {"AAAAAAAAAAAA-second-value"}
    assert leaked("BBBBBBBBBBBB-third-value and more", secrets) == {"BBBBBBBBBBBB-third-value"}
    assert leaked("AAAAAAAAAAAA-other BBBBBBBBBBBB", secrets) == set()


def test_a_seed_draws_the_same_again() -> None:
    """Else a failure could not be looked at twice; another seed draws something else."""
    first, again, other = (list(plan(random.Random(seed), 300, 10)) for seed in (1, 1, 2))  # noqa: S311  (no secret)
    assert first == again != other
    assert len([lasting for _, lasting, _ in first if lasting]) > 10


def test_a_soak_that_was_too_short_proves_nothing() -> None:
    """Too few renewals, too few calm looks to judge growth, no pulls, or too many excuses: each is said."""
    figures = Figures(1, 300, LONG, pulls=Counter({Verdict.PULLED: 9}), renewals=1000, looks=[LOOK] * FEWEST)
    assert figures.wrong == []
    assert replace(figures, renewals=999).wrong == ["999 renewals, at least 1000 were to be seen"]
    assert replace(figures, looks=[LOOK] * 7).wrong == ["growth cannot be judged by 7 calm looks, it takes 8"]
    excused = Counter({Verdict.PULLED: 94, Verdict.EXCUSED: 6})
    assert replace(figures, pulls=excused).wrong == ["6 of 100 pulls had an excuse, which is too many"]
    assert replace(figures, pulls=excused + excused - Counter({Verdict.EXCUSED: 3})).wrong == []
    assert replace(figures, pulls=Counter()).wrong == ["nothing was pulled"]
