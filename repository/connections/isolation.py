"""The pools, by the isolation level of their transactions, and what each may do.

Whether work may be run again after its answer was lost depends on what it does. So the type of a
statement says that (see statements), and a pool runs again what is of a type that allows it, and
nothing else.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import ClassVar

from domain.errors import DatabaseUnavailable
from repository.connections.pool import (
    AnswerLost,
    Connection,
    Pool,
    Record,
    Result,
    TransactionAborted,
)
from repository.sessions.settings import READ_COMMITTED, SERIALIZABLE, Settings
from repository.statements import Idempotent, Query

log = logging.getLogger(__name__)


class SerializablePool(Pool):
    """For batches of updates. Nothing is run again here: who committed it looks up what became of
    it."""

    isolation: ClassVar[Settings] = SERIALIZABLE


class ReadCommittedPool(Pool):
    """For reads, and for all that rests on locks and constraints and not on a snapshot."""

    isolation: ClassVar[Settings] = READ_COMMITTED

    async def read(self, query: Query, *arguments: object) -> list[Record]:
        """Run a query, again if its answer is lost.

        Raises DatabaseUnavailable, AnswerTooLarge, and as they are the other errors of PostgreSQL.
        """
        return await self._until_answered(lambda connection: connection.fetch(query, *arguments))

    async def ensure(self, statement: Idempotent, *arguments: object) -> list[Record]:
        """Run a statement that may write, again if its answer is lost. Raises as `read` does."""
        return await self._until_answered(
            lambda connection: connection.fetch(statement, *arguments)
        )

    async def read_snapshot(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Run `work`, which reads all in one snapshot, again if an answer is lost.

        PostgreSQL refuses what would write. Raises as `read` does.
        """

        async def in_snapshot(connection: Connection) -> Result:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                return await work(connection)

        return await self._until_answered(in_snapshot)

    async def _until_answered(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        loop = asyncio.get_running_loop()
        latest = loop.time() + self.patience
        broken = 0
        while True:
            try:
                return await self.run(work)
            except (AnswerLost, TransactionAborted) as failure:
                # Of connections that broke while they were idle, each is found out by using it.
                broken += 1
                if broken > self.size or loop.time() > latest:
                    raise DatabaseUnavailable from failure
                log.debug("running again: %s", failure.__cause__)
