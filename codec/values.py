"""Feature values as messages."""

from typing import Any, Final

from codec.timestamps import decode_timestamp, encode_timestamp
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
        elements.values[:] = content


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
    return FeatureValue(_LIST_KINDS[field], tuple(getattr(message, field).values))
