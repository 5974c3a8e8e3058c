"""What may be named more than once: every list that a request can have, over gRPC."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest
from google.protobuf.descriptor import Descriptor

from featom.v1 import entity_type_pb2 as type_pb
from featom.v1 import entity_type_service_pb2 as types_pb
from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey
from featom.v1.entity_type_service_pb2_grpc import EntityTypeServiceStub
from featom.v1.value_pb2 import FeatureValue
from server.services.entity_types import SERVICE as TYPES_SERVICE
from server.services.feature_store import SERVICE
from tests.kit.refusal import refusal

if TYPE_CHECKING:
    from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceAsyncStub as Store

KEY: Final = EntityKey(entity_type="repeated", entity_id="r-1")
ONE: Final = FeatureValue(int64_value=1)
SET: Final = pb.FeatureUpdate(name="f", set=ONE)
UPDATE: Final = pb.UpdateFeaturesRequest(key=KEY, updates=[SET])
RULE: Final = type_pb.Rule(name="r", expression="true", message="never")
CHOICE: Final = type_pb.FeatureSpec(type=type_pb.FEATURE_TYPE_INT64, allowed_values=[ONE, ONE])


def applied(**definition: Any) -> types_pb.ApplyEntityTypeRequest:
    declared = type_pb.EntityType(name="repeated_type", **definition)
    return types_pb.ApplyEntityTypeRequest(entity_type=declared, validate_only=True)


REFUSED: Final = {
    "UpdateFeaturesRequest.updates": (
        pb.UpdateFeaturesRequest(key=KEY, updates=[SET, SET]),
        {"updates[1].name"},
    ),
    "GetAggregateRequest.feature_names": (
        pb.GetAggregateRequest(key=KEY, feature_names=["f", "g", "f", "f"]),
        {"feature_names[0]"},
    ),
    "BatchGetAggregatesRequest.feature_names": (
        pb.BatchGetAggregatesRequest(keys=[KEY], feature_names=["f", "g", "f", "f"]),
        {"feature_names[0]"},
    ),
    "EntityType.rules": (
        applied(rules=[RULE, RULE]),
        {"entity_type.rules[0].name", "entity_type.rules[1].name"},
    ),
    "FeatureSpec.allowed_values": (
        applied(features={"f": CHOICE}),
        {"entity_type.features[f].allowed_values"},
    ),
}
"""With the fields that are to blame."""

TAKEN: Final = {
    "BatchUpdateFeaturesRequest.updates": pb.BatchUpdateFeaturesRequest(updates=[UPDATE, UPDATE]),
    "BatchGetAggregatesRequest.keys": pb.BatchGetAggregatesRequest(keys=[KEY, KEY]),
}
_OF_VALUES: Final = {"BoolList", "Int64List", "DoubleList", "StringList", "FloatVector"}
"""Lists that are values hold what they are given."""


def lists_of(message: Descriptor, seen: set[str]) -> Iterator[str]:
    """The repeated fields that a message, or one in it, has."""
    if message.full_name in seen or not message.full_name.startswith("featom."):
        return
    seen.add(message.full_name)
    for field in message.fields:
        inner = field.message_type
        if field.is_repeated and not (inner and inner.GetOptions().map_entry):
            yield f"{message.name}.{field.name}"
        if inner:
            yield from lists_of(inner, seen)


def test_every_list_of_every_request_is_known() -> None:
    seen: set[str] = set()
    methods = [*SERVICE.methods, *TYPES_SERVICE.methods]
    found = {each for method in methods for each in lists_of(method.input_type, seen)}
    of_values = {each for each in found if each.partition(".")[0] in _OF_VALUES}
    assert found - of_values == REFUSED.keys() | TAKEN.keys()


def call_of(store: "Store", channel: grpc.aio.Channel, request: Any) -> Any:
    types: Any = EntityTypeServiceStub(channel)
    methods = {
        pb.UpdateFeaturesRequest: store.UpdateFeatures,
        pb.BatchUpdateFeaturesRequest: store.BatchUpdateFeatures,
        pb.GetAggregateRequest: store.GetAggregate,
        pb.BatchGetAggregatesRequest: store.BatchGetAggregates,
        types_pb.ApplyEntityTypeRequest: types.ApplyEntityType,
    }
    return methods[type(request)](request)


@pytest.mark.parametrize("name", REFUSED)
async def test_what_may_be_named_once_is_refused_when_it_comes_again(
    store: "Store", channel: grpc.aio.Channel, name: str
) -> None:
    request, fields = REFUSED[name]
    refused = await refusal(call_of(store, channel, request))
    assert refused.told == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_VALUE")
    assert set(refused.violations) == fields


@pytest.mark.parametrize("name", TAKEN)
async def test_what_may_come_again_is_answered_each_time(
    store: "Store", channel: grpc.aio.Channel, name: str
) -> None:
    answer = await call_of(store, channel, TAKEN[name])
    repeated = {"results", "responses"}
    (answers,) = [each for field, each in answer.ListFields() if field.name in repeated]
    assert len(answers) == 2
