"""The desired Secret: what one write sends, and what it never sends."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from rotator import annotations, dockerconfig
from rotator.config import Config
from rotator.desired import changed_entries, desired_secret
from rotator.model import Credential, DesiredSecret, Offer, SecretRecord, SecretText, State
from rotator.plan import judge_secret
from tests.build import ALWAYS, CONFIG, ECR, GAR, NOW, config, credential, proven, secret

HOUR = timedelta(hours=1)
NEW = {ECR: credential("ecr-2"), GAR: credential("gar-2", username="oauth2accesstoken")}


def write(
    record: SecretRecord | None, supply: dict[str, Credential], settings: Config | None = None
) -> DesiredSecret | None:
    """What the plan's change for this record would send."""
    settings = settings or config()
    pull_secret = settings.pull_secrets[0]
    change = judge_secret(pull_secret, "team-a", record, settings, NOW)
    return desired_secret(change, pull_secret, record, proven(supply), settings, NOW)


def auths(desired: DesiredSecret | None) -> dict[str, object]:
    """The entries that would be written."""
    assert desired is not None
    return json.loads(desired.text.reveal())["auths"]  # type: ignore[no-any-return]


def test_a_missing_secret_is_written_with_every_host_and_no_precondition() -> None:
    """Both hosts, both notes, and neither UID nor version: there is nothing to compare with."""
    desired = write(None, NEW)
    assert set(auths(desired)) == {ECR, GAR}
    assert desired is not None
    assert (desired.uid, desired.resource_version) == (None, None)
    assert set(annotations.read(desired.annotations)) == {ECR, GAR}


def test_invariant_2_an_existing_secret_is_written_under_its_uid_and_version() -> None:
    """The write is refused when the Secret was changed or replaced since it was read."""
    record = secret({ECR: ("prod", credential(issued=NOW - 7 * HOUR))})
    desired = write(record, NEW)
    assert desired is not None
    assert (desired.uid, desired.resource_version) == (record.uid, record.resource_version)


def test_invariant_3_foreign_entries_stay_in_their_order() -> None:
    """Entries of others, with fields that we do not know, come out as they went in."""
    text = '{"credsStore":"x","auths":{"b.example":{"auth":"YTpi","email":"e"},"a.example":{"auth":"YTpi"}}}'
    record = secret({}, text=SecretText(text))
    desired = write(record, NEW)
    assert list(auths(desired))[:2] == ["b.example", "a.example"]
    assert desired is not None
    assert json.loads(desired.text.reveal())["credsStore"] == "x"
    assert auths(desired)["b.example"] == {"auth": "YTpi", "email": "e"}


@pytest.mark.parametrize(("left", "written"), [(-HOUR, False), (timedelta(0), False), (timedelta(seconds=1), True)])
def test_invariant_1_an_expired_credential_is_never_written(left: timedelta, written: bool) -> None:
    """A credential that ran out between mint and write, be it this very second, leaves the Secret as it is."""
    stale = {host: credential("old", issued=NOW - 12 * HOUR + left) for host in NEW}
    assert (write(None, stale) is not None) == written


def test_invariant_1_without_a_credential_nothing_is_written() -> None:
    """No mint, no write: never an empty Secret."""
    assert write(None, {}) is None


def test_invariant_6_one_registry_that_fails_holds_up_no_other() -> None:
    """The hosts whose credential is at hand are written; the others come with the next pass."""
    desired = write(None, {ECR: NEW[ECR]})
    assert set(auths(desired)) == {ECR}


OLD = credential("same", issued=NOW - 7 * HOUR)
AGAIN = {
    "the same token": (replace(OLD, issued_at=NOW), False),
    "the same token, whose expiry wavers": (replace(OLD, expires_at=OLD.expires_at + timedelta(seconds=10)), False),
    "the same token, whose expiry wavers back": (
        replace(OLD, expires_at=OLD.expires_at - timedelta(seconds=10)),
        False,
    ),
    "the same token, which now lives longer": (replace(OLD, expires_at=OLD.expires_at + timedelta(seconds=11)), True),
    "the same token, which now ends earlier": (replace(OLD, expires_at=OLD.expires_at - timedelta(seconds=11)), True),
    "another token of the same expiry": (replace(OLD, password=SecretText("other")), True),
}


@pytest.mark.parametrize("case", AGAIN)
def test_the_same_bytes_are_not_written_again(case: str) -> None:
    """A metadata server that still gives the same token costs no write in any namespace; any other token does."""
    again, written = AGAIN[case]
    desired = write(secret({ECR: ("prod", OLD), GAR: ("images", OLD)}), {ECR: again, GAR: again})
    assert (desired is not None) == written


@pytest.mark.parametrize(("seconds", "written"), [(0, True), (-1, False)])
def test_an_offer_replaces_only_what_expires_by_its_time(seconds: int, written: bool) -> None:
    """An unproven credential stands in for what would not live to see the next attempt, and for nothing else."""
    record, settings = secret({ECR: ("prod", OLD), GAR: ("images", OLD)}), config()
    pull_secret = settings.pull_secrets[0]
    change = judge_secret(pull_secret, "team-a", record, settings, NOW)
    offers = {ECR: (Offer(NEW[ECR], OLD.expires_at + timedelta(seconds=seconds)),)}
    assert (desired_secret(change, pull_secret, record, offers, settings, NOW) is not None) == written


@pytest.mark.parametrize(("seconds", "written"), [(0, True), (-1, False)])
def test_what_has_expired_is_replaced_by_any_living_offer(seconds: int, written: bool) -> None:
    """An unproven credential was held back for an entry that then ran out: nothing is left to lose by it."""
    record, settings = secret({ECR: ("prod", OLD), GAR: ("images", OLD)}), config()
    pull_secret, now = settings.pull_secrets[0], OLD.expires_at + timedelta(seconds=seconds)
    change = judge_secret(pull_secret, "team-a", record, settings, now)
    offers = {ECR: (Offer(credential("held-back", issued=now), OLD.expires_at - timedelta(hours=1)),)}
    assert (desired_secret(change, pull_secret, record, offers, settings, now) is not None) == written


def test_what_stands_there_already_is_not_written_though_its_times_are_not_believed() -> None:
    """The clock was set back, so its note is from the future; with nothing newer in hand, a write is idle."""
    early = NOW - timedelta(hours=1)
    record, settings = secret({ECR: ("prod", NEW[ECR]), GAR: ("images", NEW[GAR])}), config()
    pull_secret = settings.pull_secrets[0]
    change = judge_secret(pull_secret, "team-a", record, settings, early)
    assert (change.state, set(change.needs)) == (State.DRIFTED, {ECR, GAR})
    assert desired_secret(change, pull_secret, record, proven(NEW), settings, early) is None


def test_the_first_living_offer_is_taken() -> None:
    """A proven credential that ran out meanwhile does not stand in the way of the one behind it."""
    spent = Offer(credential("spent", issued=NOW - 12 * HOUR), ALWAYS)
    settings = config()
    pull_secret = settings.pull_secrets[0]
    change = judge_secret(pull_secret, "team-a", None, settings, NOW)
    offers = {ECR: (spent, Offer(NEW[ECR], NOW), Offer(credential("last"), ALWAYS))}
    desired = desired_secret(change, pull_secret, None, offers, settings, NOW)
    assert desired is not None
    assert annotations.read(desired.annotations)[ECR].digest == dockerconfig.digest_of(NEW[ECR])


def test_a_note_without_its_entry_goes_with_the_next_write() -> None:
    """Somebody took our entry out and no credential is at hand: its note would tell of an expiry that is nobody's."""
    record = secret({ECR: ("prod", OLD), GAR: ("images", credential("gone", issued=NOW - 11 * HOUR))})
    alone = replace(record, text=dockerconfig.merge(None, {ECR: OLD}))
    desired = write(alone, {ECR: NEW[ECR]})
    assert desired is not None
    assert set(annotations.read(desired.annotations)) == {ECR}
    assert desired.annotations[annotations.EXPIRES_AT] == annotations.stamp(NEW[ECR].expires_at)


def test_an_entry_whose_host_left_the_configuration_goes_with_the_next_write() -> None:
    """It would only expire and then break pulls that need no credential; an edited one is somebody else's now."""
    old = credential("old", issued=NOW - 7 * HOUR)
    record = secret({ECR: ("prod", old), GAR: ("images", old)})
    ecr_only = config(
        CONFIG.replace("registries: [prod, images]", "registries: [prod]").replace(
            f"  - name: images\n    gar: {{hosts: [{GAR}]}}\n", ""
        )
    )
    assert set(auths(write(record, NEW, ecr_only))) == {ECR}
    edited = replace(record, text=dockerconfig.merge(record.text, {GAR: credential("theirs")}))
    assert set(auths(write(edited, NEW, ecr_only))) == {ECR, GAR}
    for found in (record, edited):
        desired = write(found, NEW, ecr_only)
        assert desired is not None
        assert set(annotations.read(desired.annotations)) == {ECR}


def test_invariant_6_an_entry_of_ours_that_somebody_broke_holds_up_no_other() -> None:
    """Its registry fails, so nothing can replace it: it goes with its note, or a kubelet would fail on all of them."""
    text = SecretText(json.dumps({"auths": {"ghcr.io": {"auth": "YTpi"}, ECR: {"auth": "%%%"}}}))
    desired = write(secret({ECR: ("prod", OLD)}, text=text), {GAR: NEW[GAR]})
    assert set(auths(desired)) == {"ghcr.io", GAR}
    assert desired is not None
    assert set(json.loads(desired.annotations[annotations.ENTRIES])) == {GAR}


def test_an_up_to_date_entry_is_not_touched_by_a_write_for_another() -> None:
    """Only what a change needs is set: a young ECR entry keeps its bytes and its note while GAR is renewed."""
    young = credential("young")
    record = secret({ECR: ("prod", young), GAR: ("images", credential("old", issued=NOW - 7 * HOUR))})
    before = json.loads(record.text.reveal())["auths"][ECR] if record.text else None
    desired = write(record, NEW)
    assert auths(desired)[ECR] == before
    assert desired is not None
    assert annotations.read(desired.annotations)[ECR] == annotations.read(record.annotations)[ECR]


@pytest.mark.parametrize(
    ("age", "supply", "changed"),
    [
        (None, (ECR, GAR), (ECR, GAR)),
        (None, (ECR,), (ECR,)),
        (7 * HOUR, (ECR, GAR), (ECR, GAR)),
        (7 * HOUR, (GAR,), (GAR,)),
        (HOUR, (ECR, GAR), (GAR,)),
    ],
)
def test_what_a_write_would_change(age: timedelta | None, supply: tuple[str, ...], changed: tuple[str, ...]) -> None:
    """Of the hosts in need those for which there is something new; without a Secret all that there is something for."""
    record = secret({ECR: ("prod", credential(issued=NOW - age))}) if age is not None else None
    desired = write(record, {host: NEW[host] for host in supply})
    assert desired is not None
    assert changed_entries(desired, record, {ECR: "prod", GAR: "images"}) == changed
