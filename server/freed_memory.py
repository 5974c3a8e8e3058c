"""Memory that was freed goes back to the system.

glibc keeps what is freed below something that is still in use, for the next time. After a crowd of
connections, or large messages, that is more than the server itself needs, and would stay.
"""

import asyncio
import ctypes
from collections.abc import Callable
from typing import Final

INTERVAL: Final = 30.0
"""Seconds."""


async def give_back() -> None:
    """Give back what is free now and then, for ever."""
    trim = _trim()
    while trim is not None:
        await asyncio.sleep(INTERVAL)
        # In a thread, and without the lock of the interpreter.
        await asyncio.to_thread(trim, 0)


def _trim() -> Callable[[int], int] | None:
    """malloc_trim of glibc; other systems have none."""
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim
