"""What this suite rests on: where the two servers differ, the comparison fails and says in what."""

from typing import Any

import pytest

from tests.apiclient import Answer, secret
from tests.conformance.both import NAMESPACES, Both, Side, agree, comparable

UID = "11111111-2222-3333-4444-555555555555"


@pytest.mark.parametrize(
    ("emulated", "real"),
    [
        pytest.param({"a": 1}, {"a": 2}, id="a value"),
        pytest.param({"a": 1}, {}, id="only ours"),
        pytest.param({}, {"a": None}, id="only theirs, though null"),
        pytest.param({"a": 1}, {"a": True}, id="a type"),
        pytest.param([1, 2], [2, 1], id="an order"),
        pytest.param([1], [1, 2], id="a length"),
        pytest.param({}, [], id="object and list"),
        pytest.param({"message": "a"}, {"message": "b"}, id="a message"),
        pytest.param({"message": "pod 1"}, {"message": "pod 2"}, id="a number in a message"),
        pytest.param({"metadata": {"uid": UID}}, {"metadata": {}}, id="a volatile field is not there"),
        pytest.param({"metadata": {"uid": UID}}, {"metadata": {"uid": ""}}, id="a volatile field is empty"),
        pytest.param(None, {"type": "ADDED"}, id="no event any more"),
    ],
)
def test_what_differs_does_not_agree(emulated: Any, real: Any) -> None:  # noqa: ANN401  (any JSON values)
    """Whichever side it is on."""
    with pytest.raises(AssertionError, match="the emulation and kube-apiserver differ"):
        agree(emulated, real)
    with pytest.raises(AssertionError, match="the emulation and kube-apiserver differ"):
        agree(real, emulated)


@pytest.mark.parametrize(
    ("emulated", "real"),
    [
        ({"metadata": {"resourceVersion": "1", "uid": UID}}, {"metadata": {"resourceVersion": "2", "uid": UID[::-1]}}),
        ({"message": "the resource version 1 is too old"}, {"message": "the resource version 22 is too old"}),
        ({"message": f"not {UID}"}, {"message": f"not {UID.replace('1', '9')}"}),
    ],
)
def test_what_is_never_the_same_twice_agrees(emulated: Any, real: Any) -> None:  # noqa: ANN401  (any JSON values)
    """Versions and UIDs, in fields and in words."""
    agree(emulated, real)


def test_without_words_all_but_the_message_is_compared() -> None:
    """A reason is no message."""
    agree({"message": "a"}, {"message": "b"}, words=False)
    with pytest.raises(AssertionError, match="reason"):
        agree({"message": "a", "reason": "x"}, {"message": "b", "reason": "y"}, words=False)


@pytest.mark.parametrize(
    "other",
    [
        Answer(201, {}, {"Content-Type": "application/json", "Retry-After": "1"}),
        Answer(200, {"a": 1}, {"Content-Type": "application/json", "Retry-After": "1"}),
        Answer(200, {}, {"Content-Type": "text/plain", "Retry-After": "1"}),
        Answer(200, {}, {"Content-Type": "application/json"}),
    ],
)
def test_status_body_and_two_headers_are_compared(other: Answer) -> None:
    """Any other header may differ."""
    one = Answer(200, {}, {"Content-Type": "application/json", "Retry-After": "1", "Date": "today"})
    agree(comparable(one, None), comparable(one._replace(headers={**one.headers, "Date": "tomorrow"}), None))
    with pytest.raises(AssertionError, match="differ"):
        agree(comparable(one, None), comparable(other, None))


def write(both: Both, namespace: str, name: str) -> None:
    """A Secret that is not the same on both sides: its label says whose it is."""

    def post(side: Side) -> Any:  # noqa: ANN401  (an answer)
        body = secret(name) | {"metadata": {"name": name, "labels": {"of": side.name}}}
        return side.client.post(f"{NAMESPACES}/{namespace}/secrets", body)

    both.each(post)


def test_answers_that_differ_are_noticed(both: Both) -> None:
    """Each side is asked for itself: a body of another content, and a status of only one of them."""
    namespace = both.namespace()
    write(both, namespace, "one")
    path = f"{NAMESPACES}/{namespace}/secrets/one"
    of = r"labels\.of\n    emulation:      'emulation'\n    kube-apiserver: 'kube-apiserver'"
    with pytest.raises(AssertionError, match=of):
        both.ask(lambda side: side.client.get(path))
    assert both.emulation.client.delete(path).status == 200
    with pytest.raises(AssertionError, match=r"status\n    emulation:      404\n    kube-apiserver: 200"):
        both.ask(lambda side: side.client.get(path))
    assert both.real.client.delete(path).status == 200
    assert both.ask(lambda side: side.client.get(path)).status == 404


def test_events_that_differ_are_noticed(both: Both) -> None:
    """Event by event, as answers are."""
    namespace = both.namespace()
    path = f"{NAMESPACES}/{namespace}/secrets"
    with both.watching(lambda side: side.client.watching(path, timeoutSeconds=10)) as notices:
        write(both, namespace, "one")
        with pytest.raises(AssertionError, match=r"object\.metadata\.labels\.of"):
            next(notices)
