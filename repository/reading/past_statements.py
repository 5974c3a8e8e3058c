"""Statements of the past: each takes its turn among other work, and is counted."""

from typing import Final

from repository.connections.bulkhead import Bulkhead
from repository.connections.isolation import ReadCommittedPool
from repository.connections.pool import Record
from repository.statements import Query

MOST_CHANGES: Final = 500
MOST_BYTES: Final = 262_144
"""Of changes that one statement gives. To fold as many takes some milliseconds, in which no other
call is answered."""


class PastStatements:
    """Runs statements of sql/history.sql.

    A read of a long history runs one after the other, so the event loop turns in between, and
    others have their turns.
    """

    def __init__(self, pool: ReadCommittedPool, bulkhead: Bulkhead) -> None:
        """Each statement on `pool` is a piece of work of the bulkhead."""
        self._pool = pool
        self._bulkhead = bulkhead
        self.changes = 0
        """How many changes were read."""
        self.bytes = 0
        """How long these were."""

    async def run(self, query: Query, *arguments: object) -> list[Record]:
        """The records of a statement."""
        return await self._bulkhead.run(lambda: self._pool.read(query, *arguments))

    async def changes_of(self, query: Query, *arguments: object) -> list[Record]:
        """The records of a statement that gives changes."""
        records = await self.run(query, *arguments)
        self.changes += len(records)
        self.bytes += sum(len(record["change"]) for record in records)
        return records
