"""Deletions over gRPC: what is gone, what begins anew, and what is erased."""

from typing import TYPE_CHECKING
from uuid import uuid4

from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey as KeyMessage
from tests.integration.entity_calls import NOT_FOUND, STALE, entity, numbers, put, read, request
from tests.kit.refusal import refusal

if TYPE_CHECKING:
    from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceAsyncStub as Store

__all__ = ["entity"]


async def test_what_is_deleted_is_gone_and_begins_anew(store: "Store", entity: KeyMessage) -> None:
    written = await store.UpdateFeatures(request(entity, put("f", 1)))
    old = await read(store, entity)
    deleted = await store.DeleteAggregate(pb.DeleteAggregateRequest(key=entity, etag=written.etag))
    assert deleted.version == 2
    assert deleted.delete_time.ToNanoseconds() > written.update_time.ToNanoseconds()
    for call in (
        store.GetAggregate(pb.GetAggregateRequest(key=entity)),
        store.DeleteAggregate(pb.DeleteAggregateRequest(key=entity)),
        store.GetAggregate(pb.GetAggregateRequest(key=entity, as_of_version=2)),
    ):
        assert (await refusal(call)).told == NOT_FOUND
    past = await store.GetAggregate(pb.GetAggregateRequest(key=entity, as_of_version=1))
    assert (past.aggregate.uid, past.aggregate.etag) == (old.uid, "")
    refused = await refusal(store.UpdateFeatures(request(entity, put("f", 2), etag=old.etag)))
    assert (refused.told, refused.metadata) == (STALE, {"current_version": "0"})
    await store.UpdateFeatures(request(entity, put("f", 2)))
    new = await read(store, entity)
    assert (new.version, new.uid != old.uid, new.etag != old.etag) == (1, True, True)


async def test_a_deletion_with_a_stale_etag_deletes_nothing(
    store: "Store", entity: KeyMessage
) -> None:
    first = await store.UpdateFeatures(request(entity, put("f", 1)))
    await store.UpdateFeatures(request(entity, put("f", 2)))
    refused = await refusal(
        store.DeleteAggregate(pb.DeleteAggregateRequest(key=entity, etag=first.etag))
    )
    assert refused.told == STALE
    assert await numbers(store, entity) == {"f": 2}


async def test_a_retried_deletion_deletes_once(store: "Store", entity: KeyMessage) -> None:
    await store.UpdateFeatures(request(entity, put("f", 1)))
    asked = pb.DeleteAggregateRequest(key=entity, request_id=str(uuid4()), erase_history=True)
    first = await store.DeleteAggregate(asked)
    await store.UpdateFeatures(request(entity, put("f", 2)))
    again = await store.DeleteAggregate(asked)
    assert (again.replayed, again.version, again.delete_time) == (
        True,
        first.version,
        first.delete_time,
    )
    assert await numbers(store, entity) == {"f": 2}


async def test_what_was_deleted_plainly_can_be_erased(store: "Store", entity: KeyMessage) -> None:
    erasure = pb.DeleteAggregateRequest(key=entity, erase_history=True)
    assert (await refusal(store.DeleteAggregate(erasure))).told == NOT_FOUND
    first = await store.UpdateFeatures(request(entity, put("f", 1)))
    deleted = await store.DeleteAggregate(pb.DeleteAggregateRequest(key=entity))
    asked = pb.DeleteAggregateRequest(key=entity, etag=first.etag, erase_history=True)
    assert (await refusal(store.DeleteAggregate(asked))).told == STALE
    erased = await store.DeleteAggregate(erasure)
    assert erased.version == deleted.version == 2
    assert erased.delete_time.ToNanoseconds() > deleted.delete_time.ToNanoseconds()
    assert (await refusal(store.DeleteAggregate(asked))).told == STALE
    assert (await refusal(store.GetAggregate(pb.GetAggregateRequest(key=entity)))).told == NOT_FOUND
