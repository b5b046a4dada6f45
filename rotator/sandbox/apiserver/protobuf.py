"""Just enough protobuf for `kubectl create`, which posts Secrets and their like in it and in nothing else.

Envelope: apimachinery/pkg/runtime/serializer/protobuf (a prefix of four bytes, then runtime.Unknown). Field numbers: of
generated.proto in k8s.io/api/core/v1 and apimachinery's meta/v1. Unknown fields are skipped.
"""

import base64
from collections.abc import Callable, Iterator
from typing import Any

from rotator.sandbox.apiserver.objects import Object

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types (protobuf.dev, encoding)

Wire = bytes | int
Reader = Callable[[Any], Any]


def decoded(body: bytes) -> Object:
    """The object in a Kubernetes protobuf body. Raises ValueError for anything but the few kinds that are known."""
    if not body.startswith(_MAGIC):
        msg = "the body has no Kubernetes protobuf prefix"
        raise ValueError(msg)
    envelope = _message({1: ("type", _message({1: ("apiVersion", _text), 2: ("kind", _text)})), 2: ("raw", bytes)})
    unknown = envelope(body[len(_MAGIC) :])
    kind = unknown.get("type", {}).get("kind", "")
    if kind not in _KINDS:
        msg = f"no protobuf decoder for kind {kind!r}"
        raise ValueError(msg)
    return {**unknown["type"], **_KINDS[kind](unknown.get("raw", b""))}


def _fields(message: bytes) -> Iterator[tuple[int, Wire]]:
    """Field numbers and values of one message, in order."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        size = {_FIXED64: 8, _FIXED32: 4}.get(wire, 0)
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == _BYTES:
            size, at = _varint(message, at)
        yield number, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and where it ends. Raises ValueError if the message ends first."""
    value = shift = 0
    for here in range(at, len(message)):
        value |= (message[here] & 0x7F) << shift
        if message[here] < 0x80:  # noqa: PLR2004  (the top bit says that there is more)
            return value, here + 1
        shift += 7
    msg = "the protobuf message is cut short"
    raise ValueError(msg)


def _message(fields: dict[int, tuple[str, Reader]]) -> Callable[[bytes], Object]:
    """A reader of one message type; a name that ends in [] repeats, one in {} is a map."""

    def read(message: bytes) -> Object:
        obj: Object = {}
        for number, value in _fields(message):
            name, reader = fields.get(number, ("", bytes))
            if name.endswith("[]"):
                obj.setdefault(name[:-2], []).append(reader(value))
            elif name.endswith("{}"):
                entry = _message({1: ("key", _text), 2: ("value", reader)})(bytes(value))
                obj.setdefault(name[:-2], {})[entry.get("key", "")] = entry.get("value", "")
            elif name and value != b"":
                obj[name] = reader(value)
        return obj

    return read


def _text(value: bytes) -> str:
    return value.decode()


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


_METADATA = _message(
    {
        1: ("name", _text),
        2: ("generateName", _text),
        3: ("namespace", _text),
        11: ("labels{}", _text),
        12: ("annotations{}", _text),
    }
)
_REFERENCE = _message({1: ("name", _text)})
_KINDS: dict[str, Callable[[bytes], Object]] = {
    "Namespace": _message({1: ("metadata", _METADATA)}),
    "Secret": _message(
        {
            1: ("metadata", _METADATA),
            2: ("data{}", _base64),
            3: ("type", _text),
            4: ("stringData{}", _text),
            5: ("immutable", bool),
        }
    ),
    "ServiceAccount": _message({1: ("metadata", _METADATA), 3: ("imagePullSecrets[]", _REFERENCE)}),
    "DeleteOptions": _message({}),
}
