"""The one session that a migration or a backfill has: its time-outs and its lock."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import asyncpg

from repository.credentials import Password
from repository.dsn.connector import CannotConnect, Connector
from repository.dsn.target import DsnRefused
from repository.migrations.lock_waits import holder_of
from repository.migrations.window import SchemaMismatch, outdated, servers_of
from repository.sessions.facts import Session
from repository.sessions.refusals import SessionRefused
from repository.sessions.setting_up import set_up
from repository.sessions.settings import migration_settings

# Any numbers will do, as long as every build uses the same ones.
MIGRATING: Final = 7_305_411_223_041
BACKFILLING: Final = 7_305_411_223_043
_LOCK_PAUSE: Final = 0.2
_CONNECT_PAUSE: Final = 1.0
_TELLING: Final = 5.0
"""Seconds between two lines about who is waited for."""

log = logging.getLogger(__name__)


class MigrationFailed(Exception):
    """The database cannot be reached, or refuses to be migrated."""


class DatabaseUnfit(MigrationFailed):
    """The database is not one that may be served or migrated now; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to hold others up, and how long to try; seconds."""

    lock_timeout: float = 1.0
    """Everybody who comes after waits behind whoever waits for a lock, so give up and try again."""
    statement_timeout: float = 60.0
    """For one statement; an index that is built beside writers has no limit."""
    in_all: float = 300.0
    """How long a step that does not get its locks is tried again, and another migration waited
    for."""
    to_connect: float = 0.0
    """How long a database that is not there is waited for; 0: not at all."""


@asynccontextmanager
async def session_on(
    dsn: str, password: Password | None = None, patience: Patience | None = None
) -> AsyncIterator[Session]:
    """A session on the database; closed at the end, and with it its locks are gone.

    Raises MigrationFailed with what the network or PostgreSQL says, in the block too, or
    DatabaseUnfit.
    """
    try:
        session = await _connect(dsn, password, patience or Patience())
        try:
            yield session
        finally:
            if not session.is_closed():
                await session.close(timeout=5)
    except SessionRefused as refusal:
        raise DatabaseUnfit(str(refusal)) from refusal
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, DsnRefused) as error:
        raise MigrationFailed(str(error) or _unnamed(error)) from error


def _unnamed(error: Exception) -> str:
    """For errors of which Python and the driver say nothing."""
    if isinstance(error, TimeoutError):
        return "the database has not answered in time"
    return type(error).__name__


async def _connect(dsn: str, password: Password | None, patience: Patience) -> Session:
    connector = Connector(dsn, password)
    name = {"application_name": "featom migrate"}
    settings = migration_settings(patience.lock_timeout, patience.statement_timeout)

    async def check(session: Session) -> None:
        await set_up(session, settings, partial(connector.connect, name))

    return await _as_soon_as_there(lambda: connector.connect(name, check), patience.to_connect)


async def _as_soon_as_there(connect: Callable[[], Awaitable[Session]], seconds: float) -> Session:
    """Try to connect until the database is there, and tell in the log what is waited for.

    Raises CannotConnect at once if waiting is of no use, MigrationFailed after so many seconds.
    """
    clock = asyncio.get_running_loop().time
    latest, tell = clock() + seconds, clock()
    while True:
        try:
            return await connect()
        except CannotConnect as error:
            if not error.may_appear or not seconds:
                raise
            now = clock()
            if now >= latest:
                raise MigrationFailed(f"waited {seconds:g} s for the database: {error}") from error
            if now >= tell:
                log.warning("waiting for the database: %s", error)
                tell = now + _TELLING
            await asyncio.sleep(min(_CONNECT_PAUSE, latest - now))


async def lock(session: Session, number: int, what: str, seconds: float) -> None:
    """Hold a lock until the session ends. Whoever holds it now is waited for, and named in the log.

    Polled: a session that waits for it inside PostgreSQL has a snapshot, which an index that the
    holder builds beside writers waits for. Raises MigrationFailed if it is not had in time.
    """
    clock = asyncio.get_running_loop().time
    latest, tell = clock() + seconds, clock()
    while not await try_lock(session, number):
        now = clock()
        if now >= latest:
            holder = await holder_of(session, number)
            raise MigrationFailed(f"after {seconds:g} s {what} is still held by {holder}")
        if now >= tell:
            log.warning("waiting for %s, held by %s", what, await holder_of(session, number))
            tell = now + _TELLING
        await asyncio.sleep(min(_LOCK_PAUSE, latest - now))


async def try_lock(session: Session, number: int) -> bool:
    """Hold a lock until the session ends, if nobody has it."""
    return bool(await session.fetchval("SELECT pg_try_advisory_lock($1)", number))


async def current_revisions(session: Session) -> frozenset[str]:
    """The revisions that the database is at; none if it was never migrated."""
    if await session.fetchval("SELECT to_regclass('alembic_version')") is None:
        return frozenset()
    rows = await session.fetch("SELECT version_num FROM alembic_version")
    return frozenset(row["version_num"] for row in rows)


async def oldest_build(session: Session) -> int:
    """The oldest build that may serve the database."""
    try:
        return int(await session.fetchval("SELECT oldest_build FROM schema_window"))
    except asyncpg.UndefinedTableError:
        return 0


async def keep_out_before(session: Session, build: int) -> None:
    """Builds before this one must not serve from now on.

    Each connection of a server asks for this number before it is used, and every session can be
    seen before it can ask. So after this, connected_builds has whoever may still write as an older
    build, and nobody is added.
    """
    await session.execute(
        "UPDATE schema_window SET oldest_build = greatest(oldest_build, $1)", build
    )


async def require_current(session: Session, build: int) -> None:
    """Raises SchemaMismatch if a build is too old for the database."""
    if reason := outdated(build, await oldest_build(session)):
        raise SchemaMismatch(reason)


async def connected_builds(session: Session) -> list[int]:
    """The build of each server that is connected to the database now, oldest first.

    Every role may see the names of all sessions.
    """
    rows = await session.fetch(
        "SELECT application_name FROM pg_stat_activity WHERE datname = current_database()"
    )
    return servers_of(row["application_name"] or "" for row in rows)
