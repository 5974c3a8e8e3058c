"""Feature values and features as messages."""

from collections.abc import Callable
from typing import Any, Final

from domain.errors import Corrupted
from domain.feature import Feature
from domain.values import FeatureValue, ValueKind
from featom.v1 import aggregate_pb2, value_pb2
from repository.codec.instants import decode_instant, encode_instant

_LISTS: Final = (
    ValueKind.BOOL_LIST,
    ValueKind.INT64_LIST,
    ValueKind.DOUBLE_LIST,
    ValueKind.STRING_LIST,
    ValueKind.FLOAT_VECTOR,
)


def encode_value(value: FeatureValue, into: value_pb2.FeatureValue) -> None:
    """Write a value into a message that may hold another one."""
    kind, content = value
    if kind is ValueKind.TIMESTAMP:
        encode_instant(content, into.timestamp_value)
    elif kind in _LISTS:
        elements = getattr(into, kind.value)
        elements.SetInParent()  # an empty list is a value too
        elements.values[:] = content
    else:
        setattr(into, kind.value, content)


def decode_value(message: value_pb2.FeatureValue) -> FeatureValue:
    """Read a value. Raises Corrupted if the message holds none."""
    decode = _DECODERS.get(message.WhichOneof("kind"))
    if decode is None:
        raise Corrupted("A stored feature has no value of a known kind.")
    return decode(message)


def encode_feature(feature: Feature, into: aggregate_pb2.Feature) -> None:
    """Write a feature into a message that may hold another one."""
    if feature.value is not None:
        encode_value(feature.value, into.value)
    encode_instant(feature.event_time, into.event_time)
    into.version = feature.version


def decode_feature(message: aggregate_pb2.Feature) -> Feature:
    return Feature(decode_value(message.value), decode_instant(message.event_time), message.version)


def _decoder(kind: ValueKind) -> Callable[[value_pb2.FeatureValue], FeatureValue]:
    field = kind.value

    def scalar(message: Any) -> FeatureValue:
        return FeatureValue(kind, getattr(message, field))

    def elements(message: Any) -> FeatureValue:
        return FeatureValue(kind, tuple(getattr(message, field).values))

    def timestamp(message: Any) -> FeatureValue:
        return FeatureValue(kind, decode_instant(message.timestamp_value))

    if kind is ValueKind.TIMESTAMP:
        return timestamp
    return elements if kind in _LISTS else scalar


_DECODERS: Final[dict[str | None, Callable[[value_pb2.FeatureValue], FeatureValue]]] = {
    kind.value: _decoder(kind) for kind in ValueKind
}
