"""The API server's objects as records."""

import base64
import json

import msgspec
import pytest

from rotator.cluster import answers
from rotator.cluster.answers import Shared
from rotator.model import NamespaceRecord, SecretText, ServiceAccountRecord

METADATA = {"name": "n", "namespace": "team-a", "uid": "u-1", "resourceVersion": "41", "managedFields": [{"x": 1}]}


def encoded(text: bytes) -> str:
    """Base64 as in `data`."""
    return base64.b64encode(text).decode()


def secret(**fields: object) -> answers.Secret:
    """A Secret as it is decoded from an answer."""
    content = {"kind": "Secret", "metadata": METADATA, "type": "kubernetes.io/dockerconfigjson"} | fields
    return msgspec.json.decode(json.dumps(content), type=answers.Secret)


def test_a_secret_becomes_a_record() -> None:
    """Every field that the plan needs is taken over, and the data is decoded."""
    metadata = METADATA | {"labels": {"a": "b"}, "annotations": {"c": "d"}}
    data = {".dockerconfigjson": encoded(b'{"auths":{}}'), "other": encoded(b"kept out")}
    record = secret(metadata=metadata, immutable=True, data=data).record(Shared())
    assert (record.namespace, record.name, record.uid, record.resource_version) == ("team-a", "n", "u-1", "41")
    assert (record.type, record.immutable) == ("kubernetes.io/dockerconfigjson", True)
    assert (record.labels, record.annotations) == ({"a": "b"}, {"c": "d"})
    assert record.text == SecretText('{"auths":{}}')
    assert record.has_more


def test_of_other_data_keys_a_record_knows_only_that_they_are() -> None:
    """What they hold stays undecoded; the one key alone is no more."""
    data = {".dockerconfigjson": encoded(b'{"auths":{}}')}
    assert not secret(data=data).record(Shared()).has_more
    both = secret(data=data | {"other": encoded(b"hunter2")})
    assert both.record(Shared()).has_more
    assert encoded(b"hunter2") not in f"{both!r} {both.data!r} {both.record(Shared())!r}"


@pytest.mark.parametrize("fields", [{}, {"data": None}, {"data": {}}, {"data": {"other": "eA=="}}])
def test_a_secret_without_the_key_has_no_text(fields: dict[str, object]) -> None:
    """No data, or data under other keys only: text is None."""
    assert secret(**fields).record(Shared()).text is None


def test_an_empty_text_is_a_text() -> None:
    """The key with nothing in it is told apart from no key."""
    assert secret(data={".dockerconfigjson": ""}).record(Shared()).text == SecretText("")


@pytest.mark.parametrize("data", [encoded(b'{"auths":{"\xff":{}}}'), "not base64!", 5, ["eA=="]])
def test_data_that_is_no_text_never_parses_as_json(data: object) -> None:
    """Bytes that could not be written back the same become a text that no parser takes, and that can be hashed."""
    text = secret(data={".dockerconfigjson": data}).record(Shared()).text
    assert text is not None
    assert text.digest()
    with pytest.raises(json.JSONDecodeError):
        json.loads(text.reveal())


def test_equal_texts_are_one_object() -> None:
    """Ten thousand Secrets with the same data and notes cost the memory of one."""
    shared = Shared()
    data, noted = {".dockerconfigjson": encoded(b'{"auths":{}}')}, METADATA | {"annotations": {"note": "long ago"}}
    first, second = (secret(metadata=noted, data=data).record(shared) for _ in range(2))
    assert first.text is second.text
    assert first.annotations["note"] is second.annotations["note"]
    assert first.namespace is second.namespace
    assert secret(data={".dockerconfigjson": encoded(b"{}")}).record(shared).text == SecretText("{}")


def test_what_kubectl_last_applied_is_left_out() -> None:
    """The annotation repeats the data in base64; a record that prints its annotations must not hold it."""
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": '{"data":"c2VjcmV0"}', "theirs": "x"}
    record = secret(metadata=METADATA | {"annotations": annotations}).record(Shared())
    assert record.annotations == {"theirs": "x"}


def test_a_decoded_secret_does_not_print_its_data() -> None:
    """A decoded answer in a traceback or a log shows no data."""
    decoded = secret(data={".dockerconfigjson": encoded(b"hunter2")})
    assert decoded.data is not None
    assert encoded(b"hunter2") not in f"{decoded!r} {decoded.data!r}"


@pytest.mark.parametrize(
    ("fields", "terminating"),
    [
        ({}, False),
        ({"status": {"phase": "Active"}}, False),
        ({"status": {"phase": "Terminating"}}, True),
        ({"metadata": {"name": "a", "deletionTimestamp": "2026-11-23T12:00:00Z"}}, True),
    ],
)
def test_a_namespace_knows_that_it_is_being_deleted(fields: dict[str, object], terminating: bool) -> None:
    """Either the phase or the deletion timestamp tells it."""
    content = {"metadata": {"name": "a"}} | fields
    decoded = msgspec.json.decode(json.dumps(content), type=answers.Namespace)
    assert decoded.record() == NamespaceRecord("a", {}, terminating)


@pytest.mark.parametrize(
    ("listed", "names"),
    [(None, None), ([], ()), ([{"name": "a"}, {"name": "b"}], ("a", "b")), ([{}], ("",))],
)
def test_a_service_account_keeps_the_order_of_its_references(
    listed: list[dict[str, str]] | None, names: tuple[str, ...] | None
) -> None:
    """The list in its order; None where it is absent."""
    content = {"metadata": METADATA | {"labels": {"l": "v"}}, "imagePullSecrets": listed}
    decoded = msgspec.json.decode(json.dumps(content), type=answers.ServiceAccount)
    assert decoded.record() == ServiceAccountRecord("team-a", "n", "u-1", "41", {"l": "v"}, names)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[]", b'{"message":3}', b'{"details":null}'])
def test_any_body_of_a_failure_gives_a_status(body: bytes) -> None:
    """A proxy's page or nonsense is an empty Status, never an error of its own."""
    assert answers.status(body).message == ""
    assert answers.status(body).causes == []
