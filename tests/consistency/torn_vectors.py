"""Counts torn vectors: writers set all features of an entity at once while readers look."""

import asyncio
import itertools
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, NamedTuple

from featom.v1.aggregate_pb2 import FeatureAggregate
from featom.v1.feature_store_pb2 import BatchGetAggregatesRequest, GetAggregateRequest
from tests.kit.stubs import connected
from tests.kit.vectors import key_of, keys_of, numbers_in, set_all

if TYPE_CHECKING:
    from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceAsyncStub

_ENTITIES: Final = [f"vector-{number}" for number in range(32)]
_SINGLE_READS: Final = 2
"""Single reads for each batched one."""
_PAUSE: Final = 0.01
"""Seconds between two writes of a client: readers are to get their share of two cores."""


class Count(NamedTuple):
    """What readers saw, aggregate by aggregate."""

    single: int
    batched: int
    torn: int
    writes: int


class _Tally:
    def __init__(self) -> None:
        self.single = self.batched = self.torn = self.writes = 0

    @property
    def reads(self) -> int:
        return self.single + self.batched

    def look(self, aggregates: Sequence[FeatureAggregate]) -> None:
        self.torn += sum(len(numbers_in(aggregate)) != 1 for aggregate in aggregates)


async def count_torn_vectors(
    addresses: Sequence[str], reads: int, *, writers: int = 16, readers: int = 4
) -> Count:
    """Write from `writers` clients of all servers until `reads` aggregates were read."""
    tally = _Tally()
    numbers = itertools.count()
    async with AsyncExitStack() as stack:
        stubs = [
            await stack.enter_async_context(connected(addresses[client % len(addresses)]))
            for client in range(writers + readers)
        ]
        for entity in _ENTITIES:
            await stubs[0].UpdateFeatures(set_all(entity, next(numbers)), wait_for_ready=True)
        writing = [asyncio.create_task(_write(stub, numbers, tally)) for stub in stubs[:writers]]
        try:
            await asyncio.gather(*(_read(stub, reads, tally) for stub in stubs[writers:]))
        finally:
            for task in writing:
                task.cancel()
            ended = await asyncio.gather(*writing, return_exceptions=True)
    for end in ended:
        if not isinstance(end, asyncio.CancelledError):
            raise AssertionError("a writer failed") from end
    return Count(tally.single, tally.batched, tally.torn, tally.writes)


async def _write(
    stub: "FeatureStoreServiceAsyncStub", numbers: "itertools.count[int]", tally: _Tally
) -> None:
    while True:
        number = next(numbers)
        # Half of all writes meet on one entity.
        entity = _ENTITIES[0 if number % 2 else number // 2 % len(_ENTITIES)]
        await stub.UpdateFeatures(set_all(entity, number), wait_for_ready=True)
        tally.writes += 1
        await asyncio.sleep(_PAUSE)


async def _read(stub: "FeatureStoreServiceAsyncStub", reads: int, tally: _Tally) -> None:
    for turn in itertools.count():
        if tally.reads >= reads:
            return
        if turn % (_SINGLE_READS + 1):
            entity = _ENTITIES[0 if turn % 2 else turn % len(_ENTITIES)]
            one = await stub.GetAggregate(
                GetAggregateRequest(key=key_of(entity)), wait_for_ready=True
            )
            tally.single += 1
            tally.look([one.aggregate])
        else:
            many = await stub.BatchGetAggregates(
                BatchGetAggregatesRequest(keys=keys_of(_ENTITIES)), wait_for_ready=True
            )
            tally.batched += len(many.results)
            tally.look([result.aggregate for result in many.results])
