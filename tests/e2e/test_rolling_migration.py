"""A column moves while clients write and read, and four builds of Featom follow one another.

What this proves, and what it does not, stands in docs/adr/0061.
"""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import asyncpg
import pytest

from featom.v1.aggregate_pb2 import FeatureAggregate
from repository.migrations import Throttle, backfill, up
from tests.consistency.environment import new_database, own_postgres
from tests.e2e.rolling.knowing import knowing
from tests.e2e.rolling.load import COUNT, Load, balanced, loaded, one_more
from tests.e2e.rolling.product import FIRST, FOURTH, SECOND, THIRD
from tests.kit.postgres import binaries_by_version
from tests.kit.program import FEATOM
from tests.kit.roles import APP_ROLE
from tests.kit.server_process import ServerProcess, running_server

BUILDS: Final = (FIRST, SECOND, THIRD, FOURTH)
CLIENTS: Final = 8
COLD: Final = 300
SETTINGS: Final = {"drain_delay": 0.3, "drain_grace": 5, "probe_interval": 0.1}


Step = Callable[[str], Awaitable[None]]


def command_of(build: int) -> Sequence[str]:
    if build == FIRST:
        return FEATOM
    return (sys.executable, "-m", "tests.e2e.rolling.command", str(build))


def free_addresses(count: int) -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


class Rollout:
    """Servers of every build, all started at once; each waits until the schema fits it."""

    def __init__(
        self, dsn: str, addresses: Sequence[str], load: Load, stack: AsyncExitStack
    ) -> None:
        self._dsn = dsn
        self._load = load
        self._stack = stack
        self._coming = {
            build: asyncio.create_task(self._start(build, address))
            for build, address in zip(BUILDS, addresses, strict=True)
        }
        self._running: ServerProcess | None = None

    async def to(self, build: int, *migrate: Step) -> None:
        """Run migrations of a build; once its server is ready, and it has served beside the one
        before for a while, end that one."""
        assert not self._coming[build].done(), "it was ready before the schema was"
        with knowing(build):
            for step in migrate:
                await step(self._dsn)
        before, self._running = self._running, await self._coming[build]
        if before is not None:
            await self._load.go_on()
            assert await before.stop() == 0, before.said()

    async def end(self) -> None:
        """Nobody waits any more for a server that is not ready."""
        for coming in self._coming.values():
            coming.cancel()
        await asyncio.gather(*self._coming.values(), return_exceptions=True)

    async def _start(self, build: int, address: str) -> ServerProcess:
        starting = running_server(
            dsn=self._dsn, listen=address, command=command_of(build), settings=SETTINGS
        )
        return await self._stack.enter_async_context(starting)


@asynccontextmanager
async def rolling(dsn: str) -> AsyncIterator[tuple[Rollout, Load]]:
    """A server of the first build, aggregates that nobody touches, and clients at work."""
    addresses = free_addresses(len(BUILDS))
    async with AsyncExitStack() as stack:
        load = Load(tries=2, pause=0.1)
        rollout = Rollout(dsn, addresses, load, stack)
        stack.push_async_callback(rollout.end)
        await rollout.to(FIRST)
        async with balanced(addresses, retries=False) as store:
            cold = (store.UpdateFeatures(one_more(f"cold-{number}")) for number in range(COLD))
            await asyncio.gather(*cold)
        async with loaded(load, addresses, clients=CLIENTS, retries=False):
            yield rollout, load


async def counts_in(dsn: str) -> dict[str, int]:
    """How often each entity was counted up, as the one column that is left says."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT entity_id, vector FROM aggregates")
    finally:
        await connection.close()
    found = ((row["entity_id"], FeatureAggregate.FromString(row["vector"])) for row in rows)
    return {entity: state.features[COUNT].value.int64_value for entity, state in found}


async def expand(dsn: str) -> None:
    assert (await up(dsn, app_role=APP_ROLE)).applied == ["e1", "e2"]


async def backfill_and_expand(dsn: str) -> None:
    # Nothing that reads the new column comes up before it is filled.
    assert (await up(dsn)).held_up == ["e3 needs the backfill vector_of_state first"]
    await backfill(dsn, throttle=Throttle(page_rows=50))
    assert (await up(dsn)).applied == ["e3", "e4"]


async def expand_again(dsn: str) -> None:
    assert (await up(dsn)).applied == ["e5"]


async def contract(dsn: str) -> None:
    assert (await up(dsn, contract=True)).applied == ["c1"]


@pytest.mark.parametrize("version", binaries_by_version())
async def test_a_column_moves_under_load_and_no_request_fails(version: str) -> None:
    with own_postgres(binaries_by_version()[version]) as postgres:
        async with new_database(postgres) as dsn:
            async with rolling(dsn) as (rollout, load):
                await rollout.to(SECOND, expand)
                await rollout.to(THIRD, backfill_and_expand)
                await rollout.to(FOURTH, expand_again)
                with knowing(FOURTH):
                    await contract(dsn)
                await load.go_on()
            counts = await counts_in(dsn)
    # One retry cured whatever was unavailable, and there was next to nothing of that.
    assert load.failed == []
    assert len(load.retried) <= load.calls / 100
    assert load.lost == []
    for entity, count in load.acknowledged.items():
        # What was in flight at the end may have been counted too.
        assert count <= counts.pop(entity) <= count + CLIENTS
    assert counts == {f"cold-{number}": 1 for number in range(COLD)}
