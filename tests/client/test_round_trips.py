"""What is written through the client is read back exactly, whatever it is."""

import itertools
import math
import struct
import unicodedata
from datetime import UTC, datetime
from typing import Any

import numpy
from featom_client import Client, EntityType, FeatureList, FeatureSpec, vector
from featom_client.values import INT64_MAX, INT64_MIN
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TEXTS = st.text(max_size=20) | st.text(max_size=9).map(
    lambda text: unicodedata.normalize("NFD", text)
)
MOMENTS = st.datetimes(timezones=st.just(UTC))
DOUBLES = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [0.0, -0.0, 5e-324, -5e-324, 2.2e-308]
)
SINGLES = st.floats(width=32, allow_nan=False, allow_infinity=False) | st.sampled_from(
    [-0.0, 1.4012984643248171e-45]
)
INTEGERS = st.integers(INT64_MIN, INT64_MAX) | st.sampled_from([INT64_MAX, INT64_MIN])


def lists(kind: str, elements: Any) -> Any:
    return st.lists(elements, max_size=5).map(lambda values: FeatureList(kind, values))


VALUES = st.one_of(
    st.booleans(),
    INTEGERS,
    DOUBLES,
    TEXTS,
    st.binary(max_size=20),
    MOMENTS,
    lists("bool_list", st.booleans()),
    lists("int64_list", INTEGERS),
    lists("double_list", DOUBLES),
    lists("string_list", TEXTS),
    st.lists(SINGLES, max_size=5).map(vector),
)
NUMPY = st.one_of(
    st.booleans().map(numpy.bool_),
    st.integers(-(2**31), 2**31 - 1).map(numpy.int32),
    st.integers(0, 2**63 - 1).map(numpy.uint64),
    SINGLES.map(numpy.float32),
    DOUBLES.map(numpy.float64),
    st.lists(SINGLES, max_size=5).map(lambda values: numpy.array(values, "float32")),
    st.lists(DOUBLES, max_size=5).map(lambda values: numpy.array(values, "float64")),
    st.lists(st.booleans(), max_size=5).map(lambda values: numpy.array(values, "bool")),
    st.lists(st.integers(0, 255), max_size=5).map(lambda values: numpy.array(values, "uint8")),
)


def exactly(value: Any) -> Any:
    """Equal only for values of one type, the same in each bit of a float."""
    if isinstance(value, float):
        return struct.pack("d", value)
    if isinstance(value, list):
        return type(value), getattr(value, "kind", ""), [exactly(each) for each in value]
    return type(value), value


def plain(value: Any) -> Any:
    """A value of numpy as it is read back."""
    if not value.shape:
        return value.item()
    kinds = {"float32": "float_vector", "float64": "double_list", "bool": "bool_list"}
    return FeatureList(kinds.get(value.dtype.name, "int64_list"), value.tolist())


IN_ONE_GO = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
NUMBERS = itertools.count()


def written(client: Client, kind: str, values: list[Any]) -> tuple[str, list[str]]:
    """The id of a new entity, and the names of the features that have these values."""
    entity_id, names = str(next(NUMBERS)), [f"f{number}" for number in range(len(values))]
    client.update(kind, entity_id, dict(zip(names, values, strict=True)))
    return entity_id, names


@IN_ONE_GO
@given(st.lists(VALUES, min_size=1, max_size=40))
def test_a_value_comes_back_exactly(client: Client, kind: str, values: list[Any]) -> None:
    entity_id, names = written(client, kind, values)
    read = client.get(kind, entity_id)
    assert [exactly(read[name]) for name in names] == [exactly(value) for value in values]
    column = client.get_many(kind, [entity_id]).column
    assert [exactly(column(name)[0]) for name in names] == [exactly(value) for value in values]


@IN_ONE_GO
@given(st.lists(VALUES, min_size=1, max_size=40))
def test_what_was_read_can_be_written_back(client: Client, kind: str, values: list[Any]) -> None:
    entity_id, _ = written(client, kind, values)
    read = client.get(kind, entity_id)
    again = client.update(kind, entity_id, dict(read), return_aggregate=True).aggregate
    assert again is not None
    assert {name: exactly(again[name]) for name in read} == {
        name: exactly(value) for name, value in read.items()
    }


@IN_ONE_GO
@given(st.lists(NUMPY, min_size=1, max_size=40))
def test_a_value_of_numpy_comes_back_as_the_same_number(
    client: Client, kind: str, values: list[Any]
) -> None:
    entity_id, names = written(client, kind, values)
    read = client.get(kind, entity_id)
    assert [exactly(read[name]) for name in names] == [exactly(plain(value)) for value in values]


@IN_ONE_GO
@given(MOMENTS)
def test_an_event_time_comes_back_exactly(client: Client, kind: str, moment: datetime) -> None:
    entity_id = str(next(NUMBERS))
    client.update(kind, entity_id, x=1, event_time=moment)
    assert client.get(kind, entity_id).event_time("x") == moment


def test_numbers_that_are_none_are_kept_where_the_type_allows_them(
    client: Client, kind: str
) -> None:
    client.apply_entity_type(EntityType(kind, {"x": FeatureSpec("double", allow_non_finite=True)}))
    for number in (math.nan, math.inf, -math.inf):
        client.update(kind, "1", x=number)
        assert exactly(client.get(kind, "1")["x"]) == exactly(number)
