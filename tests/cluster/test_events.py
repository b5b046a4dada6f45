"""Events and rivals by the cluster client, against the emulated API server."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rotator.cluster.client import Cluster
from rotator.errors import Forbidden, NotFound
from rotator.events import Event, Reason, Series
from rotator.model import DesiredSecret, Kind, SecretText, Subject
from rotator.sandbox.apiserver import ApiServer, Rule
from tests.build import NOW
from tests.cluster.conftest import Connect

NAME = "worker-pull"
KEY = ".dockerconfigjson"
EMPTY = '{"auths":{}}'
SECRET = Subject(Kind.SECRET, "team-a", NAME)
WORKERS = Subject(Kind.SERVICE_ACCOUNT, "team-a", "workers")
ONCE = Series(1, NOW, NOW)
HEALED = Event(Reason.HEALED, SECRET, "it was deleted, and is there again", NAME)
MISSING = Event(Reason.CREDENTIAL_MISSING, None, "registry prod: refused", "prod")


def events(api: ApiServer) -> list[dict[str, Any]]:
    """All that stand in the cluster."""
    return api.store.list("events")


def desired(text: str = EMPTY) -> DesiredSecret:
    """The pull secret of team-a."""
    return DesiredSecret("team-a", NAME, SecretText(text), {}, {})


def test_an_event_is_told_once_and_counted_up(api: ApiServer, cluster: Cluster) -> None:
    """Whatever else is said the next time; the first time stays."""
    cluster.record(HEALED, ONCE)
    later = NOW + timedelta(minutes=10)
    cluster.record(replace(HEALED, message="again"), Series(2, NOW, later))
    (found,) = events(api)
    assert (found["count"], found["message"], found["type"]) == (2, "again", "Normal")
    assert (found["firstTimestamp"], found["lastTimestamp"]) == ("2026-11-23T12:00:00Z", "2026-11-23T12:10:00Z")


def test_an_event_names_the_object_that_is_there_now(api: ApiServer, cluster: Cluster) -> None:
    """A Secret that was just made anew has a UID that no snapshot knew: it is looked up, without its data."""
    cluster.apply_secret(desired())
    cluster.record(HEALED, ONCE)
    secret = api.store.get("secrets", "team-a", NAME)
    assert secret is not None
    (found,) = events(api)
    assert found["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Secret",
        "namespace": "team-a",
        "name": NAME,
        "uid": secret["metadata"]["uid"],
        "resourceVersion": secret["metadata"]["resourceVersion"],
    }


def test_a_uid_that_is_known_is_not_looked_up(api: ApiServer, cluster: Cluster) -> None:
    """One request."""
    cluster.record(replace(HEALED, uid="u-1"), ONCE)
    assert api.journal.counts["get", "secrets", 404] == 0
    assert events(api)[0]["involvedObject"]["uid"] == "u-1"


def test_an_event_about_what_is_gone_or_hidden_is_told_without_its_uid(
    api: ApiServer, connect: Connect, tmp_path: Path
) -> None:
    """A Secret that cannot be made, or not be read: that is just what the Event is about."""
    api.add_user("limited", [Rule(("create", "patch"), ("events",))])
    limited = connect(api.kubeconfig(tmp_path / "limited", "limited"))
    limited.record(HEALED, ONCE)
    connect(api.kubeconfig(tmp_path / "all")).record(replace(HEALED, reason=Reason.REFUSED), ONCE)
    assert all("uid" not in found["involvedObject"] for found in events(api))
    assert len(events(api)) == 2


def test_without_the_right_the_error_names_the_rule(api: ApiServer, connect: Connect, tmp_path: Path) -> None:
    """And no Event's name, which no rule could hold."""
    api.add_user("limited", [])
    limited = connect(api.kubeconfig(tmp_path / "limited", "limited"))
    with pytest.raises(Forbidden) as caught:
        limited.record(HEALED, ONCE)
    assert caught.value.hint.endswith("grant verbs [create, patch] on events in namespace team-a")


def test_what_is_about_rotator_itself_stands_beside_its_own_service_account(
    api: ApiServer, connect: Connect, tmp_path: Path
) -> None:
    """Whoever the API server says it is: no setting has to tell it."""
    account = api.store.create_service_account("team-b", "turner")
    user = "system:serviceaccount:team-b:turner"
    connect(api.kubeconfig(tmp_path / "turner", user)).record(MISSING, ONCE)
    (found,) = events(api)
    assert found["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "namespace": "team-b",
        "name": "turner",
        "uid": account["metadata"]["uid"],
    }
    assert (found["metadata"]["namespace"], found["type"]) == ("team-b", "Warning")


def test_a_person_has_nothing_to_stand_beside(api: ApiServer, cluster: Cluster) -> None:
    """No Event, and no error: the log and the exit code tell a person."""
    cluster.record(MISSING, ONCE)
    assert events(api) == []


def test_an_event_holds_no_secret(api: ApiServer, cluster: Cluster) -> None:
    """Not even where its object is looked up, whose data never comes (invariant 7)."""
    cluster.apply_secret(desired('{"auths":{"r":{"auth":"QVdTOmh1bnRlcjI="}}}'))
    cluster.record(HEALED, ONCE)
    assert "QVdTOmh1bnRlcjI" not in json.dumps(events(api))


# Rivals --------------------------------------------------------------------------------------------------------------


def reset(account: dict[str, Any]) -> None:
    """A list of their own in place of ours."""
    account["imagePullSecrets"] = [{"name": "theirs"}]


def test_the_rivals_are_those_who_own_our_fields(api: ApiServer, cluster: Cluster) -> None:
    """Not those who own others, and not we."""
    cluster.apply_secret(desired())
    assert cluster.rivals(SECRET) == ()
    api.store.put_secret("team-a", NAME, {KEY: '{"auths":{"r":{}}}'}, manager="kubectl-edit")
    api.store.change("secrets", "team-a", NAME, lambda it: it["metadata"].update(labels={"a": "b"}), manager="labeller")
    assert cluster.rivals(SECRET) == ("kubectl-edit",)
    api.store.create_service_account("team-a", "workers", [NAME])
    api.store.change("serviceaccounts", "team-a", "workers", reset, manager="terraform")
    assert cluster.rivals(WORKERS) == ("terraform",)


def test_whoever_removed_it_is_not_known(api: ApiServer, cluster: Cluster) -> None:
    """A list that is gone is nobody's; an object that is gone is not found."""
    api.store.create_service_account("team-a", "workers", [NAME])
    api.store.change("serviceaccounts", "team-a", "workers", lambda it: it.pop("imagePullSecrets"), manager="rude")
    assert cluster.rivals(WORKERS) == ()
    with pytest.raises(NotFound):
        cluster.rivals(SECRET)
