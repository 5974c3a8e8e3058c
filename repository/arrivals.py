"""Requests that have come and were not read yet.

The answer to the last batch is one event among many. On a busy server, most requests that came
meanwhile still wait in the event loop, and whoever takes the next batch at once takes a few of them
and pays the fixed cost of a batch for each few.
"""

import asyncio
from collections.abc import Callable
from typing import Final

_STILL_TURNS: Final = 20
"""Turns of the event loop without an arrival, after which no more is at hand: a call takes several
from its first byte to its arrival. When there is nothing to do, they take 40 microseconds."""


class Arrivals:
    """Counts what comes in."""

    def __init__(self) -> None:
        self._count = 0

    def note(self) -> None:
        """Something came in."""
        self._count += 1

    async def let_in(self, wanted: Callable[[], bool]) -> None:
        """Return when nothing more is at hand, or no more is `wanted`."""
        still = 0
        while still < _STILL_TURNS and wanted():
            count = self._count
            await asyncio.sleep(0)
            still = still + 1 if self._count == count else 0
