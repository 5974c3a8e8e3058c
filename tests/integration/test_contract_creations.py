"""Creating only what is absent (`must_be_absent`), over gRPC as a client sees it."""

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from domain.entity_key import EntityKey
from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey as KeyMessage
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from featom.v1.value_pb2 import FeatureValue
from tests.kit.refusal import refusal
from tests.kit.serving import serving
from tests.kit.stubs import failure_of

if TYPE_CHECKING:
    from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceAsyncStub as Store

EXISTS: Final = (grpc.StatusCode.ALREADY_EXISTS, "AGGREGATE_EXISTS")
CALLERS: Final = 64


@pytest.fixture
def entity(key: EntityKey) -> KeyMessage:
    """The key of an entity that no other test knows."""
    return KeyMessage(entity_type=key.entity_type, entity_id=key.entity_id)


def creation(entity: KeyMessage, number: int = 1, **rest: Any) -> pb.UpdateFeaturesRequest:
    update = pb.FeatureUpdate(name="maker", set=FeatureValue(int64_value=number))
    return pb.UpdateFeaturesRequest(key=entity, updates=[update], must_be_absent=True, **rest)


async def maker(store: "Store", entity: KeyMessage) -> tuple[int, int]:
    """Who made the aggregate, and the version that it has."""
    found = (await store.GetAggregate(pb.GetAggregateRequest(key=entity))).aggregate
    return found.features["maker"].value.int64_value, found.version


async def test_what_exists_is_not_created_again(store: "Store", entity: KeyMessage) -> None:
    created = await store.UpdateFeatures(creation(entity))
    assert created.version == 1
    refused = await refusal(store.UpdateFeatures(creation(entity, 2)))
    assert refused.told == EXISTS
    assert refused.metadata == {"current_version": "1"}
    assert await maker(store, entity) == (1, 1)
    await store.DeleteAggregate(pb.DeleteAggregateRequest(key=entity))
    again = await store.UpdateFeatures(creation(entity, 3))
    assert again.version == 1
    assert again.etag != created.etag


@pytest.mark.parametrize("with_ids", [False, True])
async def test_of_many_callers_of_two_servers_exactly_one_creates(
    store: "Store", shared_database: str, entity: KeyMessage, with_ids: bool
) -> None:
    async def create(caller: int, key: KeyMessage, stores: tuple["Store", "Store"]) -> Any:
        asked = creation(key, caller, request_id=str(uuid4()) if with_ids else "")
        try:
            answer = await stores[caller % 2].UpdateFeatures(asked)
        except grpc.aio.AioRpcError as error:
            return failure_of(error)[:2]
        assert answer.version == 1
        return caller

    with serving(shared_database) as other_server:
        async with grpc.aio.insecure_channel(other_server.address) as channel:
            stores = store, FeatureStoreServiceStub(channel)
            for number in range(5):
                key = KeyMessage(entity_type=entity.entity_type, entity_id=f"hot-{number}")
                calls = (create(caller, key, stores) for caller in range(CALLERS))
                answers = Counter(await asyncio.gather(*calls))
                assert answers.pop(EXISTS) == CALLERS - 1
                (winner,) = answers
                assert await maker(store, key) == (winner, 1)


async def test_a_replay_is_the_first_answer_and_no_refusal(
    store: "Store", entity: KeyMessage
) -> None:
    asked = creation(entity, request_id=str(uuid4()))
    first = await store.UpdateFeatures(asked)
    again = await store.UpdateFeatures(asked)
    assert (again.version, again.etag, again.replayed) == (1, first.etag, True)
    asked.must_be_absent = False
    refused = await refusal(store.UpdateFeatures(asked))
    assert refused.told == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")


async def test_a_rehearsal_tells_whether_it_could_be_created(
    store: "Store", entity: KeyMessage
) -> None:
    rehearsal = creation(entity, validate_only=True)
    assert (await store.UpdateFeatures(rehearsal)).version == 1
    await store.UpdateFeatures(creation(entity))
    assert (await refusal(store.UpdateFeatures(rehearsal))).told == EXISTS


async def test_with_an_etag_it_is_refused_and_both_are_named(
    store: "Store", entity: KeyMessage
) -> None:
    first = await store.UpdateFeatures(creation(entity))
    contradiction = creation(entity, etag=first.etag)
    refused = await refusal(store.UpdateFeatures(contradiction))
    assert refused.told == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_VALUE")
    assert set(refused.violations) == {"etag", "must_be_absent"}
    batch = pb.BatchUpdateFeaturesRequest(updates=[contradiction])
    refused = await refusal(store.BatchUpdateFeatures(batch))
    assert set(refused.violations) == {"updates[0].etag", "updates[0].must_be_absent"}


async def test_a_batch_creates_all_or_nothing_and_names_the_one_that_exists(
    store: "Store", entity: KeyMessage
) -> None:
    other = KeyMessage(entity_type=entity.entity_type, entity_id="c-2")
    await store.UpdateFeatures(creation(other, 7))
    batch = pb.BatchUpdateFeaturesRequest(updates=[creation(entity), creation(other)])
    refused = await refusal(store.BatchUpdateFeatures(batch))
    assert refused.told == EXISTS
    assert refused.message.startswith("updates[1], ")
    missing = await refusal(store.GetAggregate(pb.GetAggregateRequest(key=entity)))
    assert missing.code is grpc.StatusCode.NOT_FOUND
    await store.DeleteAggregate(pb.DeleteAggregateRequest(key=other))
    batch.request_id = str(uuid4())
    made = await store.BatchUpdateFeatures(batch)
    assert [response.version for response in made.responses] == [1, 1]
    again = await store.BatchUpdateFeatures(batch)
    assert [response.replayed for response in again.responses] == [True, True]


async def test_on_a_stream_one_creates_and_the_others_get_an_error_each(
    store: "Store", entity: KeyMessage
) -> None:
    requests = [
        pb.StreamUpdateFeaturesRequest(sequence=number, update=creation(entity, number))
        for number in range(10)
    ]
    answers = [answer async for answer in store.StreamUpdateFeatures(iter(requests))]
    assert [answer.sequence for answer in answers if answer.HasField("response")] == [0]
    for answer in answers[1:]:
        info = ErrorInfo()
        assert answer.error.details[0].Unpack(info)
        assert (answer.error.code, info.reason) == (EXISTS[0].value[0], EXISTS[1])
    assert await maker(store, entity) == (0, 1)
