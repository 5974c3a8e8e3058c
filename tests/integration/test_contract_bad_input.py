"""Bad input, over gRPC: the right code, reason and detail for each, and nothing stored."""

import math
from typing import TYPE_CHECKING, Any, Final

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from domain.entity_key import EntityKey
from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey as KeyMessage
from featom.v1.value_pb2 import DoubleList, FeatureValue, FloatVector, Int64List
from tests.integration.bad_input import (
    INVALID,
    LARGEST,
    ONE,
    OVER_LIMIT,
    existing,
    message,
    nothing_stored,
    put,
)
from tests.kit.refusal import Refusal, refusal

if TYPE_CHECKING:
    from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceAsyncStub as Store

__all__ = ["existing", "nothing_stored"]

TOO_LATE: Final = Timestamp(seconds=253_402_300_800)


def from_the_future(name: str) -> pb.FeatureUpdate:
    """An update with an operation that only a later server knows."""
    message = pb.FeatureUpdate(name=name)
    return pb.FeatureUpdate.FromString(message.SerializeToString() + b"\xfa\x01\x00")


def value_from_the_future() -> FeatureValue:
    """A value of a kind that only a later server knows."""
    return FeatureValue.FromString(b"\xfa\x01\x00")


NOT_FINITE: Final = {
    f"{name} {number}": value
    for number in (math.nan, math.inf, -math.inf)
    for name, value in (
        ("double", FeatureValue(double_value=number)),
        ("element", FeatureValue(double_list=DoubleList(values=[0.0, number]))),
        ("component", FeatureValue(float_vector=FloatVector(values=[0.0, number]))),
    )
}

BAD_UPDATES: Final[dict[str, tuple[list[pb.FeatureUpdate], str]]] = {
    **{name: ([put(value=value)], "updates[0].set") for name, value in NOT_FINITE.items()},
    "no updates": ([], "updates"),
    "overflow": ([pb.FeatureUpdate(name="largest", increment=ONE)], "updates[0].increment"),
    "another kind": ([put("largest", FeatureValue(double_value=1))], "updates[0].set"),
    "another kind added": (
        [pb.FeatureUpdate(name="largest", increment=FeatureValue(double_value=1))],
        "updates[0].increment",
    ),
    "text added": (
        [pb.FeatureUpdate(name="g", increment=FeatureValue(string_value="1"))],
        "updates[0].increment",
    ),
    "vector appended": (
        [
            pb.FeatureUpdate(
                name="g",
                append=pb.AppendOperation(value=FeatureValue(float_vector=FloatVector())),
            )
        ],
        "updates[0].append",
    ),
    "named twice": ([put(), put(value=LARGEST)], "updates[1].name"),
    "no name": ([put("")], "updates[0].name"),
    "name with a space": ([put("a b")], "updates[0].name"),
    "long name": ([put("a" * 129)], "updates[0].name"),
    "no operation": ([pb.FeatureUpdate(name="f")], "updates[0].operation"),
    "unknown operation": ([from_the_future("f")], "updates[0].operation"),
    "no value": ([put(value=FeatureValue())], "updates[0].set"),
    "unknown value": ([put(value=value_from_the_future())], "updates[0].set"),
    "remove false": ([pb.FeatureUpdate(name="f", remove=False)], "updates[0].remove"),
    "negative length": (
        [
            pb.FeatureUpdate(
                name="f",
                append=pb.AppendOperation(
                    value=FeatureValue(int64_list=Int64List()), max_length=-1
                ),
            )
        ],
        "updates[0].append.max_length",
    ),
    "year 10000": ([put(event_time=TOO_LATE)], "updates[0].event_time"),
    "bad nanos": ([put(event_time=Timestamp(nanos=-1))], "updates[0].event_time.nanos"),
    "time of year 10000": (
        [put(value=FeatureValue(timestamp_value=TOO_LATE))],
        "updates[0].set",
    ),
}

BAD_KEYS: Final = {
    "no key": (None, {"key.entity_type", "key.entity_id"}),
    "empty id": (KeyMessage(entity_type="t"), {"key.entity_id"}),
    "empty type": (KeyMessage(entity_id="x"), {"key.entity_type"}),
    "tab": (KeyMessage(entity_type="t", entity_id="a\tb"), {"key.entity_id"}),
    "nul": (KeyMessage(entity_type="t", entity_id="a\0b"), {"key.entity_id"}),
    "c1": (KeyMessage(entity_type="t", entity_id="\x85"), {"key.entity_id"}),
    "257 bytes": (KeyMessage(entity_type="t", entity_id="x" * 257), {"key.entity_id"}),
    "258 bytes": (KeyMessage(entity_type="t", entity_id="ü" * 129), {"key.entity_id"}),
    "capital": (KeyMessage(entity_type="Customer", entity_id="x"), {"key.entity_type"}),
    "long type": (KeyMessage(entity_type="t" * 64, entity_id="x"), {"key.entity_type"}),
}


@pytest.mark.parametrize("bad", BAD_UPDATES)
async def test_a_bad_update_is_refused_and_its_field_is_named(
    store: "Store", existing: KeyMessage, nothing_stored: None, bad: str
) -> None:
    updates, field = BAD_UPDATES[bad]
    refused = await refusal(
        store.UpdateFeatures(pb.UpdateFeaturesRequest(key=existing, updates=updates))
    )
    assert refused.told == INVALID
    assert set(refused.violations) == {field}
    assert refused.metadata["violations"] == "1"
    assert f"{field}: " in refused.message


async def test_one_bad_value_among_fifty_good_ones_changes_nothing_and_everything_bad_is_named(
    store: "Store", existing: KeyMessage, nothing_stored: None
) -> None:
    good = [put(f"f{number}") for number in range(50)]
    request = pb.UpdateFeaturesRequest(key=existing, updates=good)
    request.updates[7].set.double_value = math.nan
    refused = await refusal(store.UpdateFeatures(request))
    assert (refused.told, set(refused.violations)) == (INVALID, {"updates[7].set"})
    request.updates[9].name = "f8"
    request.updates[30].ClearField("operation")
    request.updates[31].increment.int64_value = 1
    request.updates[31].name = "largest"
    request.etag = "junk"
    refused = await refusal(store.UpdateFeatures(request))
    assert refused.told == INVALID
    assert set(refused.violations) == {
        "etag",
        "updates[7].set",
        "updates[9].name",
        "updates[30].operation",
        "updates[31].increment",
    }


@pytest.mark.parametrize("bad", BAD_KEYS)
async def test_a_bad_key_is_refused_by_every_method(
    store: "Store", nothing_stored: None, bad: str
) -> None:
    key, fields = BAD_KEYS[bad]
    for call in (
        store.UpdateFeatures(pb.UpdateFeaturesRequest(key=key, updates=[put()])),
        store.GetAggregate(pb.GetAggregateRequest(key=key)),
        store.DeleteAggregate(pb.DeleteAggregateRequest(key=key)),
    ):
        refused = await refusal(call)
        assert refused.told == INVALID
        assert set(refused.violations) == fields
    keys = [KeyMessage(entity_type="t", entity_id="x"), key or KeyMessage()]
    refused = await refusal(store.BatchGetAggregates(pb.BatchGetAggregatesRequest(keys=keys)))
    assert refused.told == INVALID
    assert set(refused.violations) == {field.replace("key", "keys[1]", 1) for field in fields}


@pytest.mark.parametrize(
    "etag", ["7", '""', '"junk"', "W/" + '"' + "A" * 38 + '"', '"' + "=" * 38 + '"', "é" * 40]
)
async def test_an_etag_that_is_junk_is_refused(
    store: "Store", existing: KeyMessage, nothing_stored: None, etag: str
) -> None:
    for call, field in (
        (
            store.UpdateFeatures(
                pb.UpdateFeaturesRequest(key=existing, updates=[put()], etag=etag)
            ),
            "etag",
        ),
        (store.DeleteAggregate(pb.DeleteAggregateRequest(key=existing, etag=etag)), "etag"),
        (
            store.GetAggregate(
                pb.GetAggregateRequest(key=existing, consistency=pb.Consistency(at_least_etag=etag))
            ),
            "consistency.at_least_etag",
        ),
    ):
        refused = await refusal(call)
        assert (refused.told, set(refused.violations)) == (INVALID, {field})


@pytest.mark.parametrize("request_id", ["1", "0" * 32, "{" + "0" * 36 + "}", "x" * 36, "é" * 36])
async def test_a_request_id_that_is_junk_is_refused(
    store: "Store", existing: KeyMessage, nothing_stored: None, request_id: str
) -> None:
    for call in (
        store.UpdateFeatures(
            pb.UpdateFeaturesRequest(key=existing, updates=[put()], request_id=request_id)
        ),
        store.DeleteAggregate(pb.DeleteAggregateRequest(key=existing, request_id=request_id)),
    ):
        refused = await refusal(call)
        assert (refused.told, set(refused.violations)) == (INVALID, {"request_id"})


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"feature_names": ["ok", "a b"]}, "feature_names[1]"),
        ({"consistency": pb.Consistency(strong=False)}, "consistency.strong"),
        ({"consistency": pb.Consistency(eventual=False)}, "consistency.eventual"),
        ({"consistency": pb.Consistency(at_least_etag="")}, "consistency.at_least_etag"),
        ({"as_of_version": 0}, "as_of_version"),
        ({"as_of_version": -(2**63)}, "as_of_version"),
        ({"as_of_commit_time": TOO_LATE}, "as_of_commit_time"),
        ({"as_of_commit_time": Timestamp(seconds=-(2**63))}, "as_of_commit_time"),
        ({"as_of_commit_time": Timestamp(nanos=10**9)}, "as_of_commit_time.nanos"),
        ({"as_of_event_time": TOO_LATE}, "as_of_event_time"),
        ({"as_of_event_time": Timestamp(nanos=-1)}, "as_of_event_time.nanos"),
    ],
    ids=str,
)
async def test_a_bad_read_is_refused_and_its_field_is_named(
    store: "Store", existing: KeyMessage, fields: dict[str, Any], field: str
) -> None:
    refused = await refusal(store.GetAggregate(pb.GetAggregateRequest(key=existing, **fields)))
    assert (refused.told, set(refused.violations)) == (INVALID, {field})


async def test_a_batch_read_has_something_to_read_but_not_too_much(
    store: "Store", existing: KeyMessage
) -> None:
    refused = await refusal(store.BatchGetAggregates(pb.BatchGetAggregatesRequest()))
    assert (refused.told, set(refused.violations)) == (INVALID, {"keys"})
    at_the_limit = pb.BatchGetAggregatesRequest(keys=[existing] * 1_000, feature_names=["none"])
    assert len((await store.BatchGetAggregates(at_the_limit)).results) == 1_000
    refused = await refusal(
        store.BatchGetAggregates(pb.BatchGetAggregatesRequest(keys=[existing] * 1_001))
    )
    assert refused.told == OVER_LIMIT
    assert refused.metadata == {"limit": "1000", "subject": "keys in a request"}


@pytest.mark.parametrize("token", ["x", "====", "é", "Y3VzdG9tZXI", "A" * 5_000])
async def test_a_page_token_that_is_junk_is_refused(store: "Store", token: str) -> None:
    refused = await refusal(
        store.ListAggregates(pb.ListAggregatesRequest(entity_type="t", page_token=token))
    )
    assert (refused.told, set(refused.violations)) == (INVALID, {"page_token"})


async def test_a_page_token_of_another_type_is_refused(store: "Store", key: EntityKey) -> None:
    for entity_id in "ab":
        await store.UpdateFeatures(
            pb.UpdateFeaturesRequest(
                key=message(key._replace(entity_id=entity_id)), updates=[put()]
            )
        )
    page = await store.ListAggregates(
        pb.ListAggregatesRequest(entity_type=key.entity_type, page_size=1)
    )
    assert page.next_page_token
    refused = await refusal(
        store.ListAggregates(
            pb.ListAggregatesRequest(entity_type="other", page_token=page.next_page_token)
        )
    )
    assert (refused.told, set(refused.violations)) == (INVALID, {"page_token"})
    assert key.entity_type in refused.message


async def test_a_bad_list_is_refused_and_everything_bad_is_named(store: "Store") -> None:
    refused: Refusal = await refusal(
        store.ListAggregates(pb.ListAggregatesRequest(entity_type="A", page_size=-1))
    )
    assert (refused.told, set(refused.violations)) == (INVALID, {"entity_type", "page_size"})
