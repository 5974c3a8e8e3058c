"""The schema of the database, and how it comes about: Alembic over asyncpg."""

import asyncio
from pathlib import Path
from typing import Final

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from repository.password import Password

# Any number will do, as long as every build uses the same one.
_LOCK: Final = 7_305_411_223_041
_LOCK_PAUSE: Final = 0.2


class MigrationFailed(Exception):
    """The database cannot be reached, or refuses to be migrated."""


async def migrate(dsn: str, password: Password | None = None) -> list[str]:
    """Bring the database to the newest schema; returns the revisions that were applied, in order.

    Any number of processes may do so at once: one migrates, the others wait for it.
    Raises MigrationFailed with what the network or PostgreSQL says.
    """
    try:
        return await _migrate(dsn, password)
    except (OSError, asyncpg.PostgresError, DBAPIError) as error:
        raise MigrationFailed(str(error)) from error


async def _migrate(dsn: str, password: Password | None) -> list[str]:
    guard = await asyncpg.connect(dsn, password=password)
    try:
        await _lock(guard)
        before = await current_revisions(guard)
        await _upgrade(dsn, password)
        after = await current_revisions(guard)
    finally:
        await guard.close()
    return [] if before == after else _steps(before)


async def _lock(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    # Polled: a session that waits for the lock would block CREATE INDEX CONCURRENTLY.
    while True:
        if await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            return
        await asyncio.sleep(_LOCK_PAUSE)


async def current_revisions(connection: "asyncpg.Connection[asyncpg.Record]") -> frozenset[str]:
    """The revisions that the database is at; none if it was never migrated."""
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        return frozenset()
    rows = await connection.fetch("SELECT version_num FROM alembic_version")
    return frozenset(row["version_num"] for row in rows)


def newest_revisions() -> frozenset[str]:
    """The revisions that this build was made for."""
    return frozenset(ScriptDirectory.from_config(_config()).get_heads())


def known_revisions() -> frozenset[str]:
    """Every revision that this build has heard of."""
    script = ScriptDirectory.from_config(_config())
    return frozenset(revision.revision for revision in script.walk_revisions())


def _steps(before: frozenset[str]) -> list[str]:
    script = ScriptDirectory.from_config(_config())
    applied = script.iterate_revisions("heads", tuple(before) or "base")
    return [revision.revision for revision in applied][::-1]


async def _upgrade(dsn: str, password: Password | None) -> None:
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(dsn, password=password)
    )
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_upgrade_on)
    finally:
        await engine.dispose()


def _upgrade_on(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "heads")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    return config
