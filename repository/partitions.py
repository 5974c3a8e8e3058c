"""Keeping partitions ahead of time and dropping those that have expired."""

import asyncio
import logging
from datetime import timedelta
from typing import Final

import asyncpg

from repository.connections.isolation import ReadCommittedPool
from repository.connections.pool import TransactionAborted
from repository.retention import ObservedRetention
from repository.statements import RETENTION

_INTERVAL: Final = 600.0
"""Seconds. What passes before a server's first look, and after its last, counts as no time."""
_AFTER_A_FAILURE: Final = 60.0
_TRIES: Final = 20

log = logging.getLogger(__name__)


async def maintain_partitions(pool: ReadCommittedPool, retention: ObservedRetention) -> None:
    """Maintain them every ten minutes, without end; what fails is tried again in a minute.

    Rows without a partition of their own go to the default one, so nothing depends on the minute.
    """
    while True:
        try:
            await retention.look(pool)
            await advance_partitions(pool, retention.promised)
        except Exception as error:
            # Of a schema that is not there yet readiness tells.
            if not isinstance(error.__cause__, asyncpg.UndefinedFunctionError):
                log.warning("partitions were not maintained: %s", error)
            await asyncio.sleep(_AFTER_A_FAILURE)
        else:
            await asyncio.sleep(_INTERVAL)


async def advance_partitions(
    pool: ReadCommittedPool, promised: timedelta, *, pause: float = 0.5
) -> list[str]:
    """Take step after step until none is left; returns what was done.

    Each is a transaction of its own, so the locks of one are gone before the next. One that does
    not get its locks gives up soon, for others wait behind it, and is taken again after `pause`
    seconds. Raises TransactionAborted if that goes on.
    """
    done: list[str] = []
    failures = 0
    while True:
        try:
            step = await pool.run(
                lambda connection: connection.fetchval(RETENTION["advance_partitions"], promised)
            )
        except TransactionAborted:
            failures += 1
            if failures == _TRIES:
                raise
            await asyncio.sleep(pause)
            continue
        if step is None:
            return done
        log.info("partitions: %s", step)
        done.append(step)
