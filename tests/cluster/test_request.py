"""The requests: paths, bodies and the RBAC rules that they need."""

import base64
import json

import pytest

from rotator.cluster import request
from rotator.cluster.request import Request
from rotator.model import DesiredSecret, SecretText, ServiceAccountRecord

DESIRED = DesiredSecret(
    namespace="team-a",
    name="worker-pull",
    text=SecretText('{"auths":{}}'),
    labels={"app.kubernetes.io/managed-by": "rotator"},
    annotations={"note": "x"},
    uid="u-1",
    resource_version="41",
)


@pytest.mark.parametrize(
    ("asked", "target", "rule"),
    [
        (request.list_namespaces(None), "/api/v1/namespaces", "verbs [list] on namespaces"),
        (request.get_namespace("a"), "/api/v1/namespaces/a", "verbs [get] on namespaces named a"),
        (
            request.list_all("secrets", None, "worker-pull"),
            "/api/v1/secrets?fieldSelector=metadata.name%3Dworker-pull",
            "verbs [list] on secrets named worker-pull in all namespaces",
        ),
        (
            request.list_all("serviceaccounts", "team-a", None, "app in (a,b)"),
            "/api/v1/namespaces/team-a/serviceaccounts?labelSelector=app+in+%28a%2Cb%29",
            "verbs [list] on serviceaccounts in namespace team-a",
        ),
        (
            request.get("secrets", "team-a", "worker-pull"),
            "/api/v1/namespaces/team-a/secrets/worker-pull",
            "verbs [get] on secrets named worker-pull in namespace team-a",
        ),
        (
            request.apply_secret(DESIRED, force=False),
            "/api/v1/namespaces/team-a/secrets/worker-pull?fieldManager=rotator&force=false",
            "verbs [patch, create] on secrets named worker-pull in namespace team-a",
        ),
    ],
)
def test_each_request_has_its_path_and_rule(asked: Request, target: str, rule: str) -> None:
    """The path is the API's, and the rule is exactly what RBAC asks for it."""
    assert (asked.target, asked.rule) == (target, rule)


def test_a_name_cannot_leave_its_place_in_the_path() -> None:
    """A name with slashes or dots is one escaped segment, never another resource."""
    assert request.get("secrets", "a", "../../b?x").target == "/api/v1/namespaces/a/secrets/..%2F..%2Fb%3Fx"


def test_pages_ask_for_a_limit_and_go_on_by_token() -> None:
    """The first page has a limit only; the next one the token too, beside the selectors."""
    listed = request.list_all("secrets", None, "n")
    assert listed.page(2, "").target == "/api/v1/secrets?fieldSelector=metadata.name%3Dn&limit=2"
    assert listed.page(2, "a=").target == "/api/v1/secrets?fieldSelector=metadata.name%3Dn&limit=2&continue=a%3D"


def test_apply_sends_the_secret_with_its_preconditions() -> None:
    """The body names what we own, the data in base64, and the record that it was merged from."""
    asked = request.apply_secret(DESIRED, force=True)
    assert (asked.method, asked.content_type) == ("PATCH", "application/apply-patch+yaml")
    assert ("force", "true") in asked.query
    assert json.loads(asked.body) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "worker-pull",
            "namespace": "team-a",
            "uid": "u-1",
            "resourceVersion": "41",
            "labels": {"app.kubernetes.io/managed-by": "rotator"},
            "annotations": {"note": "x"},
        },
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(b'{"auths":{}}').decode()},
    }


def test_apply_without_a_record_has_no_preconditions() -> None:
    """Creating names neither a UID nor a resourceVersion: the server would refuse both."""
    desired = DesiredSecret("a", "n", SecretText("{}"), {}, {})
    assert set(json.loads(request.apply_secret(desired, force=False).body)["metadata"]) == {
        "name",
        "namespace",
        "labels",
        "annotations",
    }


@pytest.mark.parametrize("absent", [None, ()])
def test_attach_adds_the_whole_list_where_there_is_none(absent: tuple[str, ...] | None) -> None:
    """Without a list (the API leaves an empty one out) the patch adds it, if the ServiceAccount is still as read."""
    asked = request.attach(ServiceAccountRecord("a", "workers", "u", "7", pull_secrets=absent), ["x", "y"])
    assert asked.content_type == "application/json-patch+json"
    assert json.loads(asked.body) == [
        {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "add", "path": "/imagePullSecrets", "value": [{"name": "x"}, {"name": "y"}]},
    ]


def test_attach_appends_to_a_list() -> None:
    """With a list each reference goes to its end, and nothing else is touched."""
    asked = request.attach(ServiceAccountRecord("a", "workers", "u", "7", pull_secrets=("theirs",)), ["x", "y"])
    assert json.loads(asked.body)[1:] == [
        {"op": "add", "path": "/imagePullSecrets/-", "value": {"name": "x"}},
        {"op": "add", "path": "/imagePullSecrets/-", "value": {"name": "y"}},
    ]


def test_a_request_never_prints_its_body() -> None:
    """The body holds the Secret, so neither repr nor str shows it."""
    asked = request.apply_secret(DESIRED, force=False)
    data = base64.b64encode(b'{"auths":{}}').decode()
    assert data in asked.body.decode()
    assert data not in f"{asked!r} {asked}"
