"""Keeping partitions ahead of time and dropping those that have expired."""

import asyncio
import logging
from datetime import timedelta
from typing import Final

from repository.pool import Pool

_INTERVAL: Final = 3_600.0
_MAINTAIN: Final = "SELECT maintain_partitions(keep_requests => $1::interval)"

log = logging.getLogger(__name__)


async def maintain_partitions(pool: Pool, keep_requests: timedelta) -> None:
    """Maintain them every hour, for ever; what fails is tried again in an hour.

    Rows without a partition of their own go to the default one, so nothing depends on the minute.
    """
    while True:
        try:
            await pool.run(lambda connection: connection.execute(_MAINTAIN, keep_requests))
        except Exception as error:
            log.warning("partitions were not maintained: %s", error)
        await asyncio.sleep(_INTERVAL)
