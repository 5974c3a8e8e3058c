"""What the process takes of the machine: files, and memory in use, freed and in cycles."""

import asyncio
import ctypes
import gc
import logging
import resource
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

ENOUGH_DESCRIPTORS: Final = 4_096
"""For a thousand clients and what the server itself needs, with room to spare."""
_MOST_DESCRIPTORS: Final = 2**20
"""Some systems have no limit worth the name, and some programs count up to it."""

log = logging.getLogger(__name__)


def allow_as_many_as_may_be() -> int:
    """Raise the limit of file descriptors as far as it may be raised; returns it.

    Each connection takes one, and without one nothing can be opened.

    Shells and services often begin with 1,024, for programs that are from another time.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    if 0 <= soft < most:
        # Some systems take no more than a number that only their kernel knows.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    if 0 <= soft < ENOUGH_DESCRIPTORS:
        log.warning(
            "this process may open %d files and connections; it should be %d (ulimit -n)",
            *(soft, ENOUGH_DESCRIPTORS),
        )
    return soft


GC_THRESHOLDS: Final = (10_000, 20, 50)


def settle() -> None:
    """Call once, when everything that stays is there: cycles are looked for less often, and never
    among that.

    A batch of updates makes thousands of objects that live until it is committed and are freed by
    their reference counts. With the defaults, Python looks through them every 700 objects, and
    through all modules ever imported with the full collections that follow.

    To look at everything takes 3 ms while little waits, and 280 ms while 8,192 updates do. So
    nothing looks on a timer, and whatever strangers can make the server do again and again must
    leave no cycle that outlives a look (docs/adr/0055):
    tests/unit/server/process/test_garbage_collection.py.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


TRIM_INTERVAL: Final = 30.0
LONGEST_TRIM_INTERVAL: Final = 600.0
"""Seconds between two tries, the longer the more often there was nothing to give back: to look
takes longer the larger the heap is, and who allocates meanwhile waits."""
WORTH_TRIMMING: Final = 4 * 2**20
"""Bytes that are worth another try soon."""

_LARGE_BLOCK: Final = 512 * 2**10
"""Bytes of a block that is given back at once."""
_M_MMAP_THRESHOLD: Final = -3
"""Of glibc's malloc.h."""

_RESIDENT: Final = Path("/proc/self/statm")


def keep_no_large_blocks() -> None:
    """Have large blocks given back as soon as they are freed, for as long as the process lasts.

    glibc takes them from the system one by one, and gives them back at once; but the first that is
    freed makes it take blocks of that size from the heap from then on. There they are copied when
    they grow, and stay when they are freed. So the size is fixed.
    """
    set_option: Callable[[int, int], int] | None = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_M_MMAP_THRESHOLD, _LARGE_BLOCK)


async def give_back() -> None:
    """Give memory that is free back to the system now and then, until cancelled.

    glibc keeps what is freed below something that is still in use, for the next time. After a crowd
    of connections, or large messages, that is more than the server itself needs, and would stay.
    """
    trim = _trim()
    pause, waited, left = TRIM_INTERVAL, 0.0, 0
    while trim is not None:
        await asyncio.sleep(TRIM_INTERVAL)
        waited += TRIM_INTERVAL
        found = resident_bytes()
        if found >= left + WORTH_TRIMMING:
            pause = TRIM_INTERVAL
        if waited < pause:
            continue
        # In a thread, and without the lock of the interpreter.
        await asyncio.to_thread(trim, 0)
        waited, left = 0.0, resident_bytes()
        pause = (
            TRIM_INTERVAL
            if found >= left + WORTH_TRIMMING
            else min(2 * pause, LONGEST_TRIM_INTERVAL)
        )


def resident_bytes() -> int:
    """What this process has of the machine's memory."""
    return int(_RESIDENT.read_text().split()[1]) * resource.getpagesize()


def _trim() -> Callable[[int], int] | None:
    """malloc_trim of glibc; other systems have none."""
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim
