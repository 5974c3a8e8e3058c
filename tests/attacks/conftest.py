"""One server with everything on that keeps strangers out, and a database of its own.

It runs on one version of PostgreSQL: nothing here rests on the database.
"""

from collections.abc import AsyncIterator

import pytest

from repository.migrations import migrate
from tests.postgres import servers


@pytest.fixture(scope="session")
async def attacked_database() -> AsyncIterator[str]:
    """The DSN of a database that only the tests of this folder use."""
    run = next(iter(servers().values()))
    with run() as postgres:
        dsn = postgres.dsn_of(await postgres.create_database())
        await migrate(dsn)
        yield dsn
