"""Feature aggregates in PostgreSQL: the composition of this package's parts."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from codec.timestamps import from_datetime
from domain.entity_key import EntityKey
from domain.limits import DEFAULT_LIMITS
from domain.outcome import Outcome
from domain.ports import (
    AggregateReader,
    AggregateWriter,
    AnswerRoom,
    HistoryPage,
    HistoryQuery,
    ListedAggregate,
    ListedPage,
    PointInTime,
    Snapshot,
    StoredAggregate,
)
from domain.update import Command
from repository.connections.bulkhead import Bulkhead
from repository.connections.commits_in_doubt import CommitsInDoubt
from repository.connections.isolation import ReadCommittedPool, SerializablePool
from repository.connections.pool import CLOSING as POOL_CLOSING
from repository.connections.primary import Primary
from repository.credentials import Password
from repository.dsn.connector import Connector
from repository.entity_types.catalogue import Catalogue
from repository.entity_types.expiry import Expiry
from repository.entity_types.postgres import PostgresEntityTypes
from repository.metrics import (
    past_metrics,
    pipeline_metrics,
    pool_metrics,
    primary_metrics,
    read_metrics,
    retention_metrics,
)
from repository.partitions import maintain_partitions
from repository.pipeline.commit_pipeline import CommitPipeline, Statistics
from repository.pipeline.instrumented_committers import MeasuredCommitter, TracedCommitter
from repository.reading.change_pages import ChangePages
from repository.reading.event_times import EventTimes
from repository.reading.history import History
from repository.reading.incarnations import Incarnations
from repository.reading.large_reads import FEW_KEYS, LargeReads
from repository.reading.past_statements import PastStatements
from repository.reading.read_coalescer import ReadCoalescer, TooLarge
from repository.retention import ObservedRetention
from repository.rules import CelCompiler
from repository.statements import READ
from repository.writing.in_doubt import CLOSING as IN_DOUBT_CLOSING
from repository.writing.write_protocol import WriteProtocol
from runtime.supervision import FAILURES, supervised
from telemetry.metrics import Metric
from telemetry.tracing import Tracer

_DRAINING: Final = 5.0
"""Seconds for which `close` waits for batches under way."""
_STOPPING: Final = 1.0
"""What work takes at most that is cancelled, until Pool gives up its connection."""
CLOSING: Final = _DRAINING + IN_DOUBT_CLOSING + 2 * _STOPPING + 2 * POOL_CLOSING
"""Seconds that `close` takes at most."""

_BULKHEAD: Final = 4
"""Lists, reads of the past and work on entity types at a time."""
_PAGES_OF_THE_PAST: Final = 2
"""Of these, so that long histories never keep out all others."""
_LARGE_READS: Final = 1
"""Reads of many large aggregates at a time, and as many queries for few of them."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PostgresOptions:
    """How to use the database."""

    lanes: int = 2
    readers: int = 2
    max_waiting: int = 8_192
    """Commands that may wait for a lane, as many reads for a reader, and as many beside those."""
    statement_timeout: float = 10.0
    """Seconds."""
    remember_requests: timedelta = timedelta(hours=24)
    """At least: the store may keep request ids for longer."""
    tracer: Tracer | None = None
    password: Password | None = None
    """None: the DSN's, or what libpq's variables say."""

    @property
    def reading_connections(self) -> int:
        """A lane reads and writes one after the other, and may hold a turn meanwhile; lists,
        the past, entity types and large aggregates are beside the readers."""
        return 2 * self.lanes + self.readers + _BULKHEAD + 2 * _LARGE_READS

    @property
    def connections(self) -> int:
        """The most that a repository opens; each lane writes on one."""
        return self.reading_connections + self.lanes


class PostgresRepository(AggregateWriter, AggregateReader):
    """`entity_types` are those of EntityTypeStore, and `compiler` is what compiles their rules."""

    def __init__(self, dsn: str, options: PostgresOptions | None = None) -> None:
        """Connects to nothing yet; `open` must be called in the event loop that will use it.

        Raises DsnRefused.
        """
        options = options or PostgresOptions()
        connector = Connector(dsn, options.password)
        for unused in connector.unused:
            log.info("%s", unused)
        self._options = options
        self.primary = Primary()
        """The server that it works on, to be shared with a probe."""
        self._reading = ReadCommittedPool(
            connector,
            size=options.reading_connections,
            statement_timeout=options.statement_timeout,
            tracer=options.tracer,
            primary=self.primary,
            name="reading",
        )
        self._writing = SerializablePool(
            connector,
            size=options.lanes,
            statement_timeout=options.statement_timeout,
            tracer=options.tracer,
            primary=self.primary,
            name="writing",
        )
        self._in_doubt = CommitsInDoubt(self._reading)
        self._retention = ObservedRetention(options.remember_requests)
        self._bulkhead = Bulkhead(_BULKHEAD, options.max_waiting)
        self.compiler = CelCompiler()
        self._catalogue = Catalogue(self._reading, self.compiler)
        self._expiry = Expiry(self._reading, self._catalogue)
        pages = Bulkhead(_PAGES_OF_THE_PAST, options.max_waiting, within=self._bulkhead)
        self._past = PastStatements(self._reading, pages)
        incarnations = Incarnations(self._past, DEFAULT_LIMITS)
        event_times = EventTimes(self._past, incarnations, DEFAULT_LIMITS)
        self._history = History(self._past, incarnations, event_times, pages, self._expiry)
        self._change_pages = ChangePages(self._past, incarnations)
        changes = Bulkhead(1, options.max_waiting)
        self.entity_types = PostgresEntityTypes(
            self._reading, self._in_doubt, self._bulkhead, changes
        )

    async def open(self) -> None:
        """Begin to take requests. Succeeds also while the database is away."""
        options = self._options
        await self._reading.open()
        await self._writing.open()
        self._protocol = WriteProtocol(
            self._reading, self._writing, self._in_doubt, self._catalogue, DEFAULT_LIMITS
        )
        self._committer = MeasuredCommitter(self._protocol)
        tracer = options.tracer
        self._pipeline = CommitPipeline(
            TracedCommitter(self._committer, tracer) if tracer else self._committer,
            lanes=options.lanes,
            max_waiting=options.max_waiting,
            weight_of=self._protocol.weights.of,
        )
        self._coalescer = ReadCoalescer(
            self._reading,
            self._in_doubt,
            self._expiry,
            readers=options.readers,
            max_waiting=options.max_waiting,
            tracer=tracer,
        )
        self._few_large = ReadCoalescer(
            self._reading,
            self._in_doubt,
            self._expiry,
            readers=_LARGE_READS,
            max_waiting=options.max_waiting,
            query_keys=FEW_KEYS,
            tracer=tracer,
        )
        large = Bulkhead(_LARGE_READS, options.max_waiting)
        self._large_reads = LargeReads(
            self._reading,
            self._in_doubt,
            self._few_large,
            large,
            self._expiry,
            DEFAULT_LIMITS,
        )
        self._maintenance = supervised(
            "partitions", lambda: maintain_partitions(self._reading, self._retention)
        )

    @property
    def statistics(self) -> Statistics:
        """How the commit pipeline fares."""
        return self._pipeline.statistics

    def metrics(self) -> Iterator[Metric]:
        """See telemetry.metrics.MetricSource; there are some once it is open."""
        options = self._options
        yield from FAILURES.metrics()
        yield from pipeline_metrics(
            self._pipeline, self._committer, options.lanes, options.max_waiting
        )
        yield from read_metrics(self._coalescer, options.max_waiting)
        yield from past_metrics(self._past)
        yield from pool_metrics({"reading": self._reading, "writing": self._writing})
        yield from primary_metrics(self.primary)
        yield from retention_metrics(self._retention)

    async def drain(self) -> None:
        """Refuse new updates, and return when those that were taken are answered."""
        await self._pipeline.drain()

    async def close(self) -> None:
        """Drain and let go of the database, within CLOSING seconds.

        A batch that takes longer is cut off: nobody was told that it is committed, and perhaps it
        is not.
        """
        draining = asyncio.ensure_future(self.drain())
        # Waited for and not timed out, which would cancel the lanes in the middle of a statement.
        await asyncio.wait((draining,), timeout=_DRAINING)
        if not draining.done():
            log.warning("a batch does not end; it is cut off")
        # What is cut off here is in doubt, and ended by the protocol, which reads for that.
        await self._writing.close()
        await self._protocol.close()
        self._maintenance.cancel()
        await self._coalescer.close()
        await self._few_large.close()
        await self._reading.close()
        # The lanes have no connection any more.
        draining.cancel()
        in_doubt = asyncio.ensure_future(self._in_doubt.close())
        await asyncio.wait((draining, in_doubt), timeout=_STOPPING)
        if draining.done() and not draining.cancelled():
            draining.result()

    def submit(self, command: Command, deadline: float | None = None) -> "asyncio.Future[Outcome]":
        answer = self._pipeline.submit(command, deadline)
        if self._options.tracer is not None:
            self._options.tracer.follow("update", answer)
        return answer

    async def read(self, keys: Sequence[EntityKey], room: AnswerRoom | None = None) -> Snapshot:
        found = await self._coalescer.read(keys)
        if isinstance(found, TooLarge):
            return await self._large_reads.read(keys, found, room)
        return found

    async def read_as_of(self, key: EntityKey, point: PointInTime) -> StoredAggregate | None:
        server = self._in_doubt.generation
        found = await self._history.read_as_of(key, point)
        await self._bulkhead.run(lambda: self._in_doubt.vouch(server))
        return found

    async def list_changes(self, query: HistoryQuery) -> HistoryPage:
        server = self._in_doubt.generation
        page = await self._change_pages.read(query)
        await self._bulkhead.run(lambda: self._in_doubt.vouch(server))
        return page

    async def list_aggregates(
        self, entity_type: str, after: str, limit: int, max_bytes: int
    ) -> ListedPage:
        return await self._bulkhead.run(lambda: self._list(entity_type, after, limit, max_bytes))

    async def _list(self, entity_type: str, after: str, limit: int, max_bytes: int) -> ListedPage:
        arguments = (entity_type, after, limit, max_bytes)
        server = self._in_doubt.generation
        records = await self._reading.read(READ.query("list_aggregates"), *arguments)
        await self._in_doubt.vouch(server)
        if not records:
            return ListedPage([], more=False)
        await self._expiry.catch_up(records[0]["epoch"], records[0]["types_generation"])
        now = from_datetime(records[0]["read_time"])
        listed = [
            ListedAggregate(
                entity_id,
                self._expiry.served_one(
                    entity_type, StoredAggregate(uid, epoch, version, state), now
                ),
            )
            for entity_id, uid, epoch, version, state, *_ in records
        ]
        return ListedPage(listed, records[-1]["more"])
