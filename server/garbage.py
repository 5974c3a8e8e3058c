"""How often Python looks for cycles among its objects.

A batch of updates makes thousands of objects that live until it is committed and are freed by
their reference counts. With the defaults, Python looks through them every 700 objects, and through
all modules ever imported with the full collections that follow.
"""

import asyncio
import gc
from typing import Final

THRESHOLDS: Final = (10_000, 20, 50)
FULL_LOOK: Final = 30.0
"""Seconds between looks at everything that is not there to stay: some milliseconds each."""


def settle() -> None:
    """Call once, when everything that stays is there: it is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


async def keep_small() -> None:
    """Look at everything now and then, for ever.

    A stream that ends with an error leaves a cycle that holds an asynchronous generator. Python
    frees that only at the second look, when it is among the oldest; and those, by the thresholds,
    it looks at after millions of objects: strangers could fill the memory with streams that fail.
    """
    while True:
        await asyncio.sleep(FULL_LOOK)
        gc.collect()
