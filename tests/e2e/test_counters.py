"""No increment is lost and none counts twice, however many writers meet on one entity."""

import asyncio

from featom.v1.feature_store_pb2 import (
    FeatureUpdate,
    GetAggregateRequest,
    UpdateFeaturesRequest,
)
from featom.v1.value_pb2 import FeatureValue
from tests.kit.server_process import running_servers
from tests.kit.stubs import connected
from tests.kit.vectors import key_of

CLIENTS = 16
INCREMENTS = 200


async def test_16_clients_times_200_increments_through_two_servers_end_at_3200(
    database: str,
) -> None:
    async with running_servers(2, database) as servers:
        await asyncio.gather(*(increment(servers[client % 2].address) for client in range(CLIENTS)))
        async with connected(servers[0].address) as store:
            answer = await store.GetAggregate(GetAggregateRequest(key=key_of("counter")))
    assert answer.aggregate.features["count"].value.int64_value == CLIENTS * INCREMENTS == 3_200
    assert answer.aggregate.version == 3_200


async def increment(address: str) -> None:
    one = FeatureUpdate(name="count", increment=FeatureValue(int64_value=1))
    request = UpdateFeaturesRequest(key=key_of("counter"), updates=[one])
    async with connected(address) as store:
        for _ in range(INCREMENTS):
            await store.UpdateFeatures(request)
