"""Waiting for what must come about."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

PATIENCE: Final = 100.0
"""Seconds that only what is stuck takes, also on a machine that does much else."""


class NotInTime(AssertionError):
    """It did not come about."""


async def eventually(holds: Callable[[], bool], seconds: float = PATIENCE, why: str = "") -> None:
    """Return as soon as it holds. Raises NotInTime."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise NotInTime(why or f"not in {seconds} s")
        await asyncio.sleep(0.02)


async def eventually_true(holds: Callable[[], Awaitable[bool]], seconds: float = PATIENCE) -> None:
    """Return as soon as it holds, which takes a while to find out. Raises NotInTime."""
    deadline = time.monotonic() + seconds
    while not await holds():
        if time.monotonic() > deadline:
            raise NotInTime(f"not in {seconds} s")
        await asyncio.sleep(0.05)


async def eventually_found(session: Any, query: str, seconds: float = PATIENCE) -> None:
    """Return as soon as PostgreSQL finds a row. Raises NotInTime."""
    deadline = time.monotonic() + seconds
    while await session.fetchrow(query) is None:
        if time.monotonic() > deadline:
            raise NotInTime(f"not in {seconds} s: {query}")
        await asyncio.sleep(0.01)
        # In a transaction, what was once seen of other sessions is seen until it ends.
        await session.execute("SELECT pg_stat_clear_snapshot()")
