"""The PostgreSQL that Featom runs for itself, as seen from outside."""

import asyncio
from pathlib import Path

import asyncpg

from server.embedded_postgres import EmbeddedPostgres


def analyze(data: Path) -> None:
    """Collect the planner's statistics now, not whenever autovacuum does.

    Also writes a checkpoint, so that no later round pays for the load. `data` is the data folder
    of a server that runs.
    """
    asyncio.run(_analyze(data))


async def _analyze(data: Path) -> None:
    connection = await asyncpg.connect(EmbeddedPostgres(data / "postgres").dsn)
    try:
        await connection.execute("VACUUM (ANALYZE)")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


def version(data: Path) -> str:
    """Its version, such as `18.6`."""
    return asyncio.run(_version(data))


async def _version(data: Path) -> str:
    connection = await asyncpg.connect(EmbeddedPostgres(data / "postgres").dsn)
    try:
        number: str = await connection.fetchval("SHOW server_version")
    finally:
        await connection.close()
    return number.split()[0]
