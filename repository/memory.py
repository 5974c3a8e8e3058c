"""Feature aggregates in memory: for tests that need no database, and equal to PostgreSQL in all
that tests/conformance asks."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Final
from uuid import UUID, uuid4

from application.evaluation import Evaluation, KnownRequest, RequestKey
from application.working_copy import RecordedChange, Trace, WorkingCopy
from codec.expiry import how_written, without_expired
from codec.state import dump_aggregate, load_aggregate, new_aggregate
from domain.entity_key import EntityKey
from domain.errors import FeatomError, LimitExceeded
from domain.limits import DEFAULT_LIMITS
from domain.outcome import Outcome
from domain.ports import (
    AggregateReader,
    AggregateWriter,
    AnswerRoom,
    AtEventTime,
    HistoryPage,
    HistoryQuery,
    ListedAggregate,
    ListedPage,
    PointInTime,
    Snapshot,
    StoredAggregate,
)
from domain.timestamp import EARLIEST, MICROSECOND, Timestamp
from domain.update import Command, UpdateBatch, keys_of
from repository.entity_types.memory import MemoryEntityTypes
from repository.memory_history import page_of, past_of
from repository.page_length import page_length
from repository.pipeline.submission import Submission, out_of_time
from repository.rules import CelCompiler

_EPOCH: Final = 1


class MemoryRepository(AggregateWriter, AggregateReader):
    """Keeps what it is given as long as it lives."""

    def __init__(self) -> None:
        self._stored: dict[EntityKey, StoredAggregate] = {}
        self._changes: defaultdict[EntityKey, list[RecordedChange]] = defaultdict(list)
        self._known: dict[RequestKey, KnownRequest] = {}
        self.compiler = CelCompiler()
        self.entity_types = MemoryEntityTypes(self._stored, self.compiler)

    def submit(self, command: Command, deadline: float | None = None) -> "asyncio.Future[Outcome]":
        loop = asyncio.get_running_loop()
        submission = Submission(command, loop.create_future(), deadline or 0)
        if deadline is not None and deadline <= loop.time():
            submission.settle(out_of_time(submission))
        else:
            submission.settle(self._commit(command))
        return submission.answer

    async def read(self, keys: Sequence[EntityKey], room: AnswerRoom | None = None) -> Snapshot:
        found = [self._stored.get(key) for key in keys]
        size = sum(len(stored.state) for stored in found if stored is not None)
        if size > DEFAULT_LIMITS.answer_bytes:
            limit = DEFAULT_LIMITS.answer_bytes
            raise LimitExceeded("bytes of aggregates in an answer", limit, size)
        now = _now()
        served = (
            self._served(key.entity_type, stored, now) if stored else None
            for key, stored in zip(keys, found, strict=True)
        )
        return Snapshot(served, now)

    async def read_as_of(self, key: EntityKey, point: PointInTime) -> StoredAggregate | None:
        past = past_of(self._changes[key], point)
        if past is None:
            return None
        uid, state = past
        found = StoredAggregate(uid, _EPOCH, *state)
        written = how_written(found.state)
        now = point.served_at(written.update_time)
        if isinstance(point, AtEventTime):
            revisions = self.entity_types
            definition = await revisions.revision(key.entity_type, written.entity_type_revision)
        else:
            definition = self.entity_types.in_force(key.entity_type, now)
        if definition is None:
            return found
        return found._replace(state=without_expired(found.state, definition.expiring, now))

    async def list_changes(self, query: HistoryQuery) -> HistoryPage:
        return page_of(self._changes[query.key], query)

    async def list_aggregates(
        self, entity_type: str, after: str, limit: int, max_bytes: int
    ) -> ListedPage:
        following = sorted(
            (key.entity_id, stored)
            for key, stored in self._stored.items()
            if key.entity_type == entity_type and key.entity_id > after
        )
        sizes = (len(stored.state) for _, stored in following)
        page = following[: page_length(sizes, limit, max_bytes)]
        now = _now()
        listed = [
            ListedAggregate(each, self._served(entity_type, found, now)) for each, found in page
        ]
        return ListedPage(listed, len(listed) < len(following))

    def _served(self, entity_type: str, stored: StoredAggregate, now: Timestamp) -> StoredAggregate:
        policy = self.entity_types.policy(entity_type)
        if policy is None or not policy.expiring:
            return stored
        return stored._replace(state=without_expired(stored.state, policy.expiring, now))

    def _commit(self, command: Command) -> Outcome | FeatomError:
        now = _now()
        keys = keys_of(command)
        copies = {key: self._copy(key) for key in keys}
        evaluation = Evaluation(copies, self._known, now)
        size = sum(len(self._stored[key].state) for key in keys if key in self._stored)
        limit = DEFAULT_LIMITS.batch_bytes
        if isinstance(command, UpdateBatch) and size > limit:
            known = evaluation.known_outcome(command)
            return known or LimitExceeded("bytes of aggregates in a batch", limit, size)
        answer = evaluation.evaluate(command)
        assert answer is not None  # there are no others before it
        for copy in copies.values():
            self._keep(copy)
        return answer

    def _copy(self, key: EntityKey) -> WorkingCopy:
        stored = self._stored.get(key)
        policy = self.entity_types.policy(key.entity_type)
        trace = None
        if stored is None:
            uid: UUID = uuid4()
            trace = self._trace(key)
            aggregate = new_aggregate(key, uid, _EPOCH, DEFAULT_LIMITS, policy=policy)
        else:
            aggregate = load_aggregate(
                key, stored.uid, _EPOCH, stored.state, DEFAULT_LIMITS, policy
            )
        return WorkingCopy(
            key=key,
            aggregate=aggregate,
            existed=stored is not None,
            limits=DEFAULT_LIMITS,
            policy=policy,
            trace=trace,
        )

    def _trace(self, key: EntityKey) -> Trace | None:
        if self._changes[key]:
            last = self._changes[key][-1].change
            return Trace(last.uid, last.version, last.commit_time)
        is_known = any(known == key for known, _ in self._known)
        return Trace(uuid4(), 0, EARLIEST) if is_known else None

    def _keep(self, copy: WorkingCopy) -> None:
        if copy.erase_history:
            self._changes[copy.key].clear()
            own = {request.request_id for request in copy.requests}
            for known in [each for each in self._known if each[0] == copy.key]:
                if known[1] not in own:
                    del self._known[known]
        self._changes[copy.key].extend(copy.changes)
        if not copy.writes:
            return
        aggregate = copy.aggregate
        if aggregate.exists:
            self._stored[copy.key] = StoredAggregate(
                aggregate.uid, _EPOCH, aggregate.version, dump_aggregate(aggregate)
            )
        else:
            self._stored.pop(copy.key, None)


def _now() -> Timestamp:
    """The one clock of reads and updates."""
    return time.time_ns() // MICROSECOND * MICROSECOND
