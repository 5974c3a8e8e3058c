"""Coalesced reads: what arrives while a query is under way forms the next one.

Each query is one statement, so one snapshot, and it begins after every read in it was asked for: a
read sees all that was acknowledged before it.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import repeat
from typing import Final, NamedTuple, TypeAlias

from domain.entity_key import EntityKey
from domain.errors import LimitExceeded, Overloaded
from domain.figures import Distribution
from domain.ports import StoredAggregate
from domain.tracing import Tracer
from repository.arrivals import Arrivals
from repository.codec.instants import from_datetime
from repository.connections.pool import AnswerTooLarge, Pool
from repository.entity_types.expiry import Expiry
from repository.statements import READ
from repository.texts import lines

# What PostgreSQL can put into one value.
_MAX_ANSWER_BYTES: Final = 2**30

Found: TypeAlias = list[StoredAggregate | None]

BATCH_BOUNDS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000)


class _Request(NamedTuple):
    keys: Sequence[EntityKey]
    answer: "asyncio.Future[Found]"


class ReadCoalescer:
    """Reads aggregates by key, many requests to a query, as they are served at its read time.

    Queries run only in tasks of its own, which nobody cancels.
    """

    def __init__(
        self,
        pool: Pool,
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
        self.batch_sizes = Distribution(BATCH_BOUNDS)
        """Keys in a query."""
        self._pool = pool
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
        self._tasks = [asyncio.create_task(self._run(), name="reader") for _ in range(readers)]

    async def read(self, keys: Sequence[EntityKey]) -> Found:
        """Read every key in one snapshot. See domain.ports.AggregateReader."""
        if not keys:
            return []
        if len(self._waiting) >= self._max_waiting:
            raise Overloaded
        answer: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
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
            self._short_queries += 1
            await self._arrivals.let_in(self._takes_more)
            keys, requests = self._next_query()
            if len(keys) < self._query_keys:
                await self._answer(keys, requests)
                self._short_queries -= 1
            else:
                self._short_queries -= 1
                if self._waiting:
                    self._wake_a_reader()
                await self._answer(keys, requests)
            if not self._waiting:
                sleeper = asyncio.get_running_loop().create_future()
                self._idle.append(sleeper)
                await sleeper

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
        self.batch_sizes.observe(len(keys))
        try:
            with self._traced(requests):
                found = await self._read(keys)
        except AnswerTooLarge as error:
            await self._answer_apart(requests, error)
            return
        except Exception as error:
            for request in requests:
                if not request.answer.done():
                    request.answer.set_exception(error)
            return
        start = 0
        for keys_of_request, answer in requests:
            end = start + len(keys_of_request)
            if not answer.done():
                answer.set_result(found[start:end])
            start = end

    def _traced(self, requests: Sequence[_Request]) -> AbstractContextManager[None]:
        if self._tracer is None:
            return nullcontext()
        return self._tracer.batch("query", [request.answer for request in requests])

    async def _answer_apart(self, requests: Sequence[_Request], error: AnswerTooLarge) -> None:
        if len(requests) > 1:
            for request in requests:
                await self._answer(request.keys, [request])
        elif not requests[0].answer.done():
            too_large = LimitExceeded("bytes in an answer", _MAX_ANSWER_BYTES)
            too_large.__cause__ = error
            requests[0].answer.set_exception(too_large)

    async def _read(self, keys: Sequence[EntityKey]) -> Found:
        """Read each key once, although many may ask for it, or one again and again."""
        ids = {key[1] for key in keys}
        if len(ids) == len(keys):
            return await self._read_different(keys)
        asked = tuple(dict.fromkeys(keys))
        found = dict(zip(asked, await self._read_different(asked), strict=True))
        return [found[key] for key in keys]

    async def _read_different(self, keys: Sequence[EntityKey]) -> Found:
        types, ids = zip(*keys, strict=True)
        found: Found = [None] * len(keys)
        (record,) = await self._pool.read(READ["read_aggregates"], lines(types), lines(ids))
        epoch, generation, read_time, ordinals, *columns = record
        if ordinals is not None:
            uids, versions, states = columns
            aggregates = map(StoredAggregate, uids, repeat(epoch), versions, states)
            for ordinal, stored in zip(ordinals, aggregates, strict=True):
                found[ordinal - 1] = stored
        await self._expiry.catch_up(generation)
        return self._expiry.served(keys, found, from_datetime(read_time))
