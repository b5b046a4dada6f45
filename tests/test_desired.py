"""The desired Secret: what one write sends, and what it never sends."""

import json
from dataclasses import replace
from datetime import timedelta

from rotator import annotations, dockerconfig
from rotator.config import Config
from rotator.desired import desired_secret
from rotator.model import Credential, DesiredSecret, SecretRecord, SecretText
from rotator.plan import judge_secret
from tests.build import CONFIG, ECR, GAR, NOW, config, credential, proven, secret

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


def test_invariant_1_an_expired_credential_is_never_written() -> None:
    """A credential that ran out between mint and write leaves the Secret as it is."""
    stale = {host: credential("old", issued=NOW - 13 * HOUR) for host in NEW}
    assert write(None, stale) is None


def test_invariant_1_without_a_credential_nothing_is_written() -> None:
    """No mint, no write: never an empty Secret."""
    assert write(None, {}) is None


def test_invariant_6_one_registry_that_fails_holds_up_no_other() -> None:
    """The hosts whose credential is at hand are written; the others come with the next pass."""
    desired = write(None, {ECR: NEW[ECR]})
    assert set(auths(desired)) == {ECR}


def test_the_same_bytes_are_not_written_again() -> None:
    """A metadata server that still gives the same token costs no write in any namespace."""
    old = credential("same", issued=NOW - 7 * HOUR)
    again = replace(old, issued_at=NOW)
    assert write(secret({ECR: ("prod", old), GAR: ("images", old)}), {ECR: again, GAR: again}) is None


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


def test_an_up_to_date_entry_is_not_touched_by_a_write_for_another() -> None:
    """Only what a change needs is set: a young ECR entry keeps its bytes while GAR is renewed."""
    young = credential("young")
    record = secret({ECR: ("prod", young), GAR: ("images", credential("old", issued=NOW - 7 * HOUR))})
    before = json.loads(record.text.reveal())["auths"][ECR] if record.text else None
    assert auths(write(record, NEW))[ECR] == before
