"""A migration waits for a bounded time, and says at once for whom."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from repository.migrations import BackfillHeldUp, MigrationFailed, Patience, backfill, up
from repository.migrations.session import BACKFILLING, MIGRATING
from tests.e2e.rolling.knowing import knowing
from tests.e2e.rolling.product import SECOND
from tests.kit.fault_injection import Session, session_on
from tests.kit.roles import APP_ROLE, make_role
from tests.kit.waiting import eventually

HELD = "the lock of migrations"


@asynccontextmanager
async def holding(dsn: str, lock: int) -> AsyncIterator[str]:
    """Somebody has a lock, and lingers; gives what the log should say of it."""
    async with session_on(dsn) as session:
        await session.execute("SET application_name TO 'lingering pipeline'")
        await session.fetch("SELECT pg_advisory_lock($1)", lock)
        yield f"process {await pid_of(session)} (lingering pipeline"


async def pid_of(session: Session) -> int:
    return int(await session.fetchval("SELECT pg_backend_pid()"))


async def test_a_lock_that_lingers_is_waited_for_no_longer_than_was_said(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    with knowing(SECOND):
        async with holding(database, MIGRATING) as holder:
            with pytest.raises(MigrationFailed) as failed:
                async with asyncio.timeout(60):
                    await up(database, patience=Patience(in_all=0.5))
            assert f"after 0.5 s {HELD} is still held by {holder}" in str(failed.value)
            assert "UTC" in str(failed.value)
            assert f"waiting for {HELD}, held by {holder}" in caplog.text
        assert (await up(database)).applied == ["e1", "e2"]


async def test_who_waits_says_so_at_once_and_again_and_goes_on_when_it_can(
    database: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("repository.migrations.session._TELLING", 0.1)
    with knowing(SECOND):
        async with holding(database, MIGRATING):
            waiting = asyncio.create_task(up(database))
            await eventually(lambda: caplog.text.count(f"waiting for {HELD}") >= 2)
        assert (await waiting).applied == ["e1", "e2"]


async def test_who_has_nothing_to_do_waits_for_nobody(database: str) -> None:
    async with holding(database, MIGRATING):
        async with asyncio.timeout(30):
            assert (await up(database)).applied == []


async def test_what_needs_the_lock_all_the_same_waits_for_it(database: str) -> None:
    """Grants are given again each time."""
    await make_role(database, APP_ROLE)
    async with holding(database, MIGRATING):
        with pytest.raises(MigrationFailed, match=HELD):
            await up(database, app_role=APP_ROLE, patience=Patience(in_all=0.1))


async def test_a_backfill_says_who_is_at_it(database: str) -> None:
    with knowing(SECOND):
        await up(database)
        async with holding(database, BACKFILLING) as holder:
            with pytest.raises(BackfillHeldUp) as held_up:
                await backfill(database)
        assert holder in str(held_up.value)


async def test_who_has_locks_on_tables_is_told_when_a_migration_does_not_get_its_own(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with knowing(SECOND):
        async with session_on(database) as reader, reader.transaction():
            await reader.execute("SET LOCAL application_name TO 'a long report'")
            await reader.fetch("SELECT FROM aggregates LIMIT 1")
            with pytest.raises(MigrationFailed, match="lock timeout"):
                await up(database, patience=Patience(lock_timeout=0.1, in_all=0.5))
            said = f"locks on tables have: process {await pid_of(reader)} (a long report"
            assert said in caplog.text


async def test_a_database_that_takes_connections_and_says_nothing_is_named_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        dsn = f"postgresql://nobody@127.0.0.1:{port}/nothing?sslmode=disable&connect_timeout=2"
        with pytest.raises(MigrationFailed, match=f"127.0.0.1:{port}: no answer in time"):
            async with asyncio.timeout(30):
                await up(dsn)
