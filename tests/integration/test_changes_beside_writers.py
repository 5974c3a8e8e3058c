"""Changes of entity types beside writers: who waits for whom."""

import asyncio
from typing import Any

import asyncpg
import pytest

from application import entity_types as applying
from application.entity_types import EntityTypes
from domain.entity_key import EntityKey
from domain.errors import Contended, EntityTypeInUse
from domain.limits import Limits
from repository.entity_types import postgres as postgres_types
from repository.postgres import PostgresRepository
from repository.statements import TYPES, WRITE
from repository.writing.transaction import Written, write
from tests.integration.bounded_types import KEY, NARROW, WIDE, apply, servers, update
from tests.integration.writers_in_flight import (
    CARD,
    NEW_WRITER,
    OLD_WRITER,
    builds,
    patient,
    write_raw,
    writer_in_flight,
)
from tests.kit.fault_injection import session_on, somebody_waits_for_a_lock
from tests.kit.waiting import eventually_true

__all__ = ["patient", "servers"]


@builds
@pytest.mark.usefixtures("patient")
async def test_writers_of_other_types_never_wait_while_a_change_waits_for_its_own(
    servers: list[PostgresRepository], database: str, lock: str
) -> None:
    """Also those that are in one batch with them; and those of its own cannot starve it."""
    await apply(servers[0], WIDE)
    async with writer_in_flight(database, lock) as writer:
        changing = asyncio.create_task(apply(servers[1], NARROW, accept=False))
        await somebody_waits_for_a_lock(writer)
        own = [asyncio.ensure_future(server.submit(update(a=5, b=5))) for server in servers]
        others = [server.submit(update(CARD, a=500)) for server in servers for _ in range(20)]
        await asyncio.gather(*others)
        assert not changing.done()
        assert not any(each.done() for each in own)
    assert await changing == 2
    await asyncio.gather(*own)


@pytest.mark.usefixtures("patient")
async def test_writers_that_wait_for_a_change_leave_the_lanes_to_others(
    servers: list[PostgresRepository], database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many of them, tried again and again for long; not in halves, and not in turns."""
    await apply(servers[0], WIDE)
    writes = 0

    async def counted_write(*arguments: Any, **options: Any) -> Written:
        nonlocal writes
        writes += 1
        return await write(*arguments, **options)

    monkeypatch.setattr("repository.writing.write_protocol.write", counted_write)
    keys = [EntityKey("customer", f"c-{n}") for n in range(200)]
    async with writer_in_flight(database, NEW_WRITER) as writer:
        changing = asyncio.create_task(apply(servers[1], NARROW))
        await somebody_waits_for_a_lock(writer)
        own = [servers[0].submit(update(key, a=5, b=5)) for key in keys]
        tried = servers[0].statistics.undecided

        async def again_and_again() -> bool:
            await servers[0].update(update(CARD, a=500))
            return servers[0].statistics.undecided - tried >= 200 * 6

        await eventually_true(again_and_again)
        assert writes <= servers[0].statistics.batches + 2
        assert not servers[0]._protocol._contention.contended(keys)
    await changing
    await asyncio.gather(*own)


@builds
async def test_a_change_that_is_not_let_in_says_so_and_leaves_writers_alone(
    servers: list[PostgresRepository], database: str, lock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_types, "_WAIT_FOR_WRITERS", "50ms")
    monkeypatch.setattr(applying, "_TRIES", 3)
    await apply(servers[0], WIDE)
    async with writer_in_flight(database, lock):
        changing = asyncio.create_task(apply(servers[1], NARROW, accept=False))
        while not changing.done():
            await servers[0].update(update(a=5, b=5))
        with pytest.raises(Contended, match="did not let the change in"):
            await changing
    assert (await servers[1].entity_types.current("customer")).revision == 1


@pytest.mark.usefixtures("patient")
async def test_a_deletion_of_a_type_waits_for_its_own_writers_alone(
    servers: list[PostgresRepository], database: str
) -> None:
    await apply(servers[0], WIDE)
    types = EntityTypes(servers[1].entity_types, servers[1].compiler, Limits())
    async with writer_in_flight(database, NEW_WRITER) as writer:
        deleting = asyncio.create_task(types.delete("customer", None, force=False))
        await somebody_waits_for_a_lock(writer)
        await servers[0].update(update(CARD, a=500))
        await write_raw(writer, KEY, a=5, b=5)
        assert not deleting.done()
    with pytest.raises(EntityTypeInUse):
        await deleting


async def test_a_writer_of_an_older_build_does_not_commit_after_the_change(
    servers: list[PostgresRepository], database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await apply(servers[0], WIDE)
    write = postgres_types._write
    async with session_on(database) as older, session_on(database) as watching:
        writing: list[asyncio.Task[object]] = []

        async def write_while_an_older_one_tries(*arguments: object) -> bool:
            await older.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
            writing.append(asyncio.create_task(older.fetchval(OLD_WRITER, "customer")))
            await somebody_waits_for_a_lock(watching)
            return await write(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(postgres_types, "_write", write_while_an_older_one_tries)
        assert await apply(servers[1], NARROW, accept=False) == 2
        with pytest.raises(asyncpg.SerializationError):
            await writing[0]


async def test_nobody_waits_for_the_row_of_a_type_that_is_about_to_be_changed(
    servers: list[PostgresRepository], database: str
) -> None:
    async with session_on(database) as changer, changer.transaction():
        async with session_on(database) as before:
            await before.execute(TYPES["ensure_rows"], ["customer"])
        await changer.execute("UPDATE entity_types SET revision = 1 WHERE name = 'customer'")
        async with session_on(database) as writer, asyncio.timeout(60):
            await writer.execute(TYPES["ensure_rows"], ["card", "customer"])


def test_the_locks_of_both_sides_are_the_same() -> None:
    lock = "hashtextextended({}, 7305411223044)"
    assert lock.format("$1") in TYPES["lock_type"]
    assert lock.format("r.name") in WRITE["write_batch"]
    assert lock.format("$1") in NEW_WRITER
