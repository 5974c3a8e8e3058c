"""`python -m tests.consistency.large_updates`: small updates beside a storm of large ones.

Prints how long both took and what memory the server took, and ends with 1 if that is more than
docs/guarantees.md (P9) promises.
"""

import asyncio
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import grpc

from featom.v1 import aggregate_pb2, value_pb2
from featom.v1 import feature_store_pb2 as pb
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from tests.consistency.environment import new_database, own_postgres
from tests.kit.serving import serving

if TYPE_CHECKING:
    from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceAsyncStub

LARGE: Final = 60
"""Aggregates of a megabyte."""
SMALL: Final = 200
MOST_SECONDS: Final = 0.5
"""What 99 of 100 small updates take at most, on a machine that does nothing else."""
MOST_MEMORY: Final = 200_000_000
"""Bytes that the server takes beside what it took before."""

_FEATURES: Final = 100
_CONTENT: Final = os.urandom(10_000)
_PATIENCE: Final = 60.0
_REFUSALS: Final = ("UNAVAILABLE", "DEADLINE_EXCEEDED")
"""What large updates may be told if there are more of them than can be made in time."""

Call = Callable[["FeatureStoreServiceAsyncStub", int], Awaitable[object]]


class Figures(NamedTuple):
    """What a storm looked like to its callers."""

    small: list[float]
    """Seconds of each small update, sorted."""
    large: list[float]
    refused: Counter[str]
    memory: int
    """Bytes that the server took at most, beside what it took before."""

    @property
    def small_p99(self) -> float:
        return self.small[len(self.small) * 99 // 100]

    @property
    def large_p50(self) -> float:
        return self.large[len(self.large) // 2]

    def __str__(self) -> str:
        return (
            f"{len(self.small):,} small updates, p99 {self.small_p99 * 1_000:,.0f} ms; "
            f"{len(self.large):,} large ones, p50 {self.large_p50 * 1_000:,.0f} ms; "
            f"{self.memory / 1_000_000:,.0f} MB; refused: {dict(self.refused)}"
        )


def _update(entity_type: str, number: int) -> pb.UpdateFeaturesRequest:
    key = aggregate_pb2.EntityKey(entity_type=entity_type, entity_id=str(number))
    value = value_pb2.FeatureValue(int64_value=random.getrandbits(60))
    return pb.UpdateFeaturesRequest(key=key, updates=[pb.FeatureUpdate(name="n", set=value)])


async def _one(store: "FeatureStoreServiceAsyncStub", caller: int) -> object:
    return await store.UpdateFeatures(_update("large", caller % LARGE), timeout=_PATIENCE)


async def _hot(store: "FeatureStoreServiceAsyncStub", caller: int) -> object:
    return await store.UpdateFeatures(_update("large", 0), timeout=_PATIENCE)


async def _whole(store: "FeatureStoreServiceAsyncStub", caller: int) -> object:
    request = _update("large", 0)
    request.return_aggregate = True
    return await store.UpdateFeatures(request, timeout=_PATIENCE)


async def _together(store: "FeatureStoreServiceAsyncStub", caller: int) -> object:
    updates = [_update("large", number) for number in range(30)]
    request = pb.BatchUpdateFeaturesRequest(updates=updates)
    return await store.BatchUpdateFeatures(request, timeout=_PATIENCE)


STORMS: Final[Mapping[str, tuple[Call, int]]] = {
    "one aggregate each": (_one, 100),
    "one hot aggregate": (_hot, 100),
    "one hot aggregate that comes back": (_whole, 50),
    "thirty in a batch": (_together, 2),
}
"""What is called, and by how many callers at a time."""


async def store_aggregates(store: "FeatureStoreServiceAsyncStub") -> None:
    """Make the aggregates that the storms are about."""
    for number in range(LARGE):
        request = _update("large", number)
        for feature in range(_FEATURES):
            value = value_pb2.FeatureValue(bytes_value=_CONTENT)
            request.updates.append(pb.FeatureUpdate(name=f"f{feature}", set=value))
        await store.UpdateFeatures(request, timeout=_PATIENCE)
    for number in range(SMALL):
        await store.UpdateFeatures(_update("small", number), timeout=_PATIENCE)


async def storm(
    store: "FeatureStoreServiceAsyncStub", process: int, name: str, seconds: float
) -> Figures:
    """Let many callers make large updates for some time, and eight make small ones beside them."""
    call, callers = STORMS[name]
    until = time.monotonic() + seconds
    small: list[float] = []
    large: list[float] = []
    refused: Counter[str] = Counter()

    async def repeat(call: Call, caller: int, took: list[float]) -> None:
        while (begun := time.monotonic()) < until:
            try:
                await call(store, caller)
            except grpc.aio.AioRpcError as error:
                refused[error.code().name] += 1
                if error.code().name not in _REFUSALS or took is small:
                    raise
            took.append(time.monotonic() - begun)

    async def one_small(store: "FeatureStoreServiceAsyncStub", caller: int) -> object:
        await asyncio.sleep(0.01)
        number = random.randrange(SMALL)
        return await store.UpdateFeatures(_update("small", number), timeout=_PATIENCE)

    before = memory = _memory_of(process)
    under_way = asyncio.gather(
        *(repeat(one_small, caller, small) for caller in range(8)),
        *(repeat(call, caller, large) for caller in range(callers)),
    )
    while not under_way.done():
        memory = max(memory, _memory_of(process))
        await asyncio.wait([under_way], timeout=0.05)
    await under_way
    return Figures(sorted(small), sorted(large), refused, memory - before)


def _memory_of(process: int) -> int:
    pages = Path(f"/proc/{process}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


async def _rage(seconds: float) -> int:
    with own_postgres() as postgres:
        async with new_database(postgres) as dsn:
            with serving(dsn) as server:
                return await _all_storms(server.address, server.process.pid, seconds)


async def _all_storms(address: str, process: int, seconds: float) -> int:
    objections = 0
    async with grpc.aio.insecure_channel(address) as channel:
        store: FeatureStoreServiceAsyncStub = FeatureStoreServiceStub(channel)
        await store_aggregates(store)
        for name in STORMS:
            metrics = await storm(store, process, name, seconds)
            is_good = metrics.small_p99 < MOST_SECONDS and metrics.memory < MOST_MEMORY
            objections += not is_good
            print(f"{name}: {metrics}{'' if is_good else ': OBJECTION'}", flush=True)
    return objections


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    return 1 if asyncio.run(_rage(seconds)) else 0


if __name__ == "__main__":
    sys.exit(main())
