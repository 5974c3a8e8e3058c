"""Vectors that show when they are torn: every feature of one has the same number."""

from collections.abc import Iterable
from typing import Final

from featom.v1.aggregate_pb2 import EntityKey, FeatureAggregate
from featom.v1.feature_store_pb2 import FeatureUpdate, UpdateFeaturesRequest
from featom.v1.value_pb2 import FeatureValue
from tests.consistency.operations import ENTITY_TYPE

NAMES: Final = tuple(f"feature_{number}" for number in range(50))


def key_of(entity_id: str) -> EntityKey:
    return EntityKey(entity_type=ENTITY_TYPE, entity_id=entity_id)


def keys_of(entity_ids: Iterable[str]) -> list[EntityKey]:
    return [key_of(entity_id) for entity_id in entity_ids]


def set_all(entity_id: str, number: int, *, etag: str = "") -> UpdateFeaturesRequest:
    """Set all 50 features of an entity to one number."""
    value = FeatureValue(int64_value=number)
    updates = [FeatureUpdate(name=name, set=value) for name in NAMES]
    return UpdateFeaturesRequest(key=key_of(entity_id), updates=updates, etag=etag)


def numbers_in(aggregate: FeatureAggregate) -> set[int]:
    """One number for a whole vector; several, or none, for a torn one."""
    features = aggregate.features
    if len(features) != len(NAMES):
        return set()
    return {features[name].value.int64_value for name in NAMES}
