"""Memory that was freed goes back to the system.

glibc keeps what is freed below something that is still in use, for the next time. After a crowd of
connections, or large messages, that is more than the server itself needs, and would stay.

Large blocks it takes from the system one by one, and gives them back at once; but the first that is
freed makes it take blocks of that size from the heap from then on. There they are copied when they
grow, and stay when they are freed. So the size is fixed.
"""

import asyncio
import ctypes
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Final

INTERVAL: Final = 30.0
LONGEST: Final = 600.0
"""Seconds between two tries, the longer the more often there was nothing to give back: to look
takes longer the larger the heap is, and who allocates meanwhile waits."""
WORTH: Final = 4 * 2**20
"""Bytes that are worth another try soon."""

_LARGE_BLOCK: Final = 512 * 2**10
"""Bytes of a block that is given back at once."""
_M_MMAP_THRESHOLD: Final = -3
"""Of glibc's malloc.h."""

_RESIDENT: Final = Path("/proc/self/statm")


def keep_no_large_blocks() -> None:
    """Have large blocks given back as soon as they are freed, for as long as the process lasts."""
    set_option: Callable[[int, int], int] | None = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_M_MMAP_THRESHOLD, _LARGE_BLOCK)


async def give_back() -> None:
    """Give back what is free now and then, for ever."""
    trim = _trim()
    pause, waited, left = INTERVAL, 0.0, 0
    while trim is not None:
        await asyncio.sleep(INTERVAL)
        waited += INTERVAL
        found = resident_bytes()
        if found >= left + WORTH:
            pause = INTERVAL
        if waited < pause:
            continue
        # In a thread, and without the lock of the interpreter.
        await asyncio.to_thread(trim, 0)
        waited, left = 0.0, resident_bytes()
        pause = INTERVAL if found >= left + WORTH else min(2 * pause, LONGEST)


def resident_bytes() -> int:
    """What this process has of the machine's memory."""
    return int(_RESIDENT.read_text().split()[1]) * resource.getpagesize()


def _trim() -> Callable[[int], int] | None:
    """malloc_trim of glibc; other systems have none."""
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim
