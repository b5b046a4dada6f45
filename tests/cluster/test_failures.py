"""Answers that are no success, as our errors."""

import json
from datetime import timedelta

import pytest

from rotator.cluster import failures, request
from rotator.errors import (
    ClusterError,
    ClusterUnusable,
    Conflict,
    Forbidden,
    Invalid,
    NamespaceTerminating,
    NotFound,
    ServerFailed,
    Throttled,
)
from rotator.model import DesiredSecret, SecretText

APPLY = request.apply_secret(DesiredSecret("team-a", "worker-pull", SecretText("{}"), {}, {}), force=False)
LIST = request.list_all("serviceaccounts", None)
RBAC = 'secrets "worker-pull" is forbidden: User "x" cannot patch resource "secrets" in API group "" in the namespace'


def answered(status: int, asked: request.Request = APPLY, retry_after: str = "", **words: object) -> ClusterError:
    """The error for this Status."""
    headers = {"Retry-After": retry_after} if retry_after else {}
    return failures.answered(asked, status, headers, json.dumps({"kind": "Status"} | words).encode())


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ClusterError),
        (401, ClusterUnusable),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (410, failures.Gone),
        (413, ClusterError),
        (422, Invalid),
        (429, Throttled),
        (500, ServerFailed),
        (503, ServerFailed),
        (302, ClusterError),
    ],
)
def test_each_status_has_its_error(status: int, kind: type[ClusterError]) -> None:
    """The class says what to do about it, the message is one line that names the request, and the status is kept."""
    error = answered(status, LIST)
    assert type(error) is kind
    assert error.status == status
    assert "\n" not in str(error)
    assert str(LIST) in error.message or kind is ClusterUnusable


def test_forbidden_names_the_rule_to_add() -> None:
    """What RBAC refused is in the hint as the rule that grants it."""
    error = answered(403, message=RBAC, reason="Forbidden")
    assert error.hint == "grant verbs [patch, create] on secrets named worker-pull in namespace team-a"


def test_forbidden_in_a_dying_namespace_asks_for_no_rule() -> None:
    """A namespace that is being deleted refuses new objects; no rule helps."""
    error = answered(403, message="...", details={"causes": [{"reason": "NamespaceTerminating"}]})
    assert isinstance(error, NamespaceTerminating)
    assert "being deleted" in error.message
    assert "grant" not in error.hint


def test_forbidden_by_a_webhook_names_the_webhook_only() -> None:
    """An admission webhook's own words may quote the Secret, so they are left out."""
    error = answered(403, message='admission webhook "policy.example.com" denied the request: hunter2 cannot pass')
    assert "policy.example.com" in error.message
    assert "hunter2" not in str(error)


def test_an_anonymous_user_cannot_use_the_cluster() -> None:
    """Taken for anonymous, nothing can work: it is no missing rule, but a missing credential."""
    error = answered(403, LIST, message='serviceaccounts is forbidden: User "system:anonymous" cannot list resource')
    assert isinstance(error, ClusterUnusable)


CAUSES = [
    {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "kubectl" using v1',
        "field": ".data..dockerconfigjson",
    },
    {"reason": "FieldManagerConflict", "message": 'conflict with "argo cd" using v1', "field": ".metadata.labels.a"},
]


@pytest.mark.parametrize(
    ("words", "managers"),
    [
        ({"message": "Operation cannot be fulfilled on secrets: the object has been modified"}, ()),
        ({"message": "Apply failed with 2 conflicts", "details": {"causes": CAUSES}}, ("kubectl", "argo cd")),
        (
            {"message": 'Apply failed with 1 conflict: conflict with "kubectl" using v1: .data..dockerconfigjson'},
            ("kubectl",),
        ),
        (
            {"message": 'Apply failed with 2 conflicts: conflicts with "helm" using v1:\n- .data.x\n- .type'},
            ("helm",),
        ),
        ({}, ()),
    ],
)
def test_a_conflict_names_the_other_managers(words: dict[str, object], managers: tuple[str, ...]) -> None:
    """Managers from causes or message, each once and in order; none when the object only changed meanwhile."""
    error = failures.answered(APPLY, 409, {}, json.dumps(words).encode())
    assert isinstance(error, Conflict)
    assert error.managers == managers
    assert all(manager in error.message for manager in managers)


def test_invalid_names_fields_but_quotes_no_value() -> None:
    """The causes' messages quote values; field and reason are enough."""
    causes = [
        {"reason": "FieldValueInvalid", "field": "type", "message": 'Invalid value: "Opaque": field is immutable'},
        {"reason": "FieldValueInvalid", "field": "data[x]", "message": 'Invalid value: "hunter2": no'},
    ]
    error = answered(422, message='Secret is invalid: data[x]: "hunter2"', details={"causes": causes})
    assert "type: field is immutable, data[x]: FieldValueInvalid" in error.message
    assert "hunter2" not in str(error)


def test_a_failed_write_of_a_secret_never_shows_the_servers_words() -> None:
    """A 400 or 500 may repeat the body of the request."""
    for status in (400, 413, 500):
        error = answered(status, message="cannot decode hunter2", reason="BadRequest")
        assert "hunter2" not in str(error)
        assert "BadRequest" in error.message


def test_the_servers_words_are_bounded_and_on_one_line() -> None:
    """However long and wild, they stay one readable line."""
    error = answered(400, LIST, message="unable to parse\n\x1b[31m" + "x" * 10_000)
    assert "unable to parse" in error.message
    assert error.message.isprintable()
    assert len(error.message) < 500


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("7", timedelta(seconds=7)),
        ("0", timedelta(0)),
        ("", None),
        ("-1", None),
        ("1e9", None),
        ("Fri, 31 Dec 1999 23:59:59 GMT", None),
        ("٣", None),
    ],
)
def test_retry_after_is_kept_where_it_is_a_number(value: str, wait: timedelta | None) -> None:
    """Whole seconds are kept, of 429 and of 503; anything else is as if it were not there."""
    assert answered(429, retry_after=value).retry_after == wait
    assert answered(503, retry_after=value).retry_after == wait


def test_an_expired_list_carries_the_token_that_continues_it() -> None:
    """The server offers one in the Status; without it the token is empty."""
    gone = answered(410, LIST, metadata={"continue": "later"})
    assert isinstance(gone, failures.Gone)
    assert gone.token == "later"
    bare = answered(410, LIST)
    assert isinstance(bare, failures.Gone)
    assert bare.token == ""
