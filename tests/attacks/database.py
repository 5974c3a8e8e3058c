"""A database to be attacked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.kit.postgres import servers
from tests.kit.roles import migrate_for_servers


@asynccontextmanager
async def attacked() -> AsyncIterator[str]:
    """The DSN of a migrated database, on a server of its own."""
    run = next(iter(servers().values()))
    with run() as postgres:
        dsn = postgres.dsn_of(await postgres.create_database())
        await migrate_for_servers(dsn)
        yield dsn
