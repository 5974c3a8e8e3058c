"""Values as messages, and back."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.values import decode_value, encode_value
from domain.errors import Corrupted
from domain.values import INT64_MAX, INT64_MIN, FeatureValue, ValueKind
from featom.v1 import value_pb2
from tests.kit.strategies import ANY_VALUE, values_of

every_kind = pytest.mark.parametrize("kind", ValueKind, ids=lambda kind: kind.value)


def on_the_wire(message: value_pb2.FeatureValue) -> value_pb2.FeatureValue:
    return value_pb2.FeatureValue.FromString(message.SerializeToString())


def test_the_kinds_are_those_of_the_contract() -> None:
    kinds = value_pb2.FeatureValue.DESCRIPTOR.oneofs_by_name["kind"].fields
    assert {field.name for field in kinds} == {kind.value for kind in ValueKind}


@every_kind
@given(data=st.data())
def test_a_value_of_every_kind_comes_back(kind: ValueKind, data: st.DataObject) -> None:
    value = data.draw(values_of(kind))
    message = value_pb2.FeatureValue()
    encode_value(value, message)
    assert decode_value(on_the_wire(message)) == value


@given(ANY_VALUE, ANY_VALUE)
def test_a_value_replaces_whatever_a_message_held(one: FeatureValue, other: FeatureValue) -> None:
    reused, fresh = value_pb2.FeatureValue(), value_pb2.FeatureValue()
    encode_value(one, reused)
    encode_value(other, reused)
    encode_value(other, fresh)
    assert reused == fresh
    assert decode_value(on_the_wire(reused)) == other


@pytest.mark.parametrize(
    "empty",
    [
        *(
            FeatureValue(kind, ())
            for kind in ValueKind
            if kind.value.endswith(("_list", "_vector"))
        ),
        FeatureValue(ValueKind.STRING, ""),
        FeatureValue(ValueKind.BYTES, b""),
        FeatureValue(ValueKind.BOOL, False),
        FeatureValue(ValueKind.INT64, 0),
        FeatureValue(ValueKind.DOUBLE, 0.0),
        FeatureValue(ValueKind.TIMESTAMP, 0),
    ],
    ids=lambda empty: empty.kind.value,
)
def test_what_is_empty_or_zero_is_a_value_too(empty: FeatureValue) -> None:
    message = value_pb2.FeatureValue()
    encode_value(empty, message)
    assert on_the_wire(message).WhichOneof("kind") == empty.kind.value
    assert decode_value(on_the_wire(message)) == empty


LONG = 1_000
ALTERNATING = FeatureValue(ValueKind.BOOL_LIST, (True, False) * LONG)


@pytest.mark.parametrize(
    "value",
    [
        ALTERNATING,
        FeatureValue(ValueKind.INT64_LIST, tuple(range(128)) * 8),
        *(
            FeatureValue(ValueKind.INT64_LIST, (other, *(7,) * LONG, other))
            for other in (128, 255, 256, -1, INT64_MAX, INT64_MIN)
        ),
    ],
    ids=lambda value: f"{value.kind.value} {value.content[0]}",
)
def test_a_long_list_is_the_same_message_as_element_by_element(value: FeatureValue) -> None:
    message, plain = value_pb2.FeatureValue(), value_pb2.FeatureValue()
    encode_value(value, message)
    getattr(plain, value.kind.value).values.extend(value.content)
    assert message.SerializeToString(deterministic=True) == plain.SerializeToString()
    decoded = decode_value(on_the_wire(plain))
    assert decoded == value
    assert set(map(type, decoded.content)) == set(map(type, value.content))


def test_a_long_list_with_a_field_of_a_newer_build_is_read() -> None:
    message = value_pb2.FeatureValue()
    encode_value(ALTERNATING, message)
    newer = message.bool_list.SerializeToString() + b"\x10\x01"  # field 2
    message.bool_list.ParseFromString(newer)
    assert decode_value(message) == ALTERNATING


def test_a_list_of_a_million_is_not_handled_element_by_element() -> None:
    """The event loop does nothing else meanwhile."""
    message = value_pb2.FeatureValue()
    value = FeatureValue(ValueKind.BOOL_LIST, (True,) * 1_000_000)
    encode_value(value, message)
    elements = message.bool_list

    def set_each() -> None:
        elements.values[:] = value.content

    assert 1.5 * cpu_of(lambda: decode_value(message)) < cpu_of(lambda: tuple(elements.values))
    assert 1.5 * cpu_of(lambda: encode_value(value, message)) < cpu_of(set_each)


def cpu_of(work: Callable[[], object]) -> float:
    """What some work takes at least, in seconds of this process."""
    times = []
    for _ in range(7):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return min(times)


def test_a_message_without_a_value_is_corrupted() -> None:
    with pytest.raises(Corrupted):
        decode_value(value_pb2.FeatureValue())
