"""Updates over gRPC, as a client sees them."""

import asyncio
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from codec.values import encode_value
from domain.values import ValueKind
from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey as KeyMessage
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from featom.v1.value_pb2 import FeatureValue, Int64List
from tests.integration.entity_calls import NOT_FOUND, STALE, entity, numbers, put, read, request
from tests.kit.fault_injection import Session
from tests.kit.refusal import refusal
from tests.kit.samples import sample
from tests.kit.serving import serving

if TYPE_CHECKING:
    from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceAsyncStub as Store

__all__ = ["entity"]

REUSED: Final = (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")


def add(name: str, number: int) -> pb.FeatureUpdate:
    return pb.FeatureUpdate(name=name, increment=FeatureValue(int64_value=number))


async def test_what_is_written_is_read(store: "Store", entity: KeyMessage) -> None:
    updates = []
    for kind in ValueKind:
        item = pb.FeatureUpdate(name=kind.value, event_time=Timestamp(seconds=-5, nanos=7))
        encode_value(sample(kind), item.set)
        updates.append(item)
    answer = await store.UpdateFeatures(request(entity, *updates))
    found = await read(store, entity)
    assert (found.key, found.version, found.etag) == (entity, answer.version, answer.etag)
    assert found.create_time == found.update_time == answer.update_time
    for item in updates:
        feature = found.features[item.name]
        assert (feature.value, feature.event_time) == (item.set, item.event_time)
        assert feature.version == 1
    assert len(found.features) == len(ValueKind)


async def test_every_operation_does_what_it_says(store: "Store", entity: KeyMessage) -> None:
    await store.UpdateFeatures(
        request(entity, put("set", 1), put("add", 1), put("max", 5), put("min", 5), put("gone", 1))
    )
    two = FeatureValue(int64_value=2)
    for number in (1, 2, 3):
        appended = FeatureValue(int64_list=Int64List(values=[number, number]))
        await store.UpdateFeatures(
            request(
                entity,
                put("set", number),
                add("add", number),
                pb.FeatureUpdate(name="max", maximum=two),
                pb.FeatureUpdate(name="min", minimum=two),
                pb.FeatureUpdate(
                    name="list", append=pb.AppendOperation(value=appended, max_length=3)
                ),
                pb.FeatureUpdate(name="gone", remove=True),
            )
        )
    found = await read(store, entity)
    assert list(found.features.pop("list").value.int64_list.values) == [2, 3, 3]
    assert await numbers(store, entity) | {"list": 0} == {
        **{"set": 3, "add": 7, "max": 5, "min": 2},
        "list": 0,
    }


async def test_the_second_of_two_readers_that_write_is_told_that_its_etag_is_stale(
    store: "Store", shared_database: str, entity: KeyMessage
) -> None:
    """Through two servers on one database."""
    await store.UpdateFeatures(request(entity, put("f", 0)))
    with serving(shared_database) as other_server:
        async with grpc.aio.insecure_channel(other_server.address) as channel:
            other: Store = FeatureStoreServiceStub(channel)
            first, second = await read(store, entity), await read(other, entity)
            assert first == second
            await store.UpdateFeatures(request(entity, put("f", 1), etag=first.etag))
            refused = await refusal(
                other.UpdateFeatures(request(entity, put("f", 2), put("g", 2), etag=second.etag))
            )
            assert refused.told == STALE
            assert refused.metadata == {"current_version": "2"}
            assert await numbers(other, entity) == {"f": 1}
            again = await read(other, entity)
            await other.UpdateFeatures(request(entity, put("f", 2), etag=again.etag))
    assert await numbers(store, entity) == {"f": 2}


async def test_a_retried_request_is_applied_once(store: "Store", entity: KeyMessage) -> None:
    asked = request(entity, add("f", 1), request_id=str(uuid4()))
    first = await store.UpdateFeatures(asked)
    await store.UpdateFeatures(request(entity, add("f", 1)))
    again = await store.UpdateFeatures(asked)
    assert again.replayed
    again.replayed = False
    assert again == first
    assert await numbers(store, entity) == {"f": 2}


async def test_of_retries_at_the_same_time_one_is_applied(
    store: "Store", entity: KeyMessage
) -> None:
    asked = request(entity, add("f", 1), request_id=str(uuid4()))
    answers = await asyncio.gather(*(store.UpdateFeatures(asked) for _ in range(20)))
    assert sum(not answer.replayed for answer in answers) == 1
    assert await numbers(store, entity) == {"f": 1}


async def test_a_request_id_is_good_for_one_request(store: "Store", entity: KeyMessage) -> None:
    request_id = str(uuid4())
    await store.UpdateFeatures(request(entity, add("f", 1), request_id=request_id))
    for call in (
        store.UpdateFeatures(request(entity, add("f", 2), request_id=request_id)),
        store.UpdateFeatures(
            request(entity, add("f", 1), request_id=request_id, event_time=Timestamp(seconds=1))
        ),
        store.DeleteAggregate(pb.DeleteAggregateRequest(key=entity, request_id=request_id)),
    ):
        assert (await refusal(call)).told == REUSED
    assert await numbers(store, entity) == {"f": 1}


async def test_a_replay_with_the_aggregate_brings_the_current_one(
    store: "Store", entity: KeyMessage
) -> None:
    asked = request(entity, add("f", 1), request_id=str(uuid4()), return_aggregate=True)
    first = await store.UpdateFeatures(asked)
    assert first.aggregate == await read(store, entity)
    await store.UpdateFeatures(request(entity, add("f", 1)))
    again = await store.UpdateFeatures(asked)
    assert (again.version, again.etag) == (1, first.etag)
    assert again.aggregate == await read(store, entity)
    await store.UpdateFeatures(request(entity, add("f", 1), etag=again.aggregate.etag))


async def test_a_replay_of_a_request_that_found_nothing_brings_what_is_there_by_now(
    store: "Store", entity: KeyMessage
) -> None:
    removal = pb.FeatureUpdate(name="f", remove=True)
    asked = request(entity, removal, request_id=str(uuid4()), return_aggregate=True)
    first = await store.UpdateFeatures(asked)
    assert first == pb.UpdateFeaturesResponse()
    await store.UpdateFeatures(request(entity, put("f", 1)))
    again = await store.UpdateFeatures(asked)
    assert again == pb.UpdateFeaturesResponse(replayed=True, aggregate=await read(store, entity))


async def test_late_values_are_named_and_do_not_advance_the_version(
    store: "Store", entity: KeyMessage
) -> None:
    first = await store.UpdateFeatures(request(entity, put("f", 1, 20), put("g", 1, 20)))
    late = await store.UpdateFeatures(
        request(entity, put("f", 2, 10), put("g", 2), event_time=Timestamp(seconds=10))
    )
    assert sorted(late.stale_features) == ["f", "g"]
    assert (late.version, late.etag) == (first.version, first.etag)
    assert await numbers(store, entity) == {"f": 1, "g": 1}


async def test_validation_only_answers_as_if_written_and_writes_nothing(
    store: "Store", entity: KeyMessage
) -> None:
    asked = request(entity, put("f", 1), validate_only=True, return_aggregate=True)
    answer = await store.UpdateFeatures(asked)
    assert (answer.version, answer.aggregate.version) == (1, 1)
    assert (await refusal(store.GetAggregate(pb.GetAggregateRequest(key=entity)))).told == NOT_FOUND


async def test_no_rehearsal_gives_an_etag_for_a_version_that_another_makes(
    store: "Store", entity: KeyMessage
) -> None:
    await store.UpdateFeatures(request(entity, put("f", 1)))
    asked = request(entity, put("f", 2), validate_only=True, return_aggregate=True)
    rehearsed = await store.UpdateFeatures(asked)
    made = await store.UpdateFeatures(request(entity, put("f", 3)))
    assert rehearsed.version == made.version
    assert made.etag not in (rehearsed.etag, rehearsed.aggregate.etag)


async def test_a_row_that_somebody_holds_makes_the_caller_wait_no_longer_than_it_will(
    store: "Store", session: Session, entity: KeyMessage
) -> None:
    await store.UpdateFeatures(request(entity, put("f", 1)))
    async with session.transaction():
        await session.execute(
            "SELECT FROM aggregates WHERE entity_type = $1 FOR UPDATE", entity.entity_type
        )
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await store.UpdateFeatures(request(entity, put("f", 2)), timeout=0.2)
        # Whoever is first: the caller's own clock, or the server that sees no time for another try.
        assert failed.value.code() in {
            grpc.StatusCode.DEADLINE_EXCEEDED,
            grpc.StatusCode.UNAVAILABLE,
        }
    await store.UpdateFeatures(request(entity, add("f", 10)))
    # The caller that went away got nothing done later.
    assert await numbers(store, entity) == {"f": 11}


async def test_a_failed_call_carries_the_id_that_the_log_names(
    store: "Store", entity: KeyMessage
) -> None:
    call = store.GetAggregate(
        pb.GetAggregateRequest(key=entity), metadata=(("x-request-id", "mine-1"),)
    )
    assert (await refusal(call)).trailing["x-request-id"] == "mine-1"
