"""Which values can be stored at all."""

import math

import pytest
from hypothesis import given

from domain.errors import InvalidValue
from domain.timestamp import EARLIEST, LATEST
from domain.values import INT64_MAX, INT64_MIN, FeatureValue, ValueKind, value_problem
from tests.kit.samples import NOW, aggregate, put, update, value
from tests.kit.strategies import ANY_VALUE

K = ValueKind
NOT_FINITE = (math.nan, math.inf, -math.inf)


@given(ANY_VALUE)
def test_a_value_in_the_range_of_its_kind_has_no_problem(any_value: FeatureValue) -> None:
    assert value_problem(any_value) is None


@pytest.mark.parametrize(
    "impossible",
    [
        *(value(number) for number in NOT_FINITE),
        *(FeatureValue(K.DOUBLE_LIST, (0.0, number)) for number in NOT_FINITE),
        *(FeatureValue(K.FLOAT_VECTOR, (0.0, number)) for number in NOT_FINITE),
        FeatureValue(K.FLOAT_VECTOR, (0.0, 1e39)),
        value(INT64_MAX + 1),
        value(INT64_MIN - 1),
        FeatureValue(K.INT64_LIST, (0, INT64_MAX + 1)),
        FeatureValue(K.TIMESTAMP, LATEST + 1),
        FeatureValue(K.TIMESTAMP, EARLIEST - 1),
    ],
    ids=str,
)
def test_a_value_out_of_range_is_refused_and_the_field_is_named(impossible: FeatureValue) -> None:
    subject = aggregate()
    with pytest.raises(InvalidValue) as refused:
        subject.apply(update(put("f", impossible)), NOW)
    (violation,) = refused.value.violations
    assert violation.field == "updates[0].set"
    assert violation.description.startswith("f element 1 " * isinstance(impossible.content, tuple))
    assert not subject.features


@pytest.mark.parametrize("event_time", [EARLIEST - 1, LATEST + 1])
def test_an_event_time_outside_the_years_1_to_9999_is_refused(event_time: int) -> None:
    with pytest.raises(InvalidValue) as refused:
        aggregate().apply(update(put("f", 1, event_time), event_time=event_time), NOW)
    assert [violation.field for violation in refused.value.violations] == [
        "event_time",
        "updates[0].event_time",
    ]


@pytest.mark.parametrize("event_time", [EARLIEST, LATEST])
def test_the_first_and_the_last_nanosecond_are_event_times(event_time: int) -> None:
    subject = aggregate()
    subject.apply(update(put("f", 1, event_time)), NOW)
    assert subject.features["f"].event_time == event_time


def test_values_of_different_kinds_are_never_equal() -> None:
    assert value(True) != value(1)
    assert value(1) != value(1.0)
    assert FeatureValue(K.INT64_LIST, (1,)) != FeatureValue(K.DOUBLE_LIST, (1.0,))
    assert FeatureValue(K.DOUBLE_LIST, (1.0,)) != FeatureValue(K.FLOAT_VECTOR, (1.0,))
    assert value(1) != FeatureValue(K.TIMESTAMP, 1)
