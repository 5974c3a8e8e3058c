"""Workloads of updates without gRPC: drivers in processes of their own."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from benchmarks.rig import Rig
from benchmarks.workload import Target
from benchmarks.writes.cluster_cpu import ClusterCpu
from benchmarks.writes.driver_process import DriverProcess
from benchmarks.writes.orders import Order, Result
from benchmarks.writes.rig import WriteRig
from benchmarks.writes.sample import WriteSample

WARM_UP_SECONDS = 1.0


@dataclass
class DrivenUpdates:
    """One order, given to one driver or to several at a time."""

    name: str
    order: Order
    start: Callable[[WriteRig], Sequence[DriverProcess]]
    unit: ClassVar[str] = "updates"
    target: ClassVar[Target | None] = None
    _drivers: Sequence[DriverProcess] = field(default=(), init=False)
    _rig: WriteRig = field(init=False)

    def prepare(self, rig: Rig) -> None:
        assert isinstance(rig, WriteRig)
        self._rig = rig
        self._drivers = self.start(rig)

    def measure(self, seconds: float) -> WriteSample:
        self._carry_out(WARM_UP_SECONDS)
        postgres = ClusterCpu(self._rig.cluster)
        results = self._carry_out(seconds)
        return _sample(results, postgres.seconds())

    def _carry_out(self, seconds: float) -> list[Result]:
        for driver in self._drivers:
            driver.begin(replace(self.order, seconds=seconds))
        return [driver.result() for driver in self._drivers]


def _sample(results: Sequence[Result], postgres_seconds: float | None) -> WriteSample:
    updates = sum(result.updates for result in results) or 1
    cpu_seconds = sum(result.cpu_seconds for result in results)
    failures: Counter[str] = Counter()
    for result in results:
        failures.update(result.failures)
    return WriteSample(
        rate=sum(result.updates / result.seconds for result in results),
        p50_ms=max(result.p50_ms for result in results),
        p99_ms=max(result.p99_ms for result in results),
        cpu_us=cpu_seconds / updates * 1e6,
        postgres_us=None if postgres_seconds is None else postgres_seconds / updates * 1e6,
        conflicts=sum(result.conflicts for result in results)
        / max(1, sum(result.attempts for result in results)),
        failures=dict(failures),
    )
