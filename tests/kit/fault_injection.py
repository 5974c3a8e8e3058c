"""A repository into whose writes a test can meddle, and sessions beside it."""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeAlias, TypeVar

import asyncpg

from domain.entity_key import EntityKey
from repository.connections.isolation import SerializablePool
from repository.connections.pool import AnswerLost, Connection, Pool, Result
from repository.postgres import PostgresOptions, PostgresRepository
from tests.kit.waiting import eventually_found

AnyPool = TypeVar("AnyPool", bound=Pool)

Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Meddle: TypeAlias = Callable[[], Awaitable[Any]]


class MeddledPool(SerializablePool):
    """Lets something happen between the read and the write of a batch, or after its commit."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn, size=4, statement_timeout=5.0)
        self.before: deque[Meddle] = deque()
        """What happens before the next writes, one for each."""
        self.lost_answers = 0
        """How many of the next writes are committed without an answer."""
        self.writes = 0

    async def run(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        self.writes += 1
        if self.before:
            await self.before.popleft()()
        result = await super().run(work)
        if self.lost_answers:
            self.lost_answers -= 1
            raise AnswerLost("the connection broke after the commit")
        return result


@asynccontextmanager
async def pool_on(
    dsn: str, kind: type[AnyPool], size: int = 1, statement_timeout: float = 10.0
) -> AsyncIterator[AnyPool]:
    pool = kind(dsn, size=size, statement_timeout=statement_timeout)
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


@asynccontextmanager
async def repository_on(
    dsn: str, options: PostgresOptions | None = None
) -> AsyncIterator[PostgresRepository]:
    repository = PostgresRepository(dsn, options)
    await repository.open()
    try:
        yield repository
    finally:
        await repository.close()


@asynccontextmanager
async def meddled_repository_on(
    dsn: str, options: PostgresOptions | None = None
) -> AsyncIterator[tuple[PostgresRepository, MeddledPool]]:
    """A repository and the pool that it writes by."""
    repository = PostgresRepository(dsn, options)
    pool = MeddledPool(dsn)
    repository._writing = pool
    await repository.open()
    try:
        yield repository, pool
    finally:
        await repository.close()


@asynccontextmanager
async def session_on(dsn: str) -> AsyncIterator[Session]:
    session = await asyncpg.connect(dsn)
    try:
        yield session
    finally:
        await session.close(timeout=5)


async def somebody_waits_for_a_lock(session: Session, count: int = 1) -> None:
    """Return when so many sessions of this database wait for other ones."""
    await eventually_found(
        session,
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        f" HAVING count(*) >= {count}",
    )


async def let_pass(session: Session, time: timedelta) -> None:
    """Let servers have seen so much time pass."""
    await session.execute("UPDATE retention SET elapsed = elapsed + $1::interval", time)


async def touch(session: Session, key: EntityKey) -> None:
    """Write a row as it is: its xmin moves, and nothing else."""
    done = await session.execute(
        "UPDATE aggregates SET state = state WHERE entity_type = $1 AND entity_id = $2", *key
    )
    assert done == "UPDATE 1"
