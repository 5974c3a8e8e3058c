"""A storm of large requests: callers who ask for much, and small ones that must not notice.

Small calls are answered in time, the server's memory stays within a bound, and whoever is refused
is told by name why.
"""

import asyncio
import json
import re
import resource
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple

import asyncpg
import grpc

from codec.state import dump_aggregate, new_aggregate
from domain.entity_key import EntityKey
from featom.v1 import feature_store_pb2 as pb
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from repository.postgres import PostgresRepository
from tests.consistency.faults.fleet import Fleet, fleet
from tests.consistency.heavy_callers import AGGREGATES, LARGE_TYPE, LONG_KEY
from tests.kit.samples import NOW, UID, add, put, update

if TYPE_CHECKING:
    from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceAsyncStub

ROOT: Final = Path(__file__).parents[2]

IN_TIME: Final = 0.5
"""Seconds within which 99 of 100 small calls are answered."""
MEMORY: Final = 640 * 2**20
"""Bytes that the server may have."""
CHANGES: Final = 100_000
"""Of the entity with a long history."""

_QUIET: Final = 3.0
"""Seconds before the storm."""

_LATE: Final = """
INSERT INTO changes (entity_type, entity_id, uid, version, commit_time, batch_id, change)
SELECT
    c.entity_type, c.entity_id, c.uid, c.version,
    c.commit_time + n * interval '1 microsecond', c.batch_id, c.change
FROM (
    SELECT * FROM changes WHERE entity_type = $1 ORDER BY version DESC, commit_time DESC LIMIT 1
) AS c, generate_series(1, $2::int) AS n
"""
_LARGE: Final = """
INSERT INTO aggregates (entity_type, entity_id, uid, version, state, create_time, update_time)
SELECT $1, 'c-' || n, gen_random_uuid(), 1, $2, now(), now()
FROM generate_series(0, $3::int - 1) AS n
"""
# Refusals by name; and what a caller decided, such as to take no more.
_EXPECTED: Final = re.compile(
    r".*: (OK|INVALID_ARGUMENT LIMIT_EXCEEDED|UNAVAILABLE OVERLOADED|DEADLINE_EXCEEDED )$"
)


class Aftermath(NamedTuple):
    """What a storm did, and what it did to small calls and to the server."""

    heavy: Counter[str]
    """How many calls of each sort ended how."""
    small: Counter[str]
    quiet: float
    """Seconds within which 99 of 100 small calls were answered before it."""
    slowest: float
    """The same, in it."""
    memory: int
    """The most bytes that the server had."""
    complaints: list[str]

    @property
    def objections(self) -> list[str]:
        found = [ending for ending in self.heavy if not _EXPECTED.match(ending)]
        found += [ending for ending in self.small if not ending.endswith(": OK")]
        if self.slowest > IN_TIME:
            found.append(f"of 100 small calls one takes {self.slowest:.3f} s or more")
        if self.memory > MEMORY:
            found.append(f"the server had {self.memory / 2**20:,.0f} MiB")
        return found + self.complaints

    def __str__(self) -> str:
        endings = "\n".join(f"{count:8,} {name}" for name, count in sorted(self.heavy.items()))
        return (
            f"{endings}\n{self.small.total():8,} small calls, 99 of 100 within"
            f" {1_000 * self.slowest:.0f} ms (without a storm {1_000 * self.quiet:.0f} ms);"
            f" {self.memory / 2**20:,.0f} MiB at most"
        )


async def rage(dsn: str, seconds: float) -> Aftermath:
    """One storm over one server, on a database with the schema and nothing else."""
    await _fill(dsn)
    async with fleet(dsn, 1) as servers:
        small, times = Counter[str](), list[float]()
        async with _small_calls(servers, small, times), _watched(servers) as memory:
            await asyncio.sleep(_QUIET)
            quiet, times[:] = _of_99_in_100(times), []
            heavy = await _heavy_calls(servers.addresses[0], seconds)
            slowest = _of_99_in_100(times)
        await servers.close()
        return Aftermath(heavy, small, quiet, slowest, max(memory), servers.complaints)


async def _fill(dsn: str) -> None:
    repository = PostgresRepository(dsn)
    await repository.open()
    for key in (EntityKey("small", "c-1"), EntityKey(*LONG_KEY)):
        await repository.update(update(add("n", 1), put("f", "x" * 200), key=key))
    await repository.update(update(put("f", "y" * 200, 1), key=EntityKey(*LONG_KEY)))
    await repository.close()
    session = await asyncpg.connect(dsn)
    await session.execute(_LATE, LONG_KEY[0], CHANGES)
    await session.execute(_LARGE, LARGE_TYPE, _large_state(), AGGREGATES)
    await session.execute("VACUUM ANALYZE")
    await session.close()


def _large_state() -> bytes:
    """Just under what an aggregate may have."""
    subject = new_aggregate(EntityKey(LARGE_TYPE, "c-0"), UID, 1)
    subject.apply(update(*(put(f"f{n}", "x" * 950) for n in range(1_000)), key=subject.key), NOW)
    return dump_aggregate(subject)


async def _heavy_calls(address: str, seconds: float) -> Counter[str]:
    program = [sys.executable, "-m", "tests.consistency.heavy_callers", address, str(seconds)]
    process = await asyncio.create_subprocess_exec(
        *program, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    return Counter(json.loads(said))


@asynccontextmanager
async def _small_calls(
    servers: Fleet, endings: Counter[str], times: list[float]
) -> AsyncIterator[None]:
    """Callers who ask for little, one call after the other."""

    async def read(store: "FeatureStoreServiceAsyncStub") -> None:
        request = pb.GetAggregateRequest()
        request.key.entity_type, request.key.entity_id = "small", "c-1"
        await store.GetAggregate(request, timeout=30)

    async def call(store: "FeatureStoreServiceAsyncStub") -> None:
        while True:
            begun = perf_counter()
            try:
                await read(store)
                endings["small reads: OK"] += 1
            except grpc.aio.AioRpcError as error:
                endings[f"small reads: {error.code().name}"] += 1
            times.append(perf_counter() - begun)
            await asyncio.sleep(0.01)

    async with grpc.aio.insecure_channel(servers.addresses[0]) as channel:
        store = FeatureStoreServiceStub(channel)
        callers = [asyncio.create_task(call(store)) for _ in range(4)]
        try:
            yield
        finally:
            for caller in callers:
                caller.cancel()
            await asyncio.gather(*callers, return_exceptions=True)


@asynccontextmanager
async def _watched(servers: Fleet) -> AsyncIterator[list[int]]:
    """How much memory the server has, now and then."""
    seen: list[int] = []

    async def watch() -> None:
        while True:
            seen.append(_resident_bytes(servers.servers[0].process.pid))
            await asyncio.sleep(0.05)

    watching = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        watching.cancel()


def _of_99_in_100(times: list[float]) -> float:
    return sorted(times)[len(times) * 99 // 100]


def _resident_bytes(process: int) -> int:
    pages = Path(f"/proc/{process}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()
