"""A migration waits for a bounded time, and says at once for whom."""

import asyncio
import logging
import os
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from repository.migrations import BackfillHeldUp, MigrationFailed, Patience, backfill, up
from repository.migrations.session import BACKFILLING, MIGRATING
from tests.e2e.rolling.knowing import knowing
from tests.e2e.rolling.product import SECOND
from tests.kit.fault_injection import Session, session_on
from tests.kit.program import FEATOM
from tests.kit.proxy import proxied
from tests.kit.roles import APP_ROLE, make_role
from tests.kit.serving import ROOT
from tests.kit.waiting import eventually

HELD = "the lock of migrations"
# No resolver knows a name under this domain (RFC 6761).
NAME = "featom-postgres.invalid"
NOWHERE = f"postgresql://nobody@{NAME}/nothing"
WAITING = f"waiting for the database: {NAME}:5432: "


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


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Names that resolve to an address, beside those that the resolver of the machine knows."""
    found: dict[str, str] = {}
    resolve = socket.getaddrinfo

    def resolve_with_hosts(host: str, *others: Any, **more: Any) -> Any:
        return resolve(found.get(host, host), *others, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_with_hosts)
    return found


async def test_a_database_whose_name_resolves_late_is_waited_for(
    database: str, hosts: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    async with proxied(database) as proxy:
        dsn = proxy.dsn.replace("127.0.0.1", NAME)
        with knowing(SECOND):
            migrating = asyncio.create_task(up(dsn, patience=Patience(to_connect=300)))
            await eventually(lambda: f"waiting for the database: {NAME}:" in caplog.text)
            hosts[NAME] = "127.0.0.1"
            assert (await migrating).applied == ["e1", "e2"]


async def test_a_database_that_listens_late_is_waited_for(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with proxied(database) as proxy:
        with socket.create_server(("127.0.0.1", 0)) as reserved:
            port = reserved.getsockname()[1]
        dsn = proxy.dsn.replace(f":{urlsplit(proxy.dsn).port}/", f":{port}/")
        with knowing(SECOND):
            await up(database)
            filling = asyncio.create_task(backfill(dsn, patience=Patience(to_connect=300)))
            await eventually(lambda: f"waiting for the database: 127.0.0.1:{port}:" in caplog.text)
            listener = await proxy.start(port)
            await filling
            listener.close()


async def test_a_database_that_refuses_is_not_waited_for(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with proxied(database) as proxy:
        elsewhere = f"{proxy.dsn.rpartition('/')[0]}/no_such_database"
        with pytest.raises(MigrationFailed, match="no_such_database"):
            await up(elsewhere, patience=Patience(to_connect=3600))
    assert "waiting" not in caplog.text


def ended(*command: str) -> tuple[int, str]:
    environment = {name: text for name, text in os.environ.items() if "FEATOM_" not in name}
    done = subprocess.run(
        [*FEATOM, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


def test_the_command_says_whom_it_waits_for_and_ends_after_the_bound() -> None:
    code, said = ended("migrate", "--dsn", NOWHERE, "--connect-seconds", "0.5")
    assert (code, WAITING in said) == (1, True)
    failed = "featom: the database was not migrated: waited 0.5 s for the database: "
    assert f"{failed}{NAME}:5432: " in said


def test_a_status_waits_for_no_database() -> None:
    code, said = ended("migrate", "status", "--dsn", NOWHERE)
    assert (code, "waiting" in said) == (1, False)
