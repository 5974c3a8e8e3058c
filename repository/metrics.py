"""The metrics of the repository's parts, by name."""

import math
from collections.abc import Iterator, Mapping

from repository.connections.pool import Pool
from repository.connections.primary import Primary
from repository.pipeline.commit_pipeline import CommitPipeline
from repository.pipeline.instrumented_committers import MeasuredCommitter
from repository.reading.past_statements import PastStatements
from repository.reading.read_coalescer import ReadCoalescer
from repository.retention import ObservedRetention
from repository.sessions.facts import CRASH_SAFETY
from telemetry.metrics import Metric, MetricKind, Sample, counter, gauge, histogram


def pipeline_metrics(
    pipeline: CommitPipeline, committer: MeasuredCommitter, lanes: int, max_waiting: int
) -> Iterator[Metric]:
    """How the commit pipeline fares; its share of time at work is busy seconds by lanes."""
    yield histogram(
        "featom_pipeline_batch_size",
        "Commands in an attempt to commit a batch.",
        committer.batch_sizes,
    )
    yield histogram(
        "featom_pipeline_queue_wait_seconds",
        "From the arrival of a command to its first attempt.",
        committer.waits,
    )
    yield counter(
        "featom_pipeline_conflicts_total",
        "Commands that are tried again because another writer was faster.",
        committer.conflicts,
    )
    yield counter(
        "featom_pipeline_lane_busy_seconds_total",
        "How long lanes had a batch under way, all together.",
        pipeline.statistics.busy,
    )
    yield counter(
        "featom_pipeline_chained_batches_total",
        "Batches that were evaluated while the one ahead of them was being written.",
        pipeline.statistics.chained,
    )
    yield gauge(
        "featom_pipeline_lanes",
        "How many lanes there are.",
        lanes,
    )
    yield gauge("featom_pipeline_waiting", "Commands that are in no batch yet.", pipeline.waiting)
    yield gauge(
        "featom_pipeline_waiting_limit",
        "Commands that may wait; more are refused as OVERLOADED.",
        max_waiting,
    )


def read_metrics(coalescer: ReadCoalescer, max_waiting: int) -> Iterator[Metric]:
    """How reads by key fare."""
    yield histogram("featom_read_batch_size", "Keys that one query reads.", coalescer.batch_sizes)
    yield gauge("featom_read_waiting", "Reads that are in no query yet.", coalescer.waiting)
    yield gauge(
        "featom_read_waiting_limit",
        "Reads that may wait; more are refused as OVERLOADED.",
        max_waiting,
    )


def past_metrics(statements: PastStatements) -> Iterator[Metric]:
    """What reads of the past go through."""
    yield counter(
        "featom_past_changes_total",
        "Changes that were read for the past, and for lists of versions.",
        statements.changes,
    )
    yield counter("featom_past_bytes_total", "The bytes of these changes.", statements.bytes)


def pool_metrics(pools: Mapping[str, Pool]) -> Iterator[Metric]:
    """How the database is used, by pool."""
    yield Metric(
        "featom_database_work_seconds",
        "What a transaction, or a statement of its own, took on its connection.",
        MetricKind.HISTOGRAM,
        [Sample({"pool": name}, pool.seconds) for name, pool in pools.items()],
    )
    yield Metric(
        "featom_database_failures_total",
        "Failures by SQLSTATE (none: of driver or network) and by verdict: again (tried again),"
        " away (the database cannot work now), heavy (the same, perhaps for one command alone),"
        " lost (no answer), too_large (for an answer) or fault (none of these).",
        MetricKind.COUNTER,
        [
            Sample(
                {"pool": name, "verdict": verdict.value, "sqlstate": sqlstate or "none"},
                count,
            )
            for name, pool in pools.items()
            for (verdict, sqlstate), count in list(pool.failures.items())
        ],
    )
    yield Metric(
        "featom_database_connections",
        "Open connections, by state: in_use or idle.",
        MetricKind.GAUGE,
        [
            Sample({"pool": name, "state": state}, count)
            for name, pool in pools.items()
            for state, count in zip(("in_use", "idle"), pool.connections, strict=True)
        ],
    )
    yield Metric(
        "featom_database_connections_limit",
        "Connections that there may be.",
        MetricKind.GAUGE,
        [Sample({"pool": name}, pool.size) for name, pool in pools.items()],
    )


def primary_metrics(primary: Primary) -> Iterator[Metric]:
    """What was seen of the database's server."""
    unsafe = primary.crash_unsafe
    yield Metric(
        "featom_database_crash_unsafe",
        "1 while a setting of PostgreSQL is off without which a crash of its machine loses or"
        " damages what was acknowledged.",
        MetricKind.GAUGE,
        [
            Sample({"setting": setting}, math.nan if unsafe is None else setting in unsafe)
            for setting in CRASH_SAFETY
        ],
    )


def retention_metrics(retention: ObservedRetention) -> Iterator[Metric]:
    """How long the store keeps what, and how far its clock is from this server's."""
    changes = retention.kept.changes
    yield gauge(
        "featom_request_id_retention_seconds",
        "How long the store keeps request ids, at least.",
        retention.kept.requests.total_seconds(),
    )
    yield gauge(
        "featom_change_retention_seconds",
        "How long the store keeps changes; infinite: without limit.",
        math.inf if changes is None else changes.total_seconds(),
    )
    yield gauge(
        "featom_database_clock_offset_seconds",
        "How far the database's clock is ahead of this server's.",
        retention.clock_offset,
    )
    yield gauge(
        "featom_database_clock_offset_error_seconds",
        "By how much that may be wrong: half of the round trip.",
        retention.clock_offset_error,
    )
