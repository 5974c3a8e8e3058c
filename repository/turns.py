"""Servers that want to write the same entity take turns.

Optimistic writes need nobody's leave, which is best while nobody else writes the entity. Where two
servers write it all the time, one of them loses each time, works in vain, and may go on losing. So
a key that was lost is written in turns for a while: before its batches read, they take an advisory
lock, and those who wait for one get it in the order in which they came.

A turn is a courtesy and no safety: xmin and version are checked all the same, and who has waited
too long goes without. Optimistic first and locked when it failed, after Franaszek, Robinson and
Thomasian, "Concurrency Control for High Contention Environments" (1992).
"""

import hashlib
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final, TypeVar

import asyncpg

from domain.entity_key import EntityKey
from repository.pool import Connection, Pool
from repository.statements import WRITE

Result = TypeVar("Result")

LASTS: Final = 10.0
"""Seconds after a loss in which a key is written in turns."""
_MAX_WAIT_MS: Final = 200
_MAX_KEYS: Final = 10_000


class Turns:
    """Remembers which keys were lost lately, and waits for the turn to write them."""

    def __init__(self, pool: Pool, clock: Callable[[], float]) -> None:
        """`pool` is READ COMMITTED; `clock` counts seconds."""
        self._pool = pool
        self._clock = clock
        self._until: dict[EntityKey, float] = {}

    def lost(self, keys: Iterable[EntityKey]) -> None:
        """Note that another server was faster."""
        now = self._clock()
        if len(self._until) > _MAX_KEYS:
            self._until = {key: until for key, until in self._until.items() if until > now}
        self._until.update(dict.fromkeys(keys, now + LASTS))

    def contended(self, keys: Iterable[EntityKey]) -> set[EntityKey]:
        """Those of these keys that are written in turns."""
        if not self._until:
            return set()
        now = self._clock()
        return {key for key in keys if self._until.get(key, 0.0) > now}

    async def take(
        self, keys: Iterable[EntityKey], work: Callable[[], Awaitable[Result]]
    ) -> Result:
        """Do some work when it is our turn with all of these keys.

        Raises what the work raises; and AnswerLost, DatabaseUnavailable or TransactionAborted.
        """
        # In one order everywhere, so that nobody waits in a circle.
        locks = sorted(map(_lock_id, keys))

        async def in_turn(link: Connection) -> Result:
            async with link.transaction():
                with suppress(asyncpg.LockNotAvailableError):
                    await link.fetch(WRITE["take_turn"], locks, f"{_MAX_WAIT_MS}ms")
                return await work()

        return await self._pool.run(in_turn)


def _lock_id(key: EntityKey) -> int:
    name = "\0".join(key).encode()
    digest = hashlib.blake2b(name, digest_size=8, person=b"featom turn").digest()
    return int.from_bytes(digest, "big", signed=True)
