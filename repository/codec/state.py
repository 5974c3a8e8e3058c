"""Aggregates in their stored form: a serialized featom.v1.FeatureAggregate without its etag.

Turning every stored feature into a domain object costs ten times as much as an update of a few of
them, so the aggregate works on a view that decodes what it is asked for and encodes what it is
given.
"""

from collections.abc import Iterator, MutableMapping
from typing import Any
from uuid import UUID

from google.protobuf.message import DecodeError

from domain.aggregate import DEFAULT_LIMITS, FeatureAggregate
from domain.entity_key import EntityKey
from domain.errors import Corrupted
from domain.feature import Feature
from domain.instant import Instant
from domain.limits import Limits
from domain.policy import Policy
from featom.v1 import aggregate_pb2
from repository.codec.instants import decode_instant, encode_instant
from repository.codec.values import decode_feature, encode_feature


class StoredFeatures(MutableMapping[str, Feature]):
    """The features of a message, as a mapping of domain objects."""

    __slots__ = ("_decoded", "message")

    def __init__(self, message: aggregate_pb2.FeatureAggregate) -> None:
        self.message = message
        # Of a hot aggregate, many updates of a batch ask for the same few.
        self._decoded: dict[str, Feature] = {}

    def get(self, name: str, default: Any = None) -> Any:
        known = self._decoded.get(name)
        if known is not None:
            return known
        # A message map makes what is asked for by index, so ask it by get.
        found = self.message.features.get(name)
        if found is None:
            return default
        feature = self._decoded[name] = decode_feature(found)
        return feature

    def __getitem__(self, name: str) -> Feature:
        found: Feature | None = self.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        return name in self.message.features

    def __setitem__(self, name: str, feature: Feature) -> None:
        encode_feature(feature, self.message.features[name])
        self._decoded[name] = feature

    def __delitem__(self, name: str) -> None:
        del self.message.features[name]
        self._decoded.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self.message.features)

    def __len__(self) -> int:
        return len(self.message.features)

    def __copy__(self) -> "StoredFeatures":
        twin = aggregate_pb2.FeatureAggregate()
        twin.CopyFrom(self.message)
        return StoredFeatures(twin)


def new_aggregate(
    key: EntityKey,
    uid: UUID,
    epoch: int,
    limits: Limits = DEFAULT_LIMITS,
    last_commit: Instant = 0,
    policy: Policy | None = None,
) -> FeatureAggregate:
    """An aggregate that was not written yet; `last_commit` is when the one before it ended."""
    message = aggregate_pb2.FeatureAggregate(uid=str(uid))
    message.key.entity_type, message.key.entity_id = key
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
        message = aggregate_pb2.FeatureAggregate.FromString(state)
    except DecodeError as error:
        raise Corrupted(f"The stored state of {key} cannot be read.") from error
    return FeatureAggregate(
        key,
        uid,
        StoredFeatures(message),
        epoch=epoch,
        version=message.version,
        create_time=decode_instant(message.create_time),
        update_time=decode_instant(message.update_time),
        size=len(state),
        limits=limits,
        policy=policy,
        entity_type_revision=message.entity_type_revision,
    )


def load_features(state: bytes) -> StoredFeatures:
    """The features of a stored aggregate alone. Raises Corrupted."""
    try:
        return StoredFeatures(aggregate_pb2.FeatureAggregate.FromString(state))
    except DecodeError as error:
        raise Corrupted("A stored state cannot be read.") from error


def dump_aggregate(aggregate: FeatureAggregate) -> bytes:
    """The stored form of an aggregate that was loaded or made here."""
    features = aggregate.features
    assert isinstance(features, StoredFeatures)
    message = features.message
    message.version = aggregate.version
    message.entity_type_revision = aggregate.entity_type_revision
    encode_instant(aggregate.create_time, message.create_time)
    encode_instant(aggregate.update_time, message.update_time)
    return message.SerializeToString()
