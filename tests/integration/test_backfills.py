"""Backfills beside servers: they go on where they were left, and wait for older builds to go."""

import time

import pytest

from domain.entity_key import EntityKey
from domain.errors import DatabaseUnavailable
from repository.connections.isolation import ReadCommittedPool
from repository.connections.pool import Pool
from repository.connections.probe import PostgresProbe
from repository.migrations import BackfillHeldUp, Progress, Throttle, backfill, status, up
from repository.migrations.window import SchemaMismatch
from tests.e2e.rolling.knowing import knowing
from tests.e2e.rolling.product import FIRST, SECOND
from tests.integration.servers_of_builds import comes_in_between, connected, use
from tests.kit.fault_injection import Session, pool_on, repository_on, session_on
from tests.kit.samples import put, update

__all__ = ["comes_in_between"]


async def fill(session: Session, rows: int) -> None:
    await session.execute(
        "INSERT INTO aggregates SELECT 't', n::text, gen_random_uuid(), 1, '\\x01', now(), now()"
        f" FROM generate_series(1, {rows}) AS n"
    )


async def test_a_backfill_goes_on_where_it_was_left(database: str) -> None:
    class Interrupted(Exception):
        pass

    seen: list[Progress] = []

    def report(progress: Progress) -> None:
        seen.append(progress)
        if progress.rows_seen == 40:
            raise Interrupted

    with knowing(SECOND):
        await up(database)
        async with session_on(database) as session:
            await fill(session, 100)
            with pytest.raises(Interrupted):
                await backfill(database, throttle=Throttle(page_rows=20), report=report)
            await backfill(database, throttle=Throttle(page_rows=25), report=report)
            wrong = "SELECT count(*) FROM aggregates WHERE vector IS DISTINCT FROM state"
            assert await session.fetchval(wrong) == 0
    assert [each.rows_seen for each in seen] == [20, 40, 65, 90, 100]
    assert [each.complete for each in seen] == [False] * 4 + [True]
    assert seen[-1].rows_written == 100


async def test_a_backfill_keeps_to_its_pace(database: str) -> None:
    with knowing(SECOND):
        await up(database)
        async with session_on(database) as session:
            await fill(session, 100)
        begun = time.monotonic()
        await backfill(database, throttle=Throttle(page_rows=20, rows_a_second=200))
        assert time.monotonic() - begun >= 0.5


async def test_two_backfills_do_not_run_at_once(database: str) -> None:
    with knowing(SECOND):
        await up(database)
        async with session_on(database) as session:
            await session.execute("SELECT pg_advisory_lock(7305411223043)")
            with pytest.raises(BackfillHeldUp, match="another process"):
                await backfill(database)


async def test_a_backfill_waits_for_older_builds_to_go_and_then_keeps_them_away(
    database: str,
) -> None:
    older, newer = PostgresProbe(database), PostgresProbe(database)
    with knowing(SECOND):
        await up(database)
        async with connected(database, FIRST):
            with pytest.raises(BackfillHeldUp, match=f"needs build {SECOND}"):
                await backfill(database)
            assert (await status(database)).oldest_build <= FIRST
        await backfill(database)
        await newer.check()
    with pytest.raises(SchemaMismatch, match=f"needs build {SECOND} or later"):
        await older.check()
    await older.close()
    await newer.close()


async def test_a_backfill_waits_for_an_older_server_whose_health_is_not_seen(
    database: str,
) -> None:
    async with pool_on(database, ReadCommittedPool) as of_the_first:
        await use(of_the_first)
        with knowing(SECOND):
            await up(database)
            assert (await status(database)).connected == [FIRST]
            with pytest.raises(BackfillHeldUp, match=f"needs build {SECOND}"):
                await backfill(database)
            assert (await status(database)).oldest_build <= FIRST


async def test_a_server_that_comes_back_during_a_backfill_is_refused_by_the_database(
    database: str,
) -> None:
    async with repository_on(database) as of_the_first:
        with knowing(SECOND):
            await up(database)
            await of_the_first.read([EntityKey("t", "1")])
            async with session_on(database) as other:
                await end_servers(other)
            await backfill(database)
        with pytest.raises(DatabaseUnavailable, match=f"needs build {SECOND} or later"):
            await of_the_first.update(update(put("f", 1), key=EntityKey("t", "1")))
        with pytest.raises(DatabaseUnavailable, match=f"needs build {SECOND} or later"):
            await of_the_first.read([EntityKey("t", "1")])


async def end_servers(session: Session) -> None:
    """As a failover would: nobody is connected for a moment."""
    await session.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE 'featom, build %'"
    )


async def test_a_backfill_waits_for_an_older_server_that_comes_as_it_begins(
    database: str, comes_in_between: list[Pool]
) -> None:
    async with pool_on(database, ReadCommittedPool) as of_the_first:
        comes_in_between.append(of_the_first)
        with knowing(SECOND):
            await up(database)
            with pytest.raises(BackfillHeldUp, match=f"needs build {SECOND}"):
                await backfill(database)
            found = await status(database)
        # It never began, and nobody else comes.
        assert [each.rows_seen for each in found.backfills] == [0]
        assert found.oldest_build == SECOND
