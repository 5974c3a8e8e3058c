"""Reads of large aggregates: in pieces, in one snapshot, and refused before they are read."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import pytest
from msgspec.structs import replace

from domain.entity_key import EntityKey
from domain.errors import LimitExceeded
from domain.limits import Limits
from domain.update import Deletion, UpdateBatch
from repository.connections.isolation import ReadCommittedPool
from repository.connections.pool import Connection
from repository.postgres import PostgresRepository
from repository.reading import large_reads, read_coalescer
from repository.statements import READ, Query
from tests.kit.fault_injection import repository_on
from tests.kit.reading import features
from tests.kit.samples import add, entity, put, update

CONTENT: Final = "x" * 20_000
SIZE: Final = len(CONTENT)


class Statements:
    """How many bytes of states each statement gave."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes: list[int] = []
        read, read_piece = ReadCommittedPool.read, large_reads._read_piece

        async def noted_read(pool: ReadCommittedPool, sql: Query, *arguments: object) -> Any:
            records = await read(pool, sql, *arguments)
            if sql == READ["read_aggregates"]:
                self.bytes.append(sum(map(len, filter(None, records[0]["states"] or ()))))
            return records

        async def noted_piece(connection: Connection, keys: Sequence[EntityKey]) -> Any:
            found = await read_piece(connection, keys)
            self.bytes.append(sum(len(stored.state) for stored in found.values()))
            return found

        monkeypatch.setattr(ReadCommittedPool, "read", noted_read)
        monkeypatch.setattr(large_reads, "_read_piece", noted_piece)


class Room:
    """Notes what is taken of it."""

    def __init__(self) -> None:
        self.taken: list[int] = []

    async def take(self, size: int) -> None:
        self.taken.append(size)


@pytest.fixture(autouse=True)
def small_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As large as aggregates of tests."""
    monkeypatch.setattr(read_coalescer, "QUERY_BYTES", 10 * SIZE)
    monkeypatch.setattr(large_reads, "PIECE_BYTES", 3 * SIZE)
    limits = replace(Limits(), answer_bytes=50 * SIZE)
    monkeypatch.setattr("repository.postgres.DEFAULT_LIMITS", limits)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Statements:
    return Statements(monkeypatch)


async def fill(repository: PostgresRepository, count: int) -> list[EntityKey]:
    """Make some aggregates of about SIZE bytes; returns their keys."""
    keys = [entity(number) for number in range(count)]
    await asyncio.gather(
        *(repository.update(update(put("f", CONTENT), add("n", 1), key=key)) for key in keys)
    )
    return keys


async def test_many_large_aggregates_are_read_in_pieces(
    database: str, statements: Statements
) -> None:
    async with repository_on(database) as repository:
        keys = [*await fill(repository, 20), entity("none"), entity(3)]
        room = Room()
        found = await repository.read(keys, room)
        measured = sum(len(stored.state) for stored in found if stored is not None)
    assert [features(stored) for stored in found] == [
        None if key == entity("none") else {"f": CONTENT, "n": 1} for key in keys
    ]
    # Nothing of them was read before there was room for all of them.
    assert room.taken == [measured]
    assert statements.bytes[0] == 0
    assert len(statements.bytes) > 5
    assert max(statements.bytes) <= 3 * SIZE


async def test_many_reads_of_a_large_one_are_bounded_together(
    database: str, statements: Statements
) -> None:
    async with repository_on(database) as repository:
        keys = await fill(repository, 40)
        found = await asyncio.gather(*(repository.read([key]) for key in keys))
        assert [features(stored) for (stored,) in found] == [{"f": CONTENT, "n": 1}] * 40
        one = await asyncio.gather(*(repository.read([keys[0]]) for _ in range(40)))
        assert [features(stored) for (stored,) in one] == [{"f": CONTENT, "n": 1}] * 40
    assert max(statements.bytes) <= 10 * SIZE


@pytest.mark.parametrize("keys", [[*range(60)], [0] * 60, [1] * 2 + [0] * 49])
async def test_more_than_an_answer_may_have_is_refused_before_it_is_read(
    database: str, statements: Statements, keys: list[int]
) -> None:
    async with repository_on(database) as repository:
        await fill(repository, max(keys) + 1)
        room = Room()
        with pytest.raises(LimitExceeded) as refused:
            await repository.read([entity(number) for number in keys], room)
        assert refused.value.subject == "bytes of aggregates in an answer"
        assert refused.value.limit == 50 * SIZE
        # Small ones are served as ever.
        await repository.update(update(put("f", 1), key=entity("small")))
        assert [features(each) for each in await repository.read([entity("small")])] == [{"f": 1}]
    assert room.taken == []
    assert max(statements.bytes) < SIZE


async def test_what_has_grown_since_it_was_measured_takes_more_room_before_it_is_read(
    database: str, statements: Statements
) -> None:
    async with repository_on(database) as repository:
        keys = await fill(repository, 20)

        class GrowingRoom(Room):
            async def take(self, size: int) -> None:
                await super().take(size)
                if len(self.taken) == 1:
                    await repository.update(update(put("g", CONTENT), key=keys[0]))

        room = GrowingRoom()
        found = await repository.read(keys, room)
    assert (features(found[0]) or {}).keys() == {"f", "n", "g"}
    assert len(room.taken) == 2
    assert sum(statements.bytes) == sum(room.taken)
    assert sum(room.taken) == sum(len(stored.state) for stored in found if stored is not None)


@pytest.mark.parametrize("large", [12, 3], ids=["all large", "few large among small ones"])
async def test_a_batch_of_large_aggregates_is_one_snapshot(database: str, large: int) -> None:
    async with repository_on(database) as repository:
        keys = [entity(number) for number in range(12)]
        for number, key in enumerate(keys):
            content = CONTENT if number < large else ""
            await repository.update(update(put("f", content), add("n", 1), key=key))

        async def write() -> None:
            for _ in range(40):
                together = tuple(update(add("n", 1), key=key) for key in keys)
                await repository.update_batch(UpdateBatch(updates=together))

        writer = asyncio.create_task(write())
        reads = 0
        while not writer.done():
            found = await repository.read(keys)
            numbers = {(features(stored) or {})["n"] for stored in found}
            assert len(numbers) == 1
            reads += 1
        await writer
    assert reads > 5


async def test_of_what_vanished_while_it_waited_for_room_the_read_time_is_told(
    database: str, statements: Statements
) -> None:
    async with repository_on(database) as repository:
        keys = await fill(repository, 20)
        deleted: list[int] = []

        class VanishingRoom(Room):
            async def take(self, size: int) -> None:
                for key in keys:
                    outcome = await repository.delete(Deletion(key=key))
                    deleted.append(outcome.delete_time)

        found = await repository.read(keys, VanishingRoom())
        assert found == [None] * 20
        assert max(deleted) < found.read_time <= await repository.entity_types.now()
