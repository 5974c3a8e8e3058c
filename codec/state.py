"""Aggregates in their stored form: a serialized featom.v1.FeatureAggregate without its etag."""

from uuid import UUID

from google.protobuf.message import DecodeError

from codec.features import StoredFeatures
from codec.timestamps import decode_timestamp, encode_timestamp
from domain.aggregate import FeatureAggregate
from domain.entity_key import EntityKey
from domain.errors import Corrupted
from domain.limits import DEFAULT_LIMITS, Limits
from domain.policy import Policy
from domain.timestamp import Timestamp
from featom.stored.v1 import stored_pb2
from featom.v1 import aggregate_pb2


def new_aggregate(
    key: EntityKey,
    uid: UUID,
    epoch: int,
    limits: Limits = DEFAULT_LIMITS,
    last_commit: Timestamp = 0,
    policy: Policy | None = None,
) -> FeatureAggregate:
    """An aggregate that was not written yet; `last_commit` is when the one before it ended."""
    encoded_key = aggregate_pb2.EntityKey(entity_type=key.entity_type, entity_id=key.entity_id)
    message = stored_pb2.StoredAggregate(key=encoded_key.SerializeToString(), uid=str(uid))
    return FeatureAggregate(
        key,
        uid,
        StoredFeatures(message),
        epoch=epoch,
        last_commit=last_commit,
        limits=limits,
        policy=policy,
    )


def load_aggregate(
    key: EntityKey,
    uid: UUID,
    epoch: int,
    state: bytes,
    limits: Limits = DEFAULT_LIMITS,
    policy: Policy | None = None,
) -> FeatureAggregate:
    """Read an aggregate. Raises Corrupted if the state cannot be one."""
    try:
        message = stored_pb2.StoredAggregate.FromString(state)
    except DecodeError as error:
        raise Corrupted(f"The stored state of {key} cannot be read.") from error
    return FeatureAggregate(
        key,
        uid,
        StoredFeatures(message),
        epoch=epoch,
        version=message.version,
        create_time=decode_timestamp(message.create_time),
        update_time=decode_timestamp(message.update_time),
        size=len(state),
        limits=limits,
        policy=policy,
        entity_type_revision=message.entity_type_revision,
    )


def load_features(state: bytes) -> StoredFeatures:
    """The features of a stored aggregate alone. Raises Corrupted."""
    try:
        return StoredFeatures(stored_pb2.StoredAggregate.FromString(state))
    except DecodeError as error:
        raise Corrupted("A stored state cannot be read.") from error


def dump_aggregate(aggregate: FeatureAggregate) -> bytes:
    """The stored form of an aggregate that was loaded or made here."""
    features = aggregate.features
    assert isinstance(features, StoredFeatures)
    message = features.message
    message.version = aggregate.version
    message.entity_type_revision = aggregate.entity_type_revision
    encode_timestamp(aggregate.create_time, message.create_time)
    encode_timestamp(aggregate.update_time, message.update_time)
    return message.SerializeToString()
