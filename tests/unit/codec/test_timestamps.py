"""Instants to the nanosecond, also before 1970."""

from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given

from codec.timestamps import decode_instant, encode_instant, from_datetime, to_datetime
from domain.timestamp import EARLIEST, LATEST, MICROSECOND, SECOND, Instant
from tests.kit.strategies import ANY_INSTANT


def timestamp(instant: Instant) -> Timestamp:
    message = Timestamp(seconds=5, nanos=5)
    encode_instant(instant, message)
    return message


@given(ANY_INSTANT)
def test_an_instant_comes_back_to_the_nanosecond(instant: Instant) -> None:
    message = timestamp(instant)
    assert 0 <= message.nanos < SECOND
    assert decode_instant(message) == instant


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (EARLIEST, "0001-01-01T00:00:00Z"),
        (LATEST, "9999-12-31T23:59:59.999999999Z"),
    ],
)
def test_an_instant_is_the_timestamp_that_protobuf_says(instant: Instant, text: str) -> None:
    assert timestamp(instant).ToJsonString() == text


@given(ANY_INSTANT)
def test_a_datetime_is_the_instant_cut_to_microseconds(instant: Instant) -> None:
    time = to_datetime(instant)
    assert time.tzinfo is UTC
    assert from_datetime(time) == instant // MICROSECOND * MICROSECOND


def test_the_ends_of_time_are_datetimes() -> None:
    assert to_datetime(EARLIEST) == datetime(1, 1, 1, tzinfo=UTC)
    assert to_datetime(LATEST) == datetime.max.replace(tzinfo=UTC)
