"""Entity types in PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from repository.postgres import PostgresOptions, PostgresRepository
from tests.conformance.entity_type_changes import *  # noqa: F403
from tests.conformance.entity_types import *  # noqa: F403


@pytest.fixture
async def fresh_repository(database: str) -> AsyncIterator[PostgresRepository]:
    opened = PostgresRepository(database, PostgresOptions(lanes=2))
    await opened.open()
    yield opened
    await opened.close()
