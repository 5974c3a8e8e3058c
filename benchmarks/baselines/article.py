"""`python -m benchmarks.baselines.article DSN POOL`: the article's design, to be driven.

A row per feature, one SERIALIZABLE transaction a request, the version check on xmin of the
aggregate's row, and a caller who tries again when it conflicts. It keeps no history and knows no
request ids, which is in its favour.
"""

import asyncio
import random
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeAlias
from uuid import UUID

import asyncpg
import uvloop

from benchmarks import dataset
from benchmarks.writes import changes
from benchmarks.writes.driver import obey
from benchmarks.writes.orders import Order
from domain.operations import SetValue
from domain.update import FeatureUpdate
from repository.pipeline.backoff import backoff

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

FILE: Final = Path(__file__).with_suffix(".sql")
NAMES: Final = (*dataset.COUNTS, *dataset.AMOUNTS, *dataset.TEXTS, *dataset.TIMES)
DIFFERENT: Final = 1_000


class Conflict(Exception):
    """The aggregate is not the version that was read any more."""


def statements() -> dict[str, str]:
    """The SQL by name."""
    _, *parts = FILE.read_text().split("-- name: ")
    return {name: body for name, _, body in (part.partition("\n") for part in parts)}


async def load(dsn: str, aggregates: int) -> None:
    """Make the tables and fill them."""
    sql = statements()
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql["schema"])
        await connection.execute(sql["load"], aggregates, NAMES, timeout=600)
        await connection.execute("VACUUM (ANALYZE)")
    finally:
        await connection.close()


class Article:
    """Updates as the article makes them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = statements()
        self._attempts = 0
        self._conflicts = 0
        self._updates = [changes.feature_updates() for _ in range(DIFFERENT)]

    def caller(self, order: Order) -> Callable[[], Awaitable[object]]:
        async def call() -> None:
            entity = UUID(int=random.randrange(order.entities))
            await self.update(entity, random.choice(self._updates))

        return call

    def contention(self) -> tuple[int, int]:
        return self._attempts, self._conflicts

    async def update(self, entity: UUID, updates: Sequence[FeatureUpdate]) -> None:
        """Update one aggregate, again and again until nobody else is faster."""
        attempt = 1
        while not await self._try(entity, updates):
            await asyncio.sleep(backoff(attempt))
            attempt += 1

    async def _try(self, entity: UUID, updates: Sequence[FeatureUpdate]) -> bool:
        self._attempts += 1
        try:
            async with (
                self._pool.acquire() as connection,
                connection.transaction(isolation="serializable"),
            ):
                await self._write(connection, entity, updates)
        except (Conflict, asyncpg.SerializationError, asyncpg.DeadlockDetectedError):
            self._conflicts += 1
            return False
        return True

    async def _write(
        self, connection: Connection, entity: UUID, updates: Sequence[FeatureUpdate]
    ) -> None:
        rows = await connection.fetch(self._sql["read"], entity)
        ids = {row["name"]: row["feature_id"] for row in rows}
        values = [item.operation.value for item in updates if isinstance(item.operation, SetValue)]
        written = await connection.fetch(
            self._sql["write"],
            rows[0]["id"],
            rows[0]["version"],
            datetime.now(UTC),
            [ids[item.name] for item in updates],
            [str(value.content) for value in values],
            [value.kind.value for value in values],
        )
        if not written:
            raise Conflict


async def keep(connection: object) -> None:
    """Nothing is set on a connection, so there is nothing to reset: a round trip saved."""


async def main(dsn: str, size: int) -> None:
    async with asyncpg.create_pool(dsn, min_size=size, max_size=size, reset=keep) as pool:
        await obey(Article(pool))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
