"""Limits that are an operator's to set, on a server where they are small."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
import grpc
import pytest
from grpc import StatusCode
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from featom.v1.value_pb2 import FeatureValue
from tests.kit.refusal import refusal
from tests.kit.secured_server import OWNER, READER, Fortress

STREAMS: Final = 3
RATE: Final = 10
WAITING: Final = 150_000
LARGE: Final = 60_000
"""Bytes of which WAITING has room for two."""


@pytest.fixture(scope="module")
def narrow(attacked_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fortress]:
    folder = tmp_path_factory.mktemp("narrow")
    with Fortress(folder).serving(
        attacked_database,
        max_streams=STREAMS,
        rate_per_principal=RATE,
        max_waiting_bytes=WAITING,
        max_message_bytes=2 * LARGE,
        max_connection_age=60,
    ) as fortress:
        yield fortress


@asynccontextmanager
async def connected(fortress: Fortress) -> AsyncIterator[grpc.aio.Channel]:
    """A connection that is shared with nobody."""
    async with grpc.aio.secure_channel(
        fortress.server.address,
        fortress.credentials(fortress.client),
        [("grpc.use_local_subchannel_pool", 1)],
    ) as channel:
        yield channel


def stub(channel: grpc.aio.Channel) -> Any:
    return FeatureStoreServiceStub(channel)


@asynccontextmanager
async def nothing_can_be_written(dsn: str) -> AsyncIterator[None]:
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE aggregates IN EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


def listing() -> pb.ListAggregatesRequest:
    return pb.ListAggregatesRequest(entity_type="card")


def large_update(entity_id: str) -> pb.UpdateFeaturesRequest:
    item = pb.FeatureUpdate(name="large", set=FeatureValue(bytes_value=bytes(LARGE)))
    return pb.UpdateFeaturesRequest(
        key=EntityKey(entity_type="limit", entity_id=entity_id), updates=[item]
    )


async def test_who_calls_too_often_is_told_when_to_come_back_and_nobody_else_is(
    narrow: Fortress,
) -> None:
    async with connected(narrow) as channel:
        store = stub(channel)
        reader, owner = narrow.as_caller(READER), narrow.as_caller(OWNER)
        calls = [store.ListAggregates(listing(), metadata=reader) for _ in range(3 * RATE)]
        await asyncio.wait([asyncio.ensure_future(call.code()) for call in calls])
        refused = [call for call in calls if await call.code() is not StatusCode.OK]
        assert RATE <= len(calls) - len(refused) < len(calls)
        told = await refusal(refused[-1])
        assert told.told == (StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED")
        assert told.retry_after
        assert told.retry_after <= 1
        await store.ListAggregates(listing(), metadata=owner)
        await asyncio.sleep(told.retry_after)
        # Another of the calls may have taken the token since, and then it is told again.
        for _ in calls:
            call = store.ListAggregates(listing(), metadata=reader)
            if await call.code() is StatusCode.OK:
                return
            await asyncio.sleep((await refusal(call)).retry_after or 0)
        pytest.fail("nobody was let in again")


async def test_calls_that_come_at_once_on_one_connection_are_all_answered(
    narrow: Fortress,
) -> None:
    async with connected(narrow) as channel:
        health: Any = HealthStub(channel)
        answers = await asyncio.gather(
            *(health.Check(HealthCheckRequest()) for _ in range(30 * STREAMS))
        )
        assert {answer.status for answer in answers} == {HealthCheckResponse.SERVING}


async def test_more_calls_than_a_connection_may_have_wait_in_the_client(narrow: Fortress) -> None:
    owner = narrow.as_caller(OWNER)
    async with connected(narrow) as channel, connected(narrow) as another:
        store = stub(channel)
        streams = [store.StreamUpdateFeatures(metadata=owner) for _ in range(STREAMS)]
        for number, stream in enumerate(streams):
            update = large_update(f"stream-{number}")
            await stream.write(pb.StreamUpdateFeaturesRequest(sequence=1, update=update))
            assert (await stream.read()).sequence == 1
        one_more = store.ListAggregates(listing(), metadata=owner, timeout=60)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(one_more), 0.5)
        await stub(another).ListAggregates(listing(), metadata=owner, timeout=60)
        await streams[0].done_writing()
        await one_more
        for stream in streams[1:]:
            stream.cancel()


async def test_requests_that_wait_fill_no_more_of_the_memory_than_they_may(
    narrow: Fortress, attacked_database: str
) -> None:
    owner = narrow.as_caller(OWNER)
    async with connected(narrow) as channel:
        store = stub(channel)
        async with nothing_can_be_written(attacked_database):
            calls = {
                asyncio.ensure_future(
                    store.UpdateFeatures(large_update(f"{number}"), metadata=owner)
                )
                for number in range(5)
            }
            refused: set[Any] = set()
            while len(refused) < 3:
                done, calls = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
                refused |= done
            for call in refused:
                told = await refusal(call)
                assert told.told == (StatusCode.UNAVAILABLE, "OVERLOADED")
                assert told.retry_after
            done, calls = await asyncio.wait(calls, timeout=0.5)
            assert not done
        assert [answer.version for answer in await asyncio.gather(*calls)] == [1, 1]
        await store.UpdateFeatures(large_update("after"), metadata=owner)
