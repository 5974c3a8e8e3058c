"""The past over gRPC: what was served comes back, and every change is listed."""

import base64
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from domain.entity_key import EntityKey
from domain.timestamp import SECOND
from featom.v1 import entity_type_pb2 as type_pb
from featom.v1 import entity_type_service_pb2 as types_pb
from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import AggregateChange, FeatureAggregate, Operand
from featom.v1.aggregate_pb2 import EntityKey as KeyMessage
from featom.v1.entity_type_service_pb2_grpc import EntityTypeServiceStub
from featom.v1.value_pb2 import FeatureValue
from tests.kit.fault_injection import Session
from tests.kit.refusal import refusal

if TYPE_CHECKING:
    from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceAsyncStub as Store

INVALID: Final = (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_VALUE")
NOT_FOUND: Final = (grpc.StatusCode.NOT_FOUND, "AGGREGATE_NOT_FOUND")
UID: Final = "00000000-0000-4000-8000-000000000001"
MISSING: Final = EntityKey("nothing_of_this", "c-1")


def message(key: EntityKey) -> KeyMessage:
    return KeyMessage(entity_type=key.entity_type, entity_id=key.entity_id)


def at(nanoseconds: int) -> Timestamp:
    made = Timestamp()
    made.FromNanoseconds(nanoseconds)
    return made


async def write(
    store: "Store", key: EntityKey, name: str, number: int, **rest: Any
) -> pb.UpdateFeaturesResponse:
    item = pb.FeatureUpdate(name=name, set=FeatureValue(int64_value=number))
    return await store.UpdateFeatures(
        pb.UpdateFeaturesRequest(key=message(key), updates=[item], **rest)
    )


async def get(store: "Store", key: EntityKey, **rest: Any) -> pb.GetAggregateResponse:
    return await store.GetAggregate(pb.GetAggregateRequest(key=message(key), **rest))


async def delete(store: "Store", key: EntityKey, **rest: Any) -> pb.DeleteAggregateResponse:
    return await store.DeleteAggregate(pb.DeleteAggregateRequest(key=message(key), **rest))


async def pages_of(
    store: "Store", key: EntityKey, **rest: Any
) -> list[pb.ListAggregateVersionsResponse]:
    pages: list[pb.ListAggregateVersionsResponse] = []
    request = pb.ListAggregateVersionsRequest(key=message(key), **rest)
    while not pages or request.page_token:
        pages.append(await store.ListAggregateVersions(request))
        request.page_token = pages[-1].next_page_token
    return pages


def without_etag(aggregate: FeatureAggregate) -> bytes:
    """As the past has it, as bytes."""
    bare = FeatureAggregate()
    bare.CopyFrom(aggregate)
    bare.etag = ""
    return bare.SerializeToString(deterministic=True)


class Reader:
    """Reads vectors, logs what each was, and asks for them again."""

    def __init__(self, store: "Store", key: EntityKey) -> None:
        self._store = store
        self._key = key
        self.served: list[pb.GetAggregateResponse] = []

    async def read(self) -> FeatureAggregate:
        answer = await get(self._store, self._key)
        batch = await self._store.BatchGetAggregates(
            pb.BatchGetAggregatesRequest(keys=[message(self._key), message(MISSING)])
        )
        assert batch.results[0].aggregate == answer.aggregate
        self.served += [
            answer,
            pb.GetAggregateResponse(
                aggregate=batch.results[0].aggregate, read_time=batch.read_time
            ),
        ]
        return answer.aggregate

    async def read_again(self) -> None:
        for served in self.served:
            aggregate = served.aggregate
            past = await get(
                self._store,
                self._key,
                as_of_version=aggregate.version,
                uid=aggregate.uid,
                read_time=served.read_time,
            )
            assert without_etag(past.aggregate) == without_etag(aggregate)
            assert past.aggregate.etag == ""
            assert past.read_time == served.read_time
            then = await get(self._store, self._key, as_of_commit_time=served.read_time)
            assert without_etag(then.aggregate) == without_etag(aggregate)
            assert then.read_time == served.read_time


async def test_what_was_served_comes_back_by_version_uid_and_read_time(
    store: "Store", channel: grpc.aio.Channel, key: EntityKey
) -> None:
    """Whatever became of the entity, and of its type, since."""
    types: Any = EntityTypeServiceStub(channel)

    async def let_live(seconds: int) -> None:
        spec = type_pb.FeatureSpec(
            type=type_pb.FEATURE_TYPE_INT64, ttl=Duration(seconds=seconds) if seconds else None
        )
        definition = type_pb.EntityType(name=key.entity_type, features={"f": spec})
        await types.ApplyEntityType(types_pb.ApplyEntityTypeRequest(entity_type=definition))

    reader = Reader(store, key)
    await let_live(3_600)
    now = (await write(store, key, "g", 1)).update_time.ToNanoseconds()
    await write(store, key, "f", 1, event_time=at(now - 3_000 * SECOND))
    assert sorted((await reader.read()).features) == ["f", "g"]
    for seconds, names in ((1_000, ["g"]), (0, ["f", "g"]), (2_000, ["g"]), (4_000, ["f", "g"])):
        await let_live(seconds)
        assert sorted((await reader.read()).features) == names
    await write(store, key, "h", 2)
    await reader.read()
    await delete(store, key)
    await write(store, key, "f", 7)
    await write(store, key, "f", 8)
    assert (await reader.read()).version == 2
    await let_live(1)
    await reader.read_again()
    await delete(store, key)
    await reader.read_again()
    expired = await get(
        store,
        key,
        as_of_version=2,
        uid=reader.served[0].aggregate.uid,
        read_time=at(now + 10_000 * SECOND),
    )
    assert expired.aggregate.expired_features == ["f"]


async def test_without_a_read_time_a_version_is_as_it_was_when_it_was_committed(
    store: "Store", key: EntityKey
) -> None:
    written = await write(store, key, "f", 1)
    await write(store, key, "f", 2)
    answer = await get(store, key, as_of_version=1)
    assert answer.read_time == written.update_time
    answer = await get(store, key, as_of_event_time=at(5 * 10**18))
    assert answer.read_time.ToNanoseconds() == 5 * 10**18


async def test_the_read_time_of_the_present_is_that_of_the_database(
    store: "Store", key: EntityKey, session: Session
) -> None:
    await write(store, key, "f", 1)
    asked = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
    before = await session.fetchval(asked)
    one = (await get(store, key)).read_time
    batch = await store.BatchGetAggregates(
        pb.BatchGetAggregatesRequest(keys=[message(MISSING)] * 9)
    )
    after = await session.fetchval(asked)
    for time in (one, batch.read_time):
        assert before <= time.ToNanoseconds() // 1_000 <= after


async def test_what_was_deleted_is_read_until_it_is_erased(store: "Store", key: EntityKey) -> None:
    written = await write(store, key, "f", 1)
    deleted = await delete(store, key)
    assert (await refusal(get(store, key))).told == NOT_FOUND
    questions: list[dict[str, Any]] = [
        {"as_of_version": 1},
        {"as_of_commit_time": written.update_time},
        {"as_of_event_time": written.update_time},
    ]
    for question in questions:
        answer = await get(store, key, **question)
        assert answer.aggregate.features["f"].value.int64_value == 1
        assert (answer.aggregate.version, answer.aggregate.etag) == (1, "")
    gone = get(store, key, as_of_commit_time=deleted.delete_time)
    assert (await refusal(gone)).told == NOT_FOUND
    await delete(store, key, erase_history=True)
    for question in questions:
        assert (await refusal(get(store, key, **question))).told == NOT_FOUND


@pytest.mark.parametrize("order", ["UNSPECIFIED", "NEWEST_FIRST", "OLDEST_FIRST"])
async def test_versions_are_listed_page_by_page(
    store: "Store", key: EntityKey, session: Session, order: str
) -> None:
    uids: list[str] = []
    for _ in range(2):
        for number in range(4):
            await write(store, key, "f", number, request_id=UID[:-4] + f"{len(uids)}{number:03}")
        uids.append((await get(store, key)).aggregate.uid)
        await write(store, key, "f", 0, event_time=at(1))
        await delete(store, key)
    pages = await pages_of(store, key, page_size=5, order=f"VERSION_ORDER_{order}")
    assert [len(page.changes) for page in pages] == [5, 5, 2]
    changes = [change for page in pages for change in page.changes]
    stored = [
        AggregateChange.FromString(row["change"])
        for row in await session.fetch(
            "SELECT change FROM changes WHERE entity_type = $1 ORDER BY commit_time",
            key.entity_type,
        )
    ]
    assert changes == (stored if order == "OLDEST_FIRST" else stored[::-1])
    assert {change.uid for change in changes} == set(uids)
    assert [change.deleted for change in stored] == ([False] * 5 + [True]) * 2
    begin = await session.fetchval(
        "SELECT min(substr(c.relname, 9)) FROM pg_inherits AS i JOIN pg_class AS c"
        " ON c.oid = i.inhrelid WHERE c.relname ~ '^changes_[0-9]+$'"
    )
    assert {page.history_begin_time.ToDatetime().strftime("%Y%m%d") for page in pages} == {begin}


async def test_what_was_added_is_listed_and_counts_from_its_own_event_time(
    store: "Store", key: EntityKey, session: Session
) -> None:
    for number, seconds in ((10, 1_200), (5, 1_100)):
        item = pb.FeatureUpdate(name="n", increment=FeatureValue(int64_value=number))
        await store.UpdateFeatures(
            pb.UpdateFeaturesRequest(
                key=message(key), updates=[item], event_time=at(seconds * SECOND)
            )
        )
    (page,) = await pages_of(store, key)
    late, first = (change.operands["n"] for change in page.changes)
    assert first == Operand(increment=FeatureValue(int64_value=10))
    assert late == Operand(increment=FeatureValue(int64_value=5), event_time=at(1_100 * SECOND))
    answer = await get(store, key, as_of_event_time=at(1_150 * SECOND))
    assert answer.aggregate.features["n"].value.int64_value == 5
    assert not answer.inexact_features
    for change in page.changes:  # as a server writes them that is older than operands
        change.ClearField("operands")
        change.ClearField("has_operands")
        await session.execute(
            "UPDATE changes SET change = $1 WHERE entity_type = $2 AND version = $3",
            change.SerializeToString(),
            key.entity_type,
            change.version,
        )
    refused = await refusal(get(store, key, as_of_event_time=at(1_150 * SECOND)))
    assert refused.told == NOT_FOUND
    answer = await get(store, key, as_of_event_time=at(1_200 * SECOND))
    assert answer.aggregate.features["n"].value.int64_value == 15
    assert answer.inexact_features == ["n"]


async def test_a_list_of_nothing_is_no_error(store: "Store") -> None:
    (page,) = await pages_of(store, MISSING)
    assert (list(page.changes), page.next_page_token) == ([], "")


def encoded(*parts: object) -> str:
    text = "\n".join(map(str, parts)).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


@pytest.mark.parametrize(
    "token",
    [
        *("x", "====", "é", "A" * 5_000),
        encoded("t", "1", "", "newest", UID, 1),
        encoded("t", "1", "", "newest", UID, 1, 1, 1),
        encoded("t", "1", "", "newest", "no uid", 1, 1),
        encoded("t", "1", "", "newest", UID, "x", 1),
        encoded("t", "1", "", "newest", UID, -1, 1),
        encoded("t", "1", "", "newest", UID, 2**63, 1),
        encoded("t", "1", "", "newest", UID, 1, 2**68),
        encoded("t", "2", "", "newest", UID, 1, 1),
        encoded("t", "1", UID, "newest", UID, 1, 1),
        encoded("t", "1", "", "oldest", UID, 1, 1),
    ],
)
async def test_a_page_token_of_another_list_or_of_none_is_refused(
    store: "Store", token: str
) -> None:
    key = KeyMessage(entity_type="t", entity_id="1")
    request = pb.ListAggregateVersionsRequest(key=key, page_token=token)
    refused = await refusal(store.ListAggregateVersions(request))
    assert (refused.told, set(refused.violations)) == (INVALID, {"page_token"})
    request.page_token = encoded("t", "1", "", "newest", UID, 1, 1)
    assert await store.ListAggregateVersions(request)


async def test_everything_that_is_wrong_with_a_list_of_versions_is_named(store: "Store") -> None:
    request = pb.ListAggregateVersionsRequest(uid="x", order=9, page_size=-1, page_token="x")  # type: ignore[arg-type]
    refused = await refusal(store.ListAggregateVersions(request))
    assert refused.told == INVALID
    fields = {"key.entity_type", "key.entity_id", "uid", "order", "page_size", "page_token"}
    assert set(refused.violations) == fields


@pytest.mark.parametrize(
    ("fields", "blamed"),
    [
        ({"uid": UID}, ["uid"]),
        ({"uid": "x", "as_of_version": 1}, ["uid"]),
        ({"uid": "x"}, ["uid"]),
        ({"read_time": at(1)}, ["read_time"]),
        ({"read_time": at(1), "as_of_commit_time": at(1)}, ["read_time"]),
        ({"read_time": at(1), "as_of_event_time": at(1)}, ["read_time"]),
        ({"read_time": Timestamp(nanos=-1), "as_of_version": 1}, ["read_time.nanos"]),
        ({"read_time": Timestamp(seconds=10**12), "as_of_version": 1}, ["read_time"]),
        ({"read_time": Timestamp(seconds=10**12), "uid": "x"}, ["read_time", "uid"]),
    ],
    ids=str,
)
async def test_what_does_not_go_with_the_past_that_is_asked_for_is_named(
    store: "Store", fields: dict[str, Any], blamed: list[str]
) -> None:
    refused = await refusal(get(store, MISSING, **fields))
    assert (refused.told, sorted(refused.violations)) == (INVALID, blamed)
