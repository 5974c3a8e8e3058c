"""A slower disk: PostgreSQL waits before it flushes the log, for all who wait for that flush.

`commit_delay` does what a slow flush does, group commit included: who comes while the log is being
flushed shares the next flush.
"""

import asyncio
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from benchmarks.writes.rig import WriteRig

PROBES = 40


@contextmanager
def commit_delay(rig: WriteRig, milliseconds: float) -> Iterator[float]:
    """Have each commit take so much longer; gives what a single commit then takes, in ms."""
    rig.execute(
        f"ALTER SYSTEM SET commit_delay = {round(milliseconds * 1_000)}",
        "ALTER SYSTEM SET commit_siblings = 0",
        "SELECT pg_reload_conf()",
    )
    time.sleep(0.5)  # for every session to take notice
    try:
        yield asyncio.run(_commit_ms(rig.dsn))
    finally:
        rig.execute(
            "ALTER SYSTEM RESET commit_delay",
            "ALTER SYSTEM RESET commit_siblings",
            "SELECT pg_reload_conf()",
        )


async def _commit_ms(dsn: str) -> float:
    connection = await asyncpg.connect(dsn)
    try:
        times = []
        for _ in range(PROBES):
            begun = time.perf_counter()
            await connection.execute("UPDATE store_epoch SET epoch = epoch")
            times.append(time.perf_counter() - begun)
    finally:
        await connection.close()
    return statistics.median(times) * 1_000
