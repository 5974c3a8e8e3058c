"""One server that tells everything about itself, for the tests of this folder."""

from collections.abc import AsyncIterator, Iterator

import grpc
import pytest

from tests.postgres import Postgres
from tests.serving import Server, serving


@pytest.fixture(scope="package")
async def observed_database(postgres: Postgres, migrated_template: str) -> AsyncIterator[str]:
    name = await postgres.create_database(migrated_template)
    yield postgres.dsn_of(name)
    await postgres.drop_database(name)


@pytest.fixture(scope="package")
def observed(observed_database: str) -> Iterator[Server]:
    with serving(observed_database, metrics_listen="127.0.0.1:0") as server:
        yield server


@pytest.fixture
def channel(observed: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(observed.address) as opened:
        yield opened
