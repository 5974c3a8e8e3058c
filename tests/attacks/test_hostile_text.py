"""Whatever stands in a string is text: no SQL, no expression, no path, no end of anything."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import grpc
import pytest
from grpc import StatusCode

from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from featom.v1.value_pb2 import FeatureValue
from server.access.permissions import RPCS
from tests.attacks.hostile import HOSTILE, code_of, places
from tests.attacks.requests import OPEN_REQUESTS, REQUESTS
from tests.attacks.texts import paths_of
from tests.kit.secured_server import OWNER, Fortress

ENTITY_IDS = tuple(text for text in HOSTILE if text.isprintable() and len(text) < 100)

# Every way in which a caller can be wrong; never INTERNAL, never UNKNOWN.
EXPECTED = {
    StatusCode.OK,
    StatusCode.INVALID_ARGUMENT,
    StatusCode.NOT_FOUND,
    StatusCode.FAILED_PRECONDITION,
    StatusCode.ABORTED,
    StatusCode.ALREADY_EXISTS,
}
# What is open to more than a grant allows it takes small messages alone.
EXPECTED_IF_OPEN = EXPECTED | {StatusCode.RESOURCE_EXHAUSTED}


@pytest.fixture
async def channel(fortress: Fortress) -> AsyncIterator[grpc.aio.Channel]:
    credentials = fortress.credentials(fortress.client)
    async with grpc.aio.secure_channel(fortress.server.address, credentials) as opened:
        yield opened


@pytest.fixture
async def tables(attacked_database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(attacked_database)
    yield connection
    await connection.close()


def test_every_rpc_has_a_request() -> None:
    assert REQUESTS.keys() == RPCS.keys()


@pytest.mark.parametrize("rpc", REQUESTS, ids=lambda rpc: rpc.rpartition("/")[2])
def test_hostile_text_is_put_into_every_text_that_a_request_may_have(rpc: str) -> None:
    known = {path for path, _ in places(rpc)}
    assert known == set(paths_of(RPCS[rpc].request.DESCRIPTOR))


@pytest.mark.parametrize("rpc", [*REQUESTS, *OPEN_REQUESTS], ids=lambda rpc: rpc.rpartition("/")[2])
async def test_hostile_text_in_any_place_is_text(
    rpc: str, fortress: Fortress, channel: grpc.aio.Channel, tables: asyncpg.Connection
) -> None:
    metadata = fortress.as_caller(OWNER)
    before = await tables.fetchval("SELECT count(*) FROM pg_class")
    # Who changes one entity type together with others is told so; that is not the point here.
    contention = asyncio.Semaphore(1 if "EntityTypeService" in rpc else 32)

    async def is_contended(data: bytes) -> StatusCode:
        async with contention:
            return await code_of(channel, rpc, data, metadata)

    calls = [
        (path, text, is_contended(replaced(text).SerializeToString()))
        for path, replaced in places(rpc)
        for text in HOSTILE
    ]
    codes = await asyncio.gather(*(call for _, _, call in calls))
    expected = EXPECTED_IF_OPEN if rpc in OPEN_REQUESTS else EXPECTED
    unexpected = [
        (path, text, code)
        for (path, text, _), code in zip(calls, codes, strict=True)
        if code not in expected
    ]
    assert not unexpected
    assert await tables.fetchval("SELECT count(*) FROM pg_class") == before


async def test_an_entity_id_is_kept_as_it_is_whatever_it_looks_like(
    fortress: Fortress, channel: grpc.aio.Channel
) -> None:
    store: Any = FeatureStoreServiceStub(channel)
    metadata = fortress.as_caller(OWNER)
    for entity_id in ENTITY_IDS:
        key = EntityKey(entity_type="hostile", entity_id=entity_id)
        item = pb.FeatureUpdate(name="f", set=FeatureValue(string_value=entity_id))
        await store.UpdateFeatures(
            pb.UpdateFeaturesRequest(key=key, updates=[item]), metadata=metadata
        )
        read = await store.GetAggregate(pb.GetAggregateRequest(key=key), metadata=metadata)
        assert read.aggregate.key == key
        assert read.aggregate.features["f"].value.string_value == entity_id
    listed = await store.ListAggregates(
        pb.ListAggregatesRequest(entity_type="hostile"), metadata=metadata
    )
    ids = {aggregate.key.entity_id for aggregate in listed.aggregates}
    assert len(ENTITY_IDS) >= 7
    assert ids == set(ENTITY_IDS)


async def test_an_entity_id_with_control_characters_is_refused(
    fortress: Fortress, channel: grpc.aio.Channel
) -> None:
    for entity_id in ("\x00", "a\nb", "\x7f", "x" * 257):
        request = pb.GetAggregateRequest(key=EntityKey(entity_type="hostile", entity_id=entity_id))
        rpc = "/featom.v1.FeatureStoreService/GetAggregate"
        data = request.SerializeToString()
        code = await code_of(channel, rpc, data, fortress.as_caller(OWNER))
        assert code is StatusCode.INVALID_ARGUMENT
