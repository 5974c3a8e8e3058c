"""Reads over gRPC, as a client sees them."""

from typing import TYPE_CHECKING, Final

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from domain.entity_key import EntityKey
from domain.etag import parse_etag
from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey as KeyMessage
from featom.v1.aggregate_pb2 import FeatureAggregate
from featom.v1.value_pb2 import FeatureValue
from tests.kit.refusal import refusal

if TYPE_CHECKING:
    from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceAsyncStub as Store

NOT_FOUND: Final = (grpc.StatusCode.NOT_FOUND, "AGGREGATE_NOT_FOUND")
NAMES: Final = ("a", "b", "c")


def message(key: EntityKey, entity_id: str = "c-1") -> KeyMessage:
    return KeyMessage(entity_type=key.entity_type, entity_id=entity_id)


async def write(
    store: "Store", entity: KeyMessage, number: int, *, event_time: int | None = None
) -> pb.UpdateFeaturesResponse:
    """Set the features a, b and c to a number; `event_time` in seconds."""
    value = FeatureValue(int64_value=number)
    request = pb.UpdateFeaturesRequest(
        key=entity, updates=[pb.FeatureUpdate(name=name, set=value) for name in NAMES]
    )
    if event_time is not None:
        request.event_time.seconds = event_time
    return await store.UpdateFeatures(request)


def numbers(found: FeatureAggregate) -> dict[str, int]:
    return {name: feature.value.int64_value for name, feature in found.features.items()}


def all_are(number: int) -> dict[str, int]:
    return dict.fromkeys(NAMES, number)


async def test_only_the_features_that_are_asked_for_are_returned(
    store: "Store", key: EntityKey
) -> None:
    written = await write(store, message(key), 1)
    answer = await store.GetAggregate(
        pb.GetAggregateRequest(key=message(key), feature_names=["c", "none", "a"])
    )
    assert numbers(answer.aggregate) == {"a": 1, "c": 1}
    assert (answer.aggregate.version, answer.aggregate.etag) == (1, written.etag)
    batch = await store.BatchGetAggregates(
        pb.BatchGetAggregatesRequest(keys=[message(key)], feature_names=["b"])
    )
    assert numbers(batch.results[0].aggregate) == {"b": 1}


async def test_a_batch_comes_in_the_order_asked_for_and_names_what_is_missing(
    store: "Store", key: EntityKey
) -> None:
    for number, entity_id in enumerate("ab"):
        await write(store, message(key, entity_id), number)
    asked = ["b", "none", "a", "b", "ä"]
    answer = await store.BatchGetAggregates(
        pb.BatchGetAggregatesRequest(keys=[message(key, each) for each in asked])
    )
    assert [each.WhichOneof("result") for each in answer.results] == [
        *("aggregate", "missing_key", "aggregate", "aggregate", "missing_key")
    ]
    assert [
        (each.missing_key if each.HasField("missing_key") else each.aggregate.key).entity_id
        for each in answer.results
    ] == asked
    single = await store.GetAggregate(pb.GetAggregateRequest(key=message(key, "b")))
    assert answer.results[0].aggregate == answer.results[3].aggregate == single.aggregate


async def test_the_past_is_read_by_version(store: "Store", key: EntityKey) -> None:
    for number in range(1, 6):
        await write(store, message(key), number)
    for version in range(1, 6):
        answer = await store.GetAggregate(
            pb.GetAggregateRequest(key=message(key), as_of_version=version)
        )
        assert answer.aggregate.version == version
        assert numbers(answer.aggregate) == all_are(version)
        assert answer.aggregate.etag == ""
    refused = await refusal(
        store.GetAggregate(pb.GetAggregateRequest(key=message(key), as_of_version=6))
    )
    assert refused.told == NOT_FOUND


async def test_the_past_is_read_by_commit_time(store: "Store", key: EntityKey) -> None:
    written = [await write(store, message(key), number) for number in (1, 2, 3)]
    for number, answer in enumerate(written, start=1):
        found = await store.GetAggregate(
            pb.GetAggregateRequest(key=message(key), as_of_commit_time=answer.update_time)
        )
        assert numbers(found.aggregate) == all_are(number)
    before = Timestamp()
    before.FromNanoseconds(written[0].update_time.ToNanoseconds() - 1)
    refused = await refusal(
        store.GetAggregate(pb.GetAggregateRequest(key=message(key), as_of_commit_time=before))
    )
    assert refused.told == NOT_FOUND


async def test_the_past_is_read_by_event_time_with_late_events_in_their_place(
    store: "Store", key: EntityKey
) -> None:
    for number, event_time in ((1, 10), (3, 30), (2, 20)):
        await write(store, message(key), number, event_time=event_time)
    for event_time, number in ((10, 1), (19, 1), (20, 2), (29, 2), (30, 3), (99, 3)):
        found = await store.GetAggregate(
            pb.GetAggregateRequest(
                key=message(key),
                as_of_event_time=Timestamp(seconds=event_time),
                feature_names=["a"],
            )
        )
        assert numbers(found.aggregate) == {"a": number}
    refused = await refusal(
        store.GetAggregate(
            pb.GetAggregateRequest(key=message(key), as_of_event_time=Timestamp(seconds=9))
        )
    )
    assert refused.told == NOT_FOUND


@pytest.mark.parametrize("requirement", ["none", "strong", "eventual", "at_least_etag"])
async def test_a_read_is_as_fresh_as_it_must_be(
    store: "Store", key: EntityKey, requirement: str
) -> None:
    etag = (await write(store, message(key), 1)).etag
    consistency = {
        "none": pb.Consistency(),
        "strong": pb.Consistency(strong=True),
        "eventual": pb.Consistency(eventual=True),
        "at_least_etag": pb.Consistency(at_least_etag=etag),
    }[requirement]
    await write(store, message(key), 2)
    found = await store.GetAggregate(
        pb.GetAggregateRequest(key=message(key), consistency=consistency)
    )
    assert numbers(found.aggregate) == all_are(2)


async def test_a_version_that_was_lost_with_its_epoch_cannot_be_read_at_least(
    store: "Store", key: EntityKey
) -> None:
    etag = parse_etag((await write(store, message(key), 1)).etag)
    consistency = pb.Consistency(at_least_etag=str(etag._replace(epoch=etag.epoch + 1)))
    refused = await refusal(
        store.GetAggregate(pb.GetAggregateRequest(key=message(key), consistency=consistency))
    )
    assert refused.told == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    refused = await refusal(
        store.BatchGetAggregates(
            pb.BatchGetAggregatesRequest(keys=[message(key)], consistency=consistency)
        )
    )
    assert refused.told == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")


async def test_pages_hold_every_aggregate_once_in_order(store: "Store", key: EntityKey) -> None:
    ids = sorted(["10", "2", "A", "a", "ß", "中", "😀", " "])
    for number, entity_id in enumerate(ids):
        await write(store, message(key, entity_id), number)
    request = pb.ListAggregatesRequest(entity_type=key.entity_type, page_size=3)
    pages = []
    while True:
        answer = await store.ListAggregates(request)
        pages.append([each.key.entity_id for each in answer.aggregates])
        for each in answer.aggregates:
            assert numbers(each) == all_are(ids.index(each.key.entity_id))
            assert each.etag
        request.page_token = answer.next_page_token
        if not request.page_token:
            break
    assert pages == [ids[:3], ids[3:6], ids[6:]]


async def test_an_empty_list_is_no_error(store: "Store") -> None:
    answer = await store.ListAggregates(pb.ListAggregatesRequest(entity_type="nothing_of_this"))
    assert answer == pb.ListAggregatesResponse()


async def test_a_page_ends_before_it_is_too_large_for_a_client(
    store: "Store", key: EntityKey
) -> None:
    large = FeatureValue(bytes_value=b"x" * 900_000)
    for number in range(5):
        await store.UpdateFeatures(
            pb.UpdateFeaturesRequest(
                key=message(key, f"{number}"), updates=[pb.FeatureUpdate(name="f", set=large)]
            )
        )
    request = pb.ListAggregatesRequest(entity_type=key.entity_type)
    first = await store.ListAggregates(request)
    request.page_token = first.next_page_token
    second = await store.ListAggregates(request)
    listed = [*first.aggregates, *second.aggregates]
    assert [each.key.entity_id for each in listed] == list("01234")
    assert second.next_page_token == ""


async def test_more_aggregates_than_an_answer_may_have_are_refused_by_name(
    store: "Store", key: EntityKey
) -> None:
    update = pb.UpdateFeaturesRequest(key=message(key))
    for name in NAMES:
        update.updates.add(name=name).set.bytes_value = bytes(340_000)
    await store.UpdateFeatures(update)
    # A name that is asked for makes the answer small, and not what is read for it.
    request = pb.BatchGetAggregatesRequest(keys=[message(key)] * 70, feature_names=["none"])
    refused = await refusal(store.BatchGetAggregates(request))
    assert refused.told == (grpc.StatusCode.INVALID_ARGUMENT, "LIMIT_EXCEEDED")
    assert refused.metadata == {
        "subject": "bytes of aggregates in an answer",
        "limit": str(64 * 1_024 * 1_024),
    }
    del request.keys[60:]
    assert len((await store.BatchGetAggregates(request)).results) == 60
