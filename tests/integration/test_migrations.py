"""Migrating a database that is in use: locks, interruptions, and what has to wait for what.

The migrations are those of tests/e2e/rolling, which move a column.
"""

import asyncio
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner

from cli import migrate as migration_commands
from cli.main import app
from repository.connections.isolation import ReadCommittedPool
from repository.connections.pool import Pool
from repository.connections.probe import PostgresProbe
from repository.migrations import MigrationFailed, Patience, backfill, sql_from, status, up
from repository.migrations.running import run
from repository.migrations.session import session_on as migration_session_on
from repository.migrations.window import SchemaMismatch
from tests.e2e.rolling.knowing import knowing
from tests.e2e.rolling.product import FIRST, FOURTH, SECOND, THIRD, newest
from tests.integration.schema_snapshot import SNAPSHOT, snapshot_of
from tests.integration.servers_of_builds import comes_in_between, connected
from tests.kit.fault_injection import session_on, somebody_waits_for_a_lock
from tests.kit.roles import APP_ROLE, make_role
from tests.kit.serving import ROOT

__all__ = ["comes_in_between"]

IMPATIENT = Patience(lock_timeout=0.2, in_all=10.0)
SQUAWK = Path(sys.executable).with_name("squawk")


@asynccontextmanager
async def reading(dsn: str) -> AsyncIterator[None]:
    """Somebody has read aggregates, and has not ended the transaction."""
    async with session_on(dsn) as reader, reader.transaction():
        await reader.fetch("SELECT FROM aggregates LIMIT 1")
        yield


async def test_a_migration_gives_way_to_who_waits_behind_it_and_is_tried_again(
    database: str,
) -> None:
    with knowing(SECOND):
        async with session_on(database) as other:
            async with reading(database):
                migrating = asyncio.create_task(up(database, patience=IMPATIENT))
                await somebody_waits_for_a_lock(other)
                # Whoever never gives way keeps us out for as long as the reader reads.
                async with asyncio.timeout(60):
                    await other.fetch("SELECT FROM aggregates LIMIT 1")
                assert not migrating.done()
            assert (await migrating).applied == ["e1", "e2"]


async def test_a_migration_that_never_gets_its_locks_fails_and_leaves_nothing(
    database: str,
) -> None:
    with knowing(SECOND):
        async with reading(database):
            with pytest.raises(MigrationFailed, match="lock timeout"):
                await up(database, patience=Patience(lock_timeout=0.1, in_all=0.3))
        assert (await status(database)).revisions == {newest("expand")}
        assert (await up(database)).applied == ["e1", "e2"]


async def test_of_two_that_migrate_at_once_one_does_and_the_other_waits(database: str) -> None:
    """e2 builds an index beside writers, which waits for every snapshot, also for that of one who
    waits for a lock inside PostgreSQL."""
    with knowing(SECOND):
        async with asyncio.timeout(60):
            done = await asyncio.gather(up(database), up(database))
    assert sorted(each.applied for each in done) == [[], ["e1", "e2"]]


async def test_an_index_that_a_failed_try_has_left_is_built_anew(database: str) -> None:
    async with session_on(database) as session:
        await session.execute("CREATE INDEX aggregates_by_update_time ON aggregates (version)")
        with knowing(SECOND):
            await up(database)
        made = await session.fetchval(
            "SELECT pg_get_indexdef('aggregates_by_update_time'::regclass)"
        )
        assert made.endswith("(entity_type, update_time)")


async def test_after_an_index_that_could_not_be_built_the_session_has_its_time_outs_again(
    database: str,
) -> None:
    with knowing(SECOND):
        async with migration_session_on(database, patience=IMPATIENT) as session:
            await session.execute("CREATE TABLE aggregates_by_update_time ()")
            await run(session, "e1")
            with pytest.raises(asyncpg.WrongObjectTypeError):
                await run(session, "e2")
            assert await session.fetchval("SHOW lock_timeout") == "200ms"
            assert await session.fetchval("SHOW statement_timeout") == "1min"


async def test_nothing_is_taken_away_from_a_server_that_comes_at_that_moment(
    database: str, comes_in_between: list[Pool]
) -> None:
    with knowing(THIRD):
        await up(database)
        await backfill(database)
        await up(database)
    with knowing(SECOND):
        pool = ReadCommittedPool(database, size=1, statement_timeout=5.0)
    await pool.open()
    comes_in_between.append(pool)
    with knowing(FOURTH):
        (reason,) = (await up(database)).held_up
        assert reason.startswith("e5 takes away what servers of build")
        await pool.close()
        comes_in_between.clear()
        assert (await up(database)).applied == ["e5"]


async def test_nothing_is_taken_away_while_somebody_needs_it(database: str) -> None:
    with knowing(FOURTH):
        assert (await up(database)).held_up == ["e3 needs the backfill vector_of_state first"]
        await backfill(database)
        async with connected(database, SECOND):
            (reason,) = (await up(database)).held_up
            assert reason.startswith("e5 takes away what servers of build")
        assert (await up(database)).applied == ["e5"]
        async with connected(database, THIRD):
            (reason,) = (await up(database, contract=True)).held_up
            assert reason.startswith("c1 takes away what servers of build")
        assert (await up(database)).held_up == []  # unless it is asked for
        assert (await up(database, contract=True)).applied == ["c1"]
        assert (await status(database)).misfit is None


async def test_a_build_takes_nothing_away_that_it_needs_itself(database: str) -> None:
    with knowing(FOURTH):
        await up(database)
        await backfill(database)
        await up(database)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("repository.migrations.window.BUILD", THIRD)
            held_up = (await up(database, contract=True)).held_up
    assert held_up == [f"c1 is for build {FOURTH} or later"]


async def test_a_new_database_gets_everything_at_once(bare_database: str) -> None:
    with knowing(FOURTH):
        done = await up(bare_database)
        assert done.applied[-6:] == ["e1", "e2", "e3", "e4", "e5", "c1"]
        found = await status(bare_database)
        assert (found.is_pending, found.misfit) == (False, None)


async def test_a_server_is_ready_beside_a_newer_schema_and_not_on_an_older_one(
    database: str,
) -> None:
    probe = PostgresProbe(database)
    with knowing(SECOND):
        with pytest.raises(SchemaMismatch, match="`featom migrate` makes it e1"):
            await probe.check()
        await up(database)
        await probe.check()
    await probe.check()
    await probe.close()


async def test_the_printed_sql_makes_the_same_schema(bare_database: str) -> None:
    await make_role(bare_database, APP_ROLE)
    async with session_on(bare_database) as session:
        await session.execute(sql_from(app_role=APP_ROLE))
    assert await asyncio.to_thread(snapshot_of, bare_database) == SNAPSHOT.read_text()
    assert (await up(bare_database)).applied == []


def squawked(sql: str) -> str:
    config = ROOT / "repository" / "migrations" / "squawk.toml"
    excluded = tomllib.loads(config.read_text())["excluded_rules"]
    # It warns of everything that is taken away, whoever still needs it: that is known here.
    excluded += ["ban-drop-column", "ban-drop-not-null", "ban-drop-constraint"]
    command = (SQUAWK, "--config", config, "--exclude", ",".join(excluded), "--reporter", "gcc")
    done = subprocess.run(command, input=sql, capture_output=True, text=True)
    return done.stdout if done.returncode else ""


def test_squawk_finds_nothing_in_a_migration_that_does_it_right() -> None:
    with knowing(FOURTH):
        assert squawked(sql_from({newest("expand") or ""}, contract=True)) == ""


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("CREATE INDEX i ON aggregates (version);", "require-concurrent-index-creation"),
        ("ALTER TABLE aggregates ALTER COLUMN uid TYPE text;", "changing-column-type"),
        ("ALTER TABLE aggregates RENAME COLUMN state TO vector;", "renaming-column"),
    ],
)
def test_squawk_finds_what_locks_or_breaks_others(statement: str, fault: str) -> None:
    assert fault in squawked(f"{sql_from([newest('expand') or ''])}BEGIN;\n{statement}\nCOMMIT;\n")


@pytest.fixture
def featom(monkeypatch: pytest.MonkeyPatch) -> Callable[..., "asyncio.Future[tuple[int, str]]"]:
    """The command, in a thread of its own; its exit code, and what it says."""
    monkeypatch.setattr(migration_commands, "logging_to_stderr", lambda level: nullcontext())

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, arguments)
        return done.exit_code, done.output

    return lambda *arguments: asyncio.ensure_future(asyncio.to_thread(run, *arguments))


async def test_exit_codes_tell_what_is_left_to_do(
    database: str, featom: Callable[..., "asyncio.Future[tuple[int, str]]"]
) -> None:
    at = ("--dsn", database)
    assert (await featom("migrate", "status", *at))[0] == 0
    with knowing(THIRD):
        code, said = await featom("migrate", "status", *at)
        assert (code, "e1 pending: A column" in said) == (4, True)
        code, said = await featom("migrate", *at)
        assert (code, "applied: e1, e2" in said, "needs the backfill" in said) == (3, True, True)
        async with connected(database, FIRST):
            assert (await featom("backfill", *at))[0] == 3
            code, said = await featom("migrate", "status", *at)
            assert (code, f"1 of build {FIRST}" in said) == (4, True)
        code, said = await featom("backfill", *at)
        assert (code, said.endswith("nothing left to do\n")) == (0, True)
        assert await featom("migrate", "up", *at) == (0, "applied: e3, e4\n")
        assert await featom("migrate", "up", *at) == (0, "nothing to do\n")
        assert (await featom("migrate", "status", *at))[0] == 0
    with knowing(FOURTH):
        code, said = await featom("migrate", "sql", "--contract", *at)
        assert (code, "DROP COLUMN state" in said, "ADD COLUMN" in said) == (0, True, False)
    nowhere = ("--dsn", "postgresql://nobody@127.0.0.1:1/nothing")
    assert (await featom("migrate", "status", *nowhere))[0] == 1
    assert (await featom("migrate", "up"))[0] == 1
