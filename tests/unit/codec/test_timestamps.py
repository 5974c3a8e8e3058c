"""Instants to the nanosecond, also before 1970."""

from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp as TimestampMessage
from hypothesis import given

from codec.timestamps import decode_timestamp, encode_timestamp, from_datetime, to_datetime
from domain.timestamp import EARLIEST, LATEST, MICROSECOND, SECOND, Timestamp
from tests.kit.strategies import ANY_INSTANT


def encoded(timestamp: Timestamp) -> TimestampMessage:
    message = TimestampMessage(seconds=5, nanos=5)
    encode_timestamp(timestamp, message)
    return message


@given(ANY_INSTANT)
def test_an_instant_comes_back_to_the_nanosecond(timestamp: Timestamp) -> None:
    message = encoded(timestamp)
    assert 0 <= message.nanos < SECOND
    assert decode_timestamp(message) == timestamp


@pytest.mark.parametrize(
    ("timestamp", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (EARLIEST, "0001-01-01T00:00:00Z"),
        (LATEST, "9999-12-31T23:59:59.999999999Z"),
    ],
)
def test_an_instant_is_the_timestamp_that_protobuf_says(timestamp: Timestamp, text: str) -> None:
    assert encoded(timestamp).ToJsonString() == text


@given(ANY_INSTANT)
def test_a_datetime_is_the_instant_cut_to_microseconds(timestamp: Timestamp) -> None:
    time = to_datetime(timestamp)
    assert time.tzinfo is UTC
    assert from_datetime(time) == timestamp // MICROSECOND * MICROSECOND


def test_the_ends_of_time_are_datetimes() -> None:
    assert to_datetime(EARLIEST) == datetime(1, 1, 1, tzinfo=UTC)
    assert to_datetime(LATEST) == datetime.max.replace(tzinfo=UTC)
