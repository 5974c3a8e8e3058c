"""One point of a curve: how fast updates and reads are at one size."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.writes.cluster_cpu import ClusterCpu
from benchmarks.writes.driver_process import DriverProcess
from benchmarks.writes.orders import Order, Result

BATCH: Final = 100
"""Aggregates in a read."""
READERS: Final = 16
WARM_UP_SECONDS: Final = 0.5


@dataclass(frozen=True)
class Point:
    """The rates count updates, and aggregates read."""

    size: int
    updates: float
    updates_p99_ms: float
    updates_cpu_us: float
    """Processor time of Python and PostgreSQL together."""
    reads: float
    reads_p99_ms: float


@dataclass(frozen=True)
class Curve:
    """What grows, and the points in the order of their sizes."""

    name: str
    points: list[Point]


def measure(
    size: int,
    updater: DriverProcess,
    reader: DriverProcess,
    cluster: Path,
    entities: int,
    seconds: float,
) -> Point:
    """Updates first, then reads, of random ones of so many entities."""
    _run(updater, Order(WARM_UP_SECONDS, entities=entities))
    postgres = ClusterCpu(cluster)
    updated = _run(updater, Order(seconds, entities=entities))
    updated_cpu_seconds = updated.cpu_seconds + (postgres.seconds() or 0)
    _run(reader, Order(WARM_UP_SECONDS, entities=entities, callers=READERS))
    read = _run(reader, Order(seconds, entities=entities, callers=READERS))
    return Point(
        size=size,
        updates=updated.updates / updated.seconds,
        updates_p99_ms=updated.p99_ms,
        updates_cpu_us=updated_cpu_seconds / max(1, updated.updates) * 1e6,
        reads=read.updates * BATCH / read.seconds,
        reads_p99_ms=read.p99_ms,
    )


def _run(driver: DriverProcess, order: Order) -> Result:
    driver.begin(order)
    result = driver.result()
    if result.failures:
        raise RuntimeError(f"failures: {result.failures}")
    return result
