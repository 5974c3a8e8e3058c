"""Connections to PostgreSQL that are kept, and work on them. What may be run again: isolation."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import ClassVar, Final, TypeAlias, TypeVar

import asyncpg

from domain.errors import DatabaseUnavailable
from repository.connections.connection import (
    Admission,
    KnownConnection,
    leave_as_it_is,
    traced_connections,
)
from repository.connections.durability import confirmed
from repository.connections.outage import Reconnecting
from repository.connections.primary import Primary
from repository.connections.sqlstates import DISK_FULL, SUSPICIOUS, Failure, Verdict, judge
from repository.dsn.connector import Connector
from repository.migrations import window
from repository.sessions.facts import Backend
from repository.sessions.refusals import SessionRefused, SharedConnection
from repository.sessions.setting_up import terminate
from repository.sessions.settings import Settings, server_settings
from telemetry.metrics import Histogram
from telemetry.tracing import Tracer

Record: TypeAlias = asyncpg.Record
Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
Result = TypeVar("Result")

log = logging.getLogger(__name__)

SECONDS_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

CLOSING: Final = 3.0
"""Seconds that `Pool.close` takes at most."""


class TransactionAborted(Exception):
    """The transaction lost a race and left nothing; it may be run again."""


class AnswerLost(Exception):
    """The connection broke while a transaction was under way: it may have been committed."""

    def __init__(self, reason: str, backend: Backend | None = None) -> None:
        """`backend` may still have the transaction under way, or be about to get it."""
        super().__init__(reason)
        self.backend = backend


class AnswerTooLarge(Exception):
    """The database cannot give in one answer all that was asked for, or take it in one."""

    sqlstate = "54000"


class Pool:
    """Connections of one isolation level, made when they are needed; abstract.

    Only tasks that nobody cancels may use it: cancelling a query makes the driver open another
    connection, without a time limit.
    """

    isolation: ClassVar[Settings]
    """What the sessions set beside what all of them do."""

    def __init__(
        self,
        dsn: str | Connector,
        *,
        size: int,
        statement_timeout: float,
        tracer: Tracer | None = None,
        primary: Primary | None = None,
        name: str = "only",
    ) -> None:
        """`statement_timeout` in seconds: PostgreSQL gives up then, and a little later we do.

        Pools with one `primary` are always on the same server. `name` is for the log.
        """
        self.seconds = Histogram(SECONDS_BOUNDS)
        """What a piece of work took on its connection."""
        self.failures: Counter[tuple[Verdict, str]] = Counter()
        """By what they mean, and by SQLSTATE."""
        self._size = size
        self.patience = statement_timeout + 1.0
        """Seconds after which a statement is given up that PostgreSQL has not."""
        self._primary = primary or Primary()
        self._connector = Connector(dsn) if isinstance(dsn, str) else dsn
        self._reconnecting = Reconnecting(self._connect)
        self._name = name
        self._kind = traced_connections(KnownConnection, tracer) if tracer else KnownConnection
        # Poolers pass the name on. Everything else is set in the session.
        self._at_start = {"application_name": window.session_name(window.BUILD)}
        self._admission = Admission(
            primary=self._primary,
            build=window.BUILD,
            settings=server_settings(
                self.isolation, window.session_name(window.BUILD), statement_timeout
            ),
            connector=self._connector,
            another=partial(self._connector.connect, self._at_start),
        )
        self._pool = asyncpg.create_pool(
            connect=self._reconnecting.connect,
            min_size=0,
            max_size=size,
            max_inactive_connection_lifetime=0,
            max_queries=2**31,
            reset=leave_as_it_is,
            connection_class=self._kind,
        )
        self._primary.on_change(self._pool.expire_connections)

    async def _connect(self) -> KnownConnection:
        connection: KnownConnection = await self._connector.connect(
            self._at_start, self._admission, self._kind
        )
        return connection

    async def open(self) -> None:
        """Prepare the pool. Connects to nothing yet."""
        await self._pool

    @property
    def generation(self) -> int:
        """Another one means that connections lead to another server, perhaps."""
        return self._primary.generation

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

    async def commit(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        """As `run`, for work that writes. Raises AnswerLost also if PostgreSQL gives a warning: the
        commit can be seen then, and perhaps no standby has it.
        """
        return await self.run(lambda connection: confirmed(connection, work(connection)))

    async def renew(self) -> None:
        """Use no connection again that is there now."""
        await self._pool.expire_connections()

    async def run(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Run `work`, one transaction at most, on a connection of its own.

        Raises TransactionAborted if it lost a race, DatabaseUnavailable if the database cannot work
        now, AnswerTooLarge; and as they are the other errors of PostgreSQL. All of them leave
        nothing. Raises AnswerLost if it is not known what it left.
        """
        loop = asyncio.get_running_loop()
        async with self._connection() as connection:
            # The pool's proxy hands them through.
            backend: Backend = connection.backend  # type: ignore[attr-defined]
            generation: int = connection.generation  # type: ignore[attr-defined]
            if generation != self._primary.generation:
                terminate(connection)
                raise TransactionAborted("the connection was given up before it was used")
            begun = loop.time()
            # Just before the time-out: that cancels once, and in a transaction a ROLLBACK follows,
            # which would wait for an answer as long as TCP does.
            cut_off = loop.call_later(self.patience, terminate, connection)
            try:
                async with asyncio.timeout(self.patience):
                    result = await work(connection)
                if generation != self._primary.generation:
                    # The server may be the primary no more; then what it did is lost.
                    terminate(connection)
                    raise AnswerLost("the connection was given up meanwhile", backend)
                if self._primary.outage.goes_on:
                    self._primary.outage.worked(self._name)
                return result
            except AnswerLost:
                raise
            except SharedConnection as error:
                await self._primary.suspect(str(error))
                terminate(connection)
                raise AnswerLost(str(error), backend) from error
            except Exception as error:
                failure = self._judge(error)
                await self._note(failure)
                self._drop_if_of_no_use(connection, failure)
                match failure.verdict:
                    case Verdict.RETRY:
                        raise TransactionAborted(str(error)) from error
                    case Verdict.UNAVAILABLE | Verdict.HEAVY:
                        raise _unavailable(failure) from error
                    case Verdict.TOO_LARGE:
                        raise AnswerTooLarge(str(error)) from error
                    case Verdict.LOST:
                        raise AnswerLost(str(error), backend) from error
                raise
            finally:
                cut_off.cancel()
                self.seconds.observe(loop.time() - begun)

    def _drop_if_of_no_use(self, connection: Connection, failure: Failure) -> None:
        """A connection on which a statement was refused is as good as a new one; not so one that
        broke, or that turns out to lead to a standby, as another one may lead to the primary."""
        broken = failure.verdict is Verdict.LOST
        if broken or (failure.verdict is Verdict.UNAVAILABLE and _is_standby(connection)):
            terminate(connection)

    def _judge(self, error: Exception, connecting: bool = False) -> Failure:
        """What a failure means. One that the work itself raised is none of the database."""
        failure = judge(error, connecting)
        if failure.sqlstate or failure.verdict is not Verdict.FAULT:
            self.failures[failure.verdict, failure.sqlstate] += 1
            self._primary.outage.failed(failure, self._name, self._connector.host, error)
        return failure

    async def _note(self, failure: Failure) -> None:
        """See what a failure tells of the server, beyond this piece of work."""
        if failure.verdict is Verdict.LOST:
            self._primary.is_suspected = True
        if failure.sqlstate in SUSPICIOUS and failure.verdict is Verdict.UNAVAILABLE:
            await self._primary.suspect(f"SQLSTATE {failure.sqlstate}")
        elif failure.sqlstate == DISK_FULL:
            self._primary.disk_is_full = True

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        try:
            # Each host has a time of its own, so that one that is silent does not hide another.
            connection = await self._pool.acquire(timeout=self.patience + self._connector.seconds)
        except window.SchemaMismatch as misfit:
            raise DatabaseUnavailable(f"this server must not be used: {misfit}") from misfit
        except SessionRefused as refusal:
            self.failures[Verdict.UNAVAILABLE, refusal.sqlstate] += 1
            failure = Failure(
                Verdict.UNAVAILABLE, refusal.sqlstate, "it lets nobody in who may be served"
            )
            self._primary.outage.failed(failure, self._name, self._connector.host, refusal)
            raise DatabaseUnavailable(str(refusal), refusal.sqlstate) from refusal
        except Exception as error:
            failure = self._judge(error, connecting=True)
            if failure.verdict is Verdict.FAULT:
                raise
            raise _unavailable(failure) from error
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


def _unavailable(failure: Failure) -> DatabaseUnavailable:
    return DatabaseUnavailable(failure.words, failure.sqlstate)


def _is_standby(connection: Connection) -> bool:
    """Whether the server has said so; it does as soon as that changes."""
    try:
        settings = connection.get_settings()
    except asyncpg.InterfaceError:  # the driver has let go of it
        return False
    return getattr(settings, "in_hot_standby", "off") == "on"
