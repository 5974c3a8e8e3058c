"""Standbys, promotions, and one address that leads to another server: who is talked to is known."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckResponse
from typer.testing import CliRunner

from cli.main import app
from cli.migrate import UNFIT
from domain.entity_key import EntityKey
from featom.v1.feature_store_pb2 import GetAggregateRequest
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from repository.connections.probe import PostgresProbe, ProbeFailed
from repository.postgres import PostgresRepository
from tests.kit.cluster import Cluster, Clusters, address_of, clusters
from tests.kit.fault_injection import repository_on, session_on
from tests.kit.postgres import binaries_by_version
from tests.kit.refusal import refusal
from tests.kit.roles import as_app_role, migrate_for_servers
from tests.kit.samples import put, update
from tests.kit.serving import serving
from tests.kit.vectors import key_of, set_all
from tests.kit.waiting import eventually, eventually_found, eventually_true

NOT_SERVING = HealthCheckResponse.NOT_SERVING
KEY = EntityKey("t", "1")
STANDBY = "The database is a standby"


@pytest.fixture(params=list(binaries_by_version().items()), ids=lambda item: item[0])
def made(request: pytest.FixtureRequest) -> Iterator[Clusters]:
    """Clusters of the test's own, of each version."""
    _, binaries = request.param
    assert isinstance(binaries, Path)
    with clusters(binaries) as these:
        yield these


@asynccontextmanager
async def probe_on(
    dsn: str, repository: PostgresRepository | None = None
) -> AsyncIterator[PostgresProbe]:
    probe = PostgresProbe(dsn, primary=repository.primary if repository else None)
    try:
        yield probe
    finally:
        await probe.close()


async def migrated(made: Clusters) -> Cluster:
    primary = made.primary()
    await migrate_for_servers(primary.dsn)
    return primary


async def caught_up(primary: Cluster, standby: Cluster) -> None:
    async with session_on(primary.dsn) as here, session_on(standby.dsn) as there:
        written = await here.fetchval("SELECT pg_current_wal_lsn()::text")
        await eventually_found(
            there, f"SELECT 1 WHERE pg_last_wal_replay_lsn() >= '{written}'::pg_lsn"
        )


async def test_a_server_on_a_standby_is_not_ready_and_serves_once_that_is_promoted(
    made: Clusters,
) -> None:
    primary = await migrated(made)
    standby = made.standby(primary)
    await caught_up(primary, standby)
    with serving(standby.dsn, ready=False) as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            store = FeatureStoreServiceStub(channel)
            await eventually(lambda: "not ready" in server.log)
            read = GetAggregateRequest(key=key_of("e"))
            for call in (store.GetAggregate(read), store.UpdateFeatures(set_all("e", 1))):
                refused = await refusal(call)
                assert refused.told == (grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")
                assert STANDBY in refused.message
            assert server.health("readiness") == NOT_SERVING
            told = await asyncio.to_thread(
                CliRunner().invoke, app, ["migrate", "status", "--dsn", standby.dsn]
            )
            assert told.exit_code == UNFIT
            assert STANDBY in told.stdout
            await asyncio.sleep(1.5)  # some more checks, which have nothing new to say
            for what in ("a connection is refused", "not ready"):
                (said,) = [line for line in server.log.splitlines() if what in line]
                assert said.endswith(f"{what}: 127.0.0.1:{standby.port}: {STANDBY}")

            await asyncio.to_thread(standby.promote)
            server.wait_until_ready()
            await store.UpdateFeatures(set_all("e", 1))
            assert (await store.GetAggregate(read)).aggregate.version == 1


async def test_a_database_that_is_not_safe_from_crashes_is_served_and_told_of(
    made: Clusters, caplog: pytest.LogCaptureFixture
) -> None:
    primary = made.primary({"full_page_writes": "off"})
    await migrate_for_servers(primary.dsn)
    async with (
        repository_on(as_app_role(primary.dsn)) as repository,
        probe_on(as_app_role(primary.dsn), repository) as probe,
        session_on(primary.dsn) as session,
    ):
        await probe.check()
        await repository.update(update(put("f", 1), key=KEY))
        assert crash_unsafe(repository) == {"fsync": 0, "full_page_writes": 1}
        assert "full_page_writes off at 127.0.0.1" in caplog.text
        await session.execute("ALTER SYSTEM SET full_page_writes TO on")
        await session.execute("ALTER SYSTEM SET fsync TO off")
        await session.execute("SELECT pg_reload_conf()")

        async def is_seen() -> bool:
            await probe.check()
            return crash_unsafe(repository) == {"fsync": 1, "full_page_writes": 0}

        await eventually_true(is_seen)
        assert "fsync off at 127.0.0.1" in caplog.text


def crash_unsafe(repository: PostgresRepository) -> dict[str, float]:
    (found,) = (
        metric for metric in repository.metrics() if metric.name == "featom_database_crash_unsafe"
    )
    return {sample.labels["setting"]: float(sample.value) for sample in found.samples}  # type: ignore[arg-type]


async def test_after_a_switchover_behind_one_address_nothing_is_read_from_the_old_primary(
    made: Clusters,
) -> None:
    old = await migrated(made)
    async with address_of(old.port) as address:
        dsn = as_app_role(old.dsn_on(address.port))
        async with repository_on(dsn) as repository, probe_on(dsn, repository) as probe:
            await probe.check()
            assert (await repository.update(update(put("f", 1), key=KEY))).version == 1
            new = made.standby(old)
            await caught_up(old, new)
            await asyncio.to_thread(new.promote)
            address.to = new.port
            # Written by others, to the new one; the old one has not heard that it is replaced.
            async with repository_on(as_app_role(new.dsn)) as others:
                assert (await others.update(update(put("f", 2), key=KEY))).version == 2

            async def version_read() -> int:
                (stored,) = await repository.read([KEY])
                return stored.version if stored else 0

            async def is_found_out() -> bool:
                await probe.check()
                return await version_read() == 2

            assert await version_read() == 1, "its connection is still where it was"
            await eventually_true(is_found_out)
            assert (await repository.update(update(put("f", 3), key=KEY))).version == 3
            # And it does not go back, wherever the address leads.
            address.to = old.port
            repository.primary.is_suspected = True
            with pytest.raises(ProbeFailed, match="former primary: it is on timeline 1"):
                await probe.check()


async def test_what_is_under_way_when_the_primary_changes_is_not_answered_from_the_old_one(
    made: Clusters,
) -> None:
    old = await migrated(made)
    async with address_of(old.port) as address:
        dsn = as_app_role(old.dsn_on(address.port))
        async with repository_on(dsn) as repository, probe_on(dsn, repository) as probe:
            assert (await repository.update(update(put("f", 1), key=KEY))).version == 1
            new = made.standby(old)
            await caught_up(old, new)
            await asyncio.to_thread(new.promote)
            async with session_on(old.dsn) as session, session.transaction():
                await session.execute("LOCK TABLE requests IN EXCLUSIVE MODE")
                await session.execute("LOCK TABLE changes IN EXCLUSIVE MODE")
                asked = asyncio.create_task(_version_of(repository, 2))
                async with session_on(old.dsn) as onlooker:
                    await eventually_found(
                        onlooker,
                        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
                    )
                address.to = new.port
                repository.primary.is_suspected = True
                await probe.check()
            # The old primary commits now, and that does not count.
            assert await asked == 2
        async with repository_on(as_app_role(new.dsn)) as others:
            (stored,) = await others.read([KEY])
            assert stored is not None
            assert stored.version == 2


async def test_while_a_synchronous_standby_is_away_checks_fail_and_do_not_pile_up(
    made: Clusters,
) -> None:
    primary = await migrated(made)
    standby = made.standby(primary)
    dsn = as_app_role(primary.dsn)
    async with session_on(primary.dsn) as session, probe_on(dsn) as probe:
        await session.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{standby.name}'")
        await session.execute("SELECT pg_reload_conf()")
        await eventually_found(
            session, "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
        )
        await probe.check()
        await asyncio.to_thread(standby.stop)
        with pytest.raises(ProbeFailed, match="no answer in 2 s"):
            await probe.check()
        for _ in range(10):
            with pytest.raises(ProbeFailed, match="does not commit: it waits for SyncRep"):
                await probe.check()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        assert await session.fetchval(waiting) == 1
        ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name ~ '^featom.*build'"
        assert await session.fetchval(ours) == 2
        await asyncio.to_thread(standby.start)
        await eventually_true(lambda: _is_well(probe))


async def _version_of(repository: PostgresRepository, number: int) -> int:
    return (await repository.update(update(put("f", number), key=KEY))).version


async def _is_well(probe: PostgresProbe) -> bool:
    try:
        await probe.check()
    except ProbeFailed:
        return False
    return True
