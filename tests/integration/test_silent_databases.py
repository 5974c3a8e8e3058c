"""A database that vanishes without a word: what waits for it ends with its time-out."""

import asyncio
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from domain.entity_key import EntityKey
from domain.errors import DatabaseUnavailable
from domain.update import Deletion
from repository.connections.isolation import ReadCommittedPool, SerializablePool
from repository.connections.pool import AnswerLost, Connection, Pool
from repository.postgres import PostgresOptions
from repository.statements import WRITE, Query
from repository.writing import transaction
from repository.writing.contention import ContentionLocks
from tests.kit.fault_injection import pool_on, repository_on
from tests.kit.proxy import Proxy, Way, proxied
from tests.kit.samples import put, update

STATEMENT_TIMEOUT = 0.3
POOL_TIMEOUT = STATEMENT_TIMEOUT + 1


async def ends_in_time(work: Awaitable[object]) -> bool:
    """Whether some work ends when the pool gives up; TCP would take many minutes."""
    task = asyncio.ensure_future(work)
    await asyncio.wait([task], timeout=60)
    in_time = task.done()
    task.cancel()
    return in_time


async def is_of_use(pool: Pool) -> bool:
    """Whether the only connection of a pool can be had again, as a new one."""
    return [tuple(row) for row in await pool.run(lambda one: one.fetch("SELECT 1"))] == [(1,)]


def silence(proxy: Proxy, until: AsyncExitStack) -> Callable[[], Awaitable[None]]:
    """From when it is awaited nothing passes, neither way; new connections are well."""

    async def begin() -> None:
        for way in Way:
            await until.enter_async_context(proxy.blackhole(way, new_too=False))

    return begin


@pytest.mark.parametrize("waits_for", ["the database", "something else"])
async def test_a_transaction_does_not_wait_for_its_end_on_a_connection_that_is_silent(
    shared_database: str, waits_for: str
) -> None:
    async with (
        proxied(shared_database) as proxy,
        AsyncExitStack() as stack,
        pool_on(proxy.dsn, SerializablePool, statement_timeout=STATEMENT_TIMEOUT) as pool,
    ):

        async def work(connection: Connection) -> None:
            async with connection.transaction():
                await silence(proxy, stack)()
                if waits_for == "the database":
                    await connection.fetch("SELECT 1")
                else:
                    await asyncio.sleep(60)

        async def run() -> None:
            with pytest.raises(AnswerLost):
                await pool.run(work)

        assert await ends_in_time(run())
        assert await is_of_use(pool)


@pytest.mark.parametrize("seconds", [0, POOL_TIMEOUT + 0.2], ids=["short", "long"])
async def test_a_turn_ends_when_the_connection_that_holds_it_is_silent(
    shared_database: str, key: EntityKey, seconds: float
) -> None:
    async with (
        proxied(shared_database) as proxy,
        AsyncExitStack() as stack,
        pool_on(proxy.dsn, ReadCommittedPool, statement_timeout=STATEMENT_TIMEOUT) as pool,
    ):

        async def work() -> None:
            await silence(proxy, stack)()
            await asyncio.sleep(seconds)

        assert await ends_in_time(ContentionLocks(pool, time.monotonic).take([key], work))
        assert await is_of_use(pool)


async def test_a_lane_goes_on_when_the_connection_that_erases_a_history_is_silent(
    shared_database: str, key: EntityKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        proxied(shared_database) as proxy,
        repository_on(
            proxy.dsn, PostgresOptions(lanes=1, statement_timeout=STATEMENT_TIMEOUT)
        ) as repository,
    ):
        await repository.update(update(put("f", 1), key=key))

        class Silencing(dict[str, str]):
            """Statements; the write in which a history was erased is never heard of."""

            def __getitem__(self, name: str) -> str:
                if name == "write_batch":
                    monkeypatch.undo()
                    for connection in proxy._links:
                        for gate in connection.open.values() if connection.writes else ():
                            gate.clear()
                return super().__getitem__(name)

        monkeypatch.setattr(transaction, "WRITE", Silencing(WRITE))
        assert await ends_in_time(repository.delete(Deletion(key=key, erase_history=True)))
        assert (await repository.update(update(put("f", 2), key=key))).version == 1


async def greet_and_say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A PostgreSQL that lets everybody in and then is gone."""

    def message(kind: bytes, content: bytes) -> bytes:
        return kind + struct.pack("!I", len(content) + 4) + content

    greeting = (
        message(b"R", struct.pack("!I", 0))
        + message(b"S", b"server_version\x0018.0\0")
        + message(b"K", struct.pack("!II", 1, 2))
        + message(b"Z", b"I")
    )
    if await reader.read(1):
        writer.write(greeting)
        await reader.read()
    writer.transport.abort()


async def test_a_connection_that_is_silent_from_the_beginning_is_given_up() -> None:
    server = await asyncio.start_server(greet_and_say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    dsn = f"postgresql://featom@127.0.0.1:{port}/featom?sslmode=disable&connect_timeout=1"
    async with server, pool_on(dsn, ReadCommittedPool, statement_timeout=STATEMENT_TIMEOUT) as pool:

        async def read() -> None:
            with pytest.raises(DatabaseUnavailable):
                await pool.read(Query("SELECT 1"))

        assert await ends_in_time(read())
        assert pool.connections == (0, 0)
