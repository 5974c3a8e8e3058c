"""The incarnations that an entity has changes of.

Their uids are random, and the index is by uid: so to find the one that lived at a time, all are
looked at, two index entries of each. There may be as many as anybody cares to make; they are
counted, and read in pages.
"""

from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from domain.entity_key import EntityKey
from domain.errors import LimitExceeded
from domain.limits import Limits
from repository.reading.past_statements import PastStatements
from repository.statements import HISTORY

PAGE_INCARNATIONS: Final = 500

_BEFORE_ALL: Final = UUID(int=0)


class Incarnation(NamedTuple):
    """An aggregate from its creation to its deletion."""

    is_current: bool
    """Whether it is not deleted. Then it is the last, wherever the clock was set meanwhile."""
    end: datetime
    """When the last of its changes was committed: if it is not the current one, its deletion.
    Incarnations sort by it, as they followed each other. They do not by their begin: a writer does
    not notice who makes, deletes or erases the entity between its read and its write, so the time
    at which it makes the entity anew, which it has read, may be before the end of another one."""
    begin: datetime
    """When the first of its changes that are kept was."""
    uid: UUID


class Current(NamedTuple):
    """The aggregate as it is now, and its begin; of no aggregate the epoch alone."""

    epoch: int
    uid: UUID | None
    version: int | None
    state: bytes | None
    begin: datetime | None


class Incarnations:
    """Reads the incarnations of an entity."""

    def __init__(self, statements: PastStatements, limits: Limits) -> None:
        self._statements = statements
        self._limits = limits

    async def current(self, key: EntityKey) -> Current:
        (record,) = await self._statements.run(HISTORY.query("current_incarnation"), *key)
        return Current(*record)

    async def all(self, key: EntityKey) -> list[Incarnation]:
        """Oldest first. Raises LimitExceeded."""
        limit = self._limits.past_incarnations
        found: list[Incarnation] = []
        after = _BEFORE_ALL
        while True:
            arguments = (*key, after, PAGE_INCARNATIONS)
            records = await self._statements.run(HISTORY.query("read_incarnations"), *arguments)
            found += [
                Incarnation(is_current, end, begin, uid) for uid, is_current, begin, end in records
            ]
            if len(found) > limit:
                raise LimitExceeded("incarnations of an entity in a read", limit)
            if len(records) < PAGE_INCARNATIONS:
                return sorted(found)
            after = max(record["uid"] for record in records)
