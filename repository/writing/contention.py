"""Servers that contend for an entity write it one after the other, under an advisory lock.

Optimistic writes wait for nobody, which is best while nobody else writes the entity. Where two
servers write it all the time, one of them loses each time, and may go on losing. So a key that was
lost to another server (the write protocol says when) is contended for a while: before its batches
read, they take an advisory lock, and those who wait for one get it in the order in which they came.

The lock is for fairness, not for safety: xmin and version are checked all the same, and a batch
that has waited too long, or cannot get the lock, goes without. Optimistic first and locked when it
failed, after Franaszek, Robinson and Thomasian, "Concurrency Control for High Contention
Environments" (1992).
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

import asyncpg

from domain.entity_key import EntityKey
from repository.connections.isolation import ReadCommittedPool
from repository.connections.pool import Connection
from repository.statements import WRITE

Result = TypeVar("Result")

log = logging.getLogger(__name__)

LASTS: Final = 10.0
"""Seconds after a loss for which a key counts as contended."""
_MAX_WAIT_MS: Final = 200
_MAX_KEYS: Final = 10_000


class ContentionLocks:
    """Remembers which keys were lost lately, and takes their advisory locks."""

    def __init__(self, pool: ReadCommittedPool, clock: Callable[[], float]) -> None:
        """`clock` counts seconds."""
        self._pool = pool
        self._clock = clock
        self._until: dict[EntityKey, float] = {}

    def lost(self, keys: Iterable[EntityKey]) -> None:
        """Note that another server was faster."""
        keys = set(keys)
        if not keys:
            return
        now = self._clock()
        if len(self._until) > _MAX_KEYS:
            self._until = {key: until for key, until in self._until.items() if until > now}
        self._until.update(dict.fromkeys(keys, now + LASTS))

    def contended(self, keys: Iterable[EntityKey]) -> set[EntityKey]:
        """Those of these keys that are contended."""
        if not self._until:
            return set()
        now = self._clock()
        return {key for key in keys if self._until.get(key, 0.0) > now}

    async def are_wanted_elsewhere(self, keys: Iterable[EntityKey]) -> bool:
        """Whether another server has, or waits for, the lock of one of these keys.

        It has lost to us, though we never lost: from now on we lock the key too.
        """
        keys = set(keys)
        ((free,),) = await self._pool.read(
            WRITE.query("locks_are_free"), sorted(map(_lock_id, keys))
        )
        if not free:
            self.lost(keys)
        return not free

    async def take(
        self, keys: Iterable[EntityKey], work: Callable[[], Awaitable[Result]]
    ) -> Result:
        """Do some work under the locks of all these keys. Raises what the work raises."""
        # In one order everywhere, so that nobody waits in a circle.
        locks = sorted(map(_lock_id, keys))
        begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ended = asyncio.Event()
        # In a task of its own: the lock may run out of time, and the work must not be cut short
        # then. Half way through a commit, nobody would note that it is in doubt.
        holding = asyncio.create_task(self._hold(locks, begun, ended), name="contention locks")
        await begun
        try:
            return await work()
        finally:
            ended.set()
            await holding

    async def _hold(
        self, locks: Sequence[int], begun: "asyncio.Future[None]", ended: asyncio.Event
    ) -> None:
        async def hold(connection: Connection) -> None:
            async with connection.transaction():
                with suppress(asyncpg.LockNotAvailableError):
                    await connection.fetch(WRITE["lock_keys"], locks, f"{_MAX_WAIT_MS}ms")
                begun.set_result(None)
                await ended.wait()

        try:
            await self._pool.run(hold)
        except Exception as error:
            log.info("contended keys are written without their locks: %s", error)
        finally:
            if not begun.done():
                begun.set_result(None)


def _lock_id(key: EntityKey) -> int:
    name = "\0".join(key).encode()
    # Servers of every build must agree on it.
    digest = hashlib.blake2b(name, digest_size=8, person=b"featom turn").digest()
    return int.from_bytes(digest, "big", signed=True)
