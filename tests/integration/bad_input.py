"""Requests that are nearly right, and a store in which none of them may leave anything."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest

from domain.entity_key import EntityKey
from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey as KeyMessage
from featom.v1.value_pb2 import FeatureValue
from tests.kit.fault_injection import Session

if TYPE_CHECKING:
    from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceAsyncStub as Store

INVALID: Final = (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_VALUE")
OVER_LIMIT: Final = (grpc.StatusCode.INVALID_ARGUMENT, "LIMIT_EXCEEDED")
ONE: Final = FeatureValue(int64_value=1)
LARGEST: Final = FeatureValue(int64_value=2**63 - 1)


def put(name: str = "f", value: FeatureValue = ONE, **rest: Any) -> pb.FeatureUpdate:
    return pb.FeatureUpdate(name=name, set=value, **rest)


def message(key: EntityKey) -> KeyMessage:
    return KeyMessage(entity_type=key.entity_type, entity_id=key.entity_id)


async def everything(session: Session) -> list[tuple[Any, ...]]:
    """All that the database holds about aggregates, their history and requests."""
    rows = await session.fetch(
        "SELECT 'aggregate', entity_type, entity_id, xmin::text FROM aggregates"
        " UNION ALL SELECT 'change', entity_type, entity_id, version::text FROM changes"
        " UNION ALL SELECT 'request', entity_type, entity_id, request_id::text FROM requests"
        " ORDER BY 1, 2, 3, 4"
    )
    return [tuple(row) for row in rows]


@pytest.fixture
async def nothing_stored(session: Session) -> AsyncIterator[None]:
    """The database is after the test as it was before."""
    before = await everything(session)
    yield
    assert await everything(session) == before


@pytest.fixture
async def existing(store: "Store", key: EntityKey) -> KeyMessage:
    """The key of an aggregate that exists."""
    await store.UpdateFeatures(
        pb.UpdateFeaturesRequest(key=message(key), updates=[put("largest", LARGEST), put("text")])
    )
    return message(key)
