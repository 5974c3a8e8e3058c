"""Operands in their stored form: serialized featom.v1.Operand."""

from functools import lru_cache
from typing import Final

from google.protobuf.message import DecodeError

from codec.timestamps import encode_timestamp
from codec.values import decode_value, encode_value
from domain.change import Change, Operand
from domain.errors import Corrupted
from domain.operations import Append, Increment, Maximum, Minimum, Remove
from domain.timestamp import Timestamp
from featom.v1 import aggregate_pb2

_COMMUTING: Final[dict[str | None, type[Increment] | type[Maximum] | type[Minimum]]] = {
    each.field: each for each in (Increment, Maximum, Minimum)
}


def dump_operand(name: str, operand: Operand, change: Change) -> bytes | None:
    """What the change does not tell without it; None: nothing."""
    operation, event_time = operand.operation, operand.event_time
    feature = change.features.get(name) or change.late_features.get(name)
    in_time = feature is not None and event_time == feature.event_time
    if in_time and operand.default is None and isinstance(operation, Increment):
        return _dump_increment(operation)
    message = aggregate_pb2.Operand()
    if isinstance(operation, Remove):
        if feature is None and event_time == change.commit_time:
            return None
        message.remove = True
    elif isinstance(operation, Append):
        message.append.max_length = operation.max_length
        if name not in change.late_features:
            encode_value(operation.value, message.append.value)
    else:
        encode_value(operation.value, getattr(message, operation.field))
    if not in_time:
        encode_timestamp(event_time, message.event_time)
    if operand.default is not None:
        encode_value(operand.default, message.default_value)
    return message.SerializeToString()


# Many count by one. A sum does not tell -0.0 from 0.0, so it does not matter that they are equal.
@lru_cache(maxsize=4_096)
def _dump_increment(increment: Increment) -> bytes:
    message = aggregate_pb2.Operand()
    encode_value(increment.value, message.increment)
    return message.SerializeToString()


def parse_operand(encoded: bytes) -> aggregate_pb2.Operand:
    """Read an operand. Raises Corrupted."""
    try:
        return aggregate_pb2.Operand.FromString(encoded)
    except DecodeError as error:
        raise Corrupted("A stored operand cannot be read.") from error


def decode_operand(
    message: aggregate_pb2.Operand, event_time: Timestamp, late: aggregate_pb2.Feature | None
) -> Operand:
    """An operand of a change that says its event time; `late` is the late feature of its name."""
    default = decode_value(message.default_value) if message.HasField("default_value") else None
    return Operand(_decode_operation(message, late), event_time, default)


def _decode_operation(
    message: aggregate_pb2.Operand, late: aggregate_pb2.Feature | None
) -> Increment | Maximum | Minimum | Append:
    field = message.WhichOneof("operation")
    if field == "append":
        appended = message.append
        return Append(decode_value(late.value if late else appended.value), appended.max_length)
    operation = _COMMUTING.get(field)
    if operation is None:
        raise Corrupted("A stored operand has no known operation.")
    return operation(decode_value(getattr(message, operation.field)))
