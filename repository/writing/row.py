"""One aggregate in a batch: as it was read, and as the commands of the batch leave it."""

from collections.abc import Callable
from typing import Final, NamedTuple
from uuid import UUID, uuid4

from msgspec import Struct
from msgspec.structs import replace

from codec.change import dump_change
from codec.expiry import without_expired
from codec.historical_state import KEYFRAME_INTERVAL
from codec.state import dump_aggregate, new_aggregate
from domain.aggregate import FeatureAggregate
from domain.change import Change
from domain.entity_key import EntityKey
from domain.limits import Limits
from domain.outcome import DeletionOutcome, UpdateOutcome
from domain.policy import Policy
from domain.timestamp import MICROSECOND, Timestamp
from domain.update import Deletion, Update

_UNKNOWN: Final = 0
"""No transaction has this number."""


class StoredRow(Struct, frozen=True, gc=False):
    """What tells whether a row is still the one that was read."""

    xmin: int
    version: int


class RecordedChange(Struct, frozen=True, gc=False):
    """A change and, where the history has a keyframe, the state after it."""

    change: Change
    encoded: bytes
    state: bytes | None


class RecordedRequest(Struct, frozen=True, gc=False):
    """A request id to remember."""

    request_id: UUID
    commit_time: Timestamp
    fingerprint: bytes
    outcome: bytes | None
    """None for all but the first entity of a request."""


class Trace(NamedTuple):
    """What is left of an entity that has no aggregate."""

    uid: UUID
    """The incarnation of its last change."""
    version: int
    """The version of that change; 0 if only request ids are left."""
    commit_time: Timestamp


class Savepoint(NamedTuple):
    """A row as it was before some updates."""

    aggregate: FeatureAggregate | None
    """None: as it was read."""
    changes: int
    advanced: bool


class Row(Struct, eq=False):
    """One aggregate in a batch. Commands are applied to it one after the other."""

    number: int
    key: EntityKey
    read: StoredRow | None
    """None if there was no row."""
    aggregate: FeatureAggregate
    limits: Limits
    leader: "Row | None" = None
    """Another row that this one must be written together with; see `unit`."""
    changes: list[RecordedChange] = []
    requests: list[RecordedRequest] = []
    advanced: bool = False
    erase_history: bool = False
    type_revision: int = 0
    """The revision of the entity type that `policy` is of."""
    type_is_new: bool = False
    """Whether the entity type has no row yet that a write could lock."""
    policy: Policy | None = None
    again: Callable[[], FeatureAggregate] | None = None
    """Gives the aggregate as it was read."""
    is_inherited: bool = False
    """Whether a batch ahead left it, and it was not read."""
    unseen: bool = False
    """Whether nothing that was read says that the row is there."""
    recorded: int = 0
    """The bytes of all changes that were recorded, with their keyframes."""
    trace: Trace | None = None
    """Read only for an erasure that finds no aggregate; None if nothing is left of the entity."""

    @property
    def writes(self) -> bool:
        """Whether the row itself is to be written.

        A request id is remembered only together with a write of the row, so that of two servers
        that take the same request one loses; see `is_kept_absent` for where there is none.
        """
        return self.advanced or (bool(self.requests) and self.read is not None)

    @property
    def is_kept_absent(self) -> bool:
        """Whether there was no row, and there will be none."""
        return self.read is None and not self.advanced

    @property
    def records(self) -> bool:
        """Whether anything at all is to be written."""
        return self.writes or bool(self.changes) or bool(self.requests)

    @property
    def unit(self) -> int:
        """Rows of one unit are written together or not at all."""
        return self.number if self.leader is None else self._root().number

    def unite(self, other: "Row") -> None:
        """Make one unit of the units of two rows (union-find after Galler and Fischer, 1964)."""
        mine, theirs = self._root(), other._root()
        if mine is not theirs:
            theirs.leader = mine

    def _root(self) -> "Row":
        row = self
        while row.leader is not None:
            row.leader, row = row.leader.leader or row.leader, row.leader
        return row

    @property
    def keyframe(self) -> bytes | None:
        """What is stored of the aggregate, if the history gets the same."""
        advancing = (each for each in reversed(self.changes) if each.change.advances)
        last = next(advancing, None)
        return None if last is None else last.state

    @property
    def left(self) -> StoredRow | None:
        """The row as it will be, by whom is not known yet. None: there will be none."""
        if not self.writes:
            return self.read
        aggregate = self.aggregate
        return StoredRow(_UNKNOWN, aggregate.version) if aggregate.exists else None

    def behind(self, number: int) -> "Row":
        """The row for a batch right behind this one, with an aggregate of its own.

        A message keeps the memory of all that it ever held, so one may not go from batch to batch.
        """
        again = self.aggregate.copy
        return Row(
            number,
            self.key,
            self.left,
            again(),
            self.limits,
            type_revision=self.type_revision,
            policy=self.policy,
            again=again,
            is_inherited=True,
        )

    def update(self, update: Update, now: Timestamp) -> UpdateOutcome:
        """Apply an update. Raises what FeatureAggregate.apply raises; nothing has changed then."""
        change = self.aggregate.apply(update, now)
        if change is not None:
            self._record(change)
        return update_outcome(self.aggregate, change, update, now)

    def delete(self, deletion: Deletion, now: Timestamp) -> DeletionOutcome | None:
        """End the aggregate; what follows in the batch begins another incarnation.

        None if the batch has made the aggregate: it must be there first. With no row in the end,
        nothing would stop another server that has read before from taking the same requests.
        """
        if self.trace is not None and deletion.erase_history and deletion.etag is None:
            return self._erase(deletion, self.trace, now)
        change = self.aggregate.delete(deletion, now)
        if self.read is None:
            return None
        if deletion.erase_history:
            self.changes.clear()
            self.erase_history = True
        self._record(change)
        self.aggregate = new_aggregate(
            self.key,
            uuid4(),
            self.aggregate.epoch,
            self.limits,
            last_commit=change.commit_time,
            policy=self.policy,
        )
        return DeletionOutcome(change.version, change.commit_time)

    def _erase(self, deletion: Deletion, trace: Trace, now: Timestamp) -> DeletionOutcome:
        """Erase what is left of an entity that was deleted before.

        A change says so: who erased it, and that this batch was committed. There still is no
        aggregate, so the row is kept absent, and who makes one meanwhile is noticed.
        """
        change = Change(
            key=self.key,
            uid=trace.uid,
            version=trace.version,
            commit_time=max(now, trace.commit_time + MICROSECOND),
            features={},
            late_features={},
            deleted=True,
            request_id=deletion.request_id,
            actor=deletion.actor,
        )
        self.erase_history = True
        self.changes[:] = [
            RecordedChange(change, dump_change(change, self.aggregate.features), None)
        ]
        return DeletionOutcome(change.version, change.commit_time)

    def let_go(self) -> None:
        """Free the aggregate, when all is made that is to be written and answered of it."""
        self.again = None
        self.aggregate = new_aggregate(self.key, self.aggregate.uid, self.aggregate.epoch)

    def savepoint(self) -> Savepoint:
        """Where `restore` goes back to."""
        # To read it again costs nothing where all goes well, and that is nearly always.
        untouched = not self.changes and self.again is not None
        aggregate = None if untouched else self.aggregate.copy()
        return Savepoint(aggregate, len(self.changes), self.advanced)

    def restore(self, savepoint: Savepoint) -> None:
        """Forget every update since a savepoint."""
        aggregate, count, self.advanced = savepoint
        if aggregate is None:
            assert self.again is not None
            aggregate = self.again()
        self.aggregate = aggregate
        del self.changes[count:]

    def _record(self, change: Change) -> None:
        self.advanced = self.advanced or change.advances
        state = dump_aggregate(self.aggregate) if _is_keyframe(change) else None
        encoded = dump_change(change, self.aggregate.features)
        self.recorded += len(encoded) if state is None else len(encoded) + len(state)
        self.changes.append(RecordedChange(change, encoded, state))


def update_outcome(
    aggregate: FeatureAggregate, change: Change | None, update: Update, now: Timestamp
) -> UpdateOutcome:
    """The outcome of an update that left an aggregate as it is now."""
    outcome = UpdateOutcome(
        uid=aggregate.uid,
        epoch=aggregate.epoch,
        version=aggregate.version,
        update_time=aggregate.update_time,
        stale_features=tuple(change.late_features) if change else (),
    )
    return with_state(outcome, aggregate, update, now)


def with_state(
    outcome: UpdateOutcome, aggregate: FeatureAggregate, update: Update, now: Timestamp
) -> UpdateOutcome:
    """The outcome with the aggregate as it is served, if the update asks for it and it exists."""
    if not (update.return_aggregate and aggregate.exists):
        return outcome
    state = dump_aggregate(aggregate)
    policy = aggregate.policy
    if policy is not None and policy.expiring:
        state = without_expired(state, policy.expiring, now)
    return replace(outcome, state=state, state_etag=aggregate.etag)


def _is_keyframe(change: Change) -> bool:
    return change.advances and not change.deleted and change.version % KEYFRAME_INTERVAL == 0
