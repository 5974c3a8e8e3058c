"""Features in their stored form, and back."""

import pytest
from google.protobuf.descriptor import Descriptor
from hypothesis import given

from codec.features import decode_feature, encode_feature
from domain.errors import Corrupted
from domain.feature import Feature, feature_size
from domain.values import FeatureValue, ValueKind
from featom.stored.v1 import stored_pb2
from featom.v1 import aggregate_pb2
from tests.kit.samples import sample
from tests.kit.strategies import ANY_FEATURE, ANY_NAME


@given(ANY_FEATURE)
def test_a_feature_comes_back(feature: Feature) -> None:
    assert decode_feature(encode_feature(feature)) == feature


@given(ANY_FEATURE)
def test_a_feature_is_encoded_as_protobuf_would(feature: Feature) -> None:
    encoded = encode_feature(feature)
    assert aggregate_pb2.Feature.FromString(encoded).SerializeToString() == encoded


def test_a_removal_that_came_late_is_a_feature_without_a_value() -> None:
    message = aggregate_pb2.Feature.FromString(encode_feature(Feature(None, 5, 2)))
    assert not message.HasField("value")
    assert (message.event_time.nanos, message.version) == (5, 2)


@pytest.mark.parametrize("junk", [b"\xff", aggregate_pb2.Feature(version=1).SerializeToString()])
def test_what_is_no_feature_is_corrupted(junk: bytes) -> None:
    with pytest.raises(Corrupted):
        decode_feature(junk)


@given(ANY_NAME, ANY_FEATURE)
def test_a_feature_takes_no_more_bytes_than_the_domain_says(name: str, feature: Feature) -> None:
    assert stored_size(name, feature) <= feature_size(name, feature)


@pytest.mark.parametrize("kind", ValueKind, ids=lambda kind: kind.value)
def test_the_size_of_a_large_value_is_not_far_from_the_truth(kind: ValueKind) -> None:
    if not isinstance(sample(kind).content, tuple | str | bytes):
        return
    feature = Feature(FeatureValue(kind, sample(kind).content * 500), 0, 1)
    assert stored_size("f", feature) <= feature_size("f", feature) < 6 * stored_size("f", feature)


def stored_size(name: str, feature: Feature) -> int:
    aggregate = stored_pb2.StoredAggregate()
    aggregate.features[name] = encode_feature(feature)
    return aggregate.ByteSize()


@pytest.mark.parametrize(
    ("stored", "served"),
    [
        (stored_pb2.StoredAggregate, aggregate_pb2.FeatureAggregate),
        (stored_pb2.StoredChange, aggregate_pb2.AggregateChange),
    ],
)
def test_what_is_stored_is_on_the_wire_what_is_served(
    stored: type[stored_pb2.StoredAggregate | stored_pb2.StoredChange],
    served: type[aggregate_pb2.FeatureAggregate | aggregate_pb2.AggregateChange],
) -> None:
    only_served = {"etag", "expired_features"}
    wanted = {name: it for name, it in fields(served.DESCRIPTOR).items() if name not in only_served}
    assert fields(stored.DESCRIPTOR) == wanted


def fields(message: Descriptor) -> dict[str, tuple[object, ...]]:
    """Of each field what makes its bytes; a message is bytes to who does not look inside."""
    return {
        field.name: (
            field.number,
            field.is_repeated,
            field.TYPE_BYTES if field.type == field.TYPE_MESSAGE else field.type,
            None
            if field.message_type is None or not field.message_type.GetOptions().map_entry
            else fields(field.message_type)["key"],
        )
        for field in message.fields
    }
