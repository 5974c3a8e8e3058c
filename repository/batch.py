"""One attempt to commit a batch: its rows as they were read, and as its commands leave them."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias
from uuid import UUID, uuid4

from domain.aggregate import FeatureAggregate
from domain.change import Change
from domain.entity_key import EntityKey
from domain.errors import FeatomError, RequestIdReused
from domain.instant import Instant
from domain.limits import Limits
from domain.outcome import DeletionOutcome, Outcome, UpdateOutcome
from domain.update import Command, Deletion, Update
from repository.codec.change import dump_change
from repository.codec.state import dump_aggregate, new_aggregate
from repository.submission import Submission

KEYFRAME_INTERVAL: Final = 64
"""Every so many versions the history holds the whole state, so that the past is never far."""

UNCHECKED: Final = -1
"""The row number of what hangs on no conditional write."""


RequestKey: TypeAlias = tuple[EntityKey, UUID]


class StoredRow(NamedTuple):
    """What tells whether a row is still the one that was read."""

    xmin: int
    version: int


class KnownRequest(NamedTuple):
    """A request id that was answered before."""

    fingerprint: bytes
    outcome: Outcome

    def replay(self, command: Command) -> Outcome:
        """The first outcome again. Raises RequestIdReused if the command is another one."""
        if command.fingerprint != self.fingerprint:
            raise RequestIdReused
        return self.outcome._replace(replayed=True)


class RecordedChange(NamedTuple):
    """A change and, where the history has a keyframe, the state after it."""

    change: Change
    encoded: bytes
    state: bytes | None


class RecordedRequest(NamedTuple):
    """A request id to remember."""

    command: Command
    commit_time: Instant
    known: KnownRequest


@dataclass(slots=True)
class Row:
    """One aggregate in a batch."""

    number: int
    key: EntityKey
    read: StoredRow | None
    """None if there was no row."""
    aggregate: FeatureAggregate
    limits: Limits
    changes: list[RecordedChange] = field(default_factory=list)
    requests: list[RecordedRequest] = field(default_factory=list)
    answers: list[tuple[Submission, Outcome | FeatomError]] = field(default_factory=list)
    advanced: bool = False
    erase_history: bool = False

    @property
    def writes(self) -> bool:
        """Whether the row itself is to be written.

        A request id is remembered only together with a write of the row, so that of two servers
        that take the same request one loses.
        """
        return self.advanced or (bool(self.requests) and self.read is not None)

    @property
    def records(self) -> bool:
        """Whether anything at all is to be written."""
        return self.writes or bool(self.changes) or bool(self.requests)

    @property
    def guard(self) -> int:
        """The row number whose write everything else of this row hangs on."""
        return self.number if self.writes and self.read is not None else UNCHECKED

    def evaluate(
        self,
        submission: Submission,
        known: dict[tuple[EntityKey, UUID], KnownRequest],
        now: Instant,
    ) -> None:
        """Apply one command to the state that the previous one left, and keep its answer."""
        try:
            answer = self._evaluate(submission.command, known, now)
        except FeatomError as error:
            self.answers.append((submission, error))
        else:
            self.answers.append((submission, answer))

    def _evaluate(
        self, command: Command, known: dict[RequestKey, KnownRequest], now: Instant
    ) -> Outcome:
        if command.request_id is not None:
            answered = known.get((self.key, command.request_id))
            if answered is not None:
                return self._with_state(answered.replay(command), command, self.aggregate)
        if isinstance(command, Deletion):
            outcome: Outcome = self._delete(command, now)
        elif command.validate_only:
            return self._rehearse(command, now)
        else:
            outcome = self._update(command, now)
        if command.request_id is not None:
            request = KnownRequest(command.fingerprint, outcome)
            known[self.key, command.request_id] = request
            self.requests.append(RecordedRequest(command, now, request))
        return self._with_state(outcome, command, self.aggregate)

    def _update(self, update: Update, now: Instant) -> UpdateOutcome:
        change = self.aggregate.apply(update, now)
        if change is not None:
            self._record(change)
        return _update_outcome(self.aggregate, change)

    def _rehearse(self, update: Update, now: Instant) -> Outcome:
        rehearsal = self.aggregate.copy()
        change = rehearsal.apply(update, now)
        return self._with_state(_update_outcome(rehearsal, change), update, rehearsal)

    def _delete(self, deletion: Deletion, now: Instant) -> DeletionOutcome:
        change = self.aggregate.delete(deletion, now)
        if deletion.erase_history:
            self.changes.clear()
            self.erase_history = True
        self._record(change)
        self.aggregate = new_aggregate(
            self.key, uuid4(), self.aggregate.epoch, self.limits, last_commit=change.commit_time
        )
        return DeletionOutcome(change.version, change.commit_time)

    def _record(self, change: Change) -> None:
        self.advanced = self.advanced or change.advances
        keyframe = (
            change.advances and change.version % KEYFRAME_INTERVAL == 0 and not change.deleted
        )
        state = dump_aggregate(self.aggregate) if keyframe else None
        self.changes.append(RecordedChange(change, dump_change(change), state))

    def _with_state(
        self, outcome: Outcome, command: Command, aggregate: FeatureAggregate
    ) -> Outcome:
        if isinstance(command, Update) and command.return_aggregate and aggregate.exists:
            assert isinstance(outcome, UpdateOutcome)
            return outcome._replace(state=dump_aggregate(aggregate))
        return outcome


def _is_keyframe(change: Change) -> bool:
    return change.advances and not change.deleted and change.version % KEYFRAME_INTERVAL == 0


def _update_outcome(aggregate: FeatureAggregate, change: Change | None) -> UpdateOutcome:
    return UpdateOutcome(
        uid=aggregate.uid,
        epoch=aggregate.epoch,
        version=aggregate.version,
        update_time=aggregate.update_time,
        stale_features=tuple(change.late_features) if change else (),
    )
