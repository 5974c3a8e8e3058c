"""Feature values as messages."""

import struct
from collections.abc import Sequence
from typing import Any, Final

from codec.timestamps import decode_timestamp, encode_timestamp
from codec.wire import nested, tag, varint
from domain.errors import Corrupted
from domain.values import FeatureValue, ValueKind
from featom.v1 import value_pb2

_SCALARS: Final = (
    ValueKind.BOOL,
    ValueKind.INT64,
    ValueKind.DOUBLE,
    ValueKind.STRING,
    ValueKind.BYTES,
)
_SCALAR_FIELDS: Final = {kind: kind.value for kind in _SCALARS}
_SCALAR_KINDS: Final[dict[str | None, ValueKind]] = {kind.value: kind for kind in _SCALARS}
_LIST_KINDS: Final[dict[str | None, ValueKind]] = {
    kind.value: kind for kind in ValueKind if kind not in (*_SCALARS, ValueKind.TIMESTAMP)
}


def encode_value(value: FeatureValue, into: value_pb2.FeatureValue) -> None:
    """Write a value into a message that may hold another one."""
    kind, content = value.kind, value.content
    field = _SCALAR_FIELDS.get(kind)
    if field is not None:
        setattr(into, field, content)
    elif kind is ValueKind.TIMESTAMP:
        encode_timestamp(content, into.timestamp_value)
    else:
        elements = getattr(into, kind.value)
        elements.SetInParent()  # an empty list is a value too
        packed = _packed(content) if kind in _PACKED_BYTES and len(content) >= _MANY else None
        if packed is None:
            elements.values[:] = content
        else:
            elements.ParseFromString(nested(_PACKED_BYTES[kind], packed))


def decode_value(message: value_pb2.FeatureValue) -> FeatureValue:
    """Read a value. Raises Corrupted if the message holds none."""
    field: Any = message.WhichOneof("kind")
    kind = _SCALAR_KINDS.get(field)
    if kind is not None:
        return FeatureValue(kind, getattr(message, field))
    if field == ValueKind.TIMESTAMP.value:
        return FeatureValue(ValueKind.TIMESTAMP, decode_timestamp(message.timestamp_value))
    if field not in _LIST_KINDS:
        raise Corrupted("A stored feature has no value of a known kind.")
    kind = _LIST_KINDS[field]
    elements = getattr(message, field)
    unpacked = _unpacked(elements, kind) if kind in _PACKED_BYTES else None
    return FeatureValue(kind, tuple(elements.values) if unpacked is None else unpacked)


# A list can have a million elements only if each takes one byte of its aggregate. To handle these
# one by one takes several times as long as to handle all bytes at once; of few it makes no odds.
_MANY: Final = 64
_PACKED_BYTES: Final = {
    ValueKind.BOOL_LIST: tag(value_pb2.BoolList, "values"),
    ValueKind.INT64_LIST: tag(value_pb2.Int64List, "values"),
}


def _packed(content: Sequence[int]) -> bytes | None:
    """Elements as protobuf packs them, if each takes one byte."""
    try:
        packed = bytes(content)
    except ValueError:
        return None
    return packed if packed.isascii() else None


def _unpacked(elements: Any, kind: ValueKind) -> tuple[Any, ...] | None:
    """The elements of a list, if each takes one byte."""
    count = len(elements.values)
    if count < _MANY:
        return None
    encoded: bytes = elements.SerializeToString()
    # No more than a tag and the packed bytes: what this build does not know would be longer.
    if len(encoded) != len(_PACKED_BYTES[kind] + varint(count)) + count:
        return None
    packed = encoded[-count:]
    return struct.unpack(f"{count}?", packed) if kind is ValueKind.BOOL_LIST else tuple(packed)
