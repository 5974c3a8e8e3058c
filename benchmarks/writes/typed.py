"""The updates again, of an entity type: 50 declared features with ranges, and five rules."""

import asyncio
from typing import Final

import grpc

from benchmarks import dataset
from benchmarks.writes import changes, stored
from benchmarks.writes.rig import WriteRig
from featom.v1 import entity_type_pb2, value_pb2
from featom.v1.entity_type_service_pb2 import ApplyEntityTypeRequest
from featom.v1.entity_type_service_pb2_grpc import EntityTypeServiceStub

TYPE: Final = "consumer"  # as long as the name of the type without declaration
FIRST_REVISION: Final = 1
# All of them are about features that each update changes, so each update evaluates all of them.
RULES: Final = {
    "counts_are_not_negative": "features.txn_1h >= 0 && features.txn_1d >= 0",
    "an_hour_is_not_far_above_a_day": "features.sum_1h <= features.sum_1d + 1.0",
    "countries_are_codes": "size(features.country) == 8",
    "money_comes_with_transactions": "features.txn_1h == 0 || features.sum_1h > 0.0",
    "nobody_is_seen_before_the_first_time": (
        "features.first_seen <= features.last_login || features.txn_1d >= 0"
    ),
}


def typed(rig: WriteRig) -> list[list[bytes]]:
    """Declare the type, store as many aggregates of it, and give an update of each."""
    there = range(rig.aggregates)
    apply(rig.featom.address)
    asyncio.run(stored.load_aggregates(rig.dsn, there, entity_type=TYPE, revision=FIRST_REVISION))
    rig.execute("VACUUM (ANALYZE)", "CHECKPOINT")
    return [[changes.message(index, TYPE).SerializeToString()] for index in there]


def apply(address: str) -> None:
    """Declare the type to a server that does not know it yet."""
    with grpc.insecure_channel(address) as channel:
        EntityTypeServiceStub(channel).ApplyEntityType(
            ApplyEntityTypeRequest(entity_type=entity_type()), timeout=30
        )


def entity_type() -> entity_type_pb2.EntityType:
    """The declaration."""
    declared = entity_type_pb2.EntityType(name=TYPE)
    for name in dataset.COUNTS:
        spec = declared.features[name]
        spec.type = entity_type_pb2.FEATURE_TYPE_INT64
        spec.minimum.CopyFrom(value_pb2.FeatureValue(int64_value=0))
        spec.maximum.CopyFrom(value_pb2.FeatureValue(int64_value=2**40))
    for name in dataset.AMOUNTS:
        spec = declared.features[name]
        spec.type = entity_type_pb2.FEATURE_TYPE_DOUBLE
        spec.minimum.CopyFrom(value_pb2.FeatureValue(double_value=0))
    for name in dataset.TEXTS:
        declared.features[name].type = entity_type_pb2.FEATURE_TYPE_STRING
        declared.features[name].max_length = 64
    for name in dataset.TIMES:
        declared.features[name].type = entity_type_pb2.FEATURE_TYPE_TIMESTAMP
    for name, expression in RULES.items():
        declared.rules.add(name=name, expression=expression, message=name.replace("_", " "))
    return declared
