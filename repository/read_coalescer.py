"""Coalesced reads: what arrives while a query is under way forms the next one.

Each query is one statement, so one snapshot, and it begins after every read in it was asked for: a
read sees all that was acknowledged before it.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final, NamedTuple, TypeAlias

from domain.entity_key import EntityKey
from domain.errors import Overloaded
from domain.figures import Distribution
from domain.ports import StoredAggregate
from domain.tracing import Tracer
from repository.entity_types.expiry import Expiry
from repository.pool import Pool
from repository.statements import READ

Found: TypeAlias = list[StoredAggregate | None]

BATCH_BOUNDS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000)


class _Request(NamedTuple):
    keys: Sequence[EntityKey]
    answer: "asyncio.Future[Found]"


class ReadCoalescer:
    """Reads aggregates by key, many requests to a query.

    Queries run only in tasks of its own, which nobody cancels.
    """

    def __init__(
        self,
        pool: Pool,
        expiry: Expiry,
        *,
        readers: int = 2,
        max_keys: int = 1_000,
        max_waiting: int = 8_192,
        tracer: Tracer | None = None,
    ) -> None:
        """`readers` queries run at a time; a query takes `max_keys` and the rest of a request."""
        self.batch_sizes = Distribution(BATCH_BOUNDS)
        """Keys in a query."""
        self._pool = pool
        self._expiry = expiry
        self._tracer = tracer
        self._max_keys = max_keys
        self._max_waiting = max_waiting
        self._waiting: deque[_Request] = deque()
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
        self._wake()
        return await answer

    @property
    def waiting(self) -> int:
        """How many reads are in no query."""
        return len(self._waiting)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _wake(self) -> None:
        while self._idle:
            sleeper = self._idle.popleft()
            if not sleeper.done():
                sleeper.set_result(None)
                return

    async def _run(self) -> None:
        while True:
            requests = self._next_requests()
            if requests:
                await self._answer(requests)
            else:
                sleeper = asyncio.get_running_loop().create_future()
                self._idle.append(sleeper)
                await sleeper

    def _next_requests(self) -> list[_Request]:
        requests: list[_Request] = []
        keys = 0
        while self._waiting and keys < self._max_keys:
            request = self._waiting.popleft()
            if not request.answer.done():
                requests.append(request)
                keys += len(request.keys)
        return requests

    async def _answer(self, requests: Sequence[_Request]) -> None:
        keys = [key for request in requests for key in request.keys]
        self.batch_sizes.observe(len(keys))
        try:
            with self._traced(requests):
                found = await self._read(keys)
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

    async def _read(self, keys: Sequence[EntityKey]) -> Found:
        types, ids = zip(*keys, strict=True)
        found: Found = [None] * len(keys)
        records = await self._pool.read(READ["read_aggregates"], types, ids)
        for ordinal, uid, epoch, version, state, _ in records:
            found[ordinal - 1] = StoredAggregate(uid, epoch, version, state)
        if records:
            await self._expiry.catch_up(records[0][-1])
        return found
