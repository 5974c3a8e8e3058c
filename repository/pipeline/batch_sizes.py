"""How much goes into a batch, and when it had better wait for more.

A batch costs about as much as twenty updates in it. So large ones are cheaper, until they keep
lanes or callers waiting.
"""

from collections.abc import Iterable
from typing import Final

from repository.pipeline.committing import Attempt

ENOUGH: Final = 64
"""Updates that are worth a batch of their own while another is under way."""
LONG: Final = 0.02
"""Seconds after which nothing waits any more for a batch that is under way."""

_LITTLE: Final = 8
"""Updates, under way and waiting, with which a lane may as well do what there is."""
_MIN_SHARE: Final = 32
_MAX_SHARE: Final = 128
"""Updates of different keys that make a batch. Larger ones cost more an update: they read so much
of an index that another lane writes into it meanwhile, and then SERIALIZABLE aborts one of them."""


def share_of(waiting: int, lanes: int, max_batch: int) -> int:
    """How much of what waits is one lane's: all lanes shall have something to do at a time."""
    return min(max_batch, _MAX_SHARE, max(_MIN_SHARE, waiting // lanes))


def limit_of(waiting: int, lanes: int, max_batch: int) -> int:
    """How large a batch may get for the sake of one line, with so many updates waiting.

    Half of them, if the other half makes a batch that can follow right behind.
    """
    half = waiting // 2
    if lanes == 1 or half < ENOUGH:
        return max_batch
    return min(max_batch, max(half, share_of(waiting, lanes, max_batch)))


def gathers(waiting: int, under_way: Iterable[Attempt], now: float) -> bool:
    """Whether what waits goes into the next batch of another lane."""
    if not 0 < waiting < ENOUGH:
        return False
    sizes = [attempt.size for attempt in under_way if attempt.begun > now - LONG]
    return bool(sizes) and min(sizes) < ENOUGH and waiting + sum(sizes) > _LITTLE
