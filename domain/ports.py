"""What the server needs of storage. Every implementation passes tests/conformance."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, TypeAlias
from uuid import UUID

from domain.entity_key import EntityKey
from domain.etag import Etag
from domain.outcome import BatchOutcome, DeletionOutcome, Outcome, UpdateOutcome
from domain.timestamp import Timestamp
from domain.update import Command, Deletion, Update, UpdateBatch


class StoredAggregate(NamedTuple):
    """One committed version of one aggregate, in the form in which it is stored and served."""

    uid: UUID
    epoch: int
    version: int
    state: bytes
    """A serialized featom.v1.FeatureAggregate without its etag."""
    inexact_features: Sequence[str] = ()
    """As of an event time: those of which it is not certain what they were then."""

    @property
    def etag(self) -> Etag:
        return Etag(self.uid, self.epoch, self.version)


class Snapshot(list[StoredAggregate | None]):
    """What was found for some keys, in their order; None where there is no aggregate."""

    __slots__ = ("read_time",)

    def __init__(self, found: Iterable[StoredAggregate | None], read_time: Timestamp) -> None:
        super().__init__(found)
        self.read_time = read_time
        """The moment for which it was worked out what has expired, by the database's clock."""


class ListedAggregate(NamedTuple):
    """A stored aggregate and its id."""

    entity_id: str
    aggregate: StoredAggregate


class ListedPage(NamedTuple):
    """Some of the aggregates of a type, ordered by id."""

    aggregates: Sequence[ListedAggregate]
    more: bool
    """Whether there are others after them."""


class AtVersion(NamedTuple):
    """The past, as it was at a version."""

    version: int
    uid: UUID | None = None
    """Of which incarnation; None: of the newest."""
    read_time: Timestamp | None = None
    """When it was served; None: at once."""

    def served_at(self, update_time: Timestamp) -> Timestamp:
        """The read time of a version that was committed at `update_time`."""
        return update_time if self.read_time is None else self.read_time


class AtCommitTime(NamedTuple):
    """The past, as it was at a time of the database's clock."""

    time: Timestamp
    uid: UUID | None = None
    """Of which incarnation; None: of the one that lived then."""

    def served_at(self, update_time: Timestamp) -> Timestamp:
        """The read time, whenever the version was committed."""
        return self.time


class AtEventTime(NamedTuple):
    """The past, as all events up to an event time make it, late ones included."""

    time: Timestamp
    uid: UUID | None = None
    """Of which incarnation; None: of the newest that has anything then, unless a deletion up to
    that time came after it."""

    def served_at(self, update_time: Timestamp) -> Timestamp:
        """The read time, whenever the version was committed."""
        return self.time


PointInTime: TypeAlias = AtVersion | AtCommitTime | AtEventTime


class ChangePosition(NamedTuple):
    """Where a change stands in the history of its entity."""

    uid: UUID
    version: int
    commit_time: Timestamp


class HistoryQuery(NamedTuple):
    """Asks for some of the changes of one entity."""

    key: EntityKey
    limit: int
    max_bytes: int
    uid: UUID | None = None
    """Of one incarnation; None: of all, one after the other."""
    after: ChangePosition | None = None
    """Those that follow this one; None: from the beginning."""
    newest_first: bool = True


class HistoryPage(NamedTuple):
    """Some of the changes of one entity."""

    changes: Sequence[bytes]
    """Each a serialized featom.v1.AggregateChange."""
    end: ChangePosition | None
    """Of the last of them, if there are others after it."""
    history_begin: Timestamp
    """Changes from before this time are not kept."""


class AggregateWriter(Protocol):
    """Where updates become durable."""

    def submit(self, command: Command, deadline: float | None = None) -> "asyncio.Future[Outcome]":
        """Begin to commit one command, atomically; the future has its outcome.

        Must not fulfil the future before the commit is durable.
        Must apply commands that share a key in the order in which they were given.
        Must answer a request id that is known for one of its keys with its first outcome, marked as
        replayed, and apply it no second time.
        Must leave nothing of an entity that a deletion erases but a change without features that
        tells of it, and the request id of that deletion: also where the aggregate was deleted
        before. Only if nothing is left of it is that AggregateNotFound.
        Must not start after `deadline` (of the event loop's clock), nor after the future was
        cancelled; the command is then there whole or not at all.
        Must fail the future with InvalidValue, LimitExceeded, StaleEtag, AggregateExists,
        RuleViolated, LateValue, AggregateNotFound, RequestIdReused, Corrupted or Unavailable, and
        must then have changed nothing, except under CommitUnknown. The error of a batch names the
        updates that are to blame: see domain.batch_errors.
        Must raise Overloaded or Draining at once.
        """

    async def update(self, update: Update, deadline: float | None = None) -> UpdateOutcome:
        """Submit one update and wait for it."""
        outcome = await self.submit(update, deadline)
        assert isinstance(outcome, UpdateOutcome)
        return outcome

    async def delete(self, deletion: Deletion, deadline: float | None = None) -> DeletionOutcome:
        """Submit one deletion and wait for it."""
        outcome = await self.submit(deletion, deadline)
        assert isinstance(outcome, DeletionOutcome)
        return outcome

    async def update_batch(self, batch: UpdateBatch, deadline: float | None = None) -> BatchOutcome:
        """Submit updates that are made together and wait for them."""
        outcome = await self.submit(batch, deadline)
        assert isinstance(outcome, BatchOutcome)
        return outcome


class AnswerRoom(Protocol):
    """Room for the bytes of one answer, among all answers that are on their way."""

    async def take(self, size: int) -> None:
        """Wait for room for so many bytes more. Raises Overloaded if there is none for too long."""


class AggregateReader(Protocol):
    """Where committed versions are read from."""

    async def read(self, keys: Sequence[EntityKey], room: AnswerRoom | None = None) -> Snapshot:
        """Read every key in one snapshot, in the order given.

        Must see every update that was acknowledged before the call.
        Must take `room` for large aggregates before it reads them into memory, and must raise
        LimitExceeded before that if all of them are more than one answer may have.
        Must raise Overloaded if too many wait, Unavailable when the database cannot be reached or
        what was read is not known to be durable, and Corrupted if it cannot be taken apart.
        """

    async def read_as_of(self, key: EntityKey, point: PointInTime) -> StoredAggregate | None:
        """Read an aggregate as it was, also if it was deleted since; None where it has no such
        past, or that was erased.

        What had expired is left out by the entity type that was in force at the read time; at an
        event time, by the one that the newest of its values was written under.
        Must see every update that was acknowledged before the call.
        Must raise LimitExceeded where that takes more changes, or incarnations, than one read may
        go through, or makes more than one answer may have; Overloaded if too many wait; and
        Unavailable or Corrupted as `read`.
        """

    async def list_changes(self, query: HistoryQuery) -> HistoryPage:
        """Read the first changes of an entity that a query asks for.

        Up to `query.limit` (more than 0), and no more than have `query.max_bytes` in all; but one
        in any case, if there is one.
        Pages that follow each other must have each change once that was there when the first was
        read, unless it was erased or dropped meanwhile.
        Must see every update that was acknowledged before the call.
        Must raise LimitExceeded where an entity has more incarnations than one read may look for;
        Overloaded if too many wait; and Unavailable as `read`.
        """

    async def list_aggregates(
        self, entity_type: str, after: str, limit: int, max_bytes: int
    ) -> ListedPage:
        """Read the first aggregates of a type with ids after `after`, ordered by id.

        Up to `limit` (more than 0), and no more than have `max_bytes` of stored state in all; but
        one in any case, if there is one.
        Must not read what it does not return into memory.
        Must raise Overloaded, Unavailable and Corrupted as `read`.
        """
