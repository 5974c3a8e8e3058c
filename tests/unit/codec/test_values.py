"""Values as messages, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.values import decode_value, encode_value
from domain.errors import Corrupted
from domain.values import FeatureValue, ValueKind
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


def test_a_message_without_a_value_is_corrupted() -> None:
    with pytest.raises(Corrupted):
        decode_value(value_pb2.FeatureValue())
