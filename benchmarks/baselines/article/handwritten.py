"""The article's design in SQL by hand: read and write are a round trip each."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TypeAlias
from uuid import UUID

import asyncpg

from benchmarks.baselines.article.callers import Attempt, Conflict
from benchmarks.baselines.article.tables import statements

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"


@asynccontextmanager
async def connected(dsn: str, connections: int) -> AsyncIterator[Attempt]:
    """Gives the attempt, over so many connections."""
    async with asyncpg.create_pool(
        dsn, min_size=connections, max_size=connections, reset=_keep
    ) as pool:

        async def attempt(entity: UUID, values: Mapping[str, object]) -> None:
            try:
                async with (
                    pool.acquire() as connection,
                    connection.transaction(isolation="serializable"),
                ):
                    await _write(connection, entity, values)
            except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError) as error:
                raise Conflict from error

        yield attempt


async def _write(connection: Connection, entity: UUID, values: Mapping[str, object]) -> None:
    sql = statements()
    rows = await connection.fetch(sql["read"], entity)
    ids = {row["name"]: row["feature_id"] for row in rows}
    written = await connection.fetch(
        sql["write"],
        rows[0]["id"],
        rows[0]["version"],
        datetime.now(UTC),
        [ids[name] for name in values],
        [str(value) for value in values.values()],
        [type(value).__name__ for value in values.values()],
    )
    if not written:
        raise Conflict


async def _keep(connection: object) -> None:
    """Nothing is set on a connection, so there is nothing to reset: a round trip saved."""
