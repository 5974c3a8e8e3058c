"""Two servers over one database, and an entity type of each test's own on them."""

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import grpc
import pytest

from featom.v1 import entity_type_pb2 as types_pb
from featom.v1 import entity_type_service_pb2 as service_pb
from featom.v1 import feature_store_pb2 as pb
from featom.v1.entity_type_service_pb2_grpc import EntityTypeServiceStub
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from tests.kit.postgres import Postgres
from tests.kit.serving import serving


class Client:
    """The stubs of one server."""

    def __init__(self, address: str, channel: grpc.Channel) -> None:
        self.address = address
        self.features = FeatureStoreServiceStub(channel)
        self.types = EntityTypeServiceStub(channel)

    def apply(
        self, definition: types_pb.EntityType, **fields: object
    ) -> service_pb.ApplyEntityTypeResponse:
        return self.types.ApplyEntityType(
            service_pb.ApplyEntityTypeRequest(entity_type=definition, **fields)  # type: ignore[arg-type]
        )

    def update(self, **values: Any) -> pb.UpdateFeaturesResponse:
        return self.features.UpdateFeatures(request(**values))


def request(entity_id: str = "c-1", **values: Any) -> pb.UpdateFeaturesRequest:
    message = pb.UpdateFeaturesRequest(return_aggregate=True)
    message.key.entity_type, message.key.entity_id = Current.name, entity_id
    for name, value in values.items():
        message.updates.add(name=name).set.int64_value = value
    return message


@contextmanager
def server(dsn: str) -> Iterator[Client]:
    with serving(dsn, drain_delay=0) as process, grpc.insecure_channel(process.address) as channel:
        yield Client(process.address, channel)


class Current:
    """The entity type of the test that runs: each has its own, on servers of them all."""

    number = itertools.count(1)
    name = ""


@pytest.fixture(scope="module")
async def two_servers(postgres: Postgres, migrated_template: str) -> AsyncIterator[list[Client]]:
    async with postgres.database(migrated_template) as dsn:
        with ExitStack() as stack:
            yield [stack.enter_context(server(dsn)) for _ in range(2)]


@pytest.fixture
def clients(two_servers: list[Client]) -> list[Client]:
    Current.name = f"type_{next(Current.number)}"
    return two_servers
