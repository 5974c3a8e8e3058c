"""Instants as google.protobuf.Timestamp, and as the datetime that asyncpg takes and gives."""

from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from domain.timestamp import MICROSECOND, SECOND, Instant

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def encode_instant(instant: Instant, into: Timestamp) -> None:
    """Write an instant into a message that may hold another one."""
    into.seconds, into.nanos = divmod(instant, SECOND)


def decode_instant(message: Timestamp) -> Instant:
    return message.seconds * SECOND + message.nanos


def to_datetime(instant: Instant) -> datetime:
    """An instant as a datetime, cut to microseconds."""
    return _EPOCH + timedelta(microseconds=instant // MICROSECOND)


def from_datetime(time: datetime) -> Instant:
    return (time - _EPOCH) // _MICROSECOND * MICROSECOND
