"""Keeps the PostgreSQL of our own running."""

import asyncio
import logging
from typing import Final, Protocol

from server.embedded_postgres import EmbeddedPostgresFailed

_INTERVAL: Final = 0.5
_LONGEST_PAUSE: Final = 10.0
"""Seconds between two starts of a PostgreSQL that does not start."""

log = logging.getLogger(__name__)


class Startable(Protocol):
    """As EmbeddedPostgres."""

    def is_running(self) -> bool: ...

    def start(self) -> str: ...


async def keep_running(postgres: Startable) -> None:
    """Start it again whenever it has died.

    That a look at it fails is no death: without a file descriptor nobody can look, and a second
    start would disturb the calls that PostgreSQL is answering. What does not change is said once.
    """
    problem = ""
    while True:
        await asyncio.sleep(_INTERVAL)
        try:
            running = postgres.is_running()
        except OSError as error:
            problem = _say(f"it cannot be seen whether PostgreSQL runs: {error}", problem)
            continue
        if running:
            if problem:
                log.info("PostgreSQL is seen to run")
            problem = ""
            continue
        log.error("PostgreSQL has died and is started again")
        await _start(postgres)


async def _start(postgres: Startable) -> None:
    """Until it runs; the longer between two tries the more have failed."""
    problem, pause = "", _INTERVAL
    while True:
        try:
            log.info("PostgreSQL: %s", await asyncio.to_thread(postgres.start))
            return
        # A thread may not be had either.
        except (EmbeddedPostgresFailed, RuntimeError) as error:
            problem = _say(f"PostgreSQL does not start: {error}", problem)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _say(problem: str, before: str) -> str:
    """Say what is wrong, unless it was what was wrong before."""
    if problem != before:
        log.error(problem)
    return problem
