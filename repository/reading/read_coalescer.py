"""Coalesced reads: what arrives while a query is under way forms the next one.

Each query is one statement, so one snapshot, and it begins after every read in it was asked for: a
read sees all that was acknowledged before it. How many bytes it gives is bounded: each key has an
equal share, and who asked for an aggregate that is larger reads it elsewhere.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import repeat
from typing import Final, NamedTuple, TypeAlias

from codec.timestamps import from_datetime
from domain.entity_key import EntityKey
from domain.errors import Overloaded
from domain.ports import Snapshot, StoredAggregate
from domain.timestamp import EARLIEST, Timestamp
from repository.array_arguments import lines
from repository.arrivals import Arrivals
from repository.connections.commits_in_doubt import CommitsInDoubt
from repository.connections.isolation import ReadCommittedPool
from repository.entity_types.expiry import Expiry
from repository.statements import READ
from runtime.supervision import supervised
from telemetry.metrics import Histogram
from telemetry.tracing import Tracer

QUERY_BYTES: Final = 8 * 2**20
"""Of all states in a query: to take them in stops the event loop for some milliseconds."""

Found: TypeAlias = list[StoredAggregate | None]

BATCH_BOUNDS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000)


class TooLarge(NamedTuple):
    """Some of the aggregates are larger than their share of a query."""

    bytes: int
    """What all of them have; those that are asked for again count again."""


class _Query(NamedTuple):
    """What a query gave."""

    found: Found
    """As it is served."""
    sizes: Sequence[int]
    """If some are larger than their share, and so missing in `found`: how long all states are, as
    they are stored."""
    read_time: Timestamp

    def part(self, start: int, end: int) -> Snapshot | TooLarge:
        """What it gave to one of its requests."""
        found = self.found[start:end]
        if self.sizes:
            sizes = self.sizes[start:end]
            if any(size and each is None for each, size in zip(found, sizes, strict=True)):
                return TooLarge(sum(sizes))
        return Snapshot(found, self.read_time)


class _Request(NamedTuple):
    keys: Sequence[EntityKey]
    answer: "asyncio.Future[Snapshot | TooLarge]"


class ReadCoalescer:
    """Reads aggregates by key, many requests to a query, as they are served at its read time.

    Queries run only in tasks of its own, which nobody cancels.
    """

    def __init__(
        self,
        pool: ReadCommittedPool,
        in_doubt: CommitsInDoubt,
        expiry: Expiry,
        *,
        readers: int,
        max_waiting: int,
        query_keys: int = 128,
        tracer: Tracer | None = None,
    ) -> None:
        """At most `readers` queries run at a time; a query takes requests until it has `query_keys`
        keys. Larger ones cost more a key: their answers do not stay in the processor's cache.
        """
        self.batch_sizes = Histogram(BATCH_BOUNDS)
        """Keys in a query."""
        self._pool = pool
        self._in_doubt = in_doubt
        self._expiry = expiry
        self._tracer = tracer
        self._query_keys = query_keys
        self._max_waiting = max_waiting
        self._waiting: deque[_Request] = deque()
        self._waiting_keys = 0
        self._arrivals = Arrivals()
        self._short_queries = 0
        """How many are under way, or about to be."""
        self._idle: deque[asyncio.Future[None]] = deque()
        self._tasks = [supervised("reader", self._run) for _ in range(readers)]

    async def read(self, keys: Sequence[EntityKey]) -> Snapshot | TooLarge:
        """Read every key in one snapshot."""
        if not keys:
            return Snapshot((), EARLIEST)
        if len(self._waiting) >= self._max_waiting:
            raise Overloaded
        answer: asyncio.Future[Snapshot | TooLarge] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Request(keys, answer))
        if self._tracer is not None:
            self._tracer.follow("read", answer)
        self._waiting_keys += len(keys)
        self._arrivals.note()
        self._wake_a_reader()
        return await answer

    @property
    def waiting(self) -> int:
        """How many reads are in no query."""
        return len(self._waiting)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _wake_a_reader(self) -> None:
        # A query that is short will soon be over, and then take along what waits: few queries of
        # many keys cost much less than many of few.
        if self._short_queries and self._waiting_keys < self._query_keys:
            return
        while self._idle:
            sleeper = self._idle.popleft()
            if not sleeper.done():
                sleeper.set_result(None)
                return

    async def _run(self) -> None:
        while True:
            await self._query()
            if not self._waiting:
                sleeper = asyncio.get_running_loop().create_future()
                self._idle.append(sleeper)
                await sleeper

    async def _query(self) -> None:
        """Answer what waits, as much as fits into one query."""
        self._short_queries += 1
        short = True
        try:
            await self._arrivals.let_in(self._takes_more)
            keys, requests = self._next_query()
            short = len(keys) < self._query_keys
            if not short:
                self._short_queries -= 1
                if self._waiting:
                    self._wake_a_reader()
            await self._answer(keys, requests)
        finally:
            if short:
                self._short_queries -= 1

    def _takes_more(self) -> bool:
        """Whether a query for what waits would be a short one."""
        return 0 < self._waiting_keys < self._query_keys

    def _next_query(self) -> tuple[list[EntityKey], list[_Request]]:
        requests: list[_Request] = []
        keys: list[EntityKey] = []
        while self._waiting and len(keys) < self._query_keys:
            request = self._waiting.popleft()
            self._waiting_keys -= len(request.keys)
            if not request.answer.done():
                requests.append(request)
                keys += request.keys
        return keys, requests

    async def _answer(self, keys: Sequence[EntityKey], requests: Sequence[_Request]) -> None:
        if not requests:
            return
        try:
            self.batch_sizes.observe(len(keys))
            with self._traced(requests):
                query = await self._read(keys)
            self._give(query, requests)
        except Exception as error:
            for request in requests:
                if not request.answer.done():
                    request.answer.set_exception(error)

    @staticmethod
    def _give(query: _Query, requests: Sequence[_Request]) -> None:
        start = 0
        for keys_of_request, answer in requests:
            end = start + len(keys_of_request)
            if not answer.done():
                answer.set_result(query.part(start, end))
            start = end

    def _traced(self, requests: Sequence[_Request]) -> AbstractContextManager[None]:
        if self._tracer is None:
            return nullcontext()
        return self._tracer.batch("query", [request.answer for request in requests])

    async def _read(self, keys: Sequence[EntityKey]) -> _Query:
        """Read each key once, although many may ask for it, or one again and again."""
        # Of an answer, each repetition takes as much as the first.
        share = QUERY_BYTES // len(keys)
        ids = {key[1] for key in keys}
        if len(ids) == len(keys):
            return await self._read_different(keys, share)
        asked = tuple(dict.fromkeys(keys))
        different = await self._read_different(asked, share)
        numbers = {key: number for number, key in enumerate(asked)}
        places = [numbers[key] for key in keys]
        found, sizes, read_time = different
        return _Query(
            [found[place] for place in places],
            [sizes[place] for place in places] if sizes else (),
            read_time,
        )

    async def _read_different(self, keys: Sequence[EntityKey], share: int) -> _Query:
        types, ids = zip(*keys, strict=True)
        found: Found = [None] * len(keys)
        sizes: Sequence[int] = ()
        arguments = (lines(types), lines(ids), share)
        server = self._in_doubt.generation
        (record,) = await self._pool.read(READ.query("read_aggregates"), *arguments)
        epoch, generation, in_doubt, time, larger, ordinals, *columns = record
        if ordinals is not None:
            uids, versions, states = columns
            aggregates = map(StoredAggregate, uids, repeat(epoch), versions, states)
            for ordinal, stored in zip(ordinals, aggregates, strict=True):
                found[ordinal - 1] = stored
            if larger is not None:
                sizes = _take_out_larger(found, ordinals, states, larger)
        await self._expiry.catch_up(epoch, generation)
        read_time = from_datetime(time)
        await self._expiry.serve(keys, found, read_time)
        if in_doubt:
            await self._in_doubt.settle(server)
        return _Query(found, sizes, read_time)


def _take_out_larger(
    found: Found, ordinals: Sequence[int], states: Sequence[bytes | None], larger: Sequence[int]
) -> Sequence[int]:
    """Take out of `found` what has no state, as it is larger; returns how long all states are."""
    sizes = [0] * len(found)
    lengths = iter(larger)
    for ordinal, state in zip(ordinals, states, strict=True):
        if state is None:
            found[ordinal - 1] = None
        sizes[ordinal - 1] = next(lengths) if state is None else len(state)
    return sizes
