"""A server on a database that tests share, and clients of it."""

import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Final

import pytest
from featom_client import AsyncClient, Client

from tests.kit.postgres import Postgres
from tests.kit.serving import Server, serving

_NUMBERS: Final = itertools.count(1)


@pytest.fixture(scope="session")
async def shared_database(postgres: Postgres, migrated_template: str) -> str:
    """The DSN of a database for tests that keep out of each other's way by entity type."""
    return postgres.dsn_of(await postgres.create_database(migrated_template))


@pytest.fixture(scope="session")
def server(shared_database: str) -> Iterator[Server]:
    with serving(shared_database) as started:
        yield started


@pytest.fixture
def kind() -> str:
    """An entity type that no other test knows."""
    return f"c{next(_NUMBERS)}"


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.address) as opened:
        yield opened


@pytest.fixture
async def async_client(server: Server) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.address) as opened:
        yield opened
