"""Annotations: what rotator notes on its Secrets, and what it does not believe."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator import annotations
from rotator.annotations import Note
from rotator.model import SecretRecord
from tests.build import ECR, GAR, NOW, credential, secret

HOUR = timedelta(hours=1)
NOTE = Note("prod", NOW, NOW + 12 * HOUR, "ab" * 32)


def test_notes_come_back_as_they_were_written() -> None:
    """Write, read: the same notes, to the second, so that renewals neither loop nor are skipped."""
    notes = {ECR: NOTE, GAR: Note("images", NOW, NOW + HOUR, "cd" * 32)}
    assert annotations.read(annotations.write(notes)) == notes


def test_kubectl_shows_the_first_expiry_and_the_last_renewal() -> None:
    """Two plain annotations serve a person's eyes: the earliest expiry and the latest renewal."""
    written = annotations.write({ECR: NOTE, GAR: Note("images", NOW + HOUR, NOW + 2 * HOUR, "cd" * 32)})
    assert written[annotations.EXPIRES_AT] == "2026-11-23T14:00:00Z"
    assert written[annotations.RENEWED_AT] == "2026-11-23T13:00:00Z"


def test_no_annotation_or_label_holds_the_password() -> None:
    """Invariant 7: what is noted tells expiry and digest, never the credential."""
    record = secret({ECR: ("prod", credential("s3cr3t-Value"))})
    assert "s3cr3t-Value" not in str(record.annotations) + str(record.labels)


@given(st.text() | st.sampled_from(['{"h":1}', "[]", '{"h":{"registry":1}}', "[" * 10_000, '{"h":{"registry":"r"}}']))
def test_a_note_that_somebody_broke_counts_as_none(text: str) -> None:
    """Whatever a tenant writes into the annotation, reading it gives no notes and no error."""
    assert annotations.read({annotations.ENTRIES: text}) == {}


@pytest.mark.parametrize(
    ("issued", "expires", "believed"),
    [
        (NOW - HOUR, NOW + HOUR, True),
        (NOW - HOUR, NOW + 10_000 * HOUR, False),
        (NOW + HOUR, NOW + 2 * HOUR, False),
        (NOW, NOW, False),
        (NOW + timedelta(minutes=4), NOW + HOUR, True),
    ],
    ids=["a real life", "a life of years", "issued in the future", "no life", "another replica's clock runs ahead"],
)
def test_a_planted_expiry_is_not_believed(issued, expires, believed) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """A tenant's note cannot put renewal off by years: times that no credential has are refused."""
    assert Note("prod", issued, expires, "x").believable(NOW) is believed


def test_an_adopted_secret_keeps_its_managed_by() -> None:
    """Invariant 3: the label of Helm or another tool stays theirs; ours is added beside it."""
    adopted = SecretRecord("team-a", "worker-pull", "u", "1", labels={annotations.MANAGED_BY_LABEL: "Helm"})
    assert annotations.labels("worker-pull", adopted) == {annotations.PULL_SECRET_LABEL: "worker-pull"}
    assert annotations.labels("worker-pull", None)[annotations.MANAGED_BY_LABEL] == "rotator"
