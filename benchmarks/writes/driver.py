"""A process that drives something as it is told: `Order`s in, `Result`s out."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Protocol

from benchmarks.writes.driving import Driven, drive
from benchmarks.writes.orders import Order, Result, dump, load_order


class Driveable(Protocol):
    """What updates go to."""

    def caller(self, order: Order) -> Callable[[], Awaitable[object]]:
        """Gives the call that a round makes over and over."""

    def contention(self) -> tuple[int, int]:
        """How often an update was tried so far, and how often another writer was faster."""


async def obey(driveable: Driveable) -> None:
    """Say that we are ready, then carry out orders until there are no more."""
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = load_order(line)
        attempts, conflicts = driveable.contention()
        driven = await drive(driveable.caller(order), order.callers, order.seconds)
        tried, lost = driveable.contention()
        print(dump(_result(driven, tried - attempts, lost - conflicts)), end="", flush=True)


def _result(driven: Driven, attempts: int, conflicts: int) -> Result:
    ascending = sorted(driven.latencies) or [0.0]
    return Result(
        updates=len(driven.latencies),
        seconds=driven.seconds,
        cpu_seconds=driven.cpu_seconds,
        p50_ms=ascending[len(ascending) // 2] * 1_000,
        p99_ms=ascending[len(ascending) * 99 // 100] * 1_000,
        attempts=attempts,
        conflicts=conflicts,
        failures=dict(driven.failures),
    )
