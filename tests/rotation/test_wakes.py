"""What is published now, and when the daemon wakes up for it."""

from datetime import datetime, timedelta

from rotator.model import Credential, SecretRecord, Snapshot
from rotator.plan import plan
from rotator.rotation.published import published
from rotator.rotation.report import Outcome, Result
from rotator.rotation.wakes import wakes
from tests.build import ECR, GAR, NOW, config, credential, secret, snapshot

HOUR = timedelta(hours=1)


def records(**issued: datetime) -> list[SecretRecord]:
    """Our Secret in each namespace, its ECR (12 h) and GAR (1 h) credentials issued then."""
    return [
        secret(
            {
                ECR: ("prod", credential("ecr", issued=moment)),
                GAR: ("images", credential("gar", issued=moment, life=HOUR)),
            },
            namespace=name,
        )
        for name, moment in issued.items()
    ]


def results(found: Snapshot) -> list[Result]:
    """A pass that had nothing to write."""
    return [Result(change, Outcome.NOTHING) for change in plan(found, config(), {}, NOW).changes]


def alarms(found: Snapshot, held: dict[str, Credential] | None = None, draw: float = 0.0) -> dict[str, datetime]:
    """When the daemon wakes up."""
    return wakes(config(), found, results(found), held or {}, NOW, lambda: draw)


def test_each_registry_wakes_the_daemon_when_its_credential_is_due() -> None:
    """Half of 12 h for ECR, half of 1 h for Artifact Registry."""
    found = snapshot(*records(shuffle=NOW), namespaces=("shuffle",))
    assert alarms(found) == {"prod": NOW + 6 * HOUR, "images": NOW + HOUR / 2}


def test_the_oldest_secret_decides() -> None:
    """After a restart namespaces may hold credentials of different age: the first that is due rings."""
    young_and_old = records(shuffle=NOW, shuffle2=NOW - HOUR / 3)
    assert alarms(snapshot(*young_and_old, namespaces=("shuffle", "shuffle2")))["images"] == NOW + HOUR / 6


def test_jitter_makes_it_later_and_never_earlier() -> None:
    """A tenth of the rest of the life at most."""
    found = snapshot(*records(shuffle=NOW), namespaces=("shuffle",))
    assert alarms(found, draw=1.0)["images"] == NOW + HOUR / 2 + HOUR / 20


def test_what_was_just_written_counts_from_its_new_credential() -> None:
    """The snapshot still shows the old entry of a Secret that was written; the held credential is the truth."""
    found = snapshot(*records(shuffle=NOW - 7 * HOUR), namespaces=("shuffle",))
    held = {"prod": credential(), "images": credential(life=HOUR)}
    assert alarms(found, held) == {"prod": NOW + 6 * HOUR, "images": NOW + HOUR / 2}


def test_a_secret_that_cannot_be_renewed_does_not_make_the_daemon_spin() -> None:
    """An immutable Secret is overdue for good: no alarm is set for it."""
    found = snapshot(
        secret({ECR: ("prod", credential(issued=NOW - 11 * HOUR))}, namespace="shuffle", immutable=True),
        namespaces=("shuffle",),
    )
    assert alarms(found) == {}


def test_published_is_the_first_expiry_and_whether_every_secret_has_one() -> None:
    """One namespace without a Secret: the first expiry is known, but not every Pod can pull until then."""
    found = snapshot(*records(shuffle=NOW), namespaces=("shuffle", "team-a"))
    shown = published(config(), found, plan(found, config(), {}, NOW).changes, NOW)
    assert (shown[GAR].first_expiry, shown[GAR].until) == (NOW + HOUR, None)


def test_a_foreign_secret_does_not_count_as_published() -> None:
    """It is not ours to serve, so it neither shortens nor hides what the others have."""
    found = snapshot(
        *records(shuffle=NOW),
        secret({}, namespace="team-a", ours=False, text=records(x=NOW)[0].text),
        namespaces=("shuffle", "team-a"),
    )
    assert published(config(), found, plan(found, config(), {}, NOW).changes, NOW)[GAR].until == NOW + HOUR


def test_a_secret_that_another_writer_made_meanwhile_breaks_no_alarm() -> None:
    """Missing when it was read, up to date when it was judged again: the snapshot has no note of it, others ring."""
    read = snapshot(*records(shuffle=NOW), namespaces=("shuffle", "team-a"))
    seen = snapshot(*records(**{"shuffle": NOW, "team-a": NOW}), namespaces=("shuffle", "team-a"))
    assert wakes(config(), read, results(seen), {}, NOW, lambda: 0.0)["images"] == NOW + HOUR / 2
