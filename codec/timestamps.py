"""Instants as google.protobuf.Timestamp, and as the datetime that asyncpg takes and gives."""

from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp as TimestampMessage

from domain.timestamp import MICROSECOND, SECOND, Timestamp

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def encode_timestamp(timestamp: Timestamp, into: TimestampMessage) -> None:
    """Write a timestamp into a message that may hold another one."""
    into.seconds, into.nanos = divmod(timestamp, SECOND)


def dump_timestamp(timestamp: Timestamp) -> bytes:
    """A timestamp as a serialized message."""
    message = TimestampMessage()
    encode_timestamp(timestamp, message)
    return message.SerializeToString()


def decode_timestamp(message: TimestampMessage) -> Timestamp:
    return message.seconds * SECOND + message.nanos


def to_datetime(timestamp: Timestamp) -> datetime:
    """A timestamp as a datetime, cut to microseconds."""
    return _EPOCH + timedelta(microseconds=timestamp // MICROSECOND)


def from_datetime(time: datetime) -> Timestamp:
    return (time - _EPOCH) // _MICROSECOND * MICROSECOND
