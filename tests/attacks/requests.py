"""A request of each RPC, nearly right, with as many fields set as go together."""

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest

from featom.v1 import entity_type_pb2 as type_pb
from featom.v1 import entity_type_service_pb2 as types_pb
from featom.v1 import feature_store_pb2 as pb
from featom.v1 import value_pb2
from featom.v1.aggregate_pb2 import EntityKey

KEY: Final = EntityKey(entity_type="attacked", entity_id="e-1")
REQUEST_ID: Final = "5f0c6d1e-8a55-4d0c-9d7e-0d7a8f4a1c11"
WHEN: Final = Timestamp(seconds=1_700_000_000, nanos=1_000)


def _value(**fields: Any) -> value_pb2.FeatureValue:
    return value_pb2.FeatureValue(**fields)


_VALUES: Final = [
    _value(bool_value=True),
    _value(int64_value=-7),
    _value(double_value=2.5),
    _value(string_value="text"),
    _value(bytes_value=b"\x00\xff"),
    _value(timestamp_value=WHEN),
    _value(bool_list=value_pb2.BoolList(values=[True])),
    _value(int64_list=value_pb2.Int64List(values=[1, -2])),
    _value(double_list=value_pb2.DoubleList(values=[0.5])),
    _value(string_list=value_pb2.StringList(values=["a", "b"])),
    _value(float_vector=value_pb2.FloatVector(values=[0.5, -2.0])),
]

_UPDATES: Final = [
    *(pb.FeatureUpdate(name=f"f{n}", set=value) for n, value in enumerate(_VALUES)),
    pb.FeatureUpdate(name="count", increment=_value(int64_value=1), event_time=WHEN),
    pb.FeatureUpdate(name="most", maximum=_value(double_value=1)),
    pb.FeatureUpdate(name="least", minimum=_value(timestamp_value=WHEN)),
    pb.FeatureUpdate(
        name="last",
        append=pb.AppendOperation(value=_value(string_value="x"), max_length=3),
    ),
    pb.FeatureUpdate(
        name="lasts",
        append=pb.AppendOperation(
            value=_value(string_list=value_pb2.StringList(values=["x", "y"])), max_length=3
        ),
    ),
    pb.FeatureUpdate(name="gone", remove=True),
]


def update(**fields: Any) -> pb.UpdateFeaturesRequest:
    return pb.UpdateFeaturesRequest(key=KEY, updates=_UPDATES, event_time=WHEN, **fields)


_TYPE: Final = type_pb.EntityType(
    name="attacked_type",
    features={
        "age": type_pb.FeatureSpec(
            type=type_pb.FEATURE_TYPE_INT64,
            minimum=_value(int64_value=0),
            maximum=_value(int64_value=150),
            late_policy=type_pb.LATE_POLICY_APPLY,
            ttl=Duration(seconds=60),
            description="years",
        ),
        "country": type_pb.FeatureSpec(
            type=type_pb.FEATURE_TYPE_STRING,
            allowed_values=[_value(string_value="NO")],
            default_value=_value(string_value="NO"),
            max_length=2,
            pattern="[A-Z]{2}",
        ),
        "seal": type_pb.FeatureSpec(
            type=type_pb.FEATURE_TYPE_BYTES,
            allowed_values=[_value(bytes_value=b"red")],
            default_value=_value(bytes_value=b"red"),
        ),
        "taste": type_pb.FeatureSpec(
            type=type_pb.FEATURE_TYPE_FLOAT_VECTOR, dimension=2, allow_non_finite=True
        ),
    },
    rules=[
        type_pb.Rule(
            name="grown",
            expression="!has(features.age) || features.age >= 18",
            message="must be grown up",
        )
    ],
    additional_features=type_pb.ADDITIONAL_FEATURES_ALLOW,
    etag='"x"',
)

_STORE: Final = "/featom.v1.FeatureStoreService/"
_TYPES: Final = "/featom.v1.EntityTypeService/"

REQUESTS: Final[Mapping[str, Message]] = {
    f"{_STORE}UpdateFeatures": update(request_id=REQUEST_ID, etag='"x"', return_aggregate=True),
    f"{_STORE}BatchUpdateFeatures": pb.BatchUpdateFeaturesRequest(
        updates=[update(must_be_absent=True), update(etag='"x"')], request_id=REQUEST_ID
    ),
    f"{_STORE}StreamUpdateFeatures": pb.StreamUpdateFeaturesRequest(
        sequence=1,
        update=update(request_id=REQUEST_ID, etag='"x"', return_aggregate=True),
    ),
    f"{_STORE}DeleteAggregate": pb.DeleteAggregateRequest(
        key=KEY, etag='"x"', request_id=REQUEST_ID, erase_history=True
    ),
    f"{_STORE}GetAggregate": pb.GetAggregateRequest(
        key=KEY,
        feature_names=["f1"],
        consistency=pb.Consistency(at_least_etag='"x"'),
        as_of_event_time=WHEN,
        uid=REQUEST_ID,
    ),
    f"{_STORE}BatchGetAggregates": pb.BatchGetAggregatesRequest(
        keys=[KEY, KEY], feature_names=["f1"], consistency=pb.Consistency(at_least_etag='"x"')
    ),
    f"{_STORE}ListAggregates": pb.ListAggregatesRequest(
        entity_type="attacked", page_size=2, page_token="eA"
    ),
    f"{_STORE}ListAggregateVersions": pb.ListAggregateVersionsRequest(
        key=KEY,
        uid=REQUEST_ID,
        order=pb.VERSION_ORDER_OLDEST_FIRST,
        page_size=2,
        page_token="eA",
    ),
    f"{_TYPES}ApplyEntityType": types_pb.ApplyEntityTypeRequest(
        entity_type=_TYPE,
        incompatible_change=types_pb.INCOMPATIBLE_CHANGE_ACCEPT_EXISTING,
    ),
    f"{_TYPES}GetEntityType": types_pb.GetEntityTypeRequest(name="attacked_type", revision=1),
    f"{_TYPES}ListEntityTypes": types_pb.ListEntityTypesRequest(page_size=2, page_token="eA=="),
    f"{_TYPES}DeleteEntityType": types_pb.DeleteEntityTypeRequest(
        name="attacked_type", etag='"x"', force=True
    ),
    f"{_TYPES}CheckAggregates": types_pb.CheckAggregatesRequest(
        entity_type="attacked_type", page_size=2, page_token="eA", definition=_TYPE
    ),
}

WATCH: Final = "/grpc.health.v1.Health/Watch"
REFLECTIONS: Final = tuple(
    f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    for version in ("v1", "v1alpha")
)
"""Both names of one service."""

# Of services that are not of the contract, and open to more than those whom a grant allows it.
OPEN_REQUESTS: Final[Mapping[str, Message]] = {
    "/grpc.health.v1.Health/Check": HealthCheckRequest(service="readiness"),
    WATCH: HealthCheckRequest(service="featom.v1.FeatureStoreService"),
    **dict.fromkeys(
        REFLECTIONS,
        ServerReflectionRequest(
            host="localhost", file_containing_symbol="featom.v1.FeatureStoreService"
        ),
    ),
}
