"""Waiting for what must come about."""

import asyncio
import time
from collections.abc import Callable
from typing import Any


class NotInTime(AssertionError):
    """It did not come about."""


async def eventually(holds: Callable[[], bool], seconds: float = 30.0, why: str = "") -> None:
    """Return as soon as it holds. Raises NotInTime."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise NotInTime(why or f"not in {seconds} s")
        await asyncio.sleep(0.02)


async def eventually_found(session: Any, query: str, seconds: float = 30.0) -> None:
    """Return as soon as PostgreSQL finds a row. Raises NotInTime."""
    deadline = time.monotonic() + seconds
    while await session.fetchrow(query) is None:
        if time.monotonic() > deadline:
            raise NotInTime(f"not in {seconds} s: {query}")
        await asyncio.sleep(0.01)
