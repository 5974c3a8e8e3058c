"""Batches that follow others too early."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from repository.connections.isolation import SerializablePool
from repository.connections.pool import Connection
from repository.writing import snapshot, write_protocol
from repository.writing.chaining import ChainLink
from tests.consistency.eager_server import be_eager
from tests.consistency.sabotages.breaking import LATER, replace_in


def follow_without_waiting() -> None:
    """Answer the batch behind though the one ahead is not committed yet."""
    be_eager()

    async def follow(self: ChainLink) -> None:
        for taken in self._taken:
            taken.row.read = taken.ahead.after

    replace_in(ChainLink, "follow", follow)
    read = snapshot.read_snapshot

    async def read_later(*arguments: Any) -> Any:
        # So that something waits when the batch is written.
        await asyncio.sleep(LATER)
        return await read(*arguments)

    replace_in(write_protocol, "read_snapshot", read_later)
    run: Callable[..., Awaitable[Any]] = SerializablePool.run

    async def run_later(
        self: SerializablePool, work: Callable[[Connection], Awaitable[Any]]
    ) -> Any:
        await asyncio.sleep(4 * LATER)
        return await run(self, work)

    replace_in(SerializablePool, "run", run_later)
