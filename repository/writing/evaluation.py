"""Step 2 of the write protocol: every command of a batch, in order, on the rows that were read.

Pure: the outcome of a command depends on the rows, the known request ids and the time, and nothing
is written here. So a batch that loses its race is evaluated again from new rows.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias
from uuid import UUID

from msgspec.structs import replace

from codec.outcome import (
    dump_batch_outcome,
    dump_outcome,
    load_batch_outcome,
    load_outcome,
)
from domain.batch_errors import batch_error
from domain.entity_key import EntityKey
from domain.errors import FeatomError, LimitExceeded, RequestIdReused
from domain.outcome import BatchOutcome, Outcome, UpdateOutcome
from domain.timestamp import Timestamp
from domain.update import Command, Deletion, Update, UpdateBatch, keys_of
from repository.writing.row import RecordedRequest, Row, update_outcome, with_state

RequestKey: TypeAlias = tuple[EntityKey, UUID]


class KnownRequest(NamedTuple):
    """A request id that was answered before."""

    fingerprint: bytes
    outcome: bytes | None
    """None where it is known under an entity that was not its first, if nothing is to be said."""


class Evaluation:
    """Rows as they were read, and as the commands evaluated so far leave them."""

    def __init__(
        self, rows: dict[EntityKey, Row], known: dict[RequestKey, KnownRequest], now: Timestamp
    ) -> None:
        """`rows` in the order of their keys; `known` are the request ids that were found."""
        self.rows = rows
        self._known = known
        self._now = now
        self._has_united = False
        self.made = 0
        """The bytes that were made so far to be written or answered, beside the aggregates."""

    def evaluate(self, command: Command) -> Outcome | FeatomError | None:
        """Apply one command to the state that the previous one left, whole or not at all.

        The answer holds only if the unit of the command's rows is committed. None: the command
        must wait until the ones before it are.
        """
        if isinstance(command, UpdateBatch):
            *_, answer = self.evaluate_in_steps(command)
            return answer
        try:
            return self._replayed(command) or self._applied(command, self.rows[command.key])
        except FeatomError as error:
            return error

    def evaluate_in_steps(self, batch: UpdateBatch) -> Iterator[Outcome | FeatomError | None]:
        """As `evaluate`, an update at a time, as all of them may take seconds: None after each, and
        in the end the answer.
        """
        rows = [self.rows[key] for key in keys_of(batch)]
        self._unite(rows)
        answer: Outcome | FeatomError
        try:
            answer = self._replayed(batch) or (yield from self._applied_together(batch, rows))
        except FeatomError as error:
            answer = error
        yield answer

    def _unite(self, rows: Sequence[Row]) -> None:
        for row in rows[1:]:
            rows[0].unite(row)
            self._has_united = True

    def unit_of(self, key: EntityKey) -> int:
        """The unit that the commands about an aggregate were evaluated in; known when all are."""
        return self.rows[key].unit

    @property
    def involved(self) -> list[Row]:
        """The rows that a write is about, in the order of their keys.

        Where something of a unit is written, its other rows must still be as they were read: a
        command was judged by all of them. So must a row that nobody has seen, whatever is written.
        """
        rows = self.rows.values()
        about = [row for row in rows if row.records or row.unseen]
        if not self._has_united:
            return about
        units = {row.unit for row in about}
        # Of what one ahead leaves and what was read nothing says that it stood together ever.
        units |= {row.unit for row in rows if row.is_inherited} & {
            row.unit for row in rows if not row.is_inherited
        }
        return [row for row in rows if row.unit in units]

    def known_outcome(self, command: Command) -> Outcome | FeatomError | None:
        """The answer to a request id that is known, without aggregates: none need to be read."""
        if command.request_id is None:
            return None
        try:
            outcome = self._first_outcome(command, command.request_id)
        except FeatomError as error:
            return error
        if isinstance(outcome, BatchOutcome):
            each = tuple(replace(one, replayed=True) for one in outcome.outcomes)
            return replace(outcome, outcomes=each)
        return outcome

    def _replayed(self, command: Command) -> Outcome | None:
        """The first outcome of a request id that is known. Raises RequestIdReused."""
        if command.request_id is None:
            return None
        outcome = self._first_outcome(command, command.request_id)
        return None if outcome is None else self._with_states(command, outcome)

    def _first_outcome(self, command: Command, request_id: UUID) -> Outcome | None:
        found = {
            key: known
            for key in keys_of(command)
            if (known := self._known.get((key, request_id))) is not None
        }
        if not found:
            return None
        if any(known.fingerprint != command.fingerprint for known in found.values()):
            raise RequestIdReused
        stored = {key: known.outcome for key, known in found.items()}
        return replace(_loaded(command, stored), replayed=True)

    def _with_states(self, command: Command, outcome: Outcome) -> Outcome:
        """A replay is answered with the aggregates as they are now."""
        if isinstance(outcome, UpdateOutcome) and isinstance(command, Update):
            aggregate = self.rows[command.key].aggregate
            return with_state(outcome, aggregate, command, self._now)
        if isinstance(outcome, BatchOutcome) and isinstance(command, UpdateBatch):
            return replace(outcome, outcomes=self._with_states_that_fit(command, outcome))
        return outcome

    def _with_states_that_fit(
        self, batch: UpdateBatch, first: BatchOutcome
    ) -> tuple[UpdateOutcome, ...]:
        """What was applied must not be refused, so aggregates that have grown too large since are
        left out.
        """
        outcomes: list[UpdateOutcome] = []
        room = self._answer_bytes(batch)
        for update, each in zip(batch.updates, first.outcomes, strict=True):
            outcome = replace(each, replayed=True)
            if room > 0:
                aggregate = self.rows[update.key].aggregate
                complete = with_state(outcome, aggregate, update, self._now)
                room -= _state_size(complete)
                outcome = complete if room >= 0 else outcome
            outcomes.append(outcome)
        return tuple(outcomes)

    def _applied(self, command: Update | Deletion, row: Row) -> Outcome | None:
        recorded = row.recorded
        if isinstance(command, Deletion):
            outcome: Outcome | None = row.delete(command, self._now)
        elif command.validate_only:
            rehearsed = self._rehearsed(command)
            self.made += _state_size(rehearsed)
            return rehearsed
        else:
            outcome = updated = row.update(command, self._now)
            if updated.state is not None:
                self.made += len(updated.state)
        self.made += row.recorded - recorded
        if outcome is not None and command.request_id is not None:
            self._remember(command, (row,), outcome)
        return outcome

    def _rehearsed(self, update: Update) -> UpdateOutcome:
        rehearsal = self.rows[update.key].aggregate.copy()
        change = rehearsal.apply(update, self._now)
        outcome = update_outcome(rehearsal, change, update, self._now)
        if change is None or not change.advances:
            return outcome
        return replace(outcome, rehearsed=True, state_etag=None)

    def _applied_together(
        self, batch: UpdateBatch, rows: Sequence[Row]
    ) -> Generator[None, None, BatchOutcome]:
        saved = [row.savepoint() for row in rows]
        recorded = sum(row.recorded for row in rows)
        outcomes: list[UpdateOutcome] = []
        errors: dict[int, FeatomError] = {}
        limit = room = self._answer_bytes(batch)
        for index, update in enumerate(batch.updates):
            asked = update if room >= 0 else replace(update, return_aggregate=False)
            try:
                outcomes.append(self.rows[update.key].update(asked, self._now))
                room -= _state_size(outcomes[-1])
            except FeatomError as error:
                errors[index] = error
            yield
        if errors or room < 0:
            for row, savepoint in zip(rows, saved, strict=True):
                row.restore(savepoint)
            if errors:
                raise batch_error(errors)
            raise LimitExceeded("bytes of aggregates in an answer", limit)
        self.made += limit - room + sum(row.recorded for row in rows) - recorded
        outcome = BatchOutcome(tuple(outcomes))
        self._remember(batch, rows, outcome)
        return outcome

    def _answer_bytes(self, batch: UpdateBatch) -> int:
        return self.rows[batch.updates[0].key].limits.answer_bytes

    def _remember(self, command: Command, rows: Iterable[Row], outcome: Outcome) -> None:
        if command.request_id is None:
            return
        stored = _stored(command, outcome)
        for row in rows:
            encoded = stored[row.key]
            request = RecordedRequest(command.request_id, self._now, command.fingerprint, encoded)
            row.requests.append(request)
            self._known[row.key, command.request_id] = KnownRequest(command.fingerprint, encoded)


def _stored(command: Command, outcome: Outcome) -> Mapping[EntityKey, bytes | None]:
    """What is remembered of an outcome under each key of its command."""
    if isinstance(command, UpdateBatch):
        assert isinstance(outcome, BatchOutcome)
        return dump_batch_outcome(command, outcome)
    return {command.key: dump_outcome(outcome)}


def _loaded(command: Command, stored: Mapping[EntityKey, bytes | None]) -> Outcome:
    """The outcome that is remembered. Raises RequestIdReused if that is of another command."""
    if isinstance(command, UpdateBatch):
        return load_batch_outcome(command, stored)
    encoded = stored[command.key]
    if encoded is None:
        raise RequestIdReused
    return load_outcome(command, encoded)


def _state_size(outcome: UpdateOutcome) -> int:
    return 0 if outcome.state is None else len(outcome.state)
