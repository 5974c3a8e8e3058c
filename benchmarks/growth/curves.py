"""The three ways to grow, each from an empty database."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from benchmarks import dataset
from benchmarks.growth.history import load_changes
from benchmarks.growth.point import Curve, Point, measure
from benchmarks.writes import stored
from benchmarks.writes.driver_process import DriverProcess
from benchmarks.writes.rig import WriteRig

AGGREGATES: Final = (1_000, 10_000, 100_000, 200_000, 500_000, 1_000_000)
FEATURES: Final = (10, 20, 50, 100, 200, 500)
CHANGES: Final = (0, 250_000, 500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000, 20_000_000)
FEW: Final = 2_000
"""Aggregates of many features."""
USUAL: Final = 20_000
"""Aggregates with much history."""


class Growth:
    """Grows the database of a rig and measures on the way."""

    def __init__(self, rig: WriteRig, seconds: float, progress: Callable[[str], None]) -> None:
        self._rig = rig
        self._seconds = seconds
        self._progress = progress
        self._updater: DriverProcess = rig.pipelines[0]
        self._reader = rig.drive("benchmarks.growth.read_driver", rig.dsn)

    def by_aggregates(self, most: int) -> Curve:
        self._empty()
        points = []
        loaded = 0
        for size in _up_to(most, AGGREGATES):
            self._load(range(loaded, size), dataset.FEATURES)
            loaded = size
            points.append(self._point("aggregates", size, entities=size))
        return Curve("aggregates", points)

    def by_features(self, most: int) -> Curve:
        points = []
        for size in _up_to(most, FEATURES):
            self._empty()
            self._load(range(FEW), size)
            points.append(self._point("features an aggregate", size, entities=FEW))
        return Curve("features an aggregate", points)

    def by_changes(self, most: int) -> Curve:
        self._empty()
        self._load(range(USUAL), dataset.FEATURES)
        points = []
        loaded = 0
        for size in _up_to(most, CHANGES):
            asyncio.run(load_changes(self._rig.dsn, loaded, size, USUAL))
            loaded = size
            self._rig.execute("VACUUM (ANALYZE)", "CHECKPOINT")
            points.append(self._point("changes in the history", size, entities=USUAL))
        return Curve("changes in the history", points)

    def _empty(self) -> None:
        self._rig.execute("TRUNCATE aggregates, changes, requests")

    def _load(self, indexes: range, features: int) -> None:
        asyncio.run(stored.load_aggregates(self._rig.dsn, indexes, features))
        self._rig.execute("VACUUM (ANALYZE)", "CHECKPOINT")

    def _point(self, what: str, size: int, entities: int) -> Point:
        point = measure(
            size, self._updater, self._reader, self._rig.cluster, entities, self._seconds
        )
        self._progress(
            f"{size:>12,} {what}: {point.updates:,.0f} updates/s of "
            f"{point.updates_cpu_us:,.0f} µs, {point.reads:,.0f} reads/s"
        )
        return point


def _up_to(most: int, sizes: Sequence[int]) -> list[int]:
    return [size for size in sizes if size < most] + [most]
