"""Invariants 1, 2, 3 and 5 over random Secrets, credentials and times: judge, write, judge again."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from rotator import annotations, dockerconfig, renewal
from rotator.config import Config
from rotator.desired import desired_secret
from rotator.model import (
    PENDING,
    SECRET_TYPE,
    Action,
    Change,
    Credential,
    DesiredSecret,
    SecretRecord,
    SecretText,
    State,
)
from rotator.plan import judge_secret
from tests.build import CONFIG, ECR, GAR, NOW, config, proven, secret

SETTINGS = {False: config(), True: config(CONFIG + "    adopt: true\n")}
HOSTS = {ECR: "prod", GAR: "images"}

passwords = st.text("abcdefXYZ0123456789+/=._-", min_size=1, max_size=30)
moments = st.integers(-90_000, 90_000).map(lambda seconds: NOW + timedelta(seconds=seconds))
lives = st.integers(2, 43_200).map(lambda seconds: timedelta(seconds=seconds))
credentials = st.builds(
    lambda password, issued, life: Credential("AWS", SecretText(password), issued, issued + life),
    passwords,
    moments,
    lives,
)
supplies = st.dictionaries(st.sampled_from([ECR, GAR]), credentials)
foreign_keys = st.sampled_from(["ghcr.io", "https://quay.io/v1/", "registry.local:5000", f"{ECR}/team", "docker.io"])
foreign_entries = st.dictionaries(
    foreign_keys,
    st.fixed_dictionaries({"auth": st.sampled_from(["YTpi", "dTpw"])}, optional={"email": st.text(max_size=5)}),
)


@st.composite
def records(draw: st.DrawFn) -> SecretRecord | None:
    """Any Secret that may be found: absent, ours at some age, edited, foreign, of another type, immutable, broken."""
    if draw(st.integers(0, 9)) == 0:
        return None
    ours = {host: (HOSTS[host], held) for host, held in draw(supplies).items()}
    others = draw(foreign_entries)
    base = SecretText(json.dumps({"auths": others}))
    text = dockerconfig.merge(base, {h: c for h, (_, c) in ours.items()}) if ours else base
    if edited := draw(st.sampled_from([None, None, *ours])):
        text = dockerconfig.merge(text, {edited: draw(credentials)})
    if draw(st.integers(0, 9)) == 0:
        text = SecretText(draw(st.sampled_from(['{"auths":[]}', "[]", "{", '{"auths":{"ghcr.io":{"auth":"!"}}}'])))
    record = secret(ours, text=text, ours=draw(st.integers(0, 4)) > 0)
    kind = draw(st.sampled_from([SECRET_TYPE] * 5 + ["Opaque"]))
    return replace(record, type=kind, immutable=draw(st.integers(0, 5)) == 0)


def decide(
    record: SecretRecord | None, supply: dict[str, Credential], settings: Config, now: datetime = NOW
) -> tuple[Change, DesiredSecret | None]:
    """The plan's change, and what it would write."""
    pull_secret = settings.pull_secrets[0]
    change = judge_secret(pull_secret, "team-a", record, settings, now)
    if change.action is Action.NOTHING:
        return change, None
    return change, desired_secret(change, pull_secret, record, proven(supply), settings, now)


def written(record: SecretRecord | None, desired: DesiredSecret) -> SecretRecord:
    """The Secret after the write, as the API server would hold it."""
    before = record or SecretRecord("team-a", desired.name, "uid-new", "0")
    return replace(
        before,
        text=desired.text,
        labels={**before.labels, **desired.labels},
        annotations={**before.annotations, **desired.annotations},
        resource_version="8",
    )


def entries(text: SecretText | None) -> dict[str, object]:
    """The entries of a text that parses."""
    return json.loads(text.reveal())["auths"] if text else {}


@given(records(), supplies, st.booleans())
def test_invariant_1_nothing_empty_malformed_or_expired_is_ever_written(
    record: SecretRecord | None, supply: dict[str, Credential], adopt: bool
) -> None:
    """What is written parses as a kubelet would and is not empty; each new entry is alive and one of the supply."""
    _, desired = decide(record, supply, SETTINGS[adopt])
    if desired is None:
        return
    parsed = dockerconfig.parse(desired.text.reveal())
    assert parsed
    before = dockerconfig.digests(record.text, tuple(HOSTS)) if record and record.text else {}
    for host, digest in dockerconfig.digests(desired.text).items():
        if digest != before.get(host):
            assert digest == dockerconfig.digest_of(supply[host])
            assert supply[host].expires_at > NOW


@given(records(), supplies, st.booleans())
def test_invariant_2_every_write_is_bound_to_the_object_that_was_read(
    record: SecretRecord | None, supply: dict[str, Credential], adopt: bool
) -> None:
    """An existing Secret is written under its own UID and version; wrong types and immutable ones are untouched."""
    change, desired = decide(record, supply, SETTINGS[adopt])
    if record is not None and (record.type != SECRET_TYPE or record.immutable):
        assert desired is None
        assert change.state in {State.FOREIGN, State.WRONG_TYPE, State.IMMUTABLE}
    if desired is not None:
        expected = (record.uid, record.resource_version) if record else (None, None)
        assert (desired.uid, desired.resource_version) == expected


@given(records(), supplies, st.booleans())
def test_invariant_3_what_is_not_ours_survives_in_its_order(
    record: SecretRecord | None, supply: dict[str, Credential], adopt: bool
) -> None:
    """Foreign Secrets are untouched unless adopted; foreign entries come out as they went in, in order."""
    _, desired = decide(record, supply, SETTINGS[adopt])
    if record is not None and not adopt and not annotations.is_ours(record):
        assert desired is None
    if desired is None or record is None:
        return
    before = {key: entry for key, entry in entries(record.text).items() if key not in HOSTS}
    after = {key: entry for key, entry in entries(desired.text).items() if key not in HOSTS}
    assert list(before.items()) == list(after.items())


@given(records(), supplies, st.booleans())
def test_invariant_5_a_fresh_write_is_up_to_date_and_asks_for_nothing_more(
    record: SecretRecord | None, supply: dict[str, Credential], adopt: bool
) -> None:
    """After a write with young credentials for every host, judging again finds nothing to do: no loop."""
    young = {host: Credential("AWS", SecretText(f"new-{host}"), NOW, NOW + timedelta(hours=1)) for host in HOSTS}
    _, desired = decide(record, young, SETTINGS[adopt])
    if desired is not None:
        again, nothing = decide(written(record, desired), supply, SETTINGS[adopt])
        assert (again.state, nothing) == (State.UP_TO_DATE, None)


@given(records(), moments)
def test_invariant_5_an_intact_entry_is_renewed_exactly_when_it_is_due(
    record: SecretRecord | None, now: datetime
) -> None:
    """The plan and `renewal` never disagree: pending for age alone means due, and due means pending."""
    settings = SETTINGS[False]
    change, _ = decide(record, {}, settings, now)
    if record is None or change.state not in {State.UP_TO_DATE, State.DUE, State.EXPIRED}:
        return
    notes = annotations.read(record.annotations)
    due = [renewal.is_due(n.issued_at, n.expires_at, settings.renewal.at, now) for h, n in notes.items() if h in HOSTS]
    assert (change.state in PENDING) == any(due)
