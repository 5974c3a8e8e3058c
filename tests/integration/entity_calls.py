"""Calls about one entity, in few words."""

from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest

from domain.entity_key import EntityKey
from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey as KeyMessage
from featom.v1.aggregate_pb2 import FeatureAggregate
from featom.v1.value_pb2 import FeatureValue

if TYPE_CHECKING:
    from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceAsyncStub as Store

STALE: Final = (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
NOT_FOUND: Final = (grpc.StatusCode.NOT_FOUND, "AGGREGATE_NOT_FOUND")


@pytest.fixture
def entity(key: EntityKey) -> KeyMessage:
    """The key of an entity that no other test knows."""
    return KeyMessage(entity_type=key.entity_type, entity_id=key.entity_id)


def put(name: str, number: int, event_time: int | None = None) -> pb.FeatureUpdate:
    """Set an int64; `event_time` in seconds."""
    item = pb.FeatureUpdate(name=name, set=FeatureValue(int64_value=number))
    if event_time is not None:
        item.event_time.seconds = event_time
    return item


def request(entity: KeyMessage, *updates: pb.FeatureUpdate, **rest: Any) -> Any:
    return pb.UpdateFeaturesRequest(key=entity, updates=updates, **rest)


async def read(store: "Store", entity: KeyMessage) -> FeatureAggregate:
    return (await store.GetAggregate(pb.GetAggregateRequest(key=entity))).aggregate


async def numbers(store: "Store", entity: KeyMessage) -> dict[str, int]:
    found = await read(store, entity)
    return {name: feature.value.int64_value for name, feature in found.features.items()}
