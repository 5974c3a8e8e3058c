"""Reads beside those that are coalesced: of the past, and of lists."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from domain.errors import Overloaded
from repository.connections.detached import detached

Result = TypeVar("Result")


class SideReads:
    """Lets a few run at a time, so that lanes and readers always find a connection."""

    def __init__(self, at_a_time: int, max_waiting: int) -> None:
        self._room = asyncio.Semaphore(at_a_time)
        self._max_waiting = max_waiting
        self._waiting = 0

    async def run(self, read: Callable[[], Awaitable[Result]]) -> Result:
        """Wait for room, then read; what has begun goes on when its caller goes away.

        Raises Overloaded if too many wait.
        """
        if self._waiting >= self._max_waiting:
            raise Overloaded
        self._waiting += 1
        try:
            await self._room.acquire()
        finally:
            self._waiting -= 1
        return await detached(self._read(read))

    async def _read(self, read: Callable[[], Awaitable[Result]]) -> Result:
        try:
            return await read()
        finally:
            self._room.release()
