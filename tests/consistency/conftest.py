"""Fixtures of tests that kill a PostgreSQL: one of their own, and of one version."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.consistency.environment import OwnPostgres, new_database, own_postgres


@pytest.fixture(scope="session")
def killable() -> Iterator[OwnPostgres]:
    """A PostgreSQL that tests may kill, if they start it again."""
    with own_postgres() as postgres:
        yield postgres


@pytest.fixture
async def own_database(killable: OwnPostgres) -> AsyncIterator[str]:
    """The DSN of a database in it."""
    async with new_database(killable) as dsn:
        yield dsn
