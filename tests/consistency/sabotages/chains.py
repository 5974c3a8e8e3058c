"""Batches that follow others too early."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from repository.connections.pool import Connection, Pool
from repository.writing import snapshot, write_protocol
from repository.writing.chaining import ChainLink
from tests.consistency.eager_server import be_eager
from tests.consistency.sabotages.breaking import LATER, pools_that_write, replace_in


def follow_without_waiting() -> None:
    """Answer the batch behind though the one ahead is not committed yet."""
    be_eager()

    async def follow(self: ChainLink) -> None:
        for taken in self._taken:
            taken.row.read = taken.left.left

    replace_in(ChainLink, "follow", follow)
    read = snapshot.read_snapshot

    async def read_later(*arguments: Any) -> Any:
        # So that something waits when the batch is written.
        await asyncio.sleep(LATER)
        return await read(*arguments)

    replace_in(write_protocol, "read_snapshot", read_later)
    run: Callable[..., Awaitable[Any]] = Pool.run
    writes = pools_that_write()

    async def run_later(self: Pool, work: Callable[[Connection], Awaitable[Any]]) -> Any:
        if writes(self):
            await asyncio.sleep(4 * LATER)
        return await run(self, work)

    replace_in(Pool, "run", run_later)
