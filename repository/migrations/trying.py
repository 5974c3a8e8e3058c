"""Trying again what did not get its locks."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import asyncpg

from repository.migrations.holders import Session, holders_of_tables

Result = TypeVar("Result")

AGAIN: Final = frozenset(
    {
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected
        "55P03",  # lock_not_available: over the lock time-out
        "57014",  # query_canceled: over the statement time-out
    }
)
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0

log = logging.getLogger(__name__)


async def trying(
    session: Session, what: str, attempt: Callable[[], Awaitable[Result]], seconds: float
) -> Result:
    """Run `attempt` until it gets its locks. It must leave nothing behind when it fails.

    Who may be in the way is told in the log after each try.

    Raises its error if that means something else, or if `seconds` have passed.
    """
    latest = time.monotonic() + seconds
    pause = _FIRST_PAUSE
    while True:
        try:
            return await attempt()
        except asyncpg.PostgresError as error:
            if error.sqlstate not in AGAIN or time.monotonic() + pause > latest:
                raise
            log.warning(
                "%s is tried again in %.1f s: %s; locks on tables have: %s",
                *(what, pause, error, await holders_of_tables(session)),
            )
        # Those who waited behind it have the pause for themselves.
        await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311
        pause = min(2 * pause, _LONGEST_PAUSE)
