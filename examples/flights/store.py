"""Reads and deletes the aggregates of the demo."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from uuid import uuid4

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from examples.flights.retry import answered
from examples.flights.truth import Fact, Key, Vector
from featom.v1.aggregate_pb2 import EntityKey, FeatureAggregate
from featom.v1.feature_store_pb2 import BatchGetAggregatesRequest, DeleteAggregateRequest
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from featom.v1.value_pb2 import FeatureValue

KEYS_A_READ = 500
DELETIONS_IN_FLIGHT = 32


async def read_all(target: str, keys: Sequence[Key]) -> dict[Key, Vector]:
    """The aggregates of `keys` that exist."""
    found: dict[Key, Vector] = {}
    async with grpc.aio.insecure_channel(target) as channel:
        batch_get = FeatureStoreServiceStub(channel).BatchGetAggregates
        for start in range(0, len(keys), KEYS_A_READ):
            batch = keys[start : start + KEYS_A_READ]
            request = BatchGetAggregatesRequest(keys=map(_entity_key, batch))
            response = await answered(batch_get, request, Counter())
            for key, result in zip(batch, response.results, strict=True):
                if result.WhichOneof("result") == "aggregate":
                    found[key] = _vector(result.aggregate)
    return found


async def delete_all(target: str, keys: Sequence[Key]) -> None:
    """Delete the aggregates of `keys`; their history is kept."""
    async with grpc.aio.insecure_channel(target) as channel:
        delete = FeatureStoreServiceStub(channel).DeleteAggregate

        async def lane(remaining: Iterator[Key]) -> None:
            for key in remaining:
                request = DeleteAggregateRequest(key=_entity_key(key), request_id=str(uuid4()))
                await answered(delete, request, Counter())

        remaining = iter(keys)
        await asyncio.gather(*(lane(remaining) for _ in range(DELETIONS_IN_FLIGHT)))


def _entity_key(key: Key) -> EntityKey:
    return EntityKey(entity_type=key[0], entity_id=key[1])


def _vector(aggregate: FeatureAggregate) -> Vector:
    return Vector(
        aggregate.version,
        {
            name: Fact(_value(feature.value), _microseconds(feature.event_time))
            for name, feature in aggregate.features.items()
        },
    )


def _value(value: FeatureValue) -> int | str:
    kind = value.WhichOneof("kind")
    if kind == "int64_value":
        return value.int64_value
    if kind == "string_value":
        return value.string_value
    return f"a {kind}"  # the demo writes none: a difference from whatever is expected


def _microseconds(time: Timestamp) -> int:
    return time.seconds * 1_000_000 + time.nanos // 1_000
