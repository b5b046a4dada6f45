"""The soak, in short, and its own instruments: what they must see, and what they must let pass."""

import random
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.sandbox.demo.workers import Verdict
from tests.outside import ECR, GAR
from tests.soak.growth import grown
from tests.soak.hands import plan
from tests.soak.soaking import Demands, Soak, leaked
from tests.soak.troubles import CALM, EVERYBODY, RESOLUTION, Troubles, longest_calm
from tests.vitals import Vitals

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


def test_another_clouds_trouble_excuses_nothing() -> None:
    """Failures stay where they are (invariant 6)."""
    troubles = noted("google", 100.0, 120.0)
    assert troubles.excuses("team-a", GAR, 120.0, window=20.0)
    assert not troubles.excuses("team-a", ECR, 120.0, window=20.0)


def test_a_deed_excuses_its_own_namespace_until_it_could_be_mended() -> None:
    """What was calm before it does not count; a namespace that is deleted is owed nothing."""
    troubles = Troubles()
    troubles.deed("team-a", 100.0)
    assert troubles.excuses("team-a", ECR, 100.0 + CALM - 1, window=20.0)
    assert not troubles.excuses("team-a", ECR, 100.0 + CALM + 1, window=20.0)
    assert not troubles.excuses("team-b", ECR, 101.0, window=20.0)
    troubles.gone("team-b")
    assert troubles.excuses("team-b", ECR, 101.0, window=20.0)


def test_a_leak_is_seen_and_a_passing_peak_is_not() -> None:
    """A thread at each look is too much; a peak that is over, or one made in the warm-up, is not."""
    assert grown([LOOK] * 40) == []
    assert grown([replace(LOOK, threads=16 + number) for number in range(40)]) == ["threads grew from 35 to 46"]
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
