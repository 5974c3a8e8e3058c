"""Feature values and features as messages."""

from typing import Any, Final

from domain.errors import Corrupted
from domain.feature import Feature
from domain.values import FeatureValue, ValueKind
from featom.v1 import aggregate_pb2, value_pb2
from repository.codec.instants import decode_instant, encode_instant

_FIELDS: Final = {kind: kind.value for kind in ValueKind}
_KINDS: Final[dict[str | None, ValueKind]] = {kind.value: kind for kind in ValueKind}
_SCALARS: Final = frozenset(
    {ValueKind.BOOL, ValueKind.INT64, ValueKind.DOUBLE, ValueKind.STRING, ValueKind.BYTES}
)

# Every update makes several of these; a NamedTuple's own constructor takes twice as long.
_tuple: Final = tuple.__new__


def encode_value(value: FeatureValue, into: value_pb2.FeatureValue) -> None:
    """Write a value into a message that may hold another one."""
    kind, content = value
    if kind in _SCALARS:
        setattr(into, _FIELDS[kind], content)
    elif kind is ValueKind.TIMESTAMP:
        encode_instant(content, into.timestamp_value)
    else:
        elements = getattr(into, _FIELDS[kind])
        elements.SetInParent()  # an empty list is a value too
        elements.values[:] = content


def decode_value(message: value_pb2.FeatureValue) -> FeatureValue:
    """Read a value. Raises Corrupted if the message holds none."""
    field = message.WhichOneof("kind")
    kind = _KINDS.get(field)
    if field is None or kind is None:
        raise Corrupted("A stored feature has no value of a known kind.")
    content: Any = getattr(message, field)
    if kind is ValueKind.TIMESTAMP:
        content = decode_instant(content)
    elif kind not in _SCALARS:
        content = tuple(content.values)
    return _tuple(FeatureValue, (kind, content))


def encode_feature(feature: Feature, into: aggregate_pb2.Feature) -> None:
    """Write a feature into a message that may hold another one."""
    value, event_time, version = feature
    if value is not None:
        encode_value(value, into.value)
    encode_instant(event_time, into.event_time)
    into.version = version


def decode_feature(message: aggregate_pb2.Feature) -> Feature:
    parts = (decode_value(message.value), decode_instant(message.event_time), message.version)
    return _tuple(Feature, parts)
