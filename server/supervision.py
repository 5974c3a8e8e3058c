"""Keeps the PostgreSQL of our own running."""

import asyncio
import logging
from typing import Final

from server.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresFailed

_INTERVAL: Final = 0.5

log = logging.getLogger(__name__)


async def keep_running(postgres: EmbeddedPostgres) -> None:
    """Start it again whenever it has died, for ever."""
    while True:
        await asyncio.sleep(_INTERVAL)
        if postgres.is_running():
            continue
        log.error("PostgreSQL has died and is started again")
        try:
            log.info("PostgreSQL: %s", await asyncio.to_thread(postgres.start))
        except EmbeddedPostgresFailed as error:
            log.error("PostgreSQL does not start: %s", error)
