"""Entity types in PostgreSQL."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Final, TypeVar

from msgspec.structs import replace

from codec.entity_type import dump_entity_type, load_entity_type
from codec.timestamps import from_datetime, to_datetime
from domain.entity_type import EntityType
from domain.entity_type_store import (
    CurrentType,
    Guard,
    ListedTypes,
    Mark,
    ScannedAggregate,
    ScannedPage,
)
from domain.errors import Contended, DatabaseUnavailable, EntityTypeInUse, IncompatibleChange
from domain.timestamp import Timestamp
from repository.connections.bulkhead import Bulkhead
from repository.connections.commits_in_doubt import CommitsInDoubt
from repository.connections.isolation import ReadCommittedPool
from repository.connections.pool import AnswerLost, Connection, Record, TransactionAborted
from repository.entity_types.written import PAGE_BYTES, SnapshotMark, mark, scanned, written_since
from repository.statements import TYPES, Query

Result = TypeVar("Result")

_WAIT_FOR_WRITERS: Final = "500ms"
"""Meanwhile no new writer of the type gets in; those of other types do."""
_IDLE: Final = "2s"
"""How long a server may do nothing while it keeps writers of a type out."""
_PAGES_WITH_WRITERS_WAITING: Final = 8
_COUNTED: Final = 10_000
"""Aggregates that are counted one by one; of more it is enough to know about how many."""


class PostgresEntityTypes:
    """Implements EntityTypeStore of domain.entity_type_store."""

    def __init__(
        self,
        pool: ReadCommittedPool,
        in_doubt: CommitsInDoubt,
        side: Bulkhead,
        changes: Bulkhead,
    ) -> None:
        """All work is `side` work. Of `changes` there is one at a time:
        they wait for each other in any case, and shall not all do so on a connection.
        """
        self._pool = pool
        self._in_doubt = in_doubt
        self._side = side
        self._changes = changes

    async def current(self, name: str) -> CurrentType:
        records = await self._read_for_answer(TYPES.query("read_type"), name)
        if not records:
            return CurrentType(0, None)
        revision, definition, _ = records[0]
        return CurrentType(revision, None if definition is None else load_entity_type(definition))

    async def revision(self, name: str, revision: int) -> EntityType | None:
        records = await self._read_for_answer(TYPES.query("read_revisions"), [name], [revision])
        if not records or records[0]["definition"] is None:
            return None
        return load_entity_type(records[0]["definition"])

    async def list_types(self, after: str, limit: int, max_bytes: int) -> ListedTypes:
        records = await self._read_for_answer(TYPES.query("list_types"), after, limit, max_bytes)
        listed = [load_entity_type(record["definition"]) for record in records]
        return ListedTypes(listed, more=bool(records) and records[-1]["more"])

    async def replace(
        self, read: CurrentType, definition: EntityType, guard: Guard | None, since: Mark
    ) -> EntityType | None:
        async def work(connection: Connection) -> EntityType | None:
            async with connection.transaction():
                now = await _lock(connection, definition.name)
                if guard is not None:
                    await _check_rest(connection, definition.name, guard, since)
                next_type = _next(read, definition, now)
                stored = dump_entity_type(next_type)
                made = await _write(
                    connection, definition.name, read, next_type.create_time, stored, now
                )
                return next_type if made else None

        # In a transaction of its own: others who want to make the same row wait for this one.
        await self._side.run(
            lambda: self._pool.ensure(TYPES.idempotent("ensure_rows"), [definition.name])
        )
        return await self._transact(work)

    async def delete(self, name: str, read: CurrentType, *, force: bool) -> bool:
        async def work(connection: Connection) -> bool:
            async with connection.transaction():
                now = await _lock(connection, name)
                if not force and await connection.fetchval(TYPES["any_aggregate"], name):
                    raise EntityTypeInUse
                return await _write(connection, name, read, now, None, now)

        return await self._transact(work)

    async def now(self) -> Timestamp:
        records = await self._read(TYPES.query("current_time"))
        return from_datetime(records[0][0])

    async def mark(self) -> Mark:
        return await mark(self._read)

    async def scan(self, name: str, after: str, limit: int) -> ScannedPage:
        arguments = (name, after, limit, PAGE_BYTES)
        return scanned(await self._read_for_answer(TYPES.query("scan_aggregates"), *arguments))

    def written_since(
        self, name: str, since: Mark
    ) -> AsyncGenerator[Sequence[ScannedAggregate], None]:
        assert isinstance(since, SnapshotMark)
        return written_since(self._read_for_answer, name, since)

    async def count(self, name: str) -> int:
        records = await self._read(TYPES.query("count_aggregates"), name, _COUNTED + 1)
        counted = int(records[0][0])
        if counted <= _COUNTED:
            return counted
        explained = await self._read(TYPES.query("estimate_aggregates"), name)
        return max(counted, int(json.loads(explained[0][0])[0]["Plan"]["Plan Rows"]))

    async def _read(self, query: Query, *arguments: object) -> list[Record]:
        return await self._side.run(lambda: self._pool.read(query, *arguments))

    async def _read_for_answer(self, query: Query, *arguments: object) -> list[Record]:
        """As `_read`, when what was found is durable."""
        server = self._in_doubt.generation
        records = await self._read(query, *arguments)
        await self._vouch(server)
        return records

    async def _vouch(self, server: int) -> None:
        await self._side.run(lambda: self._in_doubt.vouch(server))

    async def _transact(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        server = self._in_doubt.generation
        try:
            return await self._changes.run(lambda: self._side.run(lambda: self._pool.commit(work)))
        except (EntityTypeInUse, IncompatibleChange):
            await self._vouch(server)  # for what it was refused for
            raise
        except TransactionAborted as failure:
            raise Contended("Writers of the entity type did not let the change in.") from failure
        # To apply the same again changes nothing, so the caller may always retry.
        except AnswerLost as lost:
            if lost.backend is not None:
                self._in_doubt.note(lost.backend)
            raise DatabaseUnavailable from lost


def _next(read: CurrentType, definition: EntityType, now: Timestamp) -> EntityType:
    created = read.definition.create_time if read.definition else now
    return replace(definition, revision=read.revision + 1, create_time=created, update_time=now)


async def _write(
    connection: Connection,
    name: str,
    read: CurrentType,
    created: Timestamp,
    stored: bytes | None,
    now: Timestamp,
) -> bool:
    revision = read.revision + 1
    time = to_datetime(now)
    arguments = (name, read.revision, revision, stored, to_datetime(created), time)
    if not await connection.fetch(TYPES["replace_type"], *arguments):
        return False
    await connection.execute(TYPES["record_revision"], name, revision, stored, time)
    await connection.execute(TYPES["raise_generation"])
    return True


async def _lock(connection: Connection, name: str) -> Timestamp:
    """Keep the writers of a type out until the transaction ends; returns the time from then on."""
    await connection.execute(TYPES["lock_type"], name, _WAIT_FOR_WRITERS, _IDLE)
    await connection.execute(TYPES["lock_row"], name)
    time: datetime = await connection.fetchval(TYPES["current_time"])
    return from_datetime(time)


async def _check_rest(connection: Connection, name: str, guard: Guard, since: Mark) -> None:
    """Check what was written until the lock. Raises Contended if it is much."""
    assert isinstance(since, SnapshotMark)
    pages = 0
    async with aclosing(written_since(connection.fetch, name, since)) as rest:
        async for page in rest:
            if pages == _PAGES_WITH_WRITERS_WAITING:
                raise Contended("Too much was written while the change waited for writers.")
            await guard(page)
            pages += 1
