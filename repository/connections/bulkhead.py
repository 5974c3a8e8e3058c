"""Work beside that of lanes and readers: lists, the past, entity types."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from domain.errors import Overloaded
from runtime.supervision import detached

Result = TypeVar("Result")


class Bulkhead:
    """Lets a few run at a time, so that lanes and readers always find a connection."""

    def __init__(self, at_a_time: int, max_waiting: int, within: "Bulkhead | None" = None) -> None:
        """`within`: what is let in here waits for room there too."""
        self._room = asyncio.Semaphore(at_a_time)
        self._max_waiting = max_waiting
        self._within = within
        self._waiting = 0

    async def run(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Wait for room, then work; what has begun goes on when its caller goes away.

        Raises Overloaded if too many wait.
        """
        if self._waiting >= self._max_waiting:
            raise Overloaded
        self._waiting += 1
        try:
            await self._room.acquire()
        finally:
            self._waiting -= 1
        return await detached(self._work(work))

    async def _work(self, work: Callable[[], Awaitable[Result]]) -> Result:
        try:
            return await (work() if self._within is None else self._within.run(work))
        finally:
            self._room.release()
