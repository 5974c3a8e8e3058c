"""Connections to PostgreSQL, and single statements on them."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeAlias, TypeVar

import asyncpg

from domain.errors import DatabaseUnavailable
from domain.figures import Distribution
from domain.tracing import Tracer
from repository.connections.known import (
    Backend,
    KnownConnection,
    get_to_know,
    leave_as_it_is,
    terminate,
)
from repository.connections.sqlstates import Verdict, sqlstate_of, verdict
from repository.connections.traced_connection import traced_connections
from repository.credentials.password import Password
from repository.migrations import window
from repository.time_outs import milliseconds

Record: TypeAlias = asyncpg.Record
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
Result = TypeVar("Result")

log = logging.getLogger(__name__)

SECONDS_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

CLOSING: Final = 3.0
"""Seconds that `Pool.close` takes at most."""

# A page of a long history comes in the order of the index. PostgreSQL takes the columns of a key
# for independent of each other, so it expects few changes of an entity, and would sort all of them.
READ_COMMITTED: Final = {"default_transaction_isolation": "read committed", "enable_sort": "off"}

# A nested loop over the sorted keys of a batch takes its row locks in their order, so batches never
# deadlock; and no sequential scan may lock a whole relation against other serializable writers.
SERIALIZABLE: Final = {
    "default_transaction_isolation": "serializable",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
}


class TransactionAborted(Exception):
    """The transaction lost a race and left nothing; it may be run again."""


class AnswerLost(Exception):
    """The connection broke while a transaction was under way: it may have been committed."""

    def __init__(self, reason: str, backend: Backend | None = None) -> None:
        """`backend` may still have the transaction under way, or be about to get it."""
        super().__init__(reason)
        self.backend = backend


class AnswerTooLarge(Exception):
    """The database cannot give all that was asked for in one answer."""


class Pool:
    """Connections of one isolation level, made when they are needed.

    Only tasks that nobody cancels may use it: cancelling a query makes the driver open another
    connection, without a time limit.
    """

    def __init__(
        self,
        dsn: str,
        isolation: dict[str, str],
        *,
        size: int,
        statement_timeout: float,
        password: Password | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """`statement_timeout` in seconds: PostgreSQL gives up then, and a little later we do."""
        self.seconds = Distribution(SECONDS_BOUNDS)
        """What a piece of work took on its connection."""
        self.failures: Counter[tuple[Verdict, str]] = Counter()
        """By what they mean, and by SQLSTATE."""
        self._size = size
        self._timeout = statement_timeout + 1.0
        patience = str(milliseconds(statement_timeout))
        self._pool = asyncpg.create_pool(
            dsn,
            password=password,
            min_size=0,
            max_size=size,
            max_inactive_connection_lifetime=0,
            max_queries=2**31,
            max_cached_statement_lifetime=0,
            timeout=10.0,
            init=partial(get_to_know, window.BUILD),
            reset=leave_as_it_is,
            connection_class=traced_connections(KnownConnection, tracer)
            if tracer
            else KnownConnection,
            server_settings={
                **isolation,
                "application_name": window.session_name(window.BUILD),
                "statement_timeout": patience,
                "lock_timeout": patience,
                "idle_in_transaction_session_timeout": patience,
                "jit": "off",
                "timezone": "UTC",
            },
        )

    async def open(self) -> None:
        """Prepare the pool. Connects to nothing yet."""
        await self._pool

    @property
    def size(self) -> int:
        """How many connections there may be."""
        return self._size

    @property
    def connections(self) -> tuple[int, int]:
        """How many connections are in use, and how many are idle."""
        idle = self._pool.get_idle_size()
        return max(0, self._pool.get_size() - idle), idle

    async def close(self) -> None:
        """Close every connection, at once if they do not close in time."""
        try:
            await asyncio.wait_for(self._pool.close(), timeout=CLOSING)
        except TimeoutError:
            self._pool.terminate()

    async def read(self, sql: str, *arguments: object) -> list[Record]:
        """Run a statement that only reads. Raises DatabaseUnavailable or AnswerTooLarge."""
        return await self.read_by(lambda connection: connection.fetch(sql, *arguments))

    async def read_by(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Run `work` that only reads, again if its connection breaks. Raises as `read` does."""
        loop = asyncio.get_running_loop()
        latest = loop.time() + self._timeout
        broken = 0
        while True:
            try:
                return await self.run(work)
            except (AnswerLost, TransactionAborted) as failure:
                # Of connections that broke while they were idle, each is found out by using it.
                broken += 1
                if broken > self._size or loop.time() > latest:
                    raise DatabaseUnavailable from failure
                log.info("reading again: %s", failure.__cause__)

    async def run(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Run `work`, one transaction at most, on a connection of its own.

        Raises DatabaseUnavailable if it was not begun, TransactionAborted if it left nothing,
        AnswerLost if that is not known, AnswerTooLarge; and as they are the other errors of
        PostgreSQL, which also leave nothing.
        """
        loop = asyncio.get_running_loop()
        async with self._connection() as connection:
            # The pool's proxy hands it through.
            backend: Backend = connection.backend  # type: ignore[attr-defined]
            begun = loop.time()
            # Just before the time-out: that cancels once, and in a transaction a ROLLBACK follows,
            # which would wait for an answer as long as TCP does.
            cut_off = loop.call_later(self._timeout, terminate, connection)
            try:
                async with asyncio.timeout(self._timeout):
                    return await work(connection)
            except Exception as error:
                judgement = self._judge(error)
                if judgement is Verdict.AGAIN:
                    raise TransactionAborted(str(error)) from error
                if judgement is Verdict.TOO_LARGE:
                    raise AnswerTooLarge from error
                if judgement is Verdict.AWAY:
                    terminate(connection)
                    raise AnswerLost(str(error), backend) from error
                raise
            finally:
                cut_off.cancel()
                self.seconds.observe(loop.time() - begun)

    def _judge(self, error: Exception) -> Verdict:
        """What a failure means. One that the work itself raised is none of the database."""
        judgement, sqlstate = verdict(error), sqlstate_of(error)
        if sqlstate or judgement is not Verdict.FAULT:
            self.failures[judgement, sqlstate] += 1
        return judgement

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        try:
            connection = await self._pool.acquire(timeout=self._timeout)
        except window.SchemaMismatch as misfit:
            raise DatabaseUnavailable(f"This server must not be used: {misfit}.") from misfit
        except Exception as error:
            if self._judge(error) is Verdict.AWAY:
                raise DatabaseUnavailable from error
            raise
        try:
            yield connection
        finally:
            await self._release(connection)

    async def _release(self, connection: Connection) -> None:
        try:
            await self._pool.release(connection, timeout=1.0)
        except Exception as error:
            log.info("a connection was dropped: %s", error)
            terminate(connection)
