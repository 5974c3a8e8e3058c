"""Small updates do not wait for large ones, and these take memory by what they are about."""

import grpc

from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from tests.consistency.large_updates import MOST_MEMORY, store_aggregates, storm
from tests.kit.serving import serving


async def test_small_updates_do_not_wait_for_large_ones(database: str) -> None:
    with serving(database) as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            store = FeatureStoreServiceStub(channel)
            await store_aggregates(store)
            metrics = await storm(store, server.process.pid, "one aggregate each", seconds=6.0)
    # How fast that is is the machine's; that both differ is ours.
    assert metrics.small_p99 < metrics.large_p50 / 2, str(metrics)
    assert metrics.memory < MOST_MEMORY, str(metrics)
