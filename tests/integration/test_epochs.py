"""What was given before a failover or a restore is not taken for what comes after it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from msgspec.structs import replace

from codec.state import load_aggregate
from domain.entity_key import EntityKey
from domain.entity_type import EntityType
from domain.entity_type_store import CurrentType
from domain.errors import RuleViolated, StaleEtag, Unavailable
from domain.feature_spec import FeatureSpec
from domain.limits import DEFAULT_LIMITS
from domain.values import ValueKind
from repository.connections.isolation import SerializablePool
from repository.postgres import PostgresOptions, PostgresRepository
from repository.writing.row import Row, StoredRow
from repository.writing.transaction import EpochPassed, write
from tests.integration.retried_commands import asked, within
from tests.kit.fault_injection import pool_on, repository_on, session_on
from tests.kit.postgres import Postgres, binaries_by_version
from tests.kit.proxy import Proxy, proxied
from tests.kit.reading import current, current_features
from tests.kit.roles import as_app_role, migrate_for_servers
from tests.kit.samples import put, update, value
from tests.kit.standby import Replicated, replicated
from tests.kit.waiting import eventually_true

OPTIONS = PostgresOptions(statement_timeout=1.0)
VERSIONS = binaries_by_version()
KEY = EntityKey("card", "c-1")


@asynccontextmanager
async def pair_behind_one_address(
    binaries: Path,
) -> AsyncIterator[tuple[Replicated, Proxy, PostgresRepository]]:
    """A primary with a standby that follows it, and a server that does not know which is which."""
    async with AsyncExitStack() as stack:
        pair = stack.enter_context(replicated(binaries))
        await migrate_for_servers(pair.primary.dsn)
        proxy = await stack.enter_async_context(proxied(pair.primary.dsn))
        server = await stack.enter_async_context(repository_on(as_app_role(proxy.dsn), OPTIONS))
        yield pair, proxy, server


async def serves(server: PostgresRepository) -> bool:
    try:
        await server.read([KEY])
    except Unavailable:
        return False
    return True


@pytest.mark.parametrize("binaries", VERSIONS.values(), ids=VERSIONS)
@pytest.mark.parametrize("commit", ["on", "remote_apply"])
async def test_what_was_acknowledged_survives_a_failover_and_what_was_not_has_no_etag(
    binaries: Path, commit: str
) -> None:
    again = asked(KEY, 2)
    async with pair_behind_one_address(binaries) as (pair, proxy, server):
        await pair.be_synchronous(commit)
        first = await server.update(update(put("f", 1), key=KEY))
        pair.lose_standby()
        for _ in range(2):
            assert isinstance(await within(1.5, server, again), Unavailable)
        assert (await current(server, KEY)).etag == first.etag
        proxy.move_to(pair.fail_over())
        await eventually_true(lambda: serves(server))
        assert await current_features(server, KEY) == {"f": 1}
        with pytest.raises(StaleEtag):
            await server.update(update(put("f", 3), key=KEY, etag=first.etag))
        second = await server.update(again)
        assert (second.version, second.replayed) == (2, False)
        assert second.epoch > first.epoch
        assert (await current(server, KEY)).etag == second.etag


@pytest.mark.parametrize("binaries", VERSIONS.values(), ids=VERSIONS)
async def test_revisions_that_a_failover_has_lost_are_forgotten(binaries: Path) -> None:
    async with pair_behind_one_address(binaries) as (pair, proxy, server):
        await pair.be_synchronous()
        await pair.be_asynchronous()
        pair.lose_standby()
        lost = limited_to(10)
        assert await server.entity_types.replace(CurrentType(0, None), lost, None, 0)
        await server.update(update(put("f", 10), key=KEY))
        assert await server.entity_types.replace(
            CurrentType(1, replace(lost, revision=1)), limited_to(20), None, 0
        )
        await server.update(update(put("f", 20), key=KEY))
        await server.read([KEY])
        assert set(server._expiry._by_type) == {"card"}
        proxy.move_to(pair.fail_over())
        await eventually_true(lambda: serves(server))
        assert await server.read([KEY]) == [None]
        assert await server.entity_types.replace(
            CurrentType(0, None), limited_to(5, ttl=0), None, 0
        )
        await server.update(update(put("f", 5), key=KEY))
        with pytest.raises(RuleViolated):
            await server.update(update(put("f", 10), key=KEY))
        await server.read([KEY])
        assert server._expiry._by_type == {}


def limited_to(maximum: int, ttl: int = 3_600 * 10**9) -> EntityType:
    spec = FeatureSpec(kind=ValueKind.INT64, maximum=value(maximum), ttl=ttl)
    return EntityType(name="card", features={"f": spec})


async def test_an_epoch_that_was_raised_by_hand_is_noticed_without_a_restart(database: str) -> None:
    async with repository_on(as_app_role(database)) as server:
        first = await server.update(update(put("f", 1), key=KEY))
        async with session_on(database) as session:
            await session.execute("UPDATE store_epoch SET epoch = epoch + 1")
        with pytest.raises(StaleEtag):
            await server.update(update(put("f", 2), key=KEY, etag=first.etag))
        second = await server.update(update(put("f", 2), key=KEY))
        assert (second.version, second.epoch) == (2, first.epoch + 1)


async def test_a_row_that_was_read_under_another_epoch_is_not_written(database: str) -> None:
    """Though it has the xmin and the version that were read: both may be given again."""
    async with repository_on(as_app_role(database)) as server:
        await server.update(update(put("f", 1), key=KEY))
        async with (
            pool_on(as_app_role(database), SerializablePool) as writers,
            session_on(database) as session,
        ):
            (found,) = await session.fetch("SELECT xmin, version FROM aggregates")
            stored = await current(server, KEY)
            aggregate = load_aggregate(KEY, stored.uid, stored.epoch + 1, stored.state)
            row = Row(
                number=1,
                unit=1,
                key=KEY,
                read=StoredRow(*found),
                existed=True,
                aggregate=aggregate,
                limits=DEFAULT_LIMITS,
            )
            row.update(update(put("f", 2), key=KEY), aggregate.update_time + 1)
            with pytest.raises(EpochPassed):
                await write(writers, [row], uuid4())
        assert await current_features(server, KEY) == {"f": 1}


async def test_a_dump_that_is_restored_beside_the_first_database_has_another_epoch(
    postgres: Postgres, database: str
) -> None:
    """A copy has all rows of the first one, that of its timeline too."""
    async with repository_on(as_app_role(database)) as server:
        first = await server.update(update(put("f", 1), key=KEY))
    async with (
        postgres.database(urlsplit(database).path.removeprefix("/")) as copy,
        repository_on(as_app_role(copy)) as server,
    ):
        assert (await current(server, KEY)).epoch > first.epoch + 1_000_000
        with pytest.raises(StaleEtag):
            await server.update(update(put("f", 2), key=KEY, etag=first.etag))


async def test_servers_that_come_at_once_raise_the_epoch_once(database: str) -> None:
    async with session_on(database) as session:
        await session.execute("UPDATE store_epoch SET timeline = 'another'")
        async with AsyncExitStack() as stack:
            servers = [
                await stack.enter_async_context(repository_on(as_app_role(database)))
                for _ in range(4)
            ]
            outcomes = [
                await server.update(update(put("f", number), key=KEY))
                for number, server in enumerate(servers)
            ]
        (epoch,) = {outcome.epoch for outcome in outcomes}
        assert epoch == await session.fetchval("SELECT epoch FROM store_epoch") > 1
