"""Of two writers that have seen the same version, the second is told, and changes nothing."""

from uuid import uuid4

import grpc
import pytest

from domain import EntityKey, FeatureUpdate, FeatureValue, SetValue, Update, ValueKind
from domain.errors import StaleEtag
from domain.ports import StoredAggregate
from featom.v1.feature_store_pb2 import GetAggregateRequest
from repository.postgres import PostgresRepository
from tests.kit.server_process import running_servers
from tests.kit.stubs import connected, failure_of
from tests.kit.vectors import key_of, numbers_in, set_all


async def test_through_the_repository_the_stale_writer_is_told_and_changes_nothing(
    database: str,
) -> None:
    repository = PostgresRepository(database)
    await repository.open()
    try:
        await repository.update(set_to(1))
        read, read_too = await stored(repository), await stored(repository)

        first = await repository.update(set_to(2, read))
        with pytest.raises(StaleEtag) as refused:
            await repository.update(set_to(3, read_too))

        assert refused.value.current_version == first.version == 2
        assert (await stored(repository)).etag == first.etag
    finally:
        await repository.close()


async def test_through_two_servers_the_stale_writer_is_told_and_changes_nothing(
    database: str,
) -> None:
    async with (
        running_servers(2, database) as (one, another),
        connected(one.address) as here,
        connected(another.address) as there,
    ):
        await here.UpdateFeatures(set_all("entity", 1))
        question = GetAggregateRequest(key=key_of("entity"))
        read = (await here.GetAggregate(question)).aggregate
        read_too = (await there.GetAggregate(question)).aggregate
        assert read.etag == read_too.etag

        first = await here.UpdateFeatures(set_all("entity", 2, etag=read.etag))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await there.UpdateFeatures(set_all("entity", 3, etag=read_too.etag))

        failure = failure_of(refused.value)
        assert (failure.code, failure.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
        assert failure.metadata == {"current_version": "2"}
        for reader in (here, there):
            aggregate = (await reader.GetAggregate(question)).aggregate
            assert (aggregate.version, aggregate.etag) == (2, first.etag)
            assert numbers_in(aggregate) == {2}


KEY = EntityKey("consistency", str(uuid4()))


def set_to(number: int, read: StoredAggregate | None = None) -> Update:
    value = SetValue(FeatureValue(ValueKind.INT64, number))
    etag = read.etag if read else None
    return Update(key=KEY, updates=(FeatureUpdate("number", value),), etag=etag)


async def stored(repository: PostgresRepository) -> StoredAggregate:
    (found,) = await repository.read([KEY])
    assert found is not None
    return found
