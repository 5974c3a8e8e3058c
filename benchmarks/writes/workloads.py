"""The rows of the table of updates: 50 features, 5 of them changed, durable, with history."""

from typing import Final

from benchmarks import echo_server
from benchmarks.unary import UnaryCalls
from benchmarks.workload import Workload
from benchmarks.workloads import check_echo, single_reads
from benchmarks.writes import requests
from benchmarks.writes.calls import UpdateCalls
from benchmarks.writes.driven import DrivenUpdates
from benchmarks.writes.orders import Order
from benchmarks.writes.requests import SERVICE, TOGETHER
from benchmarks.writes.typed import typed

# Connections. Over all entities each build has as many as give it most: see benchmarks/README.md.
MAPPED_UNIFORM: Final = 4
HANDWRITTEN_UNIFORM: Final = 16
HERD: Final = 32
QUEUE: Final = 1
# 16 at a time, each of 100 updates.
STREAMS_OF_MANY: Final = 4


def workloads(aggregates: int) -> list[Workload]:
    """All of them, in the order of the table."""
    uniform, hot = Order(seconds=0, entities=aggregates), Order(seconds=0, entities=1)
    identified = Order(seconds=0, entities=aggregates, request_ids=True)
    return [
        UnaryCalls(
            name="echo",
            method=echo_server.METHOD,
            serve=lambda rig: rig.echo,
            requests=single_reads,
            check=check_echo,
        ),
        DrivenUpdates(
            "article_uniform", uniform, lambda rig: rig.article("mapped", MAPPED_UNIFORM)
        ),
        DrivenUpdates("article_hot", hot, lambda rig: rig.article("mapped", HERD)),
        DrivenUpdates(
            "article_sql_uniform",
            uniform,
            lambda rig: rig.article("handwritten", HANDWRITTEN_UNIFORM),
        ),
        DrivenUpdates("article_sql_hot", hot, lambda rig: rig.article("handwritten", HERD)),
        DrivenUpdates("article_sql_queued", hot, lambda rig: rig.article("handwritten", QUEUE)),
        DrivenUpdates("pipeline_uniform", uniform, lambda rig: rig.pipelines[:1]),
        DrivenUpdates("pipeline_uniform_ids", identified, lambda rig: rig.pipelines[:1]),
        DrivenUpdates("pipeline_hot", hot, lambda rig: rig.pipelines[:1]),
        DrivenUpdates("pipeline_hot_two_servers", hot, lambda rig: rig.pipelines),
        UpdateCalls(
            "update_uniform",
            f"{SERVICE}/UpdateFeatures",
            requests.uniform,
            requests.check_update,
        ),
        UpdateCalls("update_typed", f"{SERVICE}/UpdateFeatures", typed, requests.check_update),
        UpdateCalls(
            "update_hot",
            f"{SERVICE}/UpdateFeatures",
            requests.one_entity,
            requests.check_update,
        ),
        UpdateCalls(
            "update_stream",
            f"{SERVICE}/StreamUpdateFeatures",
            requests.streams,
            requests.check_stream,
            TOGETHER,
            STREAMS_OF_MANY,
        ),
        UpdateCalls(
            "update_batch",
            f"{SERVICE}/BatchUpdateFeatures",
            requests.batches,
            requests.check_batch,
            TOGETHER,
            STREAMS_OF_MANY,
        ),
    ]
