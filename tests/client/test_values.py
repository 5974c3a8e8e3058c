"""What Python's values are to Featom, and that none becomes another kind by accident."""

import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy
import pandas
import pytest
from featom_client import FeatureList, vector
from featom_client.contract import FeatureValue
from featom_client.values import decode, encode, reader_of

MOMENT = datetime(2024, 5, 6, 7, 8, 9, 123_456, tzinfo=UTC)

KINDS: list[tuple[Any, str]] = [
    (True, "bool_value"),
    (7, "int64_value"),
    (7.0, "double_value"),
    ("seven", "string_value"),
    (b"seven", "bytes_value"),
    (bytearray(b"seven"), "bytes_value"),
    (MOMENT, "timestamp_value"),
    ([True, False], "bool_list"),
    ([1, 2], "int64_list"),
    ((1, 2), "int64_list"),
    ([1.0, 2.0], "double_list"),
    (["a", "b"], "string_list"),
    (FeatureList("string_list"), "string_list"),
    (vector([1.0, 2.0]), "float_vector"),
    (vector([]), "float_vector"),
    (pandas.Timestamp(MOMENT), "timestamp_value"),
    *((numpy.dtype(name).type(1), "bool_value") for name in ("bool",)),
    *((numpy.dtype(name).type(7), "int64_value") for name in ("int8", "int16", "int32", "int64")),
    *(
        (numpy.dtype(name).type(7), "int64_value")
        for name in ("uint8", "uint16", "uint32", "uint64")
    ),
    *((numpy.dtype(name).type(7), "double_value") for name in ("float16", "float32", "float64")),
    (numpy.str_("seven"), "string_value"),
    (numpy.bytes_(b"seven"), "bytes_value"),
    *(
        (numpy.ones(2, name), "int64_list")
        for name in ("int8", "int32", "int64", "uint8", "uint64")
    ),
    *((numpy.ones(2, name), "float_vector") for name in ("float16", "float32")),
    (numpy.ones(2, "float64"), "double_list"),
    (numpy.ones(2, "bool"), "bool_list"),
    (numpy.array(["a", "b"]), "string_list"),
    (numpy.array([], "float64"), "double_list"),
    ([numpy.int32(1), numpy.int64(2)], "int64_list"),
]


@pytest.mark.parametrize(("value", "kind"), KINDS, ids=lambda each: repr(each)[:40])
def test_a_value_is_of_its_kind(value: Any, kind: str) -> None:
    assert encode(value).WhichOneof("kind") == kind


REFUSED: list[tuple[Any, str]] = [
    (None, "None is no value"),
    ([], "has no kind"),
    ([1, 2.0], "one of them only, not float, int"),
    ([True, 1], "one of them only, not bool, int"),
    ([None], "not NoneType"),
    (2**63, "not within 64 bits"),
    (-(2**63) - 1, "not within 64 bits"),
    ([2**63], "not within 64 bits"),
    (numpy.uint64(2**63), "not within 64 bits"),
    (datetime(2024, 1, 1), "has no time zone"),  # noqa: DTZ001
    (pandas.NaT, "no time zone"),
    (numpy.datetime64("2024-01-01"), "with a time zone"),
    (numpy.ones((2, 2)), "one dimension"),
    (numpy.longdouble(1), "no kind of value"),
    (numpy.complex64(1), "no kind of value"),
    (vector([1e300]), "not within 32 bits"),
    (FeatureList("int64_list", [1.0]), "must hold ints, not float"),
    ("\ud800", "surrogate"),
    (["\ud800"], "surrogate"),
    ({"a": 1}, "dict is no kind of value"),
    (1j, "complex is no kind of value"),
]


@pytest.mark.parametrize(("value", "why"), REFUSED, ids=lambda each: repr(each)[:40])
def test_what_could_be_another_value_is_refused(value: Any, why: str) -> None:
    with pytest.raises((TypeError, ValueError), match=why):
        encode(value)


def test_a_time_is_exact_wherever_it_is_from() -> None:
    for moment in (
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2024, 1, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    ):
        assert decode(encode(moment)) == moment


def test_pandas_nanoseconds_are_kept() -> None:
    encoded = encode(pandas.Timestamp("2024-01-01T00:00:00.123456789Z"))
    assert encoded.timestamp_value.nanos == 123_456_789


def test_a_list_that_was_read_is_of_the_kind_that_it_was() -> None:
    for kind in ("bool_list", "int64_list", "double_list", "string_list", "float_vector"):
        read = decode(encode(FeatureList(kind)))
        assert read == []
        assert encode(read).WhichOneof("kind") == kind
        assert encode(pickle.loads(pickle.dumps(read))).WhichOneof("kind") == kind


def test_every_kind_of_the_contract_can_be_read() -> None:
    for field in FeatureValue.DESCRIPTOR.fields:
        reader_of(field.name)


def test_a_kind_that_is_not_known_is_said_to_be_newer() -> None:
    with pytest.raises(ValueError, match="too old"):
        decode(FeatureValue())


def test_a_list_has_one_of_the_kinds_of_the_contract() -> None:
    with pytest.raises(ValueError, match="'int_list' is no kind of list"):
        FeatureList("int_list")
