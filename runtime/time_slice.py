"""Long work without a wait, with rests in which the event loop turns.

A thousand updates of large aggregates are seconds of work, and meanwhile no other call would be
answered, not even that of a liveness probe.
"""

import asyncio
from collections.abc import Iterator
from typing import Final, TypeVar

Result = TypeVar("Result")

LONG: Final = 0.01
"""Seconds of work after which it is time to rest."""
LARGE: Final = 16_384
"""Bytes of an aggregate, after which to decode or encode it is so much that it is worth asking."""


class TimeSlice:
    """Of one piece of work, from now on."""

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._until = self._clock() + LONG

    @property
    def is_used_up(self) -> bool:
        return self._clock() >= self._until

    async def rest(self) -> None:
        """Let all else that is ready go on."""
        await asyncio.sleep(0)
        self._until = self._clock() + LONG

    async def walk(self, steps: Iterator[Result]) -> Result:
        """Do some work step by step; returns what the last step, of one at least, gives."""
        for step in steps:
            result = step
            if self.is_used_up:
                await self.rest()
        return result
