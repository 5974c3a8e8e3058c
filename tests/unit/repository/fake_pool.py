"""A pool that answers as PostgreSQL would, and a coalescer on it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from codec.timestamps import from_datetime
from domain.entity_key import EntityKey
from domain.ports import StoredAggregate
from repository.reading.read_coalescer import ReadCoalescer
from tests.kit.samples import UID

READ_TIME = datetime(2026, 11, 29, tzinfo=UTC)

Columns = tuple[
    int,
    int,
    bool,
    datetime,
    list[int] | None,
    list[int] | None,
    list[UUID] | None,
    list[int] | None,
    list[bytes | None] | None,
]


class FakePool:
    """Has an aggregate for every key but those of the type `missing`."""

    def __init__(self) -> None:
        self.queries: list[list[EntityKey]] = []
        self.error: Exception | None = None
        self.sizes: dict[EntityKey, int] = {}
        """Of those that are longer than their id."""
        self.shares: list[int] = []
        self._open = asyncio.Event()
        self._open.set()

    def hold(self) -> None:
        self._open.clear()

    def go_on(self) -> None:
        self._open.set()

    async def read(self, sql: str, types: str, ids: str, share: int) -> list[Columns]:
        keys = [EntityKey(*key) for key in zip(types.split("\n"), ids.split("\n"), strict=True)]
        self.queries.append(keys)
        self.shares.append(share)
        await self._open.wait()
        if self.error is not None:
            raise self.error
        there = [(n, key) for n, key in enumerate(keys, 1) if key.entity_type != "missing"][::-1]
        if not there:
            return [(1, 7, False, READ_TIME, None, None, None, None, None)]
        count = len(there)
        larger = [size for _, key in there if (size := self.sizes.get(key, 0)) > share]
        states = [
            None if self.sizes.get(key, 0) > share else key.entity_id.encode() for _, key in there
        ]
        numbers = [n for n, _ in there]
        return [
            (1, 7, False, READ_TIME, larger or None, numbers, [UID] * count, [1] * count, states)
        ]


class FakeExpiry:
    """Notes which generations of the entity types it is told of."""

    def __init__(self, expired: Sequence[EntityKey]) -> None:
        self.generations: set[int] = set()
        self.expired = expired

    async def catch_up(self, epoch: int, generation: int) -> None:
        self.generations.add(generation)

    async def serve(self, keys: Sequence[EntityKey], found: list[Any], now: int) -> None:
        """Serve nothing of what has expired."""
        assert now == from_datetime(READ_TIME)
        assert all(stored is None or stored.state for stored in found)
        for place, key in enumerate(keys):
            if key in self.expired and found[place] is not None:
                found[place] = found[place]._replace(state=b"")


@asynccontextmanager
async def coalescer_on(
    pool: FakePool, expired: Sequence[EntityKey] = (), **options: Any
) -> AsyncIterator[ReadCoalescer]:
    fake: Any = pool
    expiry: Any = FakeExpiry(expired)
    in_doubt: Any = SimpleNamespace(generation=0)
    settings = {"readers": 1, "max_waiting": 8_192} | options
    coalescer = ReadCoalescer(fake, in_doubt, expiry, **settings)
    try:
        yield coalescer
    finally:
        await coalescer.close()


def found(key: EntityKey) -> StoredAggregate | None:
    if key.entity_type == "missing":
        return None
    return StoredAggregate(UID, 1, 1, key.entity_id.encode())
