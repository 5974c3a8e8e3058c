"""How often Python looks for cycles among its objects.

A batch of updates makes thousands of objects that live until it is committed and are freed by
their reference counts. With the defaults, Python looks through them every 700 objects, and through
all modules ever imported with the full collections that follow.

To look at everything takes 3 ms while little waits, and 280 ms while 8,192 updates do. So nothing
looks on a timer, and whatever strangers can make the server do again and again must leave no cycle
that outlives a look (docs/adr/0055): tests/unit/server/process/test_garbage_collection.py.
"""

import gc
from typing import Final

THRESHOLDS: Final = (10_000, 20, 50)


def settle() -> None:
    """Call once, when everything that stays is there: it is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
