"""The rows of the table."""

import random
from collections.abc import Sequence

from benchmarks import dataset, echo_server
from benchmarks.rig import Rig
from benchmarks.unary import UnaryCalls
from benchmarks.workload import Target, Unverified, Workload
from featom.v1 import aggregate_pb2, feature_store_pb2

SERVICE = "/featom.v1.FeatureStoreService"
BATCH = 100
BATCHES = 2_000  # different ones, prepared ahead


def workloads() -> list[Workload]:
    """All of them, in the order of the table; the first is the one to compare with."""
    return [
        UnaryCalls(
            name="echo",
            method=echo_server.METHOD,
            serve=lambda rig: rig.echo,
            requests=single_reads,
            check=check_echo,
        ),
        UnaryCalls(
            name="get_aggregate",
            method=f"{SERVICE}/GetAggregate",
            serve=lambda rig: rig.featom,
            requests=single_reads,
            check=check_single_read,
            target=Target(0.6, relative_to="echo"),
        ),
        batch_get_aggregates("batch_get_aggregates", Target(80_000)),
    ]


def batch_get_aggregates(name: str, target: Target | None = None) -> UnaryCalls:
    return UnaryCalls(
        name=name,
        method=f"{SERVICE}/BatchGetAggregates",
        serve=lambda rig: rig.featom,
        requests=batch_reads,
        check=check_batch_read,
        unit="aggregates",
        units_per_call=BATCH,
        target=target,
    )


def single_reads(rig: Rig) -> Sequence[bytes]:
    """A GetAggregate of each aggregate."""
    return [
        feature_store_pb2.GetAggregateRequest(key=dataset.key(index)).SerializeToString()
        for index in range(rig.aggregates)
    ]


def batch_reads(rig: Rig) -> Sequence[bytes]:
    """BatchGetAggregates of 100 random aggregates each."""
    return [
        feature_store_pb2.BatchGetAggregatesRequest(
            keys=[dataset.key(index) for index in random.sample(range(rig.aggregates), BATCH)]
        ).SerializeToString()
        for _ in range(BATCHES)
    ]


def check_echo(request: bytes, answer: bytes) -> None:
    if answer != echo_server.ANSWER:
        raise Unverified("the echo answered something else")


def check_single_read(request: bytes, answer: bytes) -> None:
    asked = feature_store_pb2.GetAggregateRequest.FromString(request)
    check_aggregate(asked.key, feature_store_pb2.GetAggregateResponse.FromString(answer).aggregate)


def check_batch_read(request: bytes, answer: bytes) -> None:
    asked = feature_store_pb2.BatchGetAggregatesRequest.FromString(request)
    results = feature_store_pb2.BatchGetAggregatesResponse.FromString(answer).results
    for key, result in zip(asked.keys, results, strict=True):
        check_aggregate(key, result.aggregate)


def check_aggregate(
    key: aggregate_pb2.EntityKey, aggregate: aggregate_pb2.FeatureAggregate
) -> None:
    """Raise Unverified unless `aggregate` is the whole one of `key`."""
    if aggregate.key != key or len(aggregate.features) != dataset.FEATURES or not aggregate.etag:
        raise Unverified(f"asked for {key}, got {aggregate}")
