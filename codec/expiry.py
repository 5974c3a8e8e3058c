"""Serving an aggregate without what has expired."""

from collections.abc import Mapping
from typing import NamedTuple

from codec.timestamps import decode_timestamp
from domain.feature_spec import FeatureSpec
from domain.timestamp import Timestamp
from featom.v1 import aggregate_pb2


class Written(NamedTuple):
    """How a version came about."""

    entity_type_revision: int
    update_time: Timestamp


def how_written(state: bytes) -> Written:
    message = aggregate_pb2.FeatureAggregate.FromString(state)
    return Written(message.entity_type_revision, decode_timestamp(message.update_time))


def without_expired(state: bytes, expiring: Mapping[str, FeatureSpec], now: Timestamp) -> bytes:
    """A stored aggregate as it is served at `now`: what has expired is named, and left out."""
    message = aggregate_pb2.FeatureAggregate.FromString(state)
    expired = sorted(
        name
        for name, spec in expiring.items()
        if name in message.features
        and spec.is_expired(decode_timestamp(message.features[name].event_time), now)
    )
    if not expired:
        return state
    for name in expired:
        del message.features[name]
    message.expired_features.extend(expired)
    return message.SerializeToString()
