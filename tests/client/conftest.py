"""A server on a database that tests share, and clients of it."""

import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Final

import pytest
from featom_client import AsyncClient, Client

from tests.kit.serving import Server

_NUMBERS: Final = itertools.count(1)


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
