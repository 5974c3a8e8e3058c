"""Waiting for what must come about."""

import asyncio
import time
from collections.abc import Callable


class NotInTime(AssertionError):
    """It did not come about."""


async def eventually(holds: Callable[[], bool], seconds: float = 30.0, why: str = "") -> None:
    """Return as soon as it holds. Raises NotInTime."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise NotInTime(why or f"not in {seconds} s")
        await asyncio.sleep(0.02)
