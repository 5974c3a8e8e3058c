"""Fixtures of the tests that rest on PostgreSQL itself."""

import itertools
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

import grpc
import pytest

from domain.entity_key import EntityKey
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from tests.kit.fault_injection import Session, session_on
from tests.kit.serving import Server

if TYPE_CHECKING:
    from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceAsyncStub

_NUMBERS: Final = itertools.count(1)


@pytest.fixture
async def session(shared_database: str) -> AsyncIterator[Session]:
    """Another session on the shared database."""
    async with session_on(shared_database) as opened:
        yield opened


@pytest.fixture
def key() -> EntityKey:
    """An entity that no other test knows."""
    return EntityKey(f"i{next(_NUMBERS)}", "c-1")


@pytest.fixture(scope="session")
async def channel(server: Server) -> AsyncIterator[grpc.aio.Channel]:
    """A connection to the server."""
    async with grpc.aio.insecure_channel(server.address) as opened:
        yield opened


@pytest.fixture(scope="session")
def store(channel: grpc.aio.Channel) -> "FeatureStoreServiceAsyncStub":
    """The service of the server."""
    return FeatureStoreServiceStub(channel)
