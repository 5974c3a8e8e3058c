"""Limits over gRPC: of updates, features, bytes and messages, and how much of it is named."""

import math
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest

from domain.entity_key import EntityKey
from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey as KeyMessage
from featom.v1.value_pb2 import FeatureValue
from tests.integration.bad_input import (
    INVALID,
    OVER_LIMIT,
    everything,
    existing,
    message,
    nothing_stored,
    put,
)
from tests.kit.fault_injection import Session
from tests.kit.refusal import refusal

if TYPE_CHECKING:
    from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceAsyncStub as Store

__all__ = ["existing", "nothing_stored"]

TOO_LARGE: Final = (grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED")
SERVICE: Final = "/featom.v1.FeatureStoreService"


async def test_a_thousand_updates_are_taken_and_one_more_is_refused(
    store: "Store", existing: KeyMessage, session: Session
) -> None:
    removals = [pb.FeatureUpdate(name=f"g{number}", remove=True) for number in range(1_001)]
    before = await everything(session)
    await store.UpdateFeatures(pb.UpdateFeaturesRequest(key=existing, updates=removals[:1_000]))
    refused = await refusal(
        store.UpdateFeatures(pb.UpdateFeaturesRequest(key=existing, updates=removals))
    )
    assert refused.told == OVER_LIMIT
    assert refused.metadata == {"limit": "1000", "subject": "feature updates in a request"}
    assert await everything(session) == before


async def test_an_aggregate_takes_no_more_features_or_bytes_than_allowed(
    store: "Store", existing: KeyMessage, nothing_stored: None
) -> None:
    many = [put(f"g{number}") for number in range(999)]
    refused = await refusal(
        store.UpdateFeatures(pb.UpdateFeaturesRequest(key=existing, updates=many))
    )
    assert refused.told == OVER_LIMIT
    assert refused.metadata == {"limit": "1000", "subject": "features in an aggregate"}
    large = put("g", FeatureValue(bytes_value=b"x" * 2**20))
    refused = await refusal(
        store.UpdateFeatures(pb.UpdateFeaturesRequest(key=existing, updates=[large]))
    )
    assert refused.told == OVER_LIMIT
    assert refused.metadata == {"limit": "1048576", "subject": "bytes in an aggregate"}


async def test_a_message_of_5_mib_is_refused_with_its_limit(
    store: "Store", existing: KeyMessage, nothing_stored: None
) -> None:
    large = put("g", FeatureValue(bytes_value=b"x" * 5 * 2**20))
    refused = await refusal(
        store.UpdateFeatures(pb.UpdateFeaturesRequest(key=existing, updates=[large]))
    )
    assert refused.told == TOO_LARGE
    assert refused.metadata["limit"] == str(4 * 2**20)
    assert f"At most {4 * 2**20:,} bytes" in refused.message


async def test_a_thousand_violations_are_counted_and_as_many_named_as_fit(
    store: "Store", existing: KeyMessage, nothing_stored: None
) -> None:
    bad = [put(f"f{number}", FeatureValue(double_value=math.nan)) for number in range(1_000)]
    refused = await refusal(
        store.UpdateFeatures(pb.UpdateFeaturesRequest(key=existing, updates=bad))
    )
    assert refused.told == INVALID
    assert refused.metadata["violations"] == "1000"
    named = list(refused.violations)
    assert len(named) > 50
    assert named == [f"updates[{number}].set" for number in range(len(named))]


@pytest.mark.parametrize("character", ["x", "%", "ü", "😀", "\n"], ids=ascii)
async def test_a_name_of_a_hundred_thousand_characters_is_refused_like_any_other(
    store: "Store", existing: KeyMessage, nothing_stored: None, character: str
) -> None:
    name = character * 100_000
    refused = await refusal(
        store.UpdateFeatures(
            pb.UpdateFeaturesRequest(key=existing, updates=[put(name), put(name), put("a b")])
        )
    )
    assert refused.told == INVALID
    assert refused.metadata["violations"] == "4"
    assert set(refused.violations) == {
        "updates[0].name",
        "updates[1].name",
        "updates[2].name",
    }


@pytest.mark.parametrize(
    "method",
    ["UpdateFeatures", "GetAggregate", "BatchGetAggregates", "ListAggregates", "DeleteAggregate"],
)
@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x05ab", b"\x0a\x04\x0a\x02\xff\xfe"], ids=repr)
async def test_a_message_that_cannot_be_read_is_the_callers_fault(
    channel: grpc.aio.Channel, nothing_stored: None, method: str, data: bytes
) -> None:
    call: Any = channel.unary_unary(f"{SERVICE}/{method}")
    refused = await refusal(call(data))
    assert refused.told == INVALID
    assert set(refused.violations) == {""}
    assert refused.violations[""].startswith(f"is not a featom.v1.{method}Request")


async def test_unknown_fields_beside_known_ones_do_no_harm(
    channel: grpc.aio.Channel, key: EntityKey
) -> None:
    request = pb.UpdateFeaturesRequest(key=message(key), updates=[put()])
    call: Any = channel.unary_unary(f"{SERVICE}/UpdateFeatures")
    answer = await call(request.SerializeToString() + b"\xfa\x07\x03abc")
    assert pb.UpdateFeaturesResponse.FromString(answer).version == 1
