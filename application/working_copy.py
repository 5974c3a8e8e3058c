"""An aggregate while a batch of commands is applied to it, and what is to be recorded of that."""

from collections.abc import Callable
from typing import NamedTuple
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
    """A working copy as it was before some updates."""

    aggregate: FeatureAggregate | None
    """None: as it was read."""
    changes: int
    advanced: bool


class WorkingCopy(Struct, eq=False, kw_only=True):
    """One aggregate of a batch. Commands are applied to it one after the other."""

    key: EntityKey
    aggregate: FeatureAggregate
    """As the commands so far leave it."""
    existed: bool
    """Whether there was an aggregate before them."""
    limits: Limits
    policy: Policy | None = None
    read_again: Callable[[], FeatureAggregate] | None = None
    """Gives the aggregate as it was read."""
    trace: Trace | None = None
    """Read only for an erasure that finds no aggregate; None if nothing is left of the entity."""

    changes: list[RecordedChange] = []
    requests: list[RecordedRequest] = []
    advanced: bool = False
    """Whether there is another version."""
    erase_history: bool = False
    recorded: int = 0
    """The bytes of all changes that were recorded, with their keyframes."""

    @property
    def writes(self) -> bool:
        """Whether the aggregate itself is to be written.

        A request id is remembered only together with a write of it, so that of two servers that
        take the same request one loses; see `is_kept_absent` for where there is none.
        """
        return self.advanced or (bool(self.requests) and self.existed)

    @property
    def is_kept_absent(self) -> bool:
        """Whether there was no aggregate, and there will be none."""
        return not self.existed and not self.advanced

    @property
    def records(self) -> bool:
        """Whether anything at all is to be written."""
        return self.writes or bool(self.changes) or bool(self.requests)

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
        if not self.existed:
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
        aggregate, so it is kept absent, and who has made one meanwhile is noticed. Who makes one
        after it, from an older read, is not: its change may have an earlier time than this one.
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
        ended = new_aggregate(self.key, trace.uid, self.aggregate.epoch)
        self.changes[:] = [RecordedChange(change, dump_change(change, ended.features), None)]
        return DeletionOutcome(change.version, change.commit_time)

    def let_go(self) -> None:
        """Free the aggregate, when all is made that is to be written and answered of it."""
        self.read_again = None
        self.aggregate = new_aggregate(self.key, self.aggregate.uid, self.aggregate.epoch)

    def savepoint(self) -> Savepoint:
        """Where `restore` goes back to."""
        # To read it again costs nothing where all goes well, and that is nearly always.
        untouched = not self.changes and self.read_again is not None
        aggregate = None if untouched else self.aggregate.copy()
        return Savepoint(aggregate, len(self.changes), self.advanced)

    def restore(self, savepoint: Savepoint) -> None:
        """Forget every update since a savepoint."""
        aggregate, count, self.advanced = savepoint
        if aggregate is None:
            assert self.read_again is not None
            aggregate = self.read_again()
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
