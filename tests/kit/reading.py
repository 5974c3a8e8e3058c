"""What is stored, as the tests want to see it."""

from collections.abc import Sequence
from typing import Any

from codec.state import load_aggregate
from domain.entity_key import EntityKey
from domain.ports import AggregateReader, ListedAggregate, PointInTime, StoredAggregate
from featom.v1.aggregate_pb2 import FeatureAggregate
from tests.kit.samples import contents


def features(stored: StoredAggregate | None) -> dict[str, Any] | None:
    """What the features hold, by name; None if there is no aggregate."""
    if stored is None:
        return None
    message = message_of(stored)
    key = EntityKey(message.key.entity_type, message.key.entity_id)
    return contents(load_aggregate(key, stored.uid, stored.epoch, stored.state).features)


def message_of(stored: StoredAggregate) -> FeatureAggregate:
    return FeatureAggregate.FromString(stored.state)


async def current(repository: AggregateReader, key: EntityKey) -> StoredAggregate:
    """The aggregate as it is now; there must be one."""
    (found,) = await repository.read([key])
    assert found is not None
    return found


async def current_features(repository: AggregateReader, key: EntityKey) -> dict[str, Any] | None:
    (found,) = await repository.read([key])
    return features(found)


async def list_all(repository: AggregateReader, entity_type: str) -> Sequence[ListedAggregate]:
    """All aggregates of a type, of which there are few."""
    listed, more = await repository.list_aggregates(entity_type, "", 1_000, 10_000_000)
    assert not more
    return listed


async def past_features(
    repository: AggregateReader, key: EntityKey, point: PointInTime
) -> dict[str, Any] | None:
    return features(await repository.read_as_of(key, point))
